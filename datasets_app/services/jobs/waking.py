"""Take up again what a killed worker left behind: the queue itself does not."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from asgiref.sync import async_to_sync
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

from datasets_app.models import JobRun
from datasets_app.services.jobs.starting import RUN_TASK
from goldenproject.kit.clock import now
from goldenproject.kit.errors import GoldenError

logger = logging.getLogger(__name__)

QUIET_S = 30.0
MAX_TRIES = 5
_AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)  # the clocks of this machine and of the database may differ


class KilledTooOften(GoldenError):
    """The worker was killed each time that it did this job."""

    code = "killed_too_often"
    http_status = 500


def wake_stalled(*, quiet_s: float = QUIET_S) -> int:
    """Put jobs whose worker has not been heard of for `quiet_s` seconds back into the queue; return how many.

    A job that has outlived MAX_TRIES workers ends as failed: it may well be what kills them.
    """
    manager = JobManager(DjangoConnector())
    woken = 0
    for job in async_to_sync(manager.get_stalled_jobs)(seconds_since_heartbeat=quiet_s):
        if job.id is None:
            continue
        if job.attempts + 1 >= MAX_TRIES:
            _give_up(manager, job, job.id)
            continue
        manager.retry_job_by_id(job.id, retry_at=_AT_ONCE)
        logger.warning("job %s was left behind by its worker and is queued again", job.id)
        woken += 1
    return woken


def _give_up(manager: JobManager, job: Job, entry: int) -> None:
    logger.error("job %s has outlived %d workers and is given up", entry, MAX_TRIES)
    if job.task_name == RUN_TASK:
        error = KilledTooOften(
            f"The worker was killed {MAX_TRIES} times while it did this job.",
            hint="Look at the memory of the machine and the log of the worker.",
        )
        arguments = ProcrastinateJob.objects.values_list("args", flat=True).get(pk=entry)
        JobRun.objects.filter(
            pk=arguments["job_id"],
            state__in=(JobRun.State.QUEUED, JobRun.State.RUNNING),
        ).update(
            state=JobRun.State.FAILED,
            message=str(error),
            result={"error": error.as_dict()},
            finished_at=now(),
        )
    async_to_sync(manager.finish_job_by_id_async)(job_id=entry, status=Status.FAILED, delete_job=False)
