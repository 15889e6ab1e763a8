"""Sets in and out of PostgreSQL: binary cursors, COPY and server-side streams on Django's own connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import orjson
import psycopg
from django.conf import settings
from django.db import connection
from django.db.backends.utils import CursorWrapper

from goldenproject.kit.clock import random_uuid

_ONLY_WHEN_TOLD = 2**31  # times that another statement of the connection must come before it is prepared too


@contextmanager
def binary_cursor() -> Iterator[psycopg.Cursor[Any]]:
    """Yield a psycopg cursor that binds on the server and reads binary: the fast way for many hashes.

    Its errors are Django's, so that what is transient is tried again and what is not gets told.
    """
    connection.ensure_connection()
    if connection.connection.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
        raise RuntimeError("This connection is inside COPY: a query now would wait for ever.")
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.format = psycopg.pq.Format.BINARY
        yield cursor


class _PreparingCursor(psycopg.Cursor[Any]):
    """A cursor whose statements are parsed and planned once per connection; not where they are logged, for their text."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        return super().execute(query, params, prepare=not connection.queries_logged, **options)


@contextmanager
def prepared_cursor() -> Iterator[CursorWrapper]:
    """Yield a cursor of Django's whose statements the server keeps prepared: for the few that every label goes through.

    It binds on the server, so the types of parameters must be plain from the statement. Its queries are counted and
    its errors are Django's like those of any cursor. What is prepared belongs to the connection and ends with it.
    """
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    if raw.prepare_threshold is None and settings.GOLDEN_DB_PREPARE:
        raw.prepare_threshold = _ONLY_WHEN_TOLD
    with connection.wrap_database_errors, _PreparingCursor(raw) as cursor:
        make = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
        yield make(cursor)  # type: ignore[arg-type]


def json_or_null(value: Any) -> str | None:
    """Return a value as the text of a json parameter; None is SQL's NULL, not JSON's."""
    return None if value is None else orjson.dumps(value).decode()


def copy_rows(statement: str, rows: Iterable[Sequence[Any]], types: Sequence[str]) -> int:
    """Send `rows` through `statement` (COPY … FROM STDIN (FORMAT BINARY)) and return how many there were.

    `types` names the PostgreSQL type of each column: binary COPY converts nothing.
    """
    count = 0
    with binary_cursor() as cursor, cursor.copy(statement) as copy:  # type: ignore[arg-type]
        copy.set_types(list(types))
        write_row = copy.write_row
        for row in rows:
            write_row(row)
            count += 1
    return count


def copy_rows_in_parts(
    statement: str, rows: Iterable[Sequence[Any]], types: Sequence[str], *, part_rows: int = 20_000
) -> int:
    """Do as `copy_rows`, for small rows whose iterator itself queries this connection.

    A connection inside COPY waits for data alone: a query between two rows would wait for ever. So each part is read
    before its COPY begins.
    """
    source = iter(rows)
    count = 0
    while part := list(islice(source, part_rows)):
        count += copy_rows(statement, part, types)
    return count


# A cursor is planned for its first tenth, which here means a million index look-ups instead of one join of sets.
_WHOLE_RESULT = "SELECT set_config('cursor_tuple_fraction', '1', true), set_config('work_mem', '128MB', true)"


def stream(
    sql: str, parameters: Sequence[Any] = (), *, chunk_rows: int = 5000
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of a query in lists of `chunk_rows`, through a cursor of the server: flat memory.

    Must run inside a transaction, which also gives the whole stream one snapshot.
    """
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    with connection.wrap_database_errors, raw.cursor(name=f"golden_{random_uuid().hex}") as cursor:
        cursor.itersize = chunk_rows
        raw.execute(_WHOLE_RESULT)
        cursor.execute(sql, parameters)  # type: ignore[arg-type]
        while rows := cursor.fetchmany(chunk_rows):
            yield rows


def held_cursor(sql: str, parameters: Sequence[Any] = ()) -> psycopg.ServerCursor[Any]:
    """Return a cursor of the server on the rows of a query that outlives the transaction, for readers who may stop halfway.

    Must run inside a transaction: at its end the server keeps the rows aside. Close it, or it lives as long as the
    connection; neither touches a transaction that was begun meanwhile.
    """
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    with connection.wrap_database_errors:
        cursor = raw.cursor(name=f"golden_{random_uuid().hex}", withhold=True)
        raw.execute(_WHOLE_RESULT)
        cursor.execute(sql, parameters)  # type: ignore[arg-type]
    return cursor


def advisory_lock(name: str) -> None:
    """Wait for the lock `name` and hold it until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def try_advisory_lock(name: str) -> bool:
    """Take the lock `name` until the transaction ends, or return False at once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        return bool(cursor.fetchone()[0])
