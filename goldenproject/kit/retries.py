"""Try a write again when the database says that trying again is the cure."""

from __future__ import annotations

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)

# serialization_failure, deadlock_detected, and the connection errors of class 08 and 57P
_TRANSIENT = ("40001", "40P01", "57P01", "57P02", "57P03")


def is_transient(error: OperationalError) -> bool:
    """Tell whether `error` is one that a second try may cure."""
    sqlstate = getattr(error.__cause__, "sqlstate", None)
    if sqlstate is None:
        return not connection.is_usable() if connection.connection is not None else True
    return sqlstate in _TRANSIENT or sqlstate.startswith("08")


def retried(tries: int = 3, base_delay_s: float = 0.05) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a service that owns its transaction: serialization failures, deadlocks and lost connections are tried again.

    Inside somebody else's transaction nothing is tried again, because that transaction is lost as a whole.
    """

    def decorate(service: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(service)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            for attempt in range(1, tries + 1):
                try:
                    return service(*args, **kwargs)
                except OperationalError as error:
                    if attempt == tries or connection.in_atomic_block or not is_transient(error):
                        raise
                    logger.warning("%s: try %d of %d failed: %s", service.__name__, attempt, tries, error)
                    if not connection.is_usable():
                        connection.close()
                    time.sleep(base_delay_s * 2**attempt * (0.5 + random.random()))  # noqa: S311 - jitter
            raise AssertionError("unreachable")

        return run

    return decorate
