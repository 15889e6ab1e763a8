"""Making one ranking out of several: reciprocal rank fusion, and a convex sum of normalised scores.

RRF: Cormack, Clarke, Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods",
SIGIR 2009. Convex: Bruch, Gai, Ingber, "An analysis of fusion functions for hybrid retrieval", TOIS 2023.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

RRF_K = 60

Key = TypeVar("Key", UUID, bytes)
"""A chunk, by its id or by the 16 bytes of it: both have the same order."""


def rrf(
    legs: Mapping[str, Sequence[Key]], *, weights: Mapping[str, float] | None = None, k: int = RRF_K
) -> dict[Key, float]:
    """Return the fused score of everything in `legs`: the sum of weight / (k + rank), ranks from 1.

    `legs` maps a leg's name to what it found, best first. A leg without a weight counts 1; nothing found: {}.
    """
    fused: dict[Key, float] = {}
    for name in sorted(legs):
        weight = 1.0 if weights is None else weights.get(name, 1.0)
        for rank, key in enumerate(legs[name], start=1):
            fused[key] = fused.get(key, 0.0) + weight / (k + rank)
    return fused


def convex(
    legs: Mapping[str, Sequence[tuple[Key, float]]], *, weights: Mapping[str, float] | None = None
) -> dict[Key, float]:
    """Return the fused score of everything in `legs`: the weighted mean of min-max normalised scores, 0 to 1.

    Each leg's scores are moved to 0–1 over what that leg found; what a leg did not find counts 0 there. Where a leg's
    scores are all equal, each counts 1. Weights are divided by their sum over `legs`; all 0: every score is 0.
    """
    weight_of = {name: 1.0 if weights is None else weights.get(name, 1.0) for name in legs}
    total = sum(weight_of.values()) or 1.0
    fused: dict[Key, float] = {}
    for name in sorted(legs):
        share = weight_of[name] / total
        for key, score in _min_max(legs[name]):
            fused[key] = fused.get(key, 0.0) + share * score
    return fused


def ranked(scores: Mapping[Key, float]) -> list[tuple[Key, float]]:
    """Return (key, score), best first; equal scores by key, so that the order is the same every time."""
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _min_max(found: Sequence[tuple[Key, float]]) -> Iterable[tuple[Key, float]]:
    if not found:
        return []
    low = min(score for _, score in found)
    spread = max(score for _, score in found) - low
    if spread <= 0:
        return [(key, 1.0) for key, _ in found]
    return [(key, (score - low) / spread) for key, score in found]
