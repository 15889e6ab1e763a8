"""A worker that is asked to stop does not wait for long jobs: it leaves them at the next safe point, to be taken up again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from procrastinate.exceptions import JobAborted

Stops = Callable[[], bool]

_LOOKS_EVERY_S = 0.25
# Time in which the work itself may come to a safe point, before the statement that it waits for is cancelled.
PATIENCE_S = 2.0
_CANCELLED = "57014"


class JobStopped(JobAborted):
    """The worker stops: this job is left where it is, and is queued again. Not an error of the job."""


def never() -> bool:
    """Tell that nobody asks the worker to stop."""
    return False


def is_cancelled(error: Exception) -> bool:
    """Tell whether `error` is that of a statement that was cancelled."""
    return isinstance(error, OperationalError) and getattr(error.__cause__, "sqlstate", None) == _CANCELLED


@contextmanager
def interrupted(stops: Stops) -> Iterator[None]:
    """While the block runs, cancel the statement that this thread waits for once `stops` has been true for a while.

    Cancelled work rolls its transaction back, which is what would become of it when the worker was killed, only sooner.
    """
    if stops is never:
        yield
        return
    ended = threading.Event()
    of_this_thread = connections[DEFAULT_DB_ALIAS]
    watch = threading.Thread(target=_watch, args=(of_this_thread, stops, ended), daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def _watch(watched: BaseDatabaseWrapper, stops: Stops, ended: threading.Event) -> None:
    asked_at = None
    while not ended.wait(_LOOKS_EVERY_S):
        if not stops():
            continue
        asked_at = asked_at or time.monotonic()
        raw = watched.connection  # another one, where the work has begun a new session
        if raw is not None and time.monotonic() - asked_at >= PATIENCE_S:
            with suppress(psycopg.Error):  # of a connection that is gone there is nothing to cancel
                raw.cancel_safe(timeout=5)
