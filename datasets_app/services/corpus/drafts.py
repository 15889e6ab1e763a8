"""Analyses and test queries before they are saved: plain values, and the one gate for documents of format 1.0."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from datasets_app.domain.strict_json import check_value
from datasets_app.errors import InvalidAnalysis, InvalidJson
from goldenproject.kit.errors import BadInput

STATUSES: Final = ("pending", "completed", "failed")
MAX_NAME: Final = 120
MAX_INDEX: Final = 2**31 - 1

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}")
_ANALYSIS_KEYS: Final = (
    "id",
    "url",
    "content_type",
    "status",
    "created_at",
    "findings",
    "chunks",
    "artifact",
)
_FINDING_KEYS: Final = ("agent", "category", "content", "confidence")
_CHUNK_KEYS: Final = ("id", "content", "section_title", "section_path", "content_type", "chunk_index")
_ARTIFACT_KEYS: Final = ("id", "summary", "key_findings", "metadata")


@dataclass(frozen=True, slots=True)
class FindingDraft:
    """What an agent found; `confidence` is 0 to 1."""

    agent: str
    category: str
    content: str
    confidence: float


@dataclass(frozen=True, slots=True)
class ChunkDraft:
    """A piece of a source. Without `chunk_index` its place in the list counts, without `id` it gets one."""

    content: str
    section_title: str = ""
    section_path: str = ""
    content_type: str = ""
    chunk_index: int | None = None
    id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class ArtifactDraft:
    """What was made of a whole source."""

    summary: str
    key_findings: list[Any] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class AnalysisDraft:
    """A source with all that belongs to it. `place` says in errors where it came from."""

    url: str
    content_type: str
    status: str = "completed"
    findings: Sequence[FindingDraft] = ()
    chunks: Sequence[ChunkDraft] = ()
    artifact: ArtifactDraft | None = None
    id: uuid.UUID | None = None
    created_at: datetime | None = None
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class QueryDraft:
    """A test query; `expected` gives the relevance of each chunk (0 not relevant, 1 relevant, more: better)."""

    text: str
    expected: Mapping[uuid.UUID, int] = field(default_factory=dict)
    tags: Sequence[str] = ()
    difficulty: str = ""
    category: str = ""
    pass_rule: dict[str, Any] = field(default_factory=dict)
    external_id: str = ""
    id: uuid.UUID | None = None
    created_at: datetime | None = None
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class RefusedDraft:
    """A row that could not become a draft; a bulk save collects these before it refuses the whole."""

    place: str
    error: BadInput


def parse_analysis(document: Any, place: str, *, complete: bool = True) -> AnalysisDraft:
    """Return the draft that `document`, an analysis of format 1.0, describes.

    With `complete` every field of the format must be there, as in a backup. Without, only what nothing can stand in
    for: url and content_type; content of chunks; agent, content and confidence of findings. `created_at` without a
    zone is UTC. Keys that the format does not know are left out (see `unknown_keys`). An empty content is taken.
    Raises InvalidAnalysis with place, field, found and expected.
    """
    reader = _Reader(place)
    reader.require(document, _ANALYSIS_KEYS if complete else ("url", "content_type"), "")
    draft = AnalysisDraft(
        id=reader.uuid(document, "id", ""),
        url=reader.text(document, "url", ""),
        content_type=reader.text(document, "content_type", ""),
        status=reader.text(document, "status", "") if "status" in document else "completed",
        created_at=reader.moment(document, "created_at", ""),
        findings=[
            _parse_finding(reader, item, where, complete)
            for item, where in reader.items(document, "findings")
        ],
        chunks=[
            _parse_chunk(reader, item, where, complete) for item, where in reader.items(document, "chunks")
        ],
        artifact=_parse_artifact(reader, document.get("artifact"), complete),
        place=place,
    )
    return checked_analysis(draft, place)


def _parse_finding(reader: _Reader, item: Any, where: str, complete: bool) -> FindingDraft:
    reader.require(item, _FINDING_KEYS if complete else ("agent", "content", "confidence"), where)
    return FindingDraft(
        agent=reader.text(item, "agent", where),
        category=reader.text(item, "category", where, null=True),
        content=reader.text(item, "content", where),
        confidence=reader.number(item, "confidence", where),
    )


def _parse_chunk(reader: _Reader, item: Any, where: str, complete: bool) -> ChunkDraft:
    reader.require(item, _CHUNK_KEYS if complete else ("content",), where)
    return ChunkDraft(
        content=reader.text(item, "content", where),
        section_title=reader.text(item, "section_title", where, null=True),
        section_path=reader.text(item, "section_path", where, null=True),
        content_type=reader.text(item, "content_type", where, null=True),
        chunk_index=reader.integer(item, "chunk_index", where),
        id=reader.uuid(item, "id", where),
    )


def _parse_artifact(reader: _Reader, item: Any, complete: bool) -> ArtifactDraft | None:
    if item is None:
        return None
    reader.require(item, _ARTIFACT_KEYS if complete else (), "artifact")
    key_findings, metadata = item.get("key_findings"), item.get("metadata")
    return ArtifactDraft(
        summary=reader.text(item, "summary", "artifact", null=True),
        key_findings=[] if key_findings is None else key_findings,
        metadata={} if metadata is None else metadata,
        id=reader.uuid(item, "id", "artifact"),
    )


def unknown_keys(document: Mapping[str, Any]) -> set[str]:
    """Return the keys of an analysis that format 1.0 does not know and that are therefore not kept."""
    found = set(document) - set(_ANALYSIS_KEYS)
    for name, known in (("findings", _FINDING_KEYS), ("chunks", _CHUNK_KEYS)):
        for item in document.get(name) or ():
            if not item.keys() <= set(known):
                found |= {f"{name}[].{key}" for key in item.keys() - set(known)}
    return found | {
        f"artifact.{key}" for key in (document.get("artifact") or {}).keys() - set(_ARTIFACT_KEYS)
    }


def checked_analysis(draft: AnalysisDraft, place: str) -> AnalysisDraft:
    """Return `draft` when every value can be stored. Raises InvalidAnalysis. The URL contract is not asked here."""
    check_text(draft.url, place, "url", least=1)
    check_text(draft.content_type, place, "content_type", most=MAX_NAME)
    if draft.status not in STATUSES:
        refuse(place, "status", repr(draft.status), "pending, completed or failed")
    for number, finding in enumerate(draft.findings):
        check_finding(finding, place, f"findings[{number}]")
    check_chunks(draft.chunks, place)
    if draft.artifact is not None:
        check_artifact(draft.artifact, place)
    return draft


def check_finding(finding: FindingDraft, place: str, where: str) -> None:
    """Raise InvalidAnalysis unless the finding can be stored."""
    check_text(finding.agent, place, f"{where}.agent", least=1, most=MAX_NAME)
    check_text(finding.category, place, f"{where}.category", most=MAX_NAME)
    check_text(finding.content, place, f"{where}.content")
    confidence = finding.confidence
    # a NaN is in no range
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        refuse(place, f"{where}.confidence", _shown(confidence), "a number from 0 to 1")


def check_chunks(chunks: Sequence[ChunkDraft], place: str) -> None:
    """Raise InvalidAnalysis unless these can be the chunks of one analysis: indexes and ids once each."""
    indexes: set[int] = set()
    ids: set[uuid.UUID] = set()
    for number, chunk in enumerate(chunks):
        where = f"chunks[{number}]"
        check_chunk(chunk, place, where)
        index = number if chunk.chunk_index is None else chunk.chunk_index
        if index in indexes:
            refuse(
                place,
                f"{where}.chunk_index",
                f"{index} a second time",
                "each chunk_index once in an analysis",
            )
        indexes.add(index)
        if chunk.id is not None:
            if chunk.id in ids:
                refuse(place, f"{where}.id", f"{chunk.id} a second time", "each id once")
            ids.add(chunk.id)


def check_chunk(chunk: ChunkDraft, place: str, where: str) -> None:
    """Raise InvalidAnalysis unless the chunk can be stored."""
    check_text(chunk.content, place, f"{where}.content")
    check_text(chunk.section_title, place, f"{where}.section_title")
    check_text(chunk.section_path, place, f"{where}.section_path")
    check_text(chunk.content_type, place, f"{where}.content_type", most=MAX_NAME)
    if chunk.chunk_index is not None and not 0 <= chunk.chunk_index <= MAX_INDEX:
        refuse(place, f"{where}.chunk_index", str(chunk.chunk_index), f"a whole number from 0 to {MAX_INDEX}")


def check_artifact(artifact: ArtifactDraft, place: str) -> None:
    """Raise InvalidAnalysis unless the artifact can be stored."""
    check_text(artifact.summary, place, "artifact.summary")
    if type(artifact.key_findings) is not list:
        refuse(place, "artifact.key_findings", _shown(artifact.key_findings), "a list")
    if type(artifact.metadata) is not dict:
        refuse(place, "artifact.metadata", _shown(artifact.metadata), "an object")
    for name in ("key_findings", "metadata"):
        try:
            check_value(getattr(artifact, name))
        except InvalidJson as error:
            where = f"artifact.{name}{error.details['path'].removeprefix('$')}"
            raise _invalid(place, where, error.details["found"], error.details["expected"]) from error


def check_text(text: Any, place: str, where: str, *, least: int = 0, most: int = 0) -> None:
    """Raise InvalidAnalysis unless `text` is a string that PostgreSQL can hold, of `least` to `most` characters."""
    reason = text_trouble(text, least=least, most=most)
    if reason:
        refuse(place, where, *reason)


def text_trouble(text: Any, *, least: int = 0, most: int = 0) -> tuple[str, str] | None:
    """Return (found, expected) when `text` cannot be stored as text, else None. `most` 0 is without limit."""
    if not isinstance(text, str):
        return _shown(text), "a string"
    if "\x00" in text:
        return f"NUL (U+0000) at character {text.index(chr(0)) + 1}", "text without NUL"
    if not text.isascii() and (bad := _SURROGATE.search(text)):
        return f"the lone surrogate U+{ord(bad[0]):04X} at character {bad.start() + 1}", "whole characters"
    if len(text) < least:
        return "an empty string", "some text"
    if most and len(text) > most:
        return f"{len(text)} characters", f"at most {most}"
    return None


def refuse(place: str, where: str, found: str, expected: str) -> NoReturn:
    """Raise InvalidAnalysis that names the place, the field, what is there and what should be."""
    raise _invalid(place, where, found, expected)


def _invalid(place: str, where: str, found: str, expected: str) -> InvalidAnalysis:
    at = ", ".join(part for part in (place, where) if part)
    return InvalidAnalysis(
        f"{at}: found {found}, expected {expected}.", place=place, field=where, found=found, expected=expected
    )


def parse_uuid(value: Any) -> uuid.UUID | None:
    """Return the UUID that a text writes, None when it writes none."""
    if isinstance(value, str) and _UUID.fullmatch(value):
        return uuid.UUID(value)
    return None


def parse_moment(value: Any) -> datetime | None:
    """Return the moment that an ISO 8601 text writes, in UTC; one without a zone is UTC. None when it writes none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        # the first and last hours of the calendar have no UTC
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class _Reader:
    """Takes typed values out of a document and tells what is wrong with them."""

    def __init__(self, place: str) -> None:
        self.place = place

    def require(self, document: Any, keys: Sequence[str], where: str) -> None:
        if not isinstance(document, dict):
            refuse(self.place, where, _shown(document), "an object")
        for key in keys:
            if key not in document:
                refuse(self.place, _joined(where, key), "nothing", "this field")

    def text(self, document: dict[str, Any], key: str, where: str, *, null: bool = False) -> str:
        value = document.get(key)
        if value is None and (null or key not in document):
            return ""
        if not isinstance(value, str):
            refuse(self.place, _joined(where, key), _shown(value), "a string")
        return value

    def number(self, document: dict[str, Any], key: str, where: str) -> float:
        value = document.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            refuse(self.place, _joined(where, key), _shown(value), "a number from 0 to 1")
        return value

    def integer(self, document: dict[str, Any], key: str, where: str) -> int | None:
        if key not in document:
            return None
        value = document[key]
        if isinstance(value, bool) or not isinstance(value, int):
            refuse(self.place, _joined(where, key), _shown(value), "a whole number from 0")
        return value

    def uuid(self, document: dict[str, Any], key: str, where: str) -> uuid.UUID | None:
        found: uuid.UUID | None = self._parsed(document, key, where, parse_uuid, "a UUID")
        return found

    def moment(self, document: dict[str, Any], key: str, where: str) -> datetime | None:
        found: datetime | None = self._parsed(document, key, where, parse_moment, "an ISO 8601 time")
        return found

    def _parsed(
        self, document: dict[str, Any], key: str, where: str, parse: Callable[[Any], Any], expected: str
    ) -> Any:
        if key not in document:
            return None
        value = parse(document[key])
        if value is None:
            refuse(self.place, _joined(where, key), _shown(document[key]), expected)
        return value

    def items(self, document: dict[str, Any], key: str) -> list[tuple[Any, str]]:
        value = document.get(key, [])
        if not isinstance(value, list):
            refuse(self.place, key, _shown(value), "a list")
        return [(item, f"{key}[{number}]") for number, item in enumerate(value)]


def _joined(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _shown(value: Any) -> str:
    """Say what a value is, shortly."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return "NaN" if isinstance(value, float) and math.isnan(value) else f"{value!r:.40}"
    if isinstance(value, str):
        return repr(value) if len(value) <= 40 else f"{value[:39]!r}…"
    return {"dict": "an object", "list": "a list"}.get(type(value).__name__, f"a {type(value).__name__}")
