"""Which method of consensus is trusted: gold first, then prediction, and the simplest where nothing tells."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from labeling_app.domain.dawid_skene import Errors
from labeling_app.domain.method_choice import (
    advise_on_classes,
    advise_on_numbers,
    held_out_logs,
    tied_right,
)
from labeling_app.domain.ratings import RatingTable, table_of


def alike(units: int, accuracy: float = 0.8) -> RatingTable:
    """Three raters who are right equally often."""
    random = Random(1)
    truth = [random.choice("abc") for _ in range(units)]
    return table_of(
        {
            unit: {rater: true if random.random() < accuracy else random.choice("abc") for rater in "xyz"}
            for unit, true in enumerate(truth)
        }
    )


def swapping(units: int) -> RatingTable:
    """Two good raters and two who take a for b and b for a."""
    random = Random(2)
    swapped = {"a": "b", "b": "a", "c": "c"}
    return table_of(
        {
            unit: {
                "x": true if random.random() < 0.9 else "c",
                "y": true if random.random() < 0.9 else "c",
                "v": swapped[true],
                "w": swapped[true] if random.random() < 0.9 else "c",
            }
            for unit, true in enumerate(random.choice("abc") for _ in range(units))
        }
    )


def test_advise_on_classes__nothing_to_compare__is_majority() -> None:
    advice = advise_on_classes(table_of({1: {"x": "a"}, 2: {"y": "b"}}), {})

    assert (advice.method, advice.rests_on) == ("majority", "nothing")
    assert [found.predicted for found in advice.evidence] == [None] * 4


def test_advise_on_classes__raters_alike__stays_with_majority() -> None:
    advice = advise_on_classes(alike(300), {})

    assert (advice.method, advice.rests_on) == ("majority", "prediction")
    assert advice.why.startswith("Labelers' own accuracies or error rates do not predict")


def test_advise_on_classes__raters_who_swap_classes__is_dawid_skene() -> None:
    advice = advise_on_classes(swapping(200), {})

    assert (advice.method, advice.rests_on) == ("dawid_skene", "prediction")


def test_advise_on_classes__one_method_right_on_gold__is_that_one_whatever_predicts() -> None:
    right = {"majority": np.ones(50), "weighted": np.repeat([1.0, 0.0], 25), "dawid_skene": np.zeros(50)}

    advice = advise_on_classes(swapping(200), right)

    assert (advice.method, advice.rests_on) == ("majority", "gold")
    assert advice.why == (
        "On 50 gold examples it is right most often, beyond doubt: majority 100.0%, the weighted vote 50.0%, "
        "Dawid–Skene 0.0%."
    )
    assert advice.evidence[1].low == pytest.approx(0.366, abs=0.001)  # Wilson, 25 of 50


def test_advise_on_classes__gold_cannot_tell__prediction_decides_among_the_best() -> None:
    alike_on_gold = np.repeat([1.0, 0.0], [45, 5])
    right = {"majority": alike_on_gold, "weighted": alike_on_gold, "dawid_skene": np.zeros(50)}

    advice = advise_on_classes(swapping(200), right)

    # Dawid–Skene would predict best, but gold rules it out
    assert advice.method in ("majority", "weighted")
    assert advice.rests_on == "gold"
    assert advice.why.startswith(
        "On 50 gold examples the best methods cannot be told apart (majority 90.0%, the weighted vote 90.0%), so"
    )


def test_advise_on_classes__crowdlab_best_on_gold__is_trusted() -> None:
    half = np.repeat([1.0, 0.0], 25)
    right = {"majority": half, "weighted": half, "dawid_skene": half, "crowdlab": np.ones(50)}

    assert advise_on_classes(alike(100), right).method == "crowdlab"


def test_held_out_logs__guessing__is_no_better_than_chance() -> None:
    random = Random(4)
    table = table_of({unit: {rater: random.choice("ab") for rater in "xyz"} for unit in range(300)})

    for errors in Errors:
        assert np.exp(held_out_logs(table, errors).mean()) == pytest.approx(0.5, abs=0.06)


def test_held_out_logs__the_same_table__is_the_same() -> None:
    table = alike(40)

    assert held_out_logs(table, Errors.FULL).tolist() == held_out_logs(table, Errors.FULL).tolist()


def test_advise_on_numbers__outliers__is_the_median() -> None:
    random = Random(5)
    units = [
        [50 + n % 7 + random.gauss(0, 1) + (300 if random.random() < 0.15 else 0) for _ in range(5)]
        for n in range(200)
    ]
    advice = advise_on_numbers(units, [])

    assert (advice.method, advice.rests_on) == ("median", "prediction")


def test_advise_on_numbers__nothing_to_compare__is_the_mean() -> None:
    advice = advise_on_numbers([[1.0, 2.0], [3.0]], [])

    assert (advice.method, advice.rests_on) == ("mean", "nothing")


def test_advise_on_numbers__all_equal__is_the_simplest() -> None:
    assert advise_on_numbers([[5.0, 5.0, 5.0]] * 20, []).method == "mean"


def test_tied_right__a_tie__counts_as_a_part() -> None:
    shares = np.array([[0.5, 0.5, 0.0], [0.2, 0.8, 0.0], [0.2, 0.8, 0.0], [1.0, 0.0, 0.0]])

    assert tied_right(shares, np.array([0, 1, 0, -1])).tolist() == [0.5, 1.0, 0.0, 0.0]
