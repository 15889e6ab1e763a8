"""What labelers said, in order, and the sessions in which they said it. Read-only."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.admin import ChoicesFieldListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from datasets_app.admin.example_rows import plain
from datasets_app.domain.canonical import canonical_text
from datasets_app.domain.content import is_tombstone
from datasets_app.domain.roles import Action
from datasets_app.services.access import allowed_datasets, may_somewhere
from goldenproject.kit.admin import ConsoleAdmin, LedgerAdmin
from labeling_app.models import LabelHistory, LabelingSession
from labeling_app.services.annotators import annotated_by
from labeling_app.services.erasing import ERASED_TEXT

SHOWN_CHARACTERS = 80
_TONES = {
    "submitted": 1,
    "changed": 5,
    "imported": 5,
    "bulk": 4,
    "adopted": 2,
    "rejected": 6,
    "late": 3,
    "flagged": 3,
    "sent_back": 3,
    "restored": 5,
    "redacted": 6,
}
_ERASED = format_html('<span class="gd-muted">{}</span>', ERASED_TEXT)


class LabelHistoryAdmin(LedgerAdmin):
    """Everything that was said about the examples of the datasets in which a person may review."""

    list_display = ("moment", "who", "what_happened", "of_example", "answer", "of_queue")
    list_display_links = ("moment",)
    list_select_related = ("example", "queue__dataset")
    list_filter = (("event", ChoicesFieldListFilter),)
    search_fields = ("annotator",)
    search_help_text = "A labeler, or the id of an example"
    fields = (
        *("labeled_at", "annotator", "event", "of_example", "of_queue", "label_type"),
        *("value_shown", "previous_shown", "confidence", "notes", "source", "seconds", "input_shown"),
    )
    readonly_fields = ("of_example", "of_queue", "value_shown", "previous_shown", "seconds", "input_shown")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_somewhere(request.user, Action.REVIEW)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_somewhere(request.user, Action.REVIEW)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LabelHistory]:
        rows: QuerySet[LabelHistory] = super().get_queryset(request)
        return rows.filter(queue__dataset__in=allowed_datasets(request.user, Action.REVIEW))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        text = search_term.replace("\x00", "").strip()
        if not text:
            return queryset, False
        found = annotated_by(text) | Q(example__external_id=text)
        try:
            found |= Q(example=uuid.UUID(text))
        except ValueError:
            pass
        return queryset.filter(found), False

    def moment(self, row: LabelHistory) -> str:
        return f"{row.labeled_at:%Y-%m-%d %H:%M:%S}"

    moment.short_description = "When (UTC)"  # type: ignore[attr-defined]

    def who(self, row: LabelHistory) -> str:
        return row.annotator or "the system"

    def what_happened(self, row: LabelHistory) -> SafeString:
        words = row.get_event_display().partition(":")[0]
        return format_html('<span class="gd-chip gd-tone-{}">{}</span>', _TONES.get(row.event, 0), words)

    what_happened.short_description = "What"  # type: ignore[attr-defined]

    def of_example(self, row: LabelHistory) -> SafeString:
        return format_html(
            '<span class="gd-mono gd-cut" title="{}">{}</span>', row.example_id, str(row.example)[:24]
        )

    of_example.short_description = "Example"  # type: ignore[attr-defined]

    def answer(self, row: LabelHistory) -> SafeString:
        value = row.label_value
        if is_tombstone(value):
            return _ERASED
        if isinstance(value, dict) and len(value) == 1:  # an answer of one field is that field
            (value,) = value.values()
        text = row.notes if value is None else plain(value)
        return format_html(
            '<span class="gd-cut-2" title="{}">{}</span>', text[:1000], text[:SHOWN_CHARACTERS]
        )

    def of_queue(self, row: LabelHistory) -> SafeString:
        address = reverse("label_queue", args=[row.queue_id])
        return format_html('<a class="gd-link gd-cut" href="{}">{}</a>', address, row.queue)

    of_queue.short_description = "Queue"  # type: ignore[attr-defined]

    def value_shown(self, row: LabelHistory) -> SafeString:
        return _json(row.label_value)

    value_shown.short_description = "Answer"  # type: ignore[attr-defined]

    def previous_shown(self, row: LabelHistory) -> SafeString:
        return _json(row.previous_value)

    previous_shown.short_description = "Answer before"  # type: ignore[attr-defined]

    def seconds(self, row: LabelHistory) -> str:
        return "—" if row.duration_ms is None else f"{row.duration_ms / 1000:.1f} s"

    seconds.short_description = "Time taken"  # type: ignore[attr-defined]

    def input_shown(self, row: LabelHistory) -> str:
        return bytes(row.content_hash).hex() if row.content_hash is not None else "—"

    input_shown.short_description = "SHA-256 of the input"  # type: ignore[attr-defined]


class LabelingSessionAdmin(ConsoleAdmin):
    """The sessions of labelers in datasets in which a person may review."""

    list_display = ("started", "labeler", "of_queue", "kind", "labels", "lasted", "state")
    list_display_links = None
    list_select_related = ("labeler", "queue__dataset")
    ordering = ("-started_at",)
    search_fields = ("labeler__username", "queue__name")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_somewhere(request.user, Action.REVIEW)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_somewhere(request.user, Action.REVIEW)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LabelingSession]:
        rows: QuerySet[LabelingSession] = super().get_queryset(request)
        return rows.filter(queue__dataset__in=allowed_datasets(request.user, Action.REVIEW))

    def started(self, row: LabelingSession) -> str:
        return f"{row.started_at:%Y-%m-%d %H:%M}"

    started.short_description = "Began (UTC)"  # type: ignore[attr-defined]

    def of_queue(self, row: LabelingSession) -> SafeString:
        address = reverse("label_queue", args=[row.queue_id])
        return format_html('<a class="gd-link gd-cut" href="{}">{}</a>', address, row.queue)

    of_queue.short_description = "Queue"  # type: ignore[attr-defined]

    def kind(self, row: LabelingSession) -> str:
        return row.get_session_type_display().partition(":")[0]

    def labels(self, row: LabelingSession) -> str:
        return f"{row.examples_labeled:,}"

    def lasted(self, row: LabelingSession) -> str:
        seconds = int(((row.ended_at or row.last_seen_at) - row.started_at).total_seconds())
        hours, minutes = divmod(seconds // 60, 60)
        return f"{hours} h {minutes:02} min" if hours else f"{minutes} min" if minutes else f"{seconds} s"

    def state(self, row: LabelingSession) -> SafeString:
        tone, words = (0, "ended") if row.ended_at else (2, "under way")
        return format_html('<span class="gd-chip gd-tone-{}">{}</span>', tone, words)


def _json(value: Any) -> SafeString:
    if is_tombstone(value):
        return format_html("{} ({}: {})", _ERASED, value["at"][:10], value["reason"])
    return format_html('<pre class="gd-mono">{}</pre>', "—" if value is None else canonical_text(value))
