"""How far a job is, told through a connection of its own: watchers see it while the work's transaction is open."""

from __future__ import annotations

import time
import uuid
from types import TracebackType

from django.db import connection

from datasets_app.services.jobs.stopping import JobStopped, Stops, never
from goldenproject.kit.errors import Conflict

EVERY_S = 0.5
_TELL = """
    UPDATE datasets_app_jobrun SET done = %s, total = coalesce(%s, total), message = coalesce(%s, message)
     WHERE id = %s AND state = 'running'
"""


class JobIsRunning(Conflict):
    """Another worker is doing this job."""

    code = "job_is_running"


class Progress:
    """A job's progress, written at most every half second; what comes in between is dropped.

    As a context it also holds the job: a second worker that takes the same job up is told JobIsRunning. The hold is a
    lock of the database session, so it ends with the process, however that ends.
    The work must not write the job's own row in a transaction of its own, or each would wait for the other.

    Where progress is told is also where the work may be left: it raises JobStopped when `stops` says so.
    """

    def __init__(self, job_id: uuid.UUID, every_s: float = EVERY_S, stops: Stops = never) -> None:
        self._stops = stops
        self._job_id = job_id
        self._every_s = every_s
        self._next = 0.0
        self._watched = connection.copy()

    def __enter__(self) -> Progress:
        if not self._locked("pg_try_advisory_lock"):
            self._watched.close()
            raise JobIsRunning
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._locked("pg_advisory_unlock")  # said, because a pool would keep the session
        except Exception:
            if error is None:  # else that error is the one to tell; a broken session has lost its lock anyway
                raise
        finally:
            self._watched.close()

    def __call__(self, done: int, total: int | None = None, message: str | None = None) -> None:
        """Tell how much is done of `total` (the unit is the job's own), and in words what is going on. Raises JobStopped."""
        if self._stops():
            raise JobStopped
        moment = time.monotonic()
        if moment < self._next:
            return
        self._next = moment + self._every_s
        with self._watched.cursor() as cursor:
            cursor.execute(_TELL, [done, total, message, self._job_id])

    def _locked(self, function: str) -> bool:
        with self._watched.cursor() as cursor:
            cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [f"golden job {self._job_id}"])
            return bool(cursor.fetchone()[0])
