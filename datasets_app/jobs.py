"""The tasks of the queue, and the kinds of jobs of the golden data. Every process loads this module at its start."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import InterfaceError, OperationalError
from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app

from datasets_app.domain.roles import Action
from datasets_app.models import ImportBatch, JobRun
from datasets_app.services.curation.staging import apply_batch
from datasets_app.services.jobs import JobIsRunning, JobKind, Progress, register, run_job, wake_stalled
from datasets_app.services.jobs.starting import RUN_TASK
from datasets_app.services.jobs.waking import MAX_TRIES
from datasets_app.services.versioning.worktrees import open_worktree, row_count
from goldenproject.kit.errors import NotFound

_KEPT_HOURS = 72
_RETRY = RetryStrategy(
    max_attempts=MAX_TRIES, wait=15, retry_exceptions=(JobIsRunning, OperationalError, InterfaceError)
)


# --- tasks ----------------------------------------------------------------------------------------------------------
@app.task(name=RUN_TASK, pass_context=True, retry=_RETRY)
def run(context: JobContext, job_id: str) -> None:
    """Do one job."""
    run_job(job_id=uuid.UUID(job_id), last_try=context.job.attempts + 1 >= MAX_TRIES)


@app.periodic(cron="* * * * *", periodic_id="wake")
@app.task(name="golden.wake_stalled", queueing_lock="golden.wake_stalled")
def wake(timestamp: int) -> None:
    """Once a minute: take up what killed workers left behind."""
    wake_stalled()


@app.periodic(cron="17 3 * * *", periodic_id="tidy")
@app.task(name="golden.tidy_queue", queueing_lock="golden.tidy_queue", pass_context=True)
async def tidy(context: JobContext, timestamp: int) -> None:
    """Once a day: forget entries of the queue that ended days ago. What people see (JobRun) stays."""
    await context.app.job_manager.delete_old_jobs(
        nb_hours=_KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
    )


# --- kinds ----------------------------------------------------------------------------------------------------------
def _open_worktree(job: JobRun, progress: Progress) -> dict[str, Any]:
    branch = job.dataset and job.dataset.branches.filter(pk=job.arguments["branch"]).first()
    if not branch:
        raise NotFound("The branch that was to be opened is gone.")
    progress(0, None, f"Opening {branch.name}")
    open_worktree(branch=branch, actor=job.started_by)
    return {"branch": branch.name, "rows": row_count(branch)}


def _import_apply(job: JobRun, progress: Progress) -> dict[str, Any]:
    batch = ImportBatch.objects.filter(pk=job.arguments["batch"], branch__dataset=job.dataset).first()
    if batch is None:
        raise NotFound("The import that was to be applied is gone.")
    if batch.state == ImportBatch.State.APPLIED:  # the worker was killed after it had committed the rows
        return {"file": batch.file_name, "read": batch.rows_read, "refused": batch.rows_refused}
    progress(0, None, f"Importing {batch.file_name}")
    result = apply_batch(batch=batch, actor=job.started_by)
    return {
        "file": batch.file_name,
        "read": result.read,
        "added": result.added,
        "changed": result.changed,
        "unchanged": result.unchanged,
        "refused": result.refused,
    }


register(JobKind("open_worktree", "Open a branch for editing", Action.EDIT, _open_worktree))
register(JobKind("import_apply", "Import", Action.IMPORT, _import_apply))
