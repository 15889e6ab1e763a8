"""What was backed up, restored, tried and verified: read from the audit, told without the secrets of addresses."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from datasets_app.models import AuditEvent, JobRun
from datasets_app.services.versioning.verifying import VERIFY_ACTION
from exports_app.backup.destinations import shown
from exports_app.services.backups import totals_told
from exports_app.services.restore_requests import RESTORE_JOB
from exports_app.services.scratch import DRILL_ACTION
from exports_app.services.verification import OLD_BACKUP
from goldenproject.kit.clock import now

BACKUPS = ("backup",)
RESTORES = ("restore", DRILL_ACTION)
_KINDS = {
    "backup": "Backup",
    "restore": "Restore",
    DRILL_ACTION: "Restore drill",
    VERIFY_ACTION: "Verification",
    "backup.verify": "Verification",
}
_JOBS = ("backup", "verify", RESTORE_JOB)
SYSTEM = "the system"


def events(actions: tuple[str, ...]) -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(action__in=actions)


def safety_places() -> set[str]:
    """Return where the safety backups lie that restores took; they are of what was replaced, not of what is there."""
    places = events(("restore",)).values_list("details__safety_backup", flat=True)
    return {place for place in places if place}


def backup_document(event: AuditEvent) -> dict[str, Any]:
    """Return what is told of a backup: when, by whom, in which format, where to, totals, checksum, whether it differed."""
    told = event.details
    return {
        "id": event.pk,
        "at": event.at,
        "by": event.actor_name or None,
        "format": told.get("format", "json"),
        "place": shown(str(told.get("directory", ""))),
        "totals": told.get("totals") or {},
        "sha256": told.get("sha256") or told.get("dump_sha256") or "",
        "changed": told.get("changed"),
    }


def restore_document(event: AuditEvent) -> dict[str, Any]:
    """Return what is told of a restore or a drill."""
    told, drill = event.details, event.action == DRILL_ACTION
    return {
        "id": event.pk,
        "at": event.at,
        "by": event.actor_name or told.get("restored_by") or None,
        "is_drill": drill,
        "format": told.get("format", "json"),
        "source": shown(str(told.get("source" if drill else "directory", ""))),
        "succeeded": event.succeeded,
        "has_findings": told.get("exit_code") == 2 if drill else bool(told.get("findings")),
        "findings": told.get("findings") or [],
        "totals": told.get("totals") or {},
        "sha256": told.get("sha256") or "",
        "safety_backup": told.get("safety_backup"),
        "seconds": told.get("seconds") or {},
    }


@dataclass(frozen=True)
class BackupState:
    """How it stands: the newest backup of any format but safety backups, and whether it is too old to sleep well."""

    last: dict[str, Any] | None
    age: timedelta | None
    old: bool
    old_days: int = OLD_BACKUP.days

    @property
    def totals(self) -> str:
        return totals_told(self.last["totals"]) if self.last else ""


def backup_state() -> BackupState:
    places = safety_places()
    newest = events(BACKUPS).filter(succeeded=True).order_by("-id")
    event = next((one for one in newest.iterator(50) if one.details.get("directory") not in places), None)
    if event is None:
        return BackupState(None, None, True)
    age = now() - event.at
    return BackupState(backup_document(event), age, age > OLD_BACKUP)


@dataclass(frozen=True)
class LogLine:
    """One thing that was done, is being done or failed. `state`: a job's, or "findings"; `job`: the one that did it."""

    at: datetime
    what: str
    by: str
    state: str
    summary: str
    job: uuid.UUID | None = None


def recent(limit: int = 30) -> list[LogLine]:
    """Return the newest backups, restores, drills and verifications, the failed and unfinished jobs of these too."""
    found = events(tuple(_KINDS)).order_by("-id")[:limit]
    jobs = JobRun.objects.filter(kind__in=_JOBS).exclude(state=JobRun.State.DONE).select_related("started_by")
    places = safety_places()
    lines = [_line(event, places) for event in found]
    lines += [_job_line(job) for job in jobs.order_by("-created_at")[:limit]]
    return sorted(lines, key=lambda line: line.at, reverse=True)[:limit]


def _line(event: AuditEvent, places: set[str]) -> LogLine:
    told = event.details
    by = event.actor_name or told.get("restored_by") or SYSTEM
    state = "done" if event.succeeded else "failed"
    if told.get("findings") or told.get("exit_code") == 2:
        state = "findings"
    what = "Safety backup" if told.get("directory") in places else _KINDS[event.action]
    job = uuid.UUID(told["job"]) if told.get("job") else None
    return LogLine(event.at, what, by, state, _summary(event), job)


def _summary(event: AuditEvent) -> str:
    told = event.details
    if event.action == VERIFY_ACTION:
        return f"The database, {event.summary}: no errors"
    place = shown(str(told.get("directory", "")))
    if event.action == "backup":
        kind = "native dump" if told.get("format") == "dump" else totals_told(told.get("totals") or {})
        unchanged = " (nothing changed)" if told.get("changed") is False else ""
        return f"{place}{unchanged}: {kind}"
    if event.action == "restore" and told.get("format") != "dump":
        findings = told.get("findings") or []
        found = f"{len(findings)} findings, such as {findings[0]}. " if findings else ""
        return f"{found}{place}: {totals_told(told.get('totals') or {})}"
    return event.summary


def _job_line(job: JobRun) -> LogLine:
    what = {"backup": "Backup", "verify": "Verification"}.get(job.kind, "Restore")
    if job.kind == RESTORE_JOB and job.arguments.get("into_scratch"):
        what = "Restore drill"
    if job.kind == RESTORE_JOB and job.arguments.get("dry_run"):
        what = "Dry run of a restore"
    by = job.started_by.get_username() if job.started_by else SYSTEM
    return LogLine(job.created_at, what, by, job.state, job.message.partition("\n")[0], job.pk)
