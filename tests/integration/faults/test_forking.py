"""A fork that tests rely on is what it says: also beside a browser, whose loop runs in the thread of the tests."""

from __future__ import annotations

import asyncio

import pytest
from django.db import connection

from tests.forking import in_child


def session() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_in_child__loop_began_after_a_connection__has_a_session_of_its_own(
    committed_db: str,
) -> None:
    before = session()
    loop = asyncio.new_event_loop()
    asyncio._set_running_loop(loop)  # as Playwright's, which calls the tests in a greenlet
    try:
        beside = session()

        def ask() -> None:
            assert session() not in (before, beside)

        assert beside != before
        assert in_child(ask)[0] == 0
    finally:
        connection.close()
        asyncio._set_running_loop(None)
        loop.close()
    assert session() == before


def test_in_child__error__is_told(committed_db: str) -> None:
    def fail() -> None:
        raise ZeroDivisionError("what went wrong")

    with pytest.raises(AssertionError, match="what went wrong"):
        in_child(fail)
