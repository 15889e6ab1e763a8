"""What somebody asks of a restore from afar: which stored backup, how, and whether it was meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.db import connection

from datasets_app.domain.roles import Action
from datasets_app.models import (
    Analysis,
    Artifact,
    Chunk,
    Dataset,
    DatasetCommit,
    Example,
    JobRun,
    TestQuery,
)
from datasets_app.services.access import require
from datasets_app.services.jobs import start_job
from exports_app.errors import NotConfirmed, NotTheOwner
from exports_app.services.restores import ON_CONFLICT
from exports_app.services.stored_backups import FOLDER, check_stored
from goldenproject.kit.errors import BadInput
from labeling_app.models import Label

RESTORE_JOB = "restore"
REPLACE_WORD = "replace"


@dataclass(frozen=True)
class RestoreRequest:
    """`source`: "folder" or the name of a stored archive. `sha256`: when given, a backup of another checksum is refused.

    `into_scratch` makes it a drill, which touches nothing. The others are those of `RestoreOptions`.
    """

    source: str = FOLDER
    replace: bool = False
    on_conflict: str = "error"
    strict: bool = False
    dry_run: bool = False
    embeddings: bool = True
    into_scratch: bool = False
    sha256: str = ""

    def arguments(self) -> dict[str, Any]:
        """Return the request as a job keeps it."""
        return asdict(self)

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> RestoreRequest:
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in arguments.items() if name in known})

    def check(self) -> None:
        """Raise BadInput for options that contradict each other, NoBackup when the source is not there."""
        if self.on_conflict not in ON_CONFLICT:
            raise BadInput(
                f"on_conflict: found “{self.on_conflict}”, expected one of {', '.join(ON_CONFLICT)}."
            )
        if self.replace and self.on_conflict != "error":
            raise BadInput("“replace” leaves nothing that “on_conflict” could be about.")
        if self.into_scratch and (self.replace or self.dry_run or self.on_conflict != "error"):
            raise BadInput(
                "A drill restores into an empty database: nothing there can be replaced, kept or only looked at."
            )
        if self.into_scratch and self.sha256:
            raise BadInput("“sha256” is for restores into this database, not for a drill.")
        check_stored(self.source)

    @property
    def deletes(self) -> bool:
        """Whether everything that the database holds would go."""
        return self.replace and not self.dry_run


def request_restore(*, request: RestoreRequest, actor: Any, confirm: str = "") -> JobRun:
    """Start the job of a restore, a dry run or a drill, and return it; the same one while the same waits or runs.

    What deletes must be confirmed by the word “replace”. Raises Forbidden, BadInput, NoBackup, NotConfirmed.
    """
    if actor is not None:
        require(actor, Action.RESTORE)
    request.check()
    if request.deletes and confirm != REPLACE_WORD:
        raise NotConfirmed(
            f"Found {confirm[:40]!r} as the confirmation, expected “{REPLACE_WORD}”: all golden data would be replaced.",
            hint="A dry run tells what would happen.",
        )
    return start_job(kind=RESTORE_JOB, dataset=None, actor=actor, arguments=request.arguments())


def require_owner() -> None:
    """Raise NotTheOwner unless this process may lift the guards: the role that serves may not, where there are two.

    Asked before the work, which such a role could not end.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_user, pg_has_role(current_user, relowner, 'USAGE') "
            "FROM pg_class WHERE oid = 'datasets_app_auditevent'::regclass"
        )
        role, owns = cursor.fetchone()
    if not owns:
        raise NotTheOwner(
            f"The worker's database role “{role}” does not own the golden tables, so it cannot restore.",
            hint="Run golden_restore with the owner's DATABASE_URL; dry runs can be started here.",
        )


def totals_now() -> dict[str, int]:
    """Count what the database holds, under the names of a backup's totals (completed analyses alone)."""
    completed = Analysis.Status.COMPLETED
    return {
        "total_analyses": Analysis.objects.filter(status=completed).count(),
        "total_chunks": Chunk.objects.filter(analysis__status=completed).count(),
        "total_artifacts": Artifact.objects.filter(analysis__status=completed).count(),
        "total_test_queries": TestQuery.objects.count(),
        "total_datasets": Dataset.objects.count(),
        "total_examples": Example.objects.count(),
        "total_commits": DatasetCommit.objects.count(),
        "total_labels": Label.objects.count(),
    }
