"""The confidence interval of a share."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

LEVEL: Final = 0.95
Z: Final = NormalDist().inv_cdf((1 + LEVEL) / 2)  # 97.5 % of a standard normal lies below


def wilson(share: float, count: float) -> tuple[float, float]:
    """Return the 95 % interval of a share of `count` (Wilson 1927); (0, 1) when there is nothing to go by.

    `count` need not be whole: it may be an effective number. Unlike share ± z·se the interval keeps a width when all
    agree: 20 right of 20 is .84 to 1, not 1 to 1.
    """
    if count <= 0:
        return 0.0, 1.0
    scale = 1 + Z * Z / count
    centre = (share + Z * Z / (2 * count)) / scale
    half = Z / scale * math.sqrt(max(0.0, share * (1 - share) / count + Z * Z / (4 * count * count)))
    low = 0.0 if share <= 0 else max(0.0, centre - half)
    high = 1.0 if share >= 1 else min(1.0, centre + half)
    return low, high
