"""The page of backups: how it stands, what was done, and what can be started; and the one that asks before a restore."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path

from datasets_app.admin.jobs import job_address, visible_jobs
from datasets_app.domain.roles import Action
from datasets_app.models import JobRun
from datasets_app.services.access import may, require
from datasets_app.services.jobs import start_job
from exports_app.services.backup_log import backup_state, recent
from exports_app.services.backups import totals_told
from exports_app.services.restore_requests import (
    REPLACE_WORD,
    RESTORE_JOB,
    RestoreRequest,
    request_restore,
    totals_now,
)
from exports_app.services.stored_backups import (
    FOLDER,
    backup_folder,
    check_stored,
    folder_has_backup,
    stored_archives,
)
from goldenproject.kit.admin import ConsolePage
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput, NotFound

SHOWN_ARCHIVES = 100
_YES = "yes"
_CONFLICTS = {
    "error": "Stop, and change nothing",
    "skip": "Leave what is there",
    "update": "Take the backup's",
}


class BackupsPage(ConsolePage):
    """What release managers and administrators see of backups; each button starts a job and leads to its page."""

    title = "Backups"
    template_name = "exports_app/backups/backups.html"

    def prepare(self, **kwargs: Any) -> None:
        require(self.person, Action.BACKUP)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        archives = stored_archives()
        return super().get_context_data(
            state=backup_state(),
            folder=backup_folder(),
            has_folder=folder_has_backup(),
            archives=archives[:SHOWN_ARCHIVES],
            more_archives=max(0, len(archives) - SHOWN_ARCHIVES),
            now=now(),
            lines=recent(),
            seen_jobs=set(visible_jobs(self.person).filter(dataset=None).values_list("pk", flat=True)[:200]),
            may_restore=may(self.person, Action.RESTORE),
            folder_name=FOLDER,
            conflicts=_CONFLICTS,
            typed=self.request.POST,
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        starts = {
            "backup": self._backup,
            "verify": self._verify,
            "look": self._look,
            "drill": self._drill,
        }
        start = starts.get(request.POST.get("do", ""))
        if start is None:
            raise BadInput("This button is not known here; load the page again.")
        return HttpResponseRedirect(job_address(start()))

    def _ticked(self, name: str) -> bool:
        return self.request.POST.get(name) == _YES

    def _backup(self) -> JobRun:
        arguments = {
            "description": self.request.POST.get("description", "").replace("\x00", "").strip()[:2000],
            "archive": self._ticked("archive") or self._ticked("encrypt"),
            "encrypt": self._ticked("encrypt"),
        }
        return start_job(kind="backup", dataset=None, actor=self.person, arguments=arguments)

    def _verify(self) -> JobRun:
        source = self.request.POST.get("source", "")
        if source:
            check_stored(source)
        arguments = {"deep": self._ticked("deep"), "source": source}
        return start_job(kind="verify", dataset=None, actor=self.person, arguments=arguments)

    def _look(self) -> JobRun:
        return request_restore(request=self._asked(dry_run=True), actor=self.person)

    def _drill(self) -> JobRun:
        typed = self.request.POST
        request = RestoreRequest(
            source=typed.get("source", ""), strict=self._ticked("strict"), into_scratch=True
        )
        return request_restore(request=request, actor=self.person)

    def _asked(self, *, dry_run: bool) -> RestoreRequest:
        typed = self.request.POST
        replace = typed.get("way") == "replace"
        return RestoreRequest(
            source=typed.get("source", ""),
            replace=replace,
            on_conflict="error" if replace else typed.get("on_conflict", "error"),
            strict=self._ticked("strict"),
            embeddings=not self._ticked("no_embeddings"),
            dry_run=dry_run,
        )


class RestorePage(ConsolePage):
    """Asks before a restore: what a dry run found, beside what is there. What is replaced must be confirmed by a word."""

    title = "Restore"
    template_name = "exports_app/backups/restore.html"
    looked: JobRun

    def prepare(self, **kwargs: Any) -> None:
        require(self.person, Action.RESTORE)
        jobs = visible_jobs(self.person).filter(kind=RESTORE_JOB, state=JobRun.State.DONE)
        found = jobs.filter(pk=kwargs["job_id"], result__dry_run=True).first()
        if found is None:
            raise NotFound("There is no finished dry run here.", hint="Begin on the page of backups.")
        self.looked = found

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        told = self.looked.result
        return super().get_context_data(
            job=self.looked,
            asked=RestoreRequest.from_arguments(self.looked.arguments),
            told=told,
            rows=_compared(told["totals"]),
            datasets={kind: names for kind, names in told["datasets"].items() if names},
            word=REPLACE_WORD,
            conflict=_CONFLICTS,
            age=now() - self.looked.finished_at if self.looked.finished_at else None,
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        looked = {**self.looked.arguments, "dry_run": False, "sha256": self.looked.result["sha256"]}
        confirm = request.POST.get("confirm", "").strip()
        job = request_restore(
            request=RestoreRequest.from_arguments(looked), actor=self.person, confirm=confirm
        )
        messages.info(request, "The restore has been started. Nobody can read or write until it has ended.")
        return HttpResponseRedirect(job_address(job))


def _compared(totals: dict[str, int]) -> list[tuple[str, int, int | None]]:
    """Return (words, how many there are now, how many the backup holds) for each kind."""
    here = totals_now()
    return [(totals_told({name: 0}).partition(" ")[2], here[name], totals.get(name)) for name in here]


def backup_urls() -> list[URLPattern]:
    """Return the addresses of these pages, for the project's urls."""
    model_admin, wrap = admin.site.get_model_admin(JobRun), admin.site.admin_view
    return [
        path("admin/backup/", wrap(BackupsPage.as_view(model_admin=model_admin)), name="exports_app_backups"),
        path(
            "admin/backup/restore/<uuid:job_id>/",
            wrap(RestorePage.as_view(model_admin=model_admin)),
            name="exports_app_restore",
        ),
    ]
