"""Long pieces of work with their progress."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from datasets_app.domain.roles import Action
from datasets_app.models import JobRun
from datasets_app.services.access import allowed_datasets, may, may_somewhere
from goldenproject.kit.admin import ConsoleAdmin

_SHOWN_AS = {"queued": "pending", "running": "running", "done": "validated", "failed": "rejected"}


class JobRunAdmin(ConsoleAdmin):
    """A person sees the jobs of the datasets that they may see, and their own."""

    list_display = ("kind", "of_dataset", "state_shown", "progress", "started_by", "created_at")
    list_filter = ("state",)
    list_select_related = ("dataset", "started_by")
    ordering = ("-created_at",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_somewhere(request.user, Action.VIEW)

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobRun]:
        jobs: QuerySet[JobRun] = super().get_queryset(request)
        if may(request.user, Action.MANAGE):
            return jobs
        return jobs.filter(
            Q(dataset__in=allowed_datasets(request.user, Action.VIEW)) | Q(started_by=request.user.pk)
        )

    def of_dataset(self, job: JobRun) -> str:
        return job.dataset.name if job.dataset else "—"

    of_dataset.short_description = "Dataset"  # type: ignore[attr-defined]

    def state_shown(self, job: JobRun) -> SafeString:
        return format_html('<span class="gd-status gd-status-{}">{}</span>', _SHOWN_AS[job.state], job.state)

    state_shown.short_description = "State"  # type: ignore[attr-defined]

    def progress(self, job: JobRun) -> str:
        if job.total:
            return f"{job.done:,} of {job.total:,}"
        return f"{job.done:,}" if job.done else "—"
