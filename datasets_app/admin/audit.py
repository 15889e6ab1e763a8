"""The audit log: what somebody did as a whole. Read-only, newest first."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from datasets_app.domain.roles import Action
from datasets_app.models import AuditEvent
from datasets_app.services.access import allowed_datasets, may, may_somewhere
from goldenproject.kit.admin import LedgerAdmin


class AuditEventAdmin(LedgerAdmin):
    """Administrators see all of it, others what happened in the datasets that they may see."""

    list_display = ("moment", "who", "action", "of_dataset", "summary_shown")
    list_display_links = ("moment",)
    list_select_related = ("dataset",)
    search_fields = ("action", "actor_name")
    fields = ("at", "actor_name", "action", "of_dataset", "summary", "succeeded", "details_shown")
    readonly_fields = ("of_dataset", "details_shown")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_somewhere(request.user, Action.VIEW)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        events: QuerySet[AuditEvent] = super().get_queryset(request)
        if may(request.user, Action.MANAGE):
            return events
        return events.filter(dataset__in=allowed_datasets(request.user, Action.VIEW))

    def moment(self, event: AuditEvent) -> str:
        return f"{event.at:%Y-%m-%d %H:%M:%S}"

    moment.short_description = "When (UTC)"  # type: ignore[attr-defined]

    def who(self, event: AuditEvent) -> str:
        return event.actor_name or "the system"

    def of_dataset(self, event: AuditEvent) -> str:
        return event.dataset.name if event.dataset else "—"

    of_dataset.short_description = "Dataset"  # type: ignore[attr-defined]

    def summary_shown(self, event: AuditEvent) -> SafeString:
        return format_html('<span class="gd-cut-2">{}</span>', event.summary)

    summary_shown.short_description = "What"  # type: ignore[attr-defined]

    def details_shown(self, event: AuditEvent) -> SafeString:
        text = json.dumps(event.details, indent=2, ensure_ascii=False, sort_keys=True)
        return format_html('<pre class="gd-mono">{}</pre>', text)

    details_shown.short_description = "Details"  # type: ignore[attr-defined]
