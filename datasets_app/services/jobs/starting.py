"""Start a job: a row that people watch, and an entry in the queue, both or neither."""

from __future__ import annotations

from typing import Any

from procrastinate.contrib.django import app

from datasets_app.models import Dataset, JobRun
from datasets_app.services.access import record, require
from datasets_app.services.jobs.kinds import kind_of
from goldenproject.kit.audit import acting
from goldenproject.kit.database_io import advisory_lock

RUN_TASK = "golden.run_job"


def start_job(
    *, kind: str, dataset: Dataset | None, actor: Any, arguments: dict[str, Any] | None = None
) -> JobRun:
    """Put a job into the queue and return it; the same one when it waits or runs already.

    `actor` is a user, who needs the right of the kind, or None for the system itself. The worker sees the job once the
    surrounding transaction has committed, and never when it is rolled back. Raises UnknownJobKind, Forbidden.
    """
    wanted = kind_of(kind)
    arguments = arguments or {}
    if actor is not None:
        require(actor, wanted.action, dataset)
    with acting(actor, f"start {kind}"):
        advisory_lock(f"start {kind} {dataset.pk if dataset else ''}")
        unfinished = JobRun.objects.filter(state__in=(JobRun.State.QUEUED, JobRun.State.RUNNING))
        same = unfinished.filter(kind=kind, dataset=dataset, arguments=arguments).first()
        if same is not None:
            return same
        job = JobRun.objects.create(kind=kind, dataset=dataset, arguments=arguments, started_by=actor)
        # jobs of one dataset wait for each other in the queue instead of blocking a worker each
        line = f"dataset {dataset.pk}" if dataset else kind
        app.configure_task(RUN_TASK, lock=line).defer(job_id=str(job.pk))
        record(actor, "job.start", dataset, wanted.title, job=str(job.pk), kind=kind)
    job.refresh_from_db()
    return job
