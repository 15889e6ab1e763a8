"""The jobs of exports and backups. Every process loads this module at its start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings

from datasets_app.domain.roles import Action
from datasets_app.models import JobRun
from datasets_app.services.jobs import JobKind, Progress, register
from exports_app.services.backups import BackupOptions, create_backup


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


register(JobKind("backup", "Backup", Action.BACKUP, _backup))
