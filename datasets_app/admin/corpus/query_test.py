"""A test query asked now: whether it passes, where each expected chunk came, and what came instead. Nothing is stored."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets_app.admin.corpus.base import shown_url, snippet
from datasets_app.domain.retrieval.pass_rules import PassRule, depth, ndcg, passes
from datasets_app.models import Chunk, Corpus
from datasets_app.services.retrieval.searching import Hit, SearchOptions, search, with_chunks

DEFAULT_K = 10
LOOKED_AT = 100
_BOOST_NAMES = {"title": "title", "path": "path", "content_type": "type"}


@dataclass(frozen=True)
class FoundChunk:
    """A chunk among what was found, or an expected one that was not (`rank` None)."""

    chunk: Chunk
    source: str
    snippet: str
    rank: int | None
    hit: Hit | None
    relevance: int | None
    boosts: list[tuple[str, float]]


@dataclass(frozen=True)
class QueryTest:
    """The outcome; `passed` is None when nothing relevant is expected, so that it can neither pass nor fail."""

    passed: bool | None
    rule: str
    k: int
    looked_at: int
    expected: list[FoundChunk]
    found: list[FoundChunk]
    first_rank: int | None
    recall: float | None
    ndcg: float | None
    warnings: list[str]
    milliseconds: float


def ask(corpus: Corpus, text: str, rule: PassRule, expected: Mapping[uuid.UUID, int]) -> QueryTest:
    """Search for `text` as an evaluation would by default and judge the answer by `rule`."""
    k = depth(rule, DEFAULT_K)
    looked_at = max(LOOKED_AT, k)
    answer = search(corpus=corpus, text=text, options=SearchOptions(limit=looked_at, candidates=looked_at))
    ranked = [hit.chunk_id for hit in answer.hits]
    ranks = {pk: rank for rank, pk in enumerate(ranked, 1)}
    hits = {hit.chunk_id: hit for hit in answer.hits}
    relevant = [pk for pk, relevance in expected.items() if relevance > 0]
    ranks_of_relevant = sorted(ranks[pk] for pk in relevant if pk in ranks)

    def shown(chunk: Chunk) -> FoundChunk:
        hit = hits.get(chunk.pk)
        return FoundChunk(
            chunk=chunk,
            source=shown_url(chunk.analysis.url),
            snippet=snippet(chunk.content),
            rank=ranks.get(chunk.pk),
            hit=hit,
            relevance=expected.get(chunk.pk),
            boosts=[(_BOOST_NAMES.get(name, name), factor) for name, factor in hit.boosts.items()]
            if hit
            else [],
        )

    chunks = Chunk.objects.select_related("analysis").filter(pk__in=list(expected))
    wanted = sorted((shown(chunk) for chunk in chunks), key=_by_rank)
    return QueryTest(
        passed=passes(rule, expected, ranked, DEFAULT_K) if relevant else None,
        rule=str(rule) if rule.k else str(rule).replace("top k", f"top {k}"),
        k=k,
        looked_at=looked_at,
        expected=wanted,
        found=[shown(one.chunk) for one in with_chunks(answer.hits[:k])],
        first_rank=ranks_of_relevant[0] if ranks_of_relevant else None,
        recall=sum(rank <= k for rank in ranks_of_relevant) / len(relevant) if relevant else None,
        ndcg=ndcg(expected, ranked, k) if relevant else None,
        warnings=answer.warnings,
        milliseconds=answer.timings.get("total", 0.0),
    )


def _by_rank(found: FoundChunk) -> Any:
    return (found.rank or math.inf, -(found.relevance or 0), str(found.chunk.pk))
