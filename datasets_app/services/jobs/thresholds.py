"""What is small is done at once, in the request that asks for it; what is big becomes a job."""

from __future__ import annotations

from typing import Any

from datasets_app.models import Branch, ImportBatch, JobRun
from datasets_app.services.curation.importing import ImportResult
from datasets_app.services.curation.staging import apply_batch
from datasets_app.services.jobs.starting import start_job
from datasets_app.services.versioning.worktrees import open_worktree

ROWS_OPENED_AT_ONCE = 20_000
ROWS_IMPORTED_AT_ONCE = 50_000


def open_or_start(*, branch: Branch, actor: Any) -> JobRun | None:
    """Open the working copy of a branch; of a big one, start the job that does and return it."""
    rows = branch.commit.example_count if branch.commit else 0
    if branch.is_open or branch.is_closed or rows <= ROWS_OPENED_AT_ONCE:
        open_worktree(branch=branch, actor=actor)
        return None
    return start_job(
        kind="open_worktree", dataset=branch.dataset, arguments={"branch": branch.pk}, actor=actor
    )


def apply_or_start(*, batch: ImportBatch, actor: Any) -> ImportResult | JobRun:
    """Apply a staged import; of a big one, start the job that does and return it. Raises Conflict."""
    rows = batch.rows_new + batch.rows_changed + batch.rows_unchanged
    if batch.state != ImportBatch.State.STAGED or rows <= ROWS_IMPORTED_AT_ONCE:
        return apply_batch(batch=batch, actor=actor)
    return start_job(
        kind="import_apply",
        dataset=batch.branch.dataset,
        arguments={"batch": str(batch.pk), "file": batch.file_name},
        actor=actor,
    )
