"""Which segments of a lexical index to merge: tiers by size, as in a log-structured merge tree.

Four segments of one tier (sizes within a factor of 4) become one of the next. So each chunk is rewritten a few times in
its life, and the small segments are at most three in each of eight tiers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from datasets_app.domain.retrieval.postings import MAX_CHUNKS, MAX_TERMS

PER_TIER = 4
MOST_DELETED = 0.2


class SegmentSize(NamedTuple):
    """A segment: how many chunks are there and how many gone, and how many terms it has, the gone ones' included."""

    segment_id: int
    alive: int
    deleted: int
    terms: int


def next_merge(sizes: Sequence[SegmentSize], most_chunks: int = MAX_CHUNKS) -> list[int]:
    """Return the ids of the segments to replace next by one without what is gone; [] when all is well.

    A single id: that segment is to be rewritten, or dropped when nothing of it is left. `most_chunks` bounds the work of
    one merge.
    """
    for size in sizes:
        if not size.alive or (
            size.deleted > MOST_DELETED * (size.alive + size.deleted) and size.alive <= most_chunks
        ):
            return [size.segment_id]
    tiers: dict[int, list[SegmentSize]] = {}
    for size in sorted(sizes, key=lambda size: (size.alive, size.segment_id)):
        if size.alive <= MAX_CHUNKS // 2 and size.terms <= MAX_TERMS // 2:
            tiers.setdefault((size.alive.bit_length() - 1) // 2, []).append(size)
    for tier in sorted(tiers):
        group = _fitting(tiers[tier], min(most_chunks, MAX_CHUNKS)) if len(tiers[tier]) >= PER_TIER else []
        if len(group) >= 2:
            return [size.segment_id for size in group]
    return []


def _fitting(sizes: Sequence[SegmentSize], most_chunks: int) -> list[SegmentSize]:
    """Return as many of the first segments as one can hold."""
    group: list[SegmentSize] = []
    chunks = terms = 0
    for size in sizes:
        chunks += size.alive
        terms += size.terms
        if chunks > most_chunks or terms > MAX_TERMS:
            break
        group.append(size)
    return group
