"""Agreement by pair, by rater and by class, derived by hand."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from labeling_app.domain.agreement import cohen_kappa, krippendorff_alpha
from labeling_app.domain.pairwise import (
    busiest,
    coincidences,
    confusions,
    pair_agreements,
    rater_agreements,
)
from labeling_app.domain.ratings import table_of


def random_table(units: int = 60, raters: str = "vwxyz") -> dict[int, dict[str, int]]:
    random = Random(8)
    return {
        unit: {rater: random.randrange(4) for rater in random.sample(raters, random.randint(1, len(raters)))}
        for unit in range(units)
    }


def test_busiest__most_ratings_first__then_by_name() -> None:
    table = table_of({1: {"x": "a", "b": "a"}, 2: {"x": "a", "a": "b"}})

    assert [table.rater_names[code] for code in busiest(table, 10)] == ["x", "a", "b"]
    assert len(busiest(table, 2)) == 2


def test_pair_agreements__every_pair__has_the_kappa_of_the_two_alone() -> None:
    ratings = random_table()
    table = table_of(ratings)

    found = pair_agreements(table, busiest(table, 10))

    assert len(found) == 10
    for pair in found:
        alone = cohen_kappa(
            {unit: given[pair.first] for unit, given in ratings.items() if pair.first in given},
            {unit: given[pair.second] for unit, given in ratings.items() if pair.second in given},
        )
        assert pair.coefficient.value == pytest.approx(alone.value)
        assert pair.coefficient.low == pytest.approx(alone.low)
        assert pair.units == alone.units


def test_pair_agreements__numbers__have_the_alpha_of_the_two_alone() -> None:
    ratings = random_table()
    table = table_of(ratings)
    numbers = np.array(table.value_names, dtype=np.float64)

    for pair in pair_agreements(table, busiest(table, 10), numbers):
        both = {
            unit: {pair.first: given[pair.first], pair.second: given[pair.second]}
            for unit, given in ratings.items()
            if pair.first in given and pair.second in given
        }
        assert pair.coefficient.value == pytest.approx(krippendorff_alpha(both, "interval").value)


def test_pair_agreements__no_unit_in_common__is_not_there() -> None:
    table = table_of({1: {"x": "a", "y": "a"}, 2: {"z": "a"}})

    assert [(pair.first, pair.second) for pair in pair_agreements(table, busiest(table, 5))] == [("x", "y")]
    assert pair_agreements(table_of({}), []) == []


def test_rater_agreements__three_raters__is_the_mean_share_of_others() -> None:
    # unit 1: x agrees with y, not with z; unit 2: with y; unit 3: alone
    ratings = {1: {"x": "a", "y": "a", "z": "b"}, 2: {"x": "b", "y": "b"}, 3: {"x": "c"}}
    table = table_of(ratings)

    found = {one.rater: one for one in rater_agreements(table, busiest(table, 5))}

    assert found["x"].share.value == pytest.approx((0.5 + 1) / 2)
    assert (found["x"].ratings, found["x"].units) == (3, 2)
    assert found["z"].share.value == 0.0
    assert found["z"].deviation is None


def test_rater_agreements__numbers__say_how_far_and_to_which_side() -> None:
    # x is 3 below the mean of the others in unit 1 and 1 above in unit 2
    table = table_of({1: {"x": 1, "y": 3, "z": 5}, 2: {"x": 4, "y": 3}})
    found = rater_agreements(table, busiest(table, 5), np.array(table.value_names, dtype=np.float64))

    (x,) = [one for one in found if one.rater == "x"]
    assert x.deviation == pytest.approx(2.0)
    assert x.bias == pytest.approx(-1.0)


def test_rater_agreements__nobody_else__is_not_known() -> None:
    (alone,) = rater_agreements(table_of({1: {"x": "a"}}), [0])

    assert (alone.units, alone.share.value) == (0, None)


def test_coincidences__two_units__are_krippendorffs_matrix() -> None:
    # unit 1 (a a b) weighs each of its six ordered pairs 1/2; unit 2 (a b) each of its two 1
    table = table_of({1: {"x": "a", "y": "a", "z": "b"}, 2: {"x": "a", "y": "b"}})
    matrix = coincidences(table, [0, 1])

    assert matrix.tolist() == [[1.0, 2.0], [2.0, 0.0]]
    # as many in all as ratings that can be paired
    assert matrix.sum() == 5


def test_confusions__most_frequent_first__with_their_share_of_all() -> None:
    table = table_of({1: {"x": "a", "y": "b"}, 2: {"x": "b", "y": "a"}, 3: {"x": "a", "y": "c"}})
    codes = [table.value_names.index(name) for name in "abc"]
    found = confusions(table, coincidences(table, codes), codes, 5)

    assert [(one.first, one.second, one.count) for one in found] == [("a", "b", 2.0), ("a", "c", 1.0)]
    assert found[0].share == pytest.approx(2 / 3)
