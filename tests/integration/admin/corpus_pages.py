"""A small corpus for the tests of its pages, and the addresses of these."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.urls import reverse

from datasets_app.models import Analysis, Chunk, Corpus, TestQuery
from datasets_app.services.corpus.analyses import save_analysis
from datasets_app.services.corpus.corpora import get_corpus
from datasets_app.services.corpus.drafts import (
    AnalysisDraft,
    ArtifactDraft,
    ChunkDraft,
    FindingDraft,
    QueryDraft,
)
from datasets_app.services.corpus.queries import save_query

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def url_of(name: str) -> str:
    return f"https://docs.python.org/3/library/{name}.html"


def make_source(
    name: str = "json", *, chunks: int = 3, corpus: Corpus | None = None, **fields: Any
) -> Analysis:
    """Save a completed source with chunks “NAME 0” …, two findings and an artifact."""
    draft = AnalysisDraft(
        **{
            "url": url_of(name),
            "content_type": "documentation",
            "chunks": [
                ChunkDraft(
                    content=f"Text {n} about {name}.", section_title=f"{name} {n}", section_path=f"{name}#{n}"
                )
                for n in range(chunks)
            ],
            "findings": [
                FindingDraft("tutor", "concept", f"{name} is explained.", 0.9),
                FindingDraft("auditor", "risk", f"{name} has no limits.", 0.5),
            ],
            "artifact": ArtifactDraft(
                f"Summary of {name}.", ["short", {"pages": 3}], {"language": "en", "minutes": 7}
            ),
            **fields,
        }
    )
    return save_analysis(corpus=corpus or get_corpus(), draft=draft, actor=None)


def make_query(source: Analysis, text: str = "How is it done?", **fields: Any) -> TestQuery:
    """Save a test query that expects the first chunk of a source."""
    first = chunks_of(source)[0]
    draft = QueryDraft(**{"text": text, "expected": {first.pk: 1}, "tags": ["basics"], **fields})
    return save_query(corpus=source.corpus, draft=draft, actor=None)


def chunks_of(source: Analysis) -> list[Chunk]:
    return list(Chunk.objects.filter(analysis=source).order_by("chunk_index"))


def page_of(thing: Any, part: str = "change") -> str:
    """Return the address of a page of a source, chunk or query."""
    return reverse(f"admin:datasets_app_{thing._meta.model_name}_{part}", args=[thing.pk])


def list_of(model: Any) -> str:
    return reverse(f"admin:datasets_app_{model._meta.model_name}_changelist")


def seen(response: Any) -> str:
    """Return what the form of a page says that it shows."""
    return str(response.context["seen"])


def sent_rows(name: str, rows: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    """Return what a browser sends for the rows of a form: {key: cells}."""
    cells = {f"{name}-{key}-{cell}": value for key, row in rows.items() for cell, value in row.items()}
    return {name: [str(key) for key in rows], **cells}


def chunk_rows(source: Analysis) -> dict[Any, dict[str, Any]]:
    """Return the rows of the form of a source's chunks as they stand."""
    names = ("chunk_index", "section_title", "section_path", "content_type", "content")
    return {chunk.pk: {name: getattr(chunk, name) for name in names} for chunk in chunks_of(source)}


def document(text: str) -> Any:
    return json.loads(text)


def nobody() -> uuid.UUID:
    return uuid.UUID(int=0)
