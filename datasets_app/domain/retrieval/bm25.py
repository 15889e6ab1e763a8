"""BM25 as Lucene scores it: Robertson, Zaragoza, "The Probabilistic Relevance Framework", 2009, with Lucene's idf.

    score = Σ over the query's terms, repeated ones too: idf · tf / (tf + k1 · (1 - b + b · length / average length))
    idf = ln(1 + (N - df + 0.5) / (df + 0.5))

Each score is summed in the order of the terms, in float64: it depends on the chunks alone, not on how segments cut them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from datasets_app.domain.retrieval.postings import Postings

K1 = 0.9
B = 0.4

Numbers = npt.NDArray[np.float64]
Ids = npt.NDArray[np.bytes_]


@dataclass(frozen=True, eq=False)
class Segment:
    """What scoring needs of a segment: ids (S16) and lengths (float64) by number, and which chunks are gone.

    `gone` is None when none is.
    """

    chunk_ids: Ids
    lengths: Numbers
    gone: npt.NDArray[np.bool_] | None = None

    @cached_property
    def alive_count(self) -> int:
        return len(self.lengths) - (0 if self.gone is None else int(self.gone.sum()))

    @cached_property
    def alive_length(self) -> float:
        """Sum of the lengths of the chunks that are there."""
        return float(self.lengths.sum() if self.gone is None else self.lengths[~self.gone].sum())

    def norms(self, slope: float) -> Numbers:
        """Return k1 · (1 - b) + slope · length of each chunk; kept, because `slope` changes with the index alone."""
        kept: tuple[float, Numbers] | None = self.__dict__.get("_norms")
        if kept is None or kept[0] != slope:
            norms = self.lengths * slope
            norms += K1 * (1 - B)
            kept = self.__dict__["_norms"] = (slope, norms)
        return kept[1]


class Statistics(NamedTuple):
    """How many chunks there are, and how many terms they have in all."""

    chunk_count: int
    term_total: float

    @property
    def average_length(self) -> float:
        return self.term_total / self.chunk_count if self.chunk_count else 0.0


class Scored(NamedTuple):
    """A chunk, by the 16 bytes of its id, and its score."""

    chunk_id: bytes
    score: float


SegmentPostings = Mapping[str, Postings]


def statistics(segments: Iterable[Segment]) -> Statistics:
    """Return the statistics over the chunks that are there."""
    count, total = 0, 0.0
    for segment in segments:
        count += segment.alive_count
        total += segment.alive_length
    return Statistics(count, total)


def idf(chunk_count: int, document_frequency: int) -> float:
    """Return Lucene's inverse document frequency, always above 0 for 0 ≤ df ≤ N."""
    return math.log(1 + (chunk_count - document_frequency + 0.5) / (document_frequency + 0.5))


def living(found: Postings, segment: Segment) -> Postings:
    """Return the postings of those chunks that are there."""
    if segment.gone is None:
        return found
    there = ~segment.gone[found.numbers]
    return Postings(found.numbers[there], found.frequencies[there])


def top(
    terms: Sequence[str],
    segments: Sequence[Segment],
    postings: Sequence[SegmentPostings],
    known: Statistics,
    limit: int,
) -> list[Scored]:
    """Return the `limit` best chunks for the query's `terms`, best first; equal scores in the order of their ids.

    `postings[i]` holds, of segment i, the postings (those of living chunks: see `living`) of the terms that it has; it
    may hold other terms too. A chunk with none of the terms is
    not found, so the list may be short.
    """
    wanted = sorted(Counter(terms).items())
    weights = {
        term: often * idf(known.chunk_count, sum(len(of[term].numbers) for of in postings if term in of))
        for term, often in wanted
    }
    slope = K1 * B / known.average_length if known.average_length else 0.0
    ids, scores = _NO_IDS, _NO_SCORES
    for segment, of_segment in zip(segments, postings, strict=True):
        found = {term: of_segment[term] for term in weights if term in of_segment}
        if not found:
            continue
        of_chunk = _scores(segment, found, weights, slope)
        # of a chunk below the last of the best so far nothing more is asked: most of a segment goes here
        worth = np.flatnonzero(of_chunk >= scores.min() if len(scores) >= limit else of_chunk > 0)
        ids = np.concatenate((ids, segment.chunk_ids[worth]))
        scores = np.concatenate((scores, of_chunk[worth]))
        best = _best(scores, limit)
        ids, scores = ids[best], scores[best]
    order = np.lexsort((ids, -scores))[:limit]
    raw = ids[order].tobytes()
    return [
        Scored(raw[16 * place : 16 * place + 16], score) for place, score in enumerate(scores[order].tolist())
    ]


_NO_IDS = np.zeros(0, "S16")
_NO_SCORES = np.zeros(0, np.float64)


def _scores(segment: Segment, found: SegmentPostings, weights: Mapping[str, float], slope: float) -> Numbers:
    """Return the score of every chunk of a segment, 0 for those without a term."""
    scores = np.zeros(len(segment.lengths))
    norms = segment.norms(slope)
    for term, (numbers, frequencies) in found.items():  # in the order of the terms
        places = numbers.astype(np.intp)  # used twice as an index
        often = frequencies.astype(np.float64)
        norm = norms[places]
        norm += often
        often *= weights[term]
        often /= norm
        scores[places] += often
    return scores


def _best(scores: Numbers, limit: int) -> npt.NDArray[np.int64] | slice:
    """Return the numbers of the `limit` best scores, and of all that equal the last of them."""
    if len(scores) <= limit:
        return slice(None)
    least = len(scores) - limit
    return np.flatnonzero(scores >= np.partition(scores, least)[least])
