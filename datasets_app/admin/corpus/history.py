"""Who changed what of a source or a test query, its parts included, from the rows that the database's triggers write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.http import urlencode

from datasets_app.admin.corpus.base import CorpusPage, id_in, snippet
from datasets_app.admin.corpus.source import SourcePage
from datasets_app.admin.versioning.history import VERBS, people
from datasets_app.admin.versioning.presentation import ShownField, show_changes
from datasets_app.domain.field_diff import diff_fields
from datasets_app.models import Analysis, Artifact, Chunk, ExpectedChunk, Finding, TestQuery
from goldenproject.kit.errors import NotFound

PAGE_EVENTS = 50


@dataclass(frozen=True)
class AuditedPart:
    """A kind of row whose history belongs to a page: its model, how it is found, what it is called, what is shown."""

    model: Any
    key: str
    noun: str
    fields: tuple[str, ...]
    name_field: str = ""


SOURCE_PARTS = (
    AuditedPart(Analysis, "id", "source", ("url", "url_violation", "content_type", "status")),
    AuditedPart(
        Chunk,
        "analysis_id",
        "chunk",
        ("chunk_index", "section_title", "section_path", "content_type", "content"),
        "section_title",
    ),
    AuditedPart(
        Finding, "analysis_id", "finding", ("position", "agent", "category", "confidence", "content"), "agent"
    ),
    AuditedPart(Artifact, "analysis_id", "artifact", ("summary", "key_findings", "metadata")),
)
QUERY_PARTS = (
    AuditedPart(
        TestQuery, "id", "query", ("text", "tags", "difficulty", "category", "pass_rule", "external_id")
    ),
    AuditedPart(ExpectedChunk, "query_id", "expected chunk", ("chunk_id", "relevance"), "chunk_id"),
)
CHUNK_PARTS = (AuditedPart(Chunk, "id", "chunk", SOURCE_PARTS[1].fields),)


@dataclass(frozen=True)
class PartEvent:
    """A line of the timeline: `what` was done to which part, called `name`, with the fields that changed."""

    at: datetime
    who: str
    verb: str
    noun: str
    name: str
    said: str
    fields: list[ShownField]
    database_user: str


def events_of(
    parts: Iterable[AuditedPart], owner_id: Any, before: datetime | None
) -> tuple[list[PartEvent], bool]:
    """Return what happened to the parts of `owner_id`, newest first, at most a page, and whether there is more."""
    found: list[tuple[AuditedPart, Any]] = []
    for part in parts:
        rows = part.model.history.filter(**{part.key: owner_id})
        if before is not None:
            rows = rows.filter(history_date__lt=before)
        found += [(part, row) for row in _with_previous(part, rows)[: PAGE_EVENTS + 1]]
    found.sort(key=lambda pair: (pair[1].history_date, pair[1].history_id), reverse=True)
    shown = found[:PAGE_EVENTS]
    # rows of one statement carry one moment: the page goes on to its end, so that "before" skips none of them
    while (
        shown and len(shown) < len(found) and found[len(shown)][1].history_date == shown[-1][1].history_date
    ):
        shown.append(found[len(shown)])
    return _drawn(shown), len(found) > len(shown)


def _with_previous(part: AuditedPart, rows: QuerySet[Any]) -> QuerySet[Any]:
    older = part.model.history.filter(id=OuterRef("id"), history_id__lt=OuterRef("history_id"))
    previous = older.order_by("-history_id").values("history_id")[:1]
    annotated: QuerySet[Any] = rows.annotate(previous_id=Subquery(previous))
    return annotated.order_by("-history_id")


def _drawn(found: list[tuple[AuditedPart, Any]]) -> list[PartEvent]:
    names = people(row.history_user_id for _, row in found)
    previous: dict[tuple[str, int], Any] = {}
    for part in {part.noun: part for part, _ in found}.values():
        ids = [row.previous_id for one, row in found if one.noun == part.noun and row.previous_id]
        previous |= {(part.noun, pk): row for pk, row in part.model.history.in_bulk(ids).items()}
    chunks = _chunk_names(found)
    events = [
        _event(
            part, row, previous.get((part.noun, row.previous_id)), names.get(row.history_user_id, ""), chunks
        )
        for part, row in found
    ]
    # what one action wrote says why once
    said = [(event.at, event.said) for event in events]
    return [
        replace(event, said="") if number and said[number] == said[number - 1] else event
        for number, event in enumerate(events)
    ]


def _event(part: AuditedPart, row: Any, old: Any, person: str, chunks: dict[Any, str]) -> PartEvent:
    changes = []
    if row.history_type == "~" and old is not None:
        changes = diff_fields(_document(part, old, chunks), _document(part, row, chunks))
    elif part.noun != "source":
        shown = {
            name: value for name, value in _document(part, row, chunks).items() if value not in ("", [], {})
        }
        changes = diff_fields({}, shown) if row.history_type == "+" else diff_fields(shown, {})
    return PartEvent(
        at=row.history_date,
        who=person or "somebody outside of the console",
        verb=VERBS.get(row.history_type, "changed"),
        noun=part.noun,
        name=_name(part, row, chunks),
        said=row.history_change_reason or "",
        fields=show_changes(changes),
        database_user="" if person else row.db_user,
    )


def _document(part: AuditedPart, row: Any, chunks: dict[Any, str]) -> dict[str, Any]:
    document = {}
    for name in part.fields:
        value = getattr(row, name)
        label = name.removesuffix("_id").replace("_", " ").capitalize().replace("Url", "URL")
        document[label] = chunks.get(value, str(value)) if name == "chunk_id" else value
    return document


def _name(part: AuditedPart, row: Any, chunks: dict[Any, str]) -> str:
    if not part.name_field:
        return ""
    value = getattr(row, part.name_field)
    if part.name_field == "chunk_id":
        return chunks.get(value, str(value))
    return snippet(str(value), length=60)


def _chunk_names(found: list[tuple[AuditedPart, Any]]) -> dict[Any, str]:
    ids = {row.chunk_id for part, row in found if part.model is ExpectedChunk}
    chunks = Chunk.objects.filter(pk__in=ids).only("section_title", "content")
    return {chunk.pk: snippet(str(chunk), length=60) for chunk in chunks}


def moment_in(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


class _EventsMixin:
    """Adds to a page the timeline of what it is about."""

    def events_context(self, parts: Iterable[AuditedPart], owner_id: Any, query: Any) -> dict[str, Any]:
        before = moment_in(query.get("before", ""))
        events, has_more = events_of(parts, owner_id, before)
        older = urlencode({"before": events[-1].at.isoformat()}) if events and has_more else ""
        return {
            "events": events,
            "next": f"?{older}" if older else "",
            "first_address": "?" if before else "",
        }


class SourceHistoryPage(_EventsMixin, SourcePage):
    tab = "history"
    template_name = "datasets_app/corpus/source_history.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        events = self.events_context(SOURCE_PARTS, self.source.pk, self.request.GET)
        return super().get_context_data(**events, **kwargs)


class PartHistoryPage(_EventsMixin, CorpusPage):
    """The history of one chunk or test query."""

    template_name = "datasets_app/corpus/part_history.html"
    model: Any = None
    url_name = ""

    def load(self, **kwargs: Any) -> None:
        found = self.model.objects.filter(pk=id_in(kwargs["object_id"])).first()
        if found is None:
            raise NotFound(f"There is no {self.model._meta.verbose_name} {kwargs['object_id']}.")
        self.object = found
        self.title = f"History of {snippet(str(found), length=60)}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        parts = QUERY_PARTS if self.model is TestQuery else CHUNK_PARTS
        events = self.events_context(parts, self.object.pk, self.request.GET)
        return super().get_context_data(
            **events, object=self.object, noun=self.model._meta.verbose_name, url_name=self.url_name, **kwargs
        )
