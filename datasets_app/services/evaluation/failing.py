"""The queries that a run failed: what was expected, at which rank it came if at all, and what was found instead."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Left

from datasets_app.models import Chunk, RetrievalResult, RetrievalRun

_TITLE_LENGTH = 120


@dataclass(frozen=True)
class ShownChunk:
    """A chunk as it is now; one that is gone meanwhile keeps its id alone."""

    id: uuid.UUID
    title: str
    url: str
    exists: bool

    def document(self) -> dict[str, Any]:
        return {"chunk": str(self.id), "title": self.title, "url": self.url, "exists": self.exists}


@dataclass(frozen=True)
class ExpectedShown:
    """An expected chunk with its relevance and the rank at which it was found, None if it was not."""

    chunk: ShownChunk
    relevance: int
    rank: int | None

    def document(self) -> dict[str, Any]:
        return {**self.chunk.document(), "relevance": self.relevance, "rank": self.rank}


@dataclass(frozen=True)
class FoundShown:
    """A chunk that was found: rank from 1, score, and the relevance it was judged to have (0: none)."""

    chunk: ShownChunk
    rank: int
    score: float
    relevance: int

    def document(self) -> dict[str, Any]:
        return {**self.chunk.document(), "rank": self.rank, "score": self.score, "relevance": self.relevance}


@dataclass(frozen=True)
class FailingQuery:
    """A query of a run with what it expected and what it got."""

    query_id: uuid.UUID
    text: str
    metrics: dict[str, float]
    expected: list[ExpectedShown]
    found: list[FoundShown]

    def document(self) -> dict[str, Any]:
        return {
            "query": str(self.query_id),
            "text": self.text,
            "metrics": self.metrics,
            "expected": [chunk.document() for chunk in self.expected],
            "found": [chunk.document() for chunk in self.found],
        }


def failing_queries(run: RetrievalRun, *, limit: int | None = 20, offset: int = 0) -> list[FailingQuery]:
    """Return failing queries of `run` in the order of their ids, at most `limit` after `offset`; two statements."""
    failed = RetrievalResult.objects.filter(run=run, passed=False).order_by("query_id")
    return shown_results(list(failed[offset : None if limit is None else offset + limit]))


def shown_results(results: Sequence[RetrievalResult]) -> list[FailingQuery]:
    """Return stored results with the titles and addresses of their chunks; one statement for all of them."""
    wanted = {uuid.UUID(entry[0]) for result in results for entry in (*result.expected, *result.found)}
    chunks = _shown_chunks(wanted)
    return [_shown(result, chunks) for result in results]


def _shown(result: RetrievalResult, chunks: dict[uuid.UUID, ShownChunk]) -> FailingQuery:
    relevance = {key: grade for key, grade, _ in result.expected}
    expected = [ExpectedShown(chunks[uuid.UUID(key)], grade, rank) for key, grade, rank in result.expected]
    found = [
        FoundShown(chunks[uuid.UUID(key)], rank, score, relevance.get(key, 0))
        for rank, (key, score) in enumerate(result.found, start=1)
    ]
    return FailingQuery(result.query_id, result.text, result.metrics, expected, found)


def _shown_chunks(keys: set[uuid.UUID]) -> dict[uuid.UUID, ShownChunk]:
    rows = Chunk.objects.filter(pk__in=keys).values_list(
        "pk", "section_title", "section_path", Left("content", 2 * _TITLE_LENGTH), "analysis__url"
    )
    shown = {
        key: ShownChunk(key, (title or path or " ".join(content.split()))[:_TITLE_LENGTH], url, exists=True)
        for key, title, path, content, url in rows.iterator(chunk_size=2000)
    }
    return {key: shown.get(key) or ShownChunk(key, "(gone)", "", exists=False) for key in keys}
