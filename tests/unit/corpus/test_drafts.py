"""The gate of format 1.0: what it takes, and place, field, found and expected of what it refuses."""

from __future__ import annotations

import copy
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from datasets_app.errors import InvalidAnalysis
from datasets_app.services.corpus.drafts import (
    AnalysisDraft,
    ArtifactDraft,
    ChunkDraft,
    FindingDraft,
    parse_analysis,
    unknown_keys,
)

ANALYSIS_ID, CHUNK_ID, ARTIFACT_ID = (uuid.UUID(int=number) for number in (1, 2, 3))
DOCUMENT: dict[str, Any] = {
    "id": str(ANALYSIS_ID),
    "url": "https://docs.python.org/3/library/json.html",
    "content_type": "documentation",
    "status": "completed",
    "created_at": "2025-01-02T03:04:05.678901Z",
    "findings": [{"agent": "a", "category": "c", "content": "f", "confidence": 1}],
    "chunks": [
        {
            "id": str(CHUNK_ID),
            "content": "text",
            "section_title": "title",
            "section_path": "a/b",
            "content_type": "text",
            "chunk_index": 0,
        }
    ],
    "artifact": {"id": str(ARTIFACT_ID), "summary": "s", "key_findings": ["k"], "metadata": {"n": 1.5}},
}
REMOVED = object()


def _changed(path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    *parents, last = (int(step) if step.isdigit() else step for step in path.split("."))
    target: Any = document
    for step in parents:
        target = target[step]
    if value is REMOVED:
        del target[last]
    else:
        target[last] = value
    return document


def test_parse_analysis__whole_document__is_the_draft() -> None:
    assert parse_analysis(DOCUMENT, "file line 1") == AnalysisDraft(
        url="https://docs.python.org/3/library/json.html",
        content_type="documentation",
        status="completed",
        findings=[FindingDraft("a", "c", "f", 1)],
        chunks=[ChunkDraft("text", "title", "a/b", "text", 0, CHUNK_ID)],
        artifact=ArtifactDraft("s", ["k"], {"n": 1.5}, ARTIFACT_ID),
        id=ANALYSIS_ID,
        created_at=datetime(2025, 1, 2, 3, 4, 5, 678901, UTC),
    )


def test_parse_analysis__no_artifact_and_zone__are_taken() -> None:
    draft = parse_analysis({**DOCUMENT, "artifact": None, "created_at": "2025-01-02T03:04:05"}, "")
    assert (draft.artifact, draft.created_at) == (None, datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC))
    moved = parse_analysis({**DOCUMENT, "created_at": "2025-01-02T03:04:05+02:00"}, "")
    assert moved.created_at == datetime(2025, 1, 2, 1, 4, 5, tzinfo=UTC)


def test_parse_analysis__incomplete_where_allowed__gets_defaults() -> None:
    draft = parse_analysis(
        {"url": "https://a.org/", "content_type": "x", "chunks": [{"content": "c"}]}, "", complete=False
    )
    assert draft == AnalysisDraft("https://a.org/", "x", "completed", [], [ChunkDraft("c")])


@pytest.mark.parametrize(
    ("path", "value", "found", "expected"),
    [
        ("id", REMOVED, "nothing", "this field"),
        ("id", "7", "'7'", "a UUID"),
        ("url", "", "an empty string", "some text"),
        ("url", 5, "5", "a string"),
        ("url", "a\x00b", "NUL (U+0000) at character 2", "text without NUL"),
        ("content_type", "x" * 121, "121 characters", "at most 120"),
        ("status", "done", "'done'", "pending, completed or failed"),
        ("created_at", "yesterday", "'yesterday'", "an ISO 8601 time"),
        ("created_at", None, "null", "an ISO 8601 time"),
        ("findings", {}, "an object", "a list"),
        ("findings.0", "x", "'x'", "an object"),
        ("findings.0.agent", REMOVED, "nothing", "this field"),
        ("findings.0.content", "\ud800", "the lone surrogate U+D800 at character 1", "whole characters"),
        ("findings.0.confidence", 1.01, "1.01", "a number from 0 to 1"),
        ("findings.0.confidence", -0.1, "-0.1", "a number from 0 to 1"),
        ("findings.0.confidence", float("nan"), "NaN", "a number from 0 to 1"),
        ("findings.0.confidence", True, "true", "a number from 0 to 1"),
        ("chunks.0.chunk_index", -1, "-1", "a whole number from 0 to 2147483647"),
        ("chunks.0.chunk_index", 2**31, "2147483648", "a whole number from 0 to 2147483647"),
        ("chunks.0.chunk_index", 0.5, "0.5", "a whole number from 0"),
        ("chunks.0.chunk_index", REMOVED, "nothing", "this field"),
        ("chunks.0.content", None, "null", "a string"),
        ("artifact", [], "a list", "an object"),
        ("artifact.summary", REMOVED, "nothing", "this field"),
        ("artifact.key_findings", "k", "'k'", "a list"),
        ("artifact.metadata", [], "a list", "an object"),
    ],
)
def test_parse_analysis__wrong_field__is_named(path: str, value: Any, found: str, expected: str) -> None:
    with pytest.raises(InvalidAnalysis) as caught:
        parse_analysis(_changed(path, value), "file line 7")
    details = caught.value.details
    field = path.replace(".0", "[0]")
    assert details == {"place": "file line 7", "field": field, "found": found, "expected": expected}
    assert caught.value.message == f"file line 7, {field}: found {found}, expected {expected}."


def test_parse_analysis__no_object__is_refused() -> None:
    with pytest.raises(InvalidAnalysis, match="^file: found a list, expected an object.$"):
        parse_analysis([], "file")


@pytest.mark.parametrize(
    ("metadata", "field"),
    [({"a": float("inf")}, "artifact.metadata.a"), ({"a": "\x00"}, "artifact.metadata.a")],
)
def test_parse_analysis__json_that_cannot_be_stored__is_refused(metadata: Any, field: str) -> None:
    with pytest.raises(InvalidAnalysis) as caught:
        parse_analysis(_changed("artifact.metadata", metadata), "")
    assert caught.value.details["field"] == field


@pytest.mark.parametrize(("key", "value"), [("chunk_index", 0), ("id", str(CHUNK_ID))])
def test_parse_analysis__chunk_index_or_id_twice__is_refused(key: str, value: Any) -> None:
    second = {**DOCUMENT["chunks"][0], "id": str(ARTIFACT_ID), "chunk_index": 1, key: value}
    with pytest.raises(InvalidAnalysis) as caught:
        parse_analysis({**DOCUMENT, "chunks": [DOCUMENT["chunks"][0], second]}, "")
    assert caught.value.details["field"] == f"chunks[1].{key}"
    assert caught.value.details["found"] == f"{value} a second time"


def test_unknown_keys__of_all_levels__are_named() -> None:
    document = _changed("chunks.0.tokens", 5) | {"mood": 1, "artifact": {**DOCUMENT["artifact"], "by": "x"}}
    assert unknown_keys(document) == {"mood", "chunks[].tokens", "artifact.by"}
    assert unknown_keys(DOCUMENT) == set()
