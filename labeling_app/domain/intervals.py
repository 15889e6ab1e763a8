"""Confidence intervals of 95 %: of means of shares, from standard errors, and by bootstrap over units."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from datasets_app.domain.intervals import Z, wilson
from labeling_app.domain.ratings import FloatArray, IntArray

REPLICATES: Final = 1000
SEED: Final = 20120214
# more units than this are gathered, by chance, into so many groups, and groups are drawn instead of units
MAX_DRAWN: Final = 1000


def wilson_of_mean(shares: FloatArray) -> tuple[float, float]:
    """Return the interval of the mean of independent shares (each 0–1), one a unit.

    It is Wilson's for as many yes-or-no units as would have the same standard error; for units that are all alike,
    for as many as there are.
    """
    count = len(shares)
    if count == 0:
        return 0.0, 1.0
    share = float(shares.mean())
    variance = float(shares.var(ddof=1)) if count > 1 else 0.0
    effective = share * (1 - share) / variance * count if variance > 1e-15 else count
    return wilson(share, effective)


def normal(value: float, standard_error: float) -> tuple[float, float]:
    """Return value ± 1.96 standard errors, within −1 … 1 (a few units with gaps can have a value below −1)."""
    return max(min(-1.0, value), value - Z * standard_error), min(1.0, value + Z * standard_error)


def drawn_groups(unit_count: int) -> tuple[IntArray, int]:
    """Return the group of each unit that a bootstrap draws, and the number of groups.

    Up to MAX_DRAWN units each is its own group. Beyond, equally large groups made by chance (seeded) are drawn: sums over
    them vary as sums over units do, and 1,000 replicates stay cheap at a million units.
    """
    if unit_count <= MAX_DRAWN:
        return np.arange(unit_count), unit_count
    shuffled = np.random.default_rng(SEED).permutation(unit_count)
    return shuffled % MAX_DRAWN, MAX_DRAWN


@lru_cache(maxsize=16)
def draws(group_count: int) -> FloatArray:
    """Return how often each group is in each of the bootstrap's replicates: (1000, groups), the same every time."""
    if group_count == 0:
        return np.zeros((0, 0))
    rng = np.random.default_rng(SEED)
    picked = rng.integers(0, group_count, size=(REPLICATES, group_count))
    picked += np.arange(REPLICATES)[:, None] * group_count
    counts = np.bincount(picked.ravel(), minlength=REPLICATES * group_count)
    return counts.reshape(REPLICATES, group_count).astype(np.float64)


def percentile(replicates: FloatArray, value: float) -> tuple[float, float] | None:
    """Return the middle 95 % of the replicates, widened to hold `value`; None when less than half are defined."""
    known = replicates[np.isfinite(replicates)]
    if len(known) * 2 < len(replicates) or len(known) == 0:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return max(min(-1.0, value), min(float(low), value)), min(1.0, max(float(high), value))
