"""A fork that tests rely on is what it says: also beside a browser, whose loop runs in the thread of the tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from django.db import connection

from tests.forking import in_child


def session() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@contextmanager
def running(loop: asyncio.AbstractEventLoop | None) -> Iterator[None]:
    """Let `loop` (None: none) be what runs in this thread, as Playwright's does, which calls the tests in a greenlet."""
    before = asyncio._get_running_loop()
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        connection.close()
        asyncio._set_running_loop(before)


def test_in_child__loop_began_after_a_connection__has_a_session_of_its_own(committed_db: str) -> None:
    with closing(asyncio.new_event_loop()) as loop, running(None):
        without = session()
        with running(loop):
            beside = session()

            def ask() -> None:
                assert session() not in (without, beside)

            assert beside != without
            assert in_child(ask)[0] == 0
        assert session() == without


def test_in_child__error__is_told(committed_db: str) -> None:
    def fail() -> None:
        raise ZeroDivisionError("what went wrong")

    with pytest.raises(AssertionError, match="what went wrong"):
        in_child(fail)
