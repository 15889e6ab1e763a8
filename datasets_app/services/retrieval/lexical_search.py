"""The lexical leg: BM25 over the packed postings of a corpus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from datasets_app.domain.retrieval import bm25
from datasets_app.domain.retrieval.bm25 import Scored
from datasets_app.domain.retrieval.english import terms
from datasets_app.models import Corpus
from datasets_app.services.retrieval.index_reading import IndexRead, read_index


class LegHit(NamedTuple):
    """A chunk that one leg found, and its score there."""

    chunk_id: UUID
    score: float


def lexical_top(corpus: Corpus, text: str, limit: int) -> list[LegHit]:
    """Return the `limit` best chunks for `text` by BM25, best first, equal ones in the order of their ids.

    Reads the index as it stands: see lexical_index.refresh_if_few.
    """
    return lexical_many(corpus, [text], limit)[0]


def lexical_many(corpus: Corpus, texts: Sequence[str], limit: int) -> list[list[LegHit]]:
    """Return what `lexical_top` finds for each of `texts`, reading the postings of all their terms at once."""
    terms_of = [terms(text) for text in texts]
    index = read_index(corpus, distinct_terms(terms_of))
    return [leg_hits(found) for found in scored_in(index, terms_of, limit)]


def distinct_terms(terms_of: Iterable[Sequence[str]]) -> list[str]:
    """Return the terms of all queries together, each once, sorted."""
    return sorted(set().union(*terms_of))


def scored_in(index: IndexRead, terms_of: Sequence[Sequence[str]], limit: int) -> list[list[Scored]]:
    """Return the `limit` best chunks for each query; `index` must hold the postings of all terms of `terms_of`."""
    known = bm25.statistics(index.segments)
    return [bm25.top(wanted, index.segments, index.postings, known, limit) for wanted in terms_of]


def leg_hits(found: Iterable[Scored]) -> list[LegHit]:
    """Return what a leg found, with ids as models have them."""
    return [LegHit(UUID(bytes=chunk_id), score) for chunk_id, score in found]
