"""How the fusion of two legs would do with other weights, tried on the candidates of searches that were made anyway.

The trial ranks again what the search returned. A chunk that its fusion left out cannot come back, so the figures of a
leg that the fusion hardly lets through may be too low.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

K: Final = 10
SHARES: Final = tuple(step / 10 for step in range(11))
"""Weights of the lexical leg; the vector leg has the rest to 1. The first and the last are the single legs."""

Floats = NDArray[np.float64]


class Candidate(NamedTuple):
    """A chunk that one leg or both found: rank from 1 and score by leg, and the product of its boosts."""

    key: bytes
    lexical_rank: int | None
    lexical_score: float | None
    vector_rank: int | None
    vector_score: float | None
    boost: float = 1.0


@dataclass(frozen=True)
class Weighing:
    """How candidates are fused: "rrf" with its k, or "convex"."""

    fusion: str
    rrf_k: int


def ndcg_by_share(
    candidates: Sequence[Candidate], judgments: Mapping[bytes, int], weighing: Weighing
) -> Floats:
    """Return nDCG@10 of one query for each of `SHARES`, shape (11,).

    A candidate that only a leg of weight 0 found counts as not found. Equal scores rank by key. Raises ValueError when
    nothing is relevant.
    """
    ideal = _dcg(sorted((grade for grade in judgments.values() if grade > 0), reverse=True)[:K])
    if not ideal:
        raise ValueError("nDCG has no meaning without a relevant chunk")
    ordered = sorted(candidates, key=lambda candidate: candidate.key)
    gains = [(place, judgments.get(candidate.key, 0)) for place, candidate in enumerate(ordered)]
    relevant = [(place, gain) for place, gain in gains if gain > 0]
    total = np.zeros(len(SHARES))
    if not relevant:
        return total
    scores = _fused(ordered, weighing)
    for place, gain in relevant:
        own = scores[:, place : place + 1]
        ranks = 1 + np.sum(scores > own, axis=1) + np.sum(scores[:, :place] == own, axis=1)
        seen = (ranks <= K) & (own[:, 0] > -np.inf)
        total += np.where(seen, gain / np.log2(ranks + 1), 0.0)
    return total / ideal


def _fused(candidates: Sequence[Candidate], weighing: Weighing) -> Floats:
    """Return the score of each candidate by share, shape (11, candidates); -inf where no leg of weight found it."""
    lexical = _leg([c.lexical_rank for c in candidates], [c.lexical_score for c in candidates], weighing)
    vector = _leg([c.vector_rank for c in candidates], [c.vector_score for c in candidates], weighing)
    share = np.asarray(SHARES)[:, None]
    fused = share * np.nan_to_num(lexical) + (1 - share) * np.nan_to_num(vector)
    found = ((share > 0) & ~np.isnan(lexical)) | ((share < 1) & ~np.isnan(vector))
    return np.where(found, fused * np.array([c.boost for c in candidates]), -np.inf)


def _leg(ranks: Sequence[int | None], scores: Sequence[float | None], weighing: Weighing) -> Floats:
    """Return what a leg adds to each candidate, NaN for those that it did not find."""
    if weighing.fusion == "rrf":
        return np.array([math.nan if rank is None else 1 / (weighing.rrf_k + rank) for rank in ranks])
    values = np.array([math.nan if score is None else score for score in scores])
    found = values[~np.isnan(values)]
    if not len(found):
        return values
    spread = float(np.ptp(found))
    return (values - found.min()) / spread if spread > 0 else values * 0 + 1


def _dcg(gains: Sequence[int]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
