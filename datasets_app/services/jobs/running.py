"""Do a job: what a worker runs for each entry of the queue."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from django.db import InterfaceError, OperationalError, connection

from datasets_app.models import JobRun
from datasets_app.services.access import require
from datasets_app.services.jobs.kinds import kind_of
from datasets_app.services.jobs.progress import Progress
from datasets_app.services.jobs.stopping import JobStopped, Stops, interrupted, is_cancelled, never
from goldenproject.kit.clock import now
from goldenproject.kit.errors import GoldenError
from goldenproject.kit.retries import is_transient

logger = logging.getLogger(__name__)


def run_job(*, job_id: uuid.UUID, last_try: bool = True, stops: Stops = never) -> None:
    """Do the job and keep its result or its error; a job that is over already is left alone.

    An error of the golden data ends the job as failed and is not raised. What a lost connection broke is raised with
    the job still running, to be tried again, unless this is the `last_try`. Raises JobIsRunning when another worker has it.
    Once `stops` is true the job is left at the next safe point: it waits again, and JobStopped is raised.
    """
    with Progress(job_id, stops=stops) as progress:
        job = _begun(job_id)
        if job is None:
            return
        try:
            with interrupted(stops):
                result = _work(job, progress)
        except JobStopped:
            _leave(job)
            raise
        except GoldenError as error:
            _finish(job, JobRun.State.FAILED, str(error), {"error": error.as_dict()})
        except Exception as error:
            if stops() and is_cancelled(error):
                _leave(job)
                raise JobStopped from error
            if not last_try and _is_lost_connection(error):
                raise
            logger.exception("job %s (%s) failed", job.pk, job.kind)
            reason = f"An unexpected error stopped this job: {type(error).__name__}. The log of the worker has it all."
            details = {
                "code": "internal_error",
                "message": reason,
                "hint": "",
                "details": {"type": type(error).__name__},
            }
            _finish(job, JobRun.State.FAILED, reason, {"error": details})
        else:
            _finish(job, JobRun.State.DONE, "", result)


def _begun(job_id: uuid.UUID) -> JobRun | None:
    """Mark the job as running and return it, or None when there is nothing left to do."""
    job = JobRun.objects.select_related("dataset", "started_by").filter(pk=job_id).first()
    if job is None or job.state in (JobRun.State.DONE, JobRun.State.FAILED):
        return None
    job.state = JobRun.State.RUNNING
    job.started_at = job.started_at or now()
    job.done = 0
    job.save(update_fields=["state", "started_at", "done"])
    return job


def _work(job: JobRun, progress: Progress) -> dict[str, Any]:
    kind = kind_of(job.kind)
    if job.started_by is not None:  # the right may have been taken away while the job waited
        require(job.started_by, kind.action, job.dataset)
    return kind.work(job, progress)


def _leave(job: JobRun) -> None:
    """Let the job wait for another worker."""
    if not connection.is_usable():  # a statement that was cancelled late is this look's
        connection.close()
    job.state, job.message = JobRun.State.QUEUED, "The worker was stopped; the next one goes on with this."
    job.save(update_fields=["state", "message"])


def _is_lost_connection(error: Exception) -> bool:
    return isinstance(error, InterfaceError) or (isinstance(error, OperationalError) and is_transient(error))


def _finish(job: JobRun, state: JobRun.State, message: str, result: dict[str, Any]) -> None:
    if not connection.is_usable():
        connection.close()
    job.refresh_from_db(fields=["done", "total"])
    if state == JobRun.State.DONE and job.total is not None:
        job.done = job.total
    job.state = state
    job.message = message
    job.result = result
    job.finished_at = now()
    job.save(update_fields=["state", "done", "message", "result", "finished_at"])
