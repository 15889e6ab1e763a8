"""Votes and averages, derived by hand."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling_app.domain.consensus import (
    closeness,
    majority,
    mean,
    median,
    pairs_agreeing,
    rounded,
    trimmed_mean,
    weighted,
)

NUMBERS = st.lists(st.integers(-1000, 1000), min_size=1, max_size=30)


def test_majority__two_of_three__wins_with_two_thirds() -> None:
    vote = majority(["b", "a", "b"])

    assert (vote.value, vote.is_tie) == ("b", False)
    assert vote.share == pytest.approx(2 / 3)


def test_majority__a_tie__the_smaller_wins_and_it_is_told() -> None:
    assert majority(["b", "a"]) == majority(["a", "b"])
    assert majority(["b", "a"]).value == "a"
    assert majority(["b", "a"]).is_tie


def test_majority__no_votes__is_refused() -> None:
    with pytest.raises(ValueError, match="at least one voter"):
        majority([])


def test_weighted__one_heavy_voter__outweighs_two() -> None:
    vote = weighted(["a", "b", "b"], [3.0, 1.0, 1.0])

    assert vote.value == "a"
    assert vote.share == pytest.approx(3 / 5)


def test_weighted__all_weights_zero__counts_heads() -> None:
    assert weighted(["a", "b", "b"], [0.0, 0.0, 0.0]).value == "b"


def test_weighted__a_weight_is_missing__is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        weighted(["a", "b"], [1.0])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12), st.randoms())
def test_majority__any_order__says_the_same(votes: list[str], random: Random) -> None:
    shuffled = list(votes)
    random.shuffle(shuffled)

    assert majority(shuffled) == majority(votes)


def test_pairs_agreeing__three_of_four__is_one_half() -> None:
    # pairs: 6; of the three equal votes 3 agree
    assert pairs_agreeing(["a", "a", "a", "b"]) == pytest.approx(3 / 6)


def test_pairs_agreeing__one_voter__is_not_known() -> None:
    assert pairs_agreeing(["a"]) is None


def test_mean__of_2_4_9__is_5_with_its_spread() -> None:
    # deviations −3, −1, 4: sum of squares 26, over n − 1 = 2
    average = mean([2, 4, 9])

    assert (average.value, average.count) == (5.0, 3)
    assert average.spread == pytest.approx(13**0.5)


def test_mean__of_one__has_no_spread() -> None:
    assert mean([7]).spread is None


def test_median__even_count__is_between_the_middle_two() -> None:
    assert median([9, 1, 3, 4]).value == 3.5


def test_trimmed_mean__three_numbers__is_their_median() -> None:
    assert trimmed_mean([1, 2, 100]).value == 2


def test_trimmed_mean__ten_numbers__leaves_out_two_at_each_end() -> None:
    assert trimmed_mean([-50, -40, 1, 2, 3, 4, 5, 6, 70, 80]).value == pytest.approx(3.5)


def test_trimmed_mean__two_numbers__is_their_mean() -> None:
    assert trimmed_mean([1, 2]).value == 1.5


def test_trimmed_mean__half_cut_away__is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 to below 0.5"):
        trimmed_mean([1, 2, 3], 0.5)


def test_averages__no_numbers__are_refused() -> None:
    for average in (mean, median, trimmed_mean):
        with pytest.raises(ValueError, match="at least one number"):
            average([])


@settings(deadline=None, max_examples=50)
@given(NUMBERS)
def test_averages__any_numbers__lie_between_least_and_greatest(numbers: list[int]) -> None:
    for average in (mean, median, trimmed_mean):
        assert min(numbers) <= average(numbers).value <= max(numbers)


@settings(deadline=None, max_examples=50)
@given(NUMBERS)
def test_averages__shifted_numbers__shift(numbers: list[int]) -> None:
    for average in (mean, median, trimmed_mean):
        assert average([n + 10 for n in numbers]).value == pytest.approx(average(numbers).value + 10)


def test_closeness__three_scores_of_100__is_one_minus_their_mean_distance() -> None:
    # distances 10, 30, 20: mean 20
    assert closeness([60, 50, 80], 100) == pytest.approx(0.8)


def test_closeness__one_score__is_not_known() -> None:
    assert closeness([60], 100) is None


@pytest.mark.parametrize(("value", "whole"), [(2.5, 3), (-2.5, -3), (2.4, 2), (-0.4, 0), (3.0, 3)])
def test_rounded__halves__go_away_from_zero(value: float, whole: int) -> None:
    assert rounded(value) == whole
