"""The history of any audited object, field by field, from the rows that the database's triggers write."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignKey
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse

from datasets_app.admin.versioning.history import VERBS, Event, people
from datasets_app.admin.versioning.page import PAGE_SIZE, number
from datasets_app.admin.versioning.presentation import show_changes
from datasets_app.domain.field_diff import diff_fields

_BOOKKEEPING = frozenset(
    {"history_id", "history_date", "history_change_reason", "history_type", "history_user", "db_user"}
)


class ObjectHistoryMixin:
    """For a ModelAdmin of an audited model: its History page tells who changed which field from what to what.

    `history_hidden` names fields that are not shown (secrets, derived columns).
    """

    model: Any
    admin_site: Any
    history_hidden: tuple[str, ...] = ()

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> TemplateResponse:
        found = self.get_object(request, unquote(object_id))  # type: ignore[attr-defined]
        if found is None:
            raise Http404
        if not self.has_view_permission(request, found):  # type: ignore[attr-defined]
            raise PermissionDenied
        before = number(request.GET.get("before"), -1)
        rows = self.model.history.filter(**{self.model._meta.pk.attname: found.pk}).order_by("-history_id")
        # one row more than is shown: the oldest on the page is compared with it
        page = list((rows if before < 0 else rows.filter(history_id__lt=before))[: PAGE_SIZE + 1])
        context = {
            **self.admin_site.each_context(request),
            **(extra_context or {}),
            "title": f"History of {found}",
            "object": found,
            "opts": self.model._meta,
            "events": self._events(page),
            "next": f"?before={page[PAGE_SIZE - 1].history_id}" if len(page) > PAGE_SIZE else "",
            "first_address": "?" if before >= 0 else "",
        }
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        return TemplateResponse(request, "datasets_app/versioning/object_history.html", context)

    def _events(self, rows: list[Any]) -> list[Event]:
        documents = self._documents(rows)
        names = people(row.history_user_id for row in rows)
        events = []
        for index, row in enumerate(rows[:PAGE_SIZE]):
            old = documents[index + 1] if index + 1 < len(rows) else {}
            changes = diff_fields(old, documents[index]) if row.history_type == "~" else []
            person = names.get(row.history_user_id, "")
            events.append(
                Event(
                    kind="edit",
                    at=row.history_date,
                    who=person or "somebody outside of the console",
                    what=VERBS.get(row.history_type, "changed"),
                    where="",
                    said=row.history_change_reason or "",
                    fields=show_changes(changes),
                    database_user="" if person else row.db_user,
                )
            )
        return events

    def _documents(self, rows: list[Any]) -> list[dict[str, Any]]:
        """Each history row as a document of its fields, under the names that people see; relations by name."""
        fields = [
            field
            for field in self.model.history.model._meta.fields
            if field.name not in _BOOKKEEPING and field.name not in self.history_hidden
        ]
        related = {
            field.name: field.related_model._default_manager.in_bulk(
                {getattr(row, field.attname) for row in rows} - {None}
            )
            for field in fields
            if isinstance(field, ForeignKey)
        }
        return [
            {str(field.verbose_name).capitalize(): _shown(field, row, related) for field in fields}
            for row in rows
        ]


def _shown(field: Any, row: Any, related: dict[str, dict[Any, Any]]) -> Any:
    value = getattr(row, field.attname)
    if field.name in related:
        return None if value is None else str(related[field.name].get(value, f"{field.verbose_name} {value}"))
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Decimal | UUID):
        return str(value)
    return value
