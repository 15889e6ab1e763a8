"""One answer from several: votes for what is one of some values, averages for numbers.

Votes are counted of hashable values; where two have as many, the smaller one wins (by `str`), so that the same labels
give the same consensus in whatever order they come. A tie is visible in the share, which is then at most 1/2.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Vote:
    """What won, its share of all weight (0–1), and whether something else had as much."""

    value: Any
    share: float
    is_tie: bool


@dataclass(frozen=True, slots=True)
class Average:
    """A middle of numbers, their standard deviation (n − 1; None below two) and how many there were."""

    value: float
    spread: float | None
    count: int


@dataclass(frozen=True, slots=True)
class ConsensusValue:
    """What the labels of one item say together.

    `confidence`: of the value, by the method, 0–1. `agreement`: share of pairs of labelers who agree, None below two.
    `spread`: standard deviation of the numbers that were averaged, for methods that average.
    """

    value: Any
    confidence: float
    agreement: float | None
    labels: int
    spread: float | None = None


def majority(votes: Sequence[Hashable]) -> Vote:
    """Return the most frequent of `votes`. Raises ValueError when there are none."""
    return weighted(votes, [1.0] * len(votes))


def weighted(votes: Sequence[Hashable], weights: Sequence[float]) -> Vote:
    """Return the vote with the greatest sum of weights (each ≥ 0; all zero counts as all equal).

    Raises ValueError when there are no votes, or not one weight a vote.
    """
    if not votes:
        raise ValueError("A vote needs at least one voter.")
    if not any(weights):
        weights = [1.0] * len(votes)
    sums: dict[Hashable, list[float]] = {}
    for vote, weight in zip(votes, weights, strict=True):
        sums.setdefault(vote, []).append(weight)
    # fsum: the same whatever the order of the votes
    scores = {vote: math.fsum(parts) for vote, parts in sums.items()}
    best = max(scores.values())
    winners = sorted((vote for vote, score in scores.items() if score >= best * (1 - 1e-12)), key=str)
    return Vote(winners[0], best / math.fsum(scores.values()), len(winners) > 1)


def pairs_agreeing(votes: Sequence[Hashable]) -> float | None:
    """Return the share of pairs of voters who say the same; None below two voters."""
    count = len(votes)
    if count < 2:
        return None
    found: dict[Hashable, int] = {}
    for vote in votes:
        found[vote] = found.get(vote, 0) + 1
    return sum(n * (n - 1) for n in found.values()) / (count * (count - 1))


def mean(numbers: Sequence[float]) -> Average:
    """Return the arithmetic mean. Raises ValueError when there are no numbers."""
    _some(numbers)
    return Average(math.fsum(numbers) / len(numbers), _spread(numbers), len(numbers))


def median(numbers: Sequence[float]) -> Average:
    """Return the median: of an even number, the middle of the two in the middle."""
    _some(numbers)
    ordered = sorted(numbers)
    half = len(ordered) // 2
    middle = ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
    return Average(middle, _spread(numbers), len(numbers))


def trimmed_mean(numbers: Sequence[float], share: float = 0.2) -> Average:
    """Return the mean without the `share` smallest and the `share` greatest.

    Of fewer than five numbers, .2 would cut none: from three on at least one is cut at each end (of three it is the
    median); two or fewer are averaged as they are. The spread is that of all numbers.
    """
    _some(numbers)
    if not 0 <= share < 0.5:
        raise ValueError(f"found a share of {share} to trim at each end, expected 0 to below 0.5")
    cut = int(len(numbers) * share)
    if share and len(numbers) >= 3:
        cut = max(1, cut)
    kept = sorted(numbers)[cut : len(numbers) - cut]
    return Average(math.fsum(kept) / len(kept), _spread(numbers), len(numbers))


def closeness(numbers: Sequence[float], span: float) -> float | None:
    """Return how near pairs of numbers are: 1 − mean |a − b| / `span`, at least 0; None below two numbers.

    `span` (> 0) is the width of the scale they lie on.
    """
    count = len(numbers)
    if count < 2:
        return None
    ordered = sorted(numbers)
    # Σ over pairs of |a − b|: the i-th smallest is subtracted from those above it and has those below subtracted
    total = math.fsum((2 * place - count + 1) * number for place, number in enumerate(ordered))
    return max(0.0, 1 - total / (count * (count - 1) / 2) / span)


def rounded(value: float) -> int:
    """Return the nearest whole number, halves away from zero: for answers that must be integers."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _some(numbers: Sequence[float]) -> None:
    if not numbers:
        raise ValueError("An average needs at least one number.")


def _spread(numbers: Sequence[float]) -> float | None:
    if len(numbers) < 2:
        return None
    middle = math.fsum(numbers) / len(numbers)
    return math.sqrt(math.fsum((number - middle) ** 2 for number in numbers) / (len(numbers) - 1))
