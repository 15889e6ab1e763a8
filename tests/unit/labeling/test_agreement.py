"""Coefficients of agreement: tiny tables derived by hand, what is not defined, and what must never matter."""

from __future__ import annotations

from itertools import permutations
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling_app.domain.agreement import (
    NEGATIVE,
    NO_PAIRS,
    NOT_NUMBERS,
    ONE_CLASS,
    Coefficient,
    cohen_kappa,
    fleiss_by_class,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    percent_agreement,
)

LEVELS = ("nominal", "ordinal", "interval", "ratio")
# units (a, a) and (a, b)
TWO_UNITS = {1: {"x": "a", "y": "a"}, 2: {"x": "a", "y": "b"}}
# units (1, 1), (3, 3) and (1, 2)
THREE_UNITS = {1: {"x": 1, "y": 1}, 2: {"x": 3, "y": 3}, 3: {"x": 1, "y": 2}}

# {unit: {rater: class}} with gaps
TABLES = st.dictionaries(
    st.integers(0, 30),
    st.dictionaries(st.integers(0, 4), st.integers(0, 3), max_size=5),
    max_size=12,
)


def all_of(ratings: Any) -> list[Coefficient]:
    return [
        percent_agreement(ratings),
        fleiss_kappa(ratings),
        gwet_ac1(ratings),
        *(krippendorff_alpha(ratings, level) for level in LEVELS),
    ]


def value_of(coefficient: Coefficient) -> float:
    assert coefficient.value is not None
    return coefficient.value


# --- by hand --------------------------------------------------------------------------------------------------------
def test_percent_agreement__one_unit_agrees_one_not__is_half() -> None:
    assert percent_agreement(TWO_UNITS).value == 0.5


def test_cohen_kappa__four_units__is_half() -> None:
    # both say the same of 3 of 4; yes: 2/4 and 1/4, no: 2/4 and 3/4, so by chance 2/16 + 6/16 = 1/2; (3/4 − 1/2) / (1/2)
    first = {1: "yes", 2: "yes", 3: "no", 4: "no"}
    second = {1: "yes", 2: "no", 3: "no", 4: "no"}

    assert cohen_kappa(first, second).value == pytest.approx(0.5)
    assert cohen_kappa(second, first).value == pytest.approx(0.5)


def test_cohen_kappa__units_of_one_rater_only__do_not_count() -> None:
    first = {1: "yes", 2: "yes", 3: "no", 4: "no", 5: "yes"}
    second = {1: "yes", 2: "no", 3: "no", 4: "no", 6: "no", 5: None}

    found = cohen_kappa(first, second)

    assert (found.value, found.units) == (pytest.approx(0.5), 4)


def test_fleiss_kappa__two_units__is_minus_one_third() -> None:
    # agreement 1/2; a is 3/4 and b 1/4 of all: by chance 9/16 + 1/16 = 5/8; (1/2 − 5/8) / (3/8)
    assert fleiss_kappa(TWO_UNITS).value == pytest.approx(-1 / 3)


def test_fleiss_by_class__two_classes__both_are_the_whole() -> None:
    # of two classes, the one against the other is the table itself
    assert {name: value_of(found) for name, found in fleiss_by_class(TWO_UNITS).items()} == {
        "a": pytest.approx(-1 / 3),
        "b": pytest.approx(-1 / 3),
    }


def test_gwet_ac1__two_units__is_one_fifth() -> None:
    # by chance (3/4 · 1/4 + 1/4 · 3/4) / (2 − 1) = 3/8; (1/2 − 3/8) / (5/8)
    assert gwet_ac1(TWO_UNITS).value == pytest.approx(0.2)


def test_gwet_ac1__classes_that_nobody_gave__lower_chance() -> None:
    # with three to choose from: chance (3/16 + 3/16 + 0) / 2 = 3/16; (1/2 − 3/16) / (13/16) = 5/13
    assert gwet_ac1(TWO_UNITS, classes=3).value == pytest.approx(5 / 13)


def test_alpha__nominal__two_units__is_zero() -> None:
    # 2 ordered pairs of 4 disagree; of all 12 pairs of the values a a a b, 6 do
    assert krippendorff_alpha(TWO_UNITS).value == pytest.approx(0.0)


def test_alpha__interval__three_units() -> None:
    # observed 2 · 1² / 6; expected: Σx = 11, Σx² = 25, 2 (6 · 25 − 11²) / 30 = 58/30; 1 − (1/3)(30/58)
    assert krippendorff_alpha(THREE_UNITS, "interval").value == pytest.approx(24 / 29)


def test_alpha__ordinal__three_units() -> None:
    # mid-ranks of 1, 2, 3: 1.5, 3.5, 5; observed 2 · 2² / 6; expected 2 (6 · 69 − 18²) / 30 = 6; 1 − (4/3) / 6
    assert krippendorff_alpha(THREE_UNITS, "ordinal").value == pytest.approx(7 / 9)


def test_alpha__ratio__three_units() -> None:
    # distances 1/9 (1, 2), 1/4 (1, 3), 1/25 (2, 3); observed 2/9/6; expected (6/9 + 12/4 + 4/25) / 30 = 287/2250
    assert krippendorff_alpha(THREE_UNITS, "ratio").value == pytest.approx(1 - 2250 / (27 * 287))


def test_alpha__numbers_given_by_code__order_classes() -> None:
    words = {1: {"x": "low", "y": "low"}, 2: {"x": "high", "y": "high"}, 3: {"x": "low", "y": "mid"}}
    # codes in the order of appearance: low, high, mid
    found = krippendorff_alpha(words, "ordinal", numbers=np.array([1.0, 3.0, 2.0]))

    assert found.value == pytest.approx(7 / 9)


# --- intervals ------------------------------------------------------------------------------------------------------
def test_percent_agreement__all_agree__keeps_a_width() -> None:
    ratings = {unit: {"x": unit % 2, "y": unit % 2} for unit in range(20)}

    for found in all_of(ratings):
        assert found.value == 1.0
        assert found.low is not None
        assert found.low < 1.0
        assert found.high == 1.0


def test_cohen_kappa__its_interval__is_that_of_fleiss_cohen_everitt() -> None:
    # the table [[20, 5], [10, 15]]: kappa .4, standard error by the formula of 1969: share .7, chance .5,
    # rows .5 .5, columns .6 .4. On: .4 (1 − 1.1 · .6)² + .3 (1 − .9 · .6)² = .04624 + .06348 = .10972;
    # off: .6² · (.1 · (.6 + .5)² + .2 · (.4 + .5)²) = .36 · .283 = .10188; minus (.4 − .5 · .6)² = .01.
    # √(.2016 / 50) / .5 = .126996
    cells = [("a", "a")] * 20 + [("a", "b")] * 5 + [("b", "a")] * 10 + [("b", "b")] * 15
    found = cohen_kappa(
        {unit: a for unit, (a, _) in enumerate(cells)}, {unit: b for unit, (_, b) in enumerate(cells)}
    )

    assert found.value == pytest.approx(0.4)
    assert found.low == pytest.approx(0.4 - 1.959964 * 0.126996, abs=1e-5)
    assert found.high == pytest.approx(0.4 + 1.959964 * 0.126996, abs=1e-5)


def test_alpha__the_same_data_twice__has_the_same_interval() -> None:
    random = Random(5)
    ratings = {unit: {rater: random.randrange(3) for rater in range(3)} for unit in range(50)}

    assert krippendorff_alpha(ratings) == krippendorff_alpha(ratings)


def test_alpha__more_units_than_are_drawn_singly__has_the_interval_of_all_units() -> None:
    # beyond 1,000 units groups are drawn; the width must go on with 1/√n: of 9 × the units, a third
    random = Random(6)

    def width(units: int) -> float:
        ratings = {
            unit: {rater: truth if random.random() < 0.8 else random.randrange(4) for rater in range(3)}
            for unit, truth in ((unit, random.randrange(4)) for unit in range(units))
        }
        found = krippendorff_alpha(ratings)
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    assert width(9000) == pytest.approx(width(1000) / 3, rel=0.15)


# --- what is not defined --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "ratings",
    [
        {},
        {1: {}},
        {1: {"x": "a"}, 2: {"x": "b"}},
        {1: {"x": "a"}, 2: {"y": "b"}},
        {1: {"x": float("nan"), "y": 1.0}, 2: {"x": 2.0, "y": None}},
    ],
    ids=["nothing", "no rating", "one rater", "no unit of two", "nan and none"],
)
def test_all__no_unit_with_two_ratings__are_not_defined_and_say_so(ratings: Any) -> None:
    for found in all_of(ratings):
        assert (found.value, found.low, found.high, found.units) == (None, None, None, 0)
        assert found.why_none == NO_PAIRS
    assert cohen_kappa({1: "a"}, {2: "b"}).why_none == NO_PAIRS


def test_all__one_class_only__only_percent_is_defined() -> None:
    ratings = {unit: {"x": 1, "y": 1} for unit in range(5)}
    percent, *corrected = all_of(ratings)

    assert percent.value == 1.0
    for found in corrected:
        assert (found.value, found.low, found.why_none, found.units) == (None, None, ONE_CLASS, 5)
    assert cohen_kappa({1: "a", 2: "a"}, {1: "a", 2: "a"}).why_none == ONE_CLASS


def test_gwet_ac1__one_class_given_of_several__is_one() -> None:
    # what AC1 is made for: agreement on the frequent class counts
    found = gwet_ac1({unit: {"x": 1, "y": 1} for unit in range(5)}, classes=2)

    assert found.value == 1.0


def test_alpha__words_at_a_level_of_numbers__is_not_defined() -> None:
    assert krippendorff_alpha(TWO_UNITS, "interval").why_none == NOT_NUMBERS


def test_alpha__negative_values_by_ratio__is_not_defined() -> None:
    assert krippendorff_alpha({1: {"x": -1, "y": 1}, 2: {"x": 2, "y": 2}}, "ratio").why_none == NEGATIVE


def test_alpha__zeros_by_ratio__agree_with_each_other() -> None:
    assert krippendorff_alpha({1: {"x": 0, "y": 0}, 2: {"x": 2, "y": 2}}, "ratio").value == 1.0


def test_alpha__numbers_far_from_zero__loses_nothing_to_rounding() -> None:
    far = {unit: {r: 1e9 + value for r, value in given.items()} for unit, given in THREE_UNITS.items()}

    assert krippendorff_alpha(far, "interval").value == pytest.approx(24 / 29)


def test_alpha__more_classes_than_are_drawn__keeps_an_interval() -> None:
    random = Random(7)
    ratings = {unit: {"x": unit, "y": unit if random.random() < 0.5 else -unit} for unit in range(1, 1500)}
    found = krippendorff_alpha(ratings)

    assert found.low is not None
    assert found.high is not None
    assert found.low < value_of(found) < found.high


# --- properties -----------------------------------------------------------------------------------------------------
@settings(deadline=None, max_examples=50)
@given(TABLES, st.randoms())
def test_all__renamed_raters_and_units_in_another_order__are_the_same(ratings: Any, random: Random) -> None:
    names = dict(zip(range(5), random.sample(range(100, 200), 5), strict=True))
    units = list(ratings)
    random.shuffle(units)
    renamed = {f"unit {u}": {names[r]: value for r, value in reversed(ratings[u].items())} for u in units}

    for before, after in zip(all_of(ratings), all_of(renamed), strict=True):
        assert after.value == (None if before.value is None else pytest.approx(before.value))
        assert (after.units, after.raters, after.why_none) == (before.units, before.raters, before.why_none)


@settings(deadline=None, max_examples=50)
@given(TABLES, st.sampled_from(list(permutations("abcd"))))
def test_nominal__renamed_classes__are_the_same(ratings: Any, names: tuple[str, ...]) -> None:
    renamed = {u: {r: names[value] for r, value in given.items()} for u, given in ratings.items()}

    for coefficient in (percent_agreement, fleiss_kappa, gwet_ac1, krippendorff_alpha):
        before, after = coefficient(ratings), coefficient(renamed)
        assert after.value == (None if before.value is None else pytest.approx(before.value))


@settings(deadline=None, max_examples=50)
@given(TABLES)
def test_all__any_table__value_lies_in_its_interval(ratings: Any) -> None:
    for found in all_of(ratings):
        assert (found.value is None) == bool(found.why_none)
        if found.value is not None and found.low is not None and found.high is not None:
            assert found.low - 1e-9 <= found.value <= found.high + 1e-9
            assert found.high <= 1


@settings(deadline=None, max_examples=50)
@given(TABLES)
def test_alpha__any_table__is_one_exactly_when_all_agree(ratings: Any) -> None:
    found = krippendorff_alpha(ratings)
    if found.value is not None:
        perfect = all(len(set(given.values())) == 1 for given in ratings.values() if len(given) >= 2)
        assert (found.value > 1 - 1e-12) == perfect


@settings(deadline=None, max_examples=50)
@given(TABLES)
def test_alpha__units_with_one_rating_more__is_the_same(ratings: Any) -> None:
    more = {**ratings, "alone": {0: 3}, "nobody": {}}

    for level in LEVELS:
        assert krippendorff_alpha(more, level).value == krippendorff_alpha(ratings, level).value


@settings(deadline=None, max_examples=50)
@given(TABLES)
def test_alpha__any_table__is_what_its_definition_says(ratings: Any) -> None:
    for level in LEVELS:
        found, expected = krippendorff_alpha(ratings, level).value, alpha_by_definition(ratings, level)
        assert found == (None if expected is None else pytest.approx(expected))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=20))
def test_cohen_kappa__any_pair__is_symmetric(pairs: list[tuple[int, int]]) -> None:
    first = {unit: a for unit, (a, _) in enumerate(pairs)}
    second = {unit: b for unit, (_, b) in enumerate(pairs)}
    there, back = cohen_kappa(first, second), cohen_kappa(second, first)

    assert there.value == (None if back.value is None else pytest.approx(back.value))


def alpha_by_definition(ratings: Any, level: str) -> float | None:
    """Krippendorff's alpha over all pairs, one by one (2011, section E)."""
    units = [list(given.values()) for given in ratings.values() if len(given) >= 2]
    values = [value for unit in units for value in unit]
    n = len(values)

    def distance(c: int, k: int) -> float:
        if level == "nominal":
            return float(c != k)
        if level == "interval":
            return float((c - k) ** 2)
        if level == "ratio":
            return ((c - k) / (c + k)) ** 2 if c + k else 0.0
        low, high = sorted((c, k))
        between = sum(low <= value <= high for value in values)
        return (between - (values.count(c) + values.count(k)) / 2) ** 2 if c != k else 0.0

    def over_pairs(unit: list[int]) -> float:
        return sum(distance(a, b) for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j)

    if len(set(values)) < 2:
        return None
    observed = sum(over_pairs(unit) / (len(unit) - 1) for unit in units) / n
    return 1 - observed / (over_pairs(values) / (n * (n - 1)))
