"""How sure figures of an evaluation are: 95 % intervals, and tests of two runs over the same queries.

Everything random takes a seed, so that a run told again is the same to the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from datasets_app.domain.intervals import LEVEL, wilson

Alternative = Literal["two-sided", "less", "greater"]
Floats = NDArray[np.float64]

RESAMPLES: Final = 2000
PERMUTATIONS: Final = 9999
EXACT_UP_TO: Final = 13  # 2^13 sign patterns are fewer than the drawn ones
_ROUNDING: Final = 1e-12
_BLOCK_CELLS: Final = 4_000_000  # of 8 bytes: what one block of resamples takes at the most


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` queries with its interval: low ≤ mean ≤ high."""

    mean: float
    low: float
    high: float
    n: int

    def document(self) -> dict[str, float | int]:
        return {"mean": self.mean, "low": self.low, "high": self.high, "n": self.n}


def share_estimate(successes: int, n: int) -> Estimate:
    """Return a share with its Wilson score interval. Raises ValueError for n = 0: there is no share."""
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"a share needs 0 ≤ successes ≤ n and n ≥ 1; found {successes} of {n}")
    share = successes / n
    return Estimate(share, *wilson(share, n), n)


def bootstrap_means(
    values: Floats, *, seed: int, bounds: tuple[float, float] = (0.0, 1.0), resamples: int = RESAMPLES
) -> list[Estimate]:
    """Return mean and 95 % interval (BCa bootstrap, Efron 1987) of each column of `values`, shape (queries, metrics).

    All columns are resampled together, by whole queries. `bounds` is what a value can be at all: with a single query
    nothing is known of the spread, so the interval is the whole of it. Where all values are equal the interval is
    that value: a bootstrap cannot know more. Raises ValueError for no rows.
    """
    n, columns = values.shape
    if n == 0:
        raise ValueError("there is no mean of no queries")
    means = [math.fsum(values[:, column]) / n for column in range(columns)]
    if n == 1:
        return [Estimate(mean, *bounds, 1) for mean in means]
    drawn = _resampled_means(values, seed, resamples)
    estimates = []
    for column, mean in enumerate(means):
        if np.ptp(values[:, column]) == 0:
            estimates.append(Estimate(mean, mean, mean, n))
            continue
        low, high = _bca(values[:, column], mean, drawn[:, column])
        estimates.append(Estimate(mean, min(low, mean), max(high, mean), n))
    return estimates


def _resampled_means(values: Floats, seed: int, resamples: int) -> Floats:
    """Return the means of `resamples` draws of whole rows with replacement, shape (resamples, columns)."""
    n = len(values)
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK_CELLS // n)
    parts = []
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        picks = random.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
        weights = np.bincount(picks.ravel(), minlength=rows * n).reshape(rows, n)
        parts.append(weights @ values / n)
    return np.concatenate(parts)


def _bca(sample: Floats, mean: float, drawn: Floats) -> tuple[float, float]:
    """Return the bias-corrected and accelerated percentile interval; a mean's jackknife has a closed form."""
    normal = NormalDist()
    below = (np.sum(drawn < mean - _ROUNDING) + np.sum(drawn <= mean + _ROUNDING)) / (2 * len(drawn))
    tiny = 1 / (2 * len(drawn))
    bias = normal.inv_cdf(float(np.clip(below, tiny, 1 - tiny)))
    apart = sample - mean
    acceleration = float(np.sum(apart**3) / (6 * np.sum(apart**2) ** 1.5))
    edges = []
    for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2):
        shifted = bias + normal.inv_cdf(tail)
        edges.append(normal.cdf(bias + shifted / (1 - acceleration * shifted)))
    low, high = np.quantile(drawn, edges)
    return float(low), float(high)


def permutation_test(
    differences: Sequence[float] | Floats,
    *,
    seed: int,
    alternative: Alternative = "two-sided",
    permutations: int = PERMUTATIONS,
) -> float:
    """Return p of the paired randomisation test on the mean of `differences` (Fisher 1935; Smucker et al. 2007).

    Under the null hypothesis each query's difference could as well have the other sign. "less" asks whether the mean
    is below 0, "greater" whether above. With up to 13 differences other than 0 all sign patterns are counted, else
    `permutations` are drawn and p = (at least as extreme + 1) / (drawn + 1). No difference at all gives 1.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    if len(values) == 0:
        return 1.0
    observed = float(values.sum())
    slack = _ROUNDING * max(1.0, float(np.abs(values).sum()))
    if len(values) <= EXACT_UP_TO:
        patterns = np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1
        sums = (patterns * 2 - 1) @ values
        return float(np.mean(_extreme(sums, observed, slack, alternative)))
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK_CELLS // len(values))
    extreme = 0
    for start in range(0, permutations, block):
        rows = min(block, permutations - start)
        bits = random.integers(0, 2, size=(rows, len(values)), dtype=np.int8)
        sums = 2 * (bits @ values) - observed
        extreme += int(np.sum(_extreme(sums, observed, slack, alternative)))
    return (extreme + 1) / (permutations + 1)


def _extreme(sums: Floats, observed: float, slack: float, alternative: Alternative) -> NDArray[np.bool_]:
    if alternative == "less":
        return sums <= observed + slack
    if alternative == "greater":
        return sums >= observed - slack
    return np.abs(sums) >= abs(observed) - slack


def mcnemar(lost: int, won: int, alternative: Alternative = "two-sided") -> float:
    """Return p of the exact McNemar test: `lost` queries passed before and fail now, `won` the other way round.

    "less" asks whether the pass rate fell, "greater" whether it rose. No flips at all give 1. (McNemar 1947, by the
    binomial distribution.) Raises ValueError for a negative count.
    """
    if lost < 0 or won < 0:
        raise ValueError(f"flips are counts; found {lost} and {won}")
    flips = lost + won
    if flips == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(won, flips, 0.5, alternative=alternative).pvalue)
