"""Loading without indexes: the big tables do without them while rows come in, and each is built once at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from exports_app.backup.tables import SECTIONS
from exports_app.errors import RestoreFailed

_BUILD_MEMORY = "128MB"

# Unique indexes without a constraint stay, and so does the key that a foreign key points at: the index is part of it.
_INDEXES = (
    "SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), "
    "quote_ident(c.conname), pg_get_constraintdef(c.oid) FROM pg_index i "
    "LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u') "
    "WHERE i.indrelid = ANY(%s::regclass[]) AND (c.oid IS NOT NULL OR NOT i.indisunique) "
    "AND NOT EXISTS (SELECT 1 FROM pg_constraint f WHERE f.contype = 'f' AND f.conindid = i.indexrelid) "
    # tables with foreign keys of their own are left alone: pending events of their rows forbid it
    "AND NOT EXISTS (SELECT 1 FROM pg_constraint f WHERE f.contype = 'f' AND f.conrelid = i.indrelid) ORDER BY 1, 2"
)


@contextmanager
def dropped_indexes(cursor: psycopg.Cursor[Any]) -> Iterator[None]:
    """Do without the indexes of the big tables inside the block: one build at the end instead of a million inserts.

    It is part of the restore's transaction, so a failure brings them back. A record that is there twice is found when
    its constraint comes back (psycopg.errors.UniqueViolation). Raises RestoreFailed when one is not as it was.
    """
    before = _indexes(cursor)
    for table, index, _, constraint, _ in before:
        cursor.execute(
            f"ALTER TABLE {table} DROP CONSTRAINT {constraint}" if constraint else f"DROP INDEX {index}"
        )
    yield
    cursor.execute(f"SET LOCAL maintenance_work_mem = '{_BUILD_MEMORY}'")
    for table, _, definition, constraint, told in before:
        cursor.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {constraint} {told}" if constraint else definition
        )
    if lost := set(before) ^ set(_indexes(cursor)):
        raise RestoreFailed(
            f"The index {sorted(lost)[0][1]} is not as it was before the restore; nothing was changed.",
            hint="Run: manage.py migrate",
        )


def _indexes(cursor: psycopg.Cursor[Any]) -> list[tuple[Any, ...]]:
    cursor.execute(_INDEXES, [[section.table for section in SECTIONS if section.bulk]])
    return cursor.fetchall()
