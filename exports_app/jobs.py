"""The jobs of exports and backups. Every process loads this module at its start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.urls import reverse

from datasets_app.domain.roles import Action
from datasets_app.errors import CorruptData
from datasets_app.models import JobRun
from datasets_app.services.jobs import JobKind, Progress, register
from exports_app.services.backups import BackupOptions, create_backup
from exports_app.services.verification import verify_installation


def _backup(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Back up into GOLDEN_BACKUP_DIR; done twice it finds its own backup there and changes nothing."""
    result = create_backup(
        directory=Path(settings.GOLDEN_BACKUP_DIR),
        actor=job.started_by,
        options=BackupOptions(description=str(job.arguments.get("description", ""))),
        progress=lambda done, total: progress(done, total or None, "Writing"),
    )
    return {
        "folder": str(result.directory),
        "sha256": result.sha256,
        "changed_since_the_last": result.changed,
        **result.totals,
    }


def _backup_links(job: JobRun) -> list[tuple[str, str]]:
    return [("Download the backup", reverse("exports_app_backup_download"))]


class VerificationFailed(CorruptData):
    """What is stored is not what was written."""

    code = "verification_failed"


def _verify(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Verify the database and the age of its last backup. What is wrong ends the job as failed, with all of it told."""
    progress(0, None, "Checking hashes, histories and guards")
    found = verify_installation(deep=bool(job.arguments.get("deep")), actor=job.started_by)
    if not found.valid:
        raise VerificationFailed(found.as_text(), **found.as_dict())
    return {**found.stats, "warnings": found.warnings}


register(JobKind("backup", "Backup", Action.BACKUP, _backup, _backup_links))
register(JobKind("verify", "Verify everything", Action.BACKUP, _verify))
