"""The lexical leg: BM25 over the packed postings of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from datasets_app.domain.retrieval import bm25
from datasets_app.domain.retrieval.english import terms
from datasets_app.domain.retrieval.postings import Postings, unpack
from datasets_app.errors import IndexBusy
from datasets_app.models import Corpus
from datasets_app.services.retrieval.segment_cache import KEY_COLUMNS, SegmentKey, segments_in
from goldenproject.kit.database_io import binary_cursor

_TRIES = 20

# One statement is one snapshot: the segments, and what they hold of the terms. By the primary key of the terms: some
# pages for each segment and term, whatever the size of the index.
_READ = f"""
SELECT {KEY_COLUMNS}, t.term, t.document_frequency, t.postings
  FROM datasets_app_lexicalsegment s
  LEFT JOIN datasets_app_lexicalterm t ON t.segment_id = s.id AND t.term = ANY(%s)
 WHERE s.corpus_id = %s
"""


class LegHit(NamedTuple):
    """A chunk that one leg found, and its score there."""

    chunk_id: UUID
    score: float


class _Index(NamedTuple):
    """What a search needs of an index: its segments, and of each the postings of the terms asked for."""

    segments: list[bm25.Segment]
    postings: list[dict[str, Postings]]


def lexical_top(corpus: Corpus, text: str, limit: int) -> list[LegHit]:
    """Return the `limit` best chunks for `text` by BM25, best first, equal ones in the order of their ids.

    Reads the index as it stands: see lexical_index.refresh_if_few.
    """
    return lexical_many(corpus, [text], limit)[0]


def lexical_many(corpus: Corpus, texts: Sequence[str], limit: int) -> list[list[LegHit]]:
    """Return what `lexical_top` finds for each of `texts`, reading the postings of all their terms at once."""
    terms_of = [terms(text) for text in texts]
    index = _read(corpus, sorted(set().union(*terms_of)))
    known = bm25.statistics(index.segments)
    return [
        [
            LegHit(UUID(bytes=chunk_id), score)
            for chunk_id, score in bm25.top(wanted, index.segments, index.postings, known, limit)
        ]
        for wanted in terms_of
    ]


def _read(corpus: Corpus, wanted: list[str]) -> _Index:
    """Return the index in one consistent state. Raises IndexBusy when it changes faster than it can be read."""
    if not wanted:
        return _Index([], [])
    for _ in range(_TRIES):
        with binary_cursor() as cursor:
            rows = cursor.execute(_READ, [wanted, corpus.pk]).fetchall()
        packed: dict[SegmentKey, list[tuple[str, int, bytes]]] = {}
        for *key, term, frequency, postings in rows:
            of_segment = packed.setdefault(SegmentKey(*key), [])
            if term is not None:
                of_segment.append((term, frequency, postings))
        keys = sorted(packed)
        segments = segments_in(keys)
        if segments is not None:
            return _Index(
                segments,
                [
                    {term: bm25.living(unpack(count, data), segment) for term, count, data in packed[key]}
                    for key, segment in zip(keys, segments, strict=True)
                ],
            )
    raise IndexBusy("The lexical index changed again and again while it was read.", hint="Try again.")
