"""A corpus with judged queries, and a search that finds what a test says it finds."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from datasets_app.models import Analysis, Chunk, Corpus, ExpectedChunk, TestQuery
from datasets_app.services.retrieval.searching import Hit, SearchAnswer, SearchOptions


@dataclass
class Judged:
    """Ten chunks c0 … c9, and queries that name what they expect."""

    corpus: Corpus
    chunks: list[Chunk]

    def query(self, text: str, expected: dict[int, int], **fields: Any) -> TestQuery:
        query = TestQuery.objects.create(corpus=self.corpus, text=text, **fields)
        ExpectedChunk.objects.bulk_create(
            ExpectedChunk(query=query, chunk=self.chunks[number], relevance=grade)
            for number, grade in expected.items()
        )
        return query


@dataclass
class FakeSearch:
    """Finds the numbered chunks of `lexical[text]` and `vector[text]`, fused by reciprocal ranks; counts its calls."""

    chunks: list[Chunk]
    lexical: dict[str, Sequence[int]] = field(default_factory=dict)
    vector: dict[str, Sequence[int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    asked: list[SearchOptions] = field(default_factory=list)
    before_answer: Callable[[str], None] = lambda text: None

    def search_many(
        self, *, corpus: Corpus, texts: Sequence[str], options: SearchOptions
    ) -> Iterator[SearchAnswer]:
        self.asked.append(options)
        for text in texts:
            self.before_answer(text)
            yield SearchAnswer(self._hits(text, options), list(self.warnings), {})

    def _hits(self, text: str, options: SearchOptions) -> list[Hit]:
        legs = {name: list(getattr(self, name).get(text, ())) for name in options.legs}
        hits = []
        for number in {number for leg in legs.values() for number in leg}:
            ranks = {name: leg.index(number) + 1 for name, leg in legs.items() if number in leg}
            score = sum(options.weights[name] / (60 + rank) for name, rank in ranks.items())
            hits.append(
                Hit(
                    self.chunks[number].pk,
                    score,
                    lexical_rank=ranks.get("lexical"),
                    lexical_score=100.0 - ranks["lexical"] if "lexical" in ranks else None,
                    vector_rank=ranks.get("vector"),
                    vector_score=1 - ranks["vector"] / 100 if "vector" in ranks else None,
                )
            )
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))[: options.limit]


@pytest.fixture
def judged(db: None) -> Judged:
    corpus = Corpus.objects.create(name="docs")
    analysis = Analysis.objects.create(
        corpus=corpus,
        url="https://docs.python.org/3/library/json.html",
        canonical_url="https://docs.python.org/3/library/json.html",
        content_type="documentation",
        status="completed",
    )
    chunks = [
        Chunk(
            id=uuid.UUID(int=number + 1),
            analysis=analysis,
            content=f"text {number}",
            section_title=f"Section {number}",
            chunk_index=number,
        )
        for number in range(10)
    ]
    Chunk.objects.bulk_create(chunks)
    return Judged(corpus, chunks)


@pytest.fixture
def search(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> FakeSearch:
    fake = FakeSearch(judged.chunks)
    monkeypatch.setattr("datasets_app.services.evaluation.running.search_many", fake.search_many)
    monkeypatch.setattr(
        "datasets_app.services.evaluation.running._model_name",
        lambda search: "minilm" if "vector" in search.legs else "",
    )
    return fake
