"""Dawid and Skene's model on data whose answer is known."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling_app.domain.dawid_skene import (
    DawidSkene,
    Errors,
    TooManyClasses,
    dawid_skene,
    posterior_of,
    vote_shares,
)
from labeling_app.domain.ratings import RatingTable, table_of

TABLES = st.dictionaries(
    st.integers(0, 20),
    st.dictionaries(st.sampled_from("xyz"), st.sampled_from("abc"), min_size=1, max_size=3),
    min_size=1,
    max_size=10,
)


def crowd(units: int, seed: int = 3) -> tuple[dict[int, dict[str, str]], list[str]]:
    """Two good raters, a third who swaps a and b, a fourth who guesses; and the truth."""
    random = Random(seed)
    truth = [random.choice("abc") for _ in range(units)]
    ratings = {
        unit: {
            "good": true if random.random() < 0.9 else random.choice("abc"),
            "second good": true if random.random() < 0.85 else random.choice("abc"),
            "swaps": {"a": "b", "b": "a", "c": "c"}[true] if random.random() < 0.95 else "c",
            "guesses": random.choice("abc"),
        }
        for unit, true in enumerate(truth)
    }
    return ratings, truth


def right(model: DawidSkene, table: RatingTable, truth: list[str]) -> float:
    said = [table.value_names[code] for code in model.posterior.argmax(1)]
    return sum(a == b for a, b in zip(said, truth, strict=True)) / len(truth)


def test_dawid_skene__a_rater_who_swaps_two_classes__is_understood() -> None:
    ratings, truth = crowd(400)
    table = table_of(ratings)
    model = dawid_skene(table)
    votes = vote_shares(table)
    voted = sum(table.value_names[code] == t for code, t in zip(votes.argmax(1), truth, strict=True)) / 400
    swaps = model.confusion[table.rater_names.index("swaps")]
    a, b = table.value_names.index("a"), table.value_names.index("b")

    assert right(model, table, truth) > 0.97 > voted
    assert swaps[a, b] > 0.85
    assert swaps[b, a] > 0.85


def test_dawid_skene__full_errors__understand_more_than_one_accuracy() -> None:
    ratings, truth = crowd(400)
    table = table_of(ratings)
    found = {errors: right(dawid_skene(table, errors=errors), table, truth) for errors in Errors}

    assert found[Errors.FULL] > found[Errors.OWN_ACCURACY] >= found[Errors.ONE_ACCURACY]


def test_dawid_skene__one_accuracy__chooses_what_most_say() -> None:
    table = table_of({1: {"x": "a", "y": "b", "z": "b"}, 2: {"x": "c", "y": "c"}, 3: {"x": "a"}})
    model = dawid_skene(table, errors=Errors.ONE_ACCURACY)

    assert [table.value_names[code] for code in model.posterior.argmax(1)] == ["b", "c", "a"]


def test_dawid_skene__known_units__teach_how_raters_err() -> None:
    # two who disagree always: without a truth nobody can tell who is right
    ratings = {unit: {"x": "ab"[unit % 2], "y": "ba"[unit % 2]} for unit in range(20)}
    table = table_of(ratings)
    known = {unit: table.value_names.index("ab"[unit % 2]) for unit in range(6)}

    model = dawid_skene(table, errors=Errors.OWN_ACCURACY, known=known)
    said = [table.value_names[code] for code in model.posterior.argmax(1)]

    assert said == ["ab"[unit % 2] for unit in range(20)]
    assert model.posterior[0].max() == 1.0


def test_dawid_skene__a_rater_who_rated_a_unit_twice__counts_twice() -> None:
    # codes: unit 0 has a, a of rater 0 and b of rater 1
    table = RatingTable(
        np.array([0, 0, 0]), np.array([0, 0, 1]), np.array([0, 0, 1]), 1, ("x", "y"), ("a", "b")
    )

    assert vote_shares(table)[0].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert dawid_skene(table).posterior[0].argmax() == 0


def test_dawid_skene__no_ratings__is_empty() -> None:
    model = dawid_skene({})

    assert model.posterior.shape == (0, 0)
    assert (model.iterations, model.converged) == (0, True)


def test_dawid_skene__a_unit_without_ratings__has_the_prior() -> None:
    model = dawid_skene({1: {"x": "a"}, 2: {}, 3: {"x": "a", "y": "b"}})

    assert model.posterior[1].tolist() == pytest.approx(model.class_prior.tolist())


def test_dawid_skene__one_class__is_certain() -> None:
    for errors in Errors:
        assert dawid_skene({1: {"x": "a"}, 2: {"y": "a"}}, errors=errors).posterior.tolist() == [[1.0], [1.0]]


def test_dawid_skene__texts_instead_of_classes__is_refused() -> None:
    ratings = {unit: {"x": f"text {unit}", "y": f"words {unit}"} for unit in range(3000)}

    with pytest.raises(TooManyClasses, match="6000 classes and 2 raters"):
        dawid_skene(ratings)


def test_dawid_skene__too_few_iterations__says_that_it_did_not_converge() -> None:
    ratings, _ = crowd(50)
    model = dawid_skene(ratings, max_iterations=2)

    assert (model.iterations, model.converged) == (2, False)


def test_dawid_skene__ten_thousand_ratings_of_a_unit__does_not_underflow() -> None:
    ratings = {1: {rater: "a" if rater % 3 else "b" for rater in range(10_000)}, 2: {1: "b", 2: "b"}}
    model = dawid_skene(ratings, errors=Errors.ONE_ACCURACY)

    assert math.isfinite(model.log_likelihood)
    assert np.isfinite(model.posterior).all()


def test_posterior_of__the_ratings_it_was_fitted_on__is_its_posterior() -> None:
    table = table_of(crowd(60)[0])
    model = dawid_skene(table, tolerance=1e-12)

    assert posterior_of(model, table) == pytest.approx(model.posterior, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(TABLES, st.sampled_from(list(Errors)))
def test_dawid_skene__any_ratings__are_probabilities(ratings: Any, errors: Errors) -> None:
    model = dawid_skene(ratings, errors=errors, max_iterations=20)

    assert model.posterior.sum(1).tolist() == pytest.approx([1.0] * len(ratings))
    assert model.confusion.sum(2) == pytest.approx(np.ones(model.confusion.shape[:2]))
    assert model.class_prior.sum() == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(TABLES, st.sampled_from(list(Errors)))
def test_dawid_skene__the_same_ratings_in_another_order__are_the_same(ratings: Any, errors: Errors) -> None:
    table = table_of(ratings)
    turned = table_of({unit: dict(reversed(given.items())) for unit, given in reversed(ratings.items())})
    # few steps: where two classes are as likely, rounding alone would decide in the end
    there, back = (dawid_skene(one, errors=errors, max_iterations=5) for one in (table, turned))
    codes = [turned.value_names.index(name) for name in table.value_names]

    assert back.posterior[::-1][:, codes] == pytest.approx(there.posterior, abs=1e-6)
