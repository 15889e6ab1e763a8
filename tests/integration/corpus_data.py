"""A small corpus with something of everything that a backup must keep."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from datasets_app.models import (
    Analysis,
    Artifact,
    Chunk,
    Corpus,
    ExpectedChunk,
    Finding,
    RetrievalResult,
    RetrievalRun,
    SourceCheck,
    TestQuery,
)

NUMBERS = '{"exact": 1.50, "large": 123456789012345678901234567890, "small": 1e-7, "text": "ü\\u2028 \\\\n"}'


def make_id(*names: object) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, " ".join(map(str, names)))


def make_corpus(count: int = 6, name: str = "default") -> Corpus:
    """Make analyses (the last pending, the one before it failed), queries, a run and a source check."""
    corpus = Corpus.objects.create(id=make_id("corpus", name), name=name, description=f"of {name}")
    for n in range(count):
        make_analysis(corpus, n, status={count - 1: "pending", count - 2: "failed"}.get(n, "completed"))
    for n in range(3):
        make_query(corpus, n, {chunk_id(corpus, n, 0): 2, chunk_id(corpus, n, 1): 1})
    Finding.objects.filter(analysis_id=make_id(corpus.name, 0), position=1).delete()  # leaves a gap
    Chunk.objects.filter(pk=chunk_id(corpus, 1, 2)).update(content="changed once")
    SourceCheck.objects.create(
        analysis_id=make_id(corpus.name, 0), checked_at=datetime(2026, 5, 2, tzinfo=UTC), outcome="first"
    )
    make_run(corpus)
    return corpus


def make_analysis(corpus: Corpus, n: int, *, status: str = "completed", url: str = "") -> Analysis:
    url = url or f"https://docs.python.org/3/library/{corpus.name}{n}.html"
    analysis = Analysis.objects.create(
        id=make_id(corpus.name, n),
        corpus=corpus,
        url=url,
        canonical_url=url,
        content_type="article",
        status=status,
        created_at=datetime(2026, 5, 1, 12, 0, n % 60, 120_000 if n % 2 else 0, tzinfo=UTC),
    )
    for k in range(3):
        Finding.objects.create(
            id=make_id(corpus.name, n, "finding", k),
            analysis=analysis,
            position=k,
            agent="reader",
            category="fact",
            content=f"finding {k} of “{n}”",
            confidence=[0.1, 1.0, 1e-7][k],
        )
        Chunk.objects.create(
            id=chunk_id(corpus, n, k),
            analysis=analysis,
            content=f'text {k} of {n}\n\twith \\ "quotes" and }},\n    }},\n ü \U0001f40d',
            section_title=f"Section {k}" if k else "",
            section_path=f"a/{n}/{k}",
            content_type="text",
            chunk_index=2 * k,
        )
    if n % 3 != 2:
        artifact = Artifact.objects.create(
            id=make_id(corpus.name, n, "artifact"), analysis=analysis, summary="in short", key_findings=[]
        )
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE datasets_app_artifact SET metadata = %s, key_findings = '[1.0, []]' WHERE id = %s",
                [NUMBERS, artifact.pk],
            )
    return analysis


def chunk_id(corpus: Corpus, n: int, k: int) -> uuid.UUID:
    return make_id(corpus.name, n, "chunk", k)


def make_query(corpus: Corpus, n: int, expected: dict[uuid.UUID, int]) -> TestQuery:
    query = TestQuery.objects.create(
        id=make_id(corpus.name, "query", n),
        corpus=corpus,
        text=f"what is {n}?",
        external_id=f"q{n}",
        tags=["a", "ü, {b}"][: n % 3],
        pass_rule={"rule": "recall", "at_least": 0.5} if n else {},
        created_at=datetime(2026, 5, 3, tzinfo=UTC),
    )
    for chunk, relevance in expected.items():
        ExpectedChunk.objects.create(query=query, chunk_id=chunk, relevance=relevance)
    return query


def make_run(corpus: Corpus) -> RetrievalRun:
    run = RetrievalRun.objects.create(
        corpus=corpus,
        name="first",
        created_at=datetime(2026, 5, 4, tzinfo=UTC),
        options={"search": {"limit": 10}},
        k=10,
        corpus_hash="0" * 64,
        queries_hash="1" * 64,
        query_count=1,
        passed_count=1,
        metrics={"ndcg@10": {"mean": 0.5}},
        seconds=0.25,
    )
    RetrievalResult.objects.create(
        run=run,
        query_id=make_id(corpus.name, "query", 0),
        text="what is 0?",
        passed=True,
        metrics={"ndcg@10": 0.5},
        expected=[],
        found=[],
    )
    return run


def document(n: int = 0, **changes: Any) -> dict[str, Any]:
    """An analysis of format 1.0, as another tool writes it."""
    return {
        "id": str(make_id("document", n)),
        "url": f"https://docs.python.org/3/howto/{n}.html",
        "content_type": "article",
        "status": "completed",
        "created_at": "2026-05-01T00:00:00Z",
        "findings": [{"agent": "reader", "category": "", "content": "short", "confidence": 0.5}],
        "chunks": [
            {
                "id": str(make_id("document", n, "chunk", k)),
                "content": f"text {k} of {n}",
                "section_title": "",
                "section_path": "",
                "content_type": "text",
                "chunk_index": k,
            }
            for k in range(2)
        ],
        "artifact": {
            "id": str(make_id("document", n, "artifact")),
            "summary": "",
            "key_findings": ["one"],
            "metadata": json.loads('{"n": 1.5}'),
        },
        **changes,
    }


def foreign_document(analyses: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """A whole backup of exactly the shape of format 1.0, with true totals."""
    golden = [a for a in analyses if a.get("status") == "completed"]
    totals = {
        "total_analyses": len(golden),
        "total_chunks": sum(len(a["chunks"]) for a in golden),
        "total_artifacts": sum(a["artifact"] is not None for a in golden),
    }
    return {
        "version": "1.0",
        "created_at": "2026-05-01T00:00:00Z",
        "metadata": totals,
        "analyses": analyses,
        **changes,
    }
