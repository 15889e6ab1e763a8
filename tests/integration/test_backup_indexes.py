"""Indexes that a restore does without for a while: the same ones stand afterwards."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from django.db import connection

from exports_app.backup.indexes import dropped_indexes
from exports_app.backup.tables import SECTIONS
from exports_app.errors import RestoreFailed

pytestmark = pytest.mark.django_db
IDENTITY = (
    "INSERT INTO datasets_app_exampleidentity (id, dataset_id, external_id, ordinal) VALUES (%s, %s, %s, %s)"
)


def standing(cursor: psycopg.Cursor[Any]) -> list[tuple[Any, ...]]:
    """Every index, constraint and NOT NULL of the tables of a backup."""
    tables = [section.table for section in SECTIONS]
    cursor.execute(
        "SELECT pg_get_indexdef(indexrelid), indisvalid, indisprimary FROM pg_index "
        "WHERE indrelid = ANY(%(t)s::regclass[]) UNION ALL "
        "SELECT conrelid::regclass || '.' || conname || ' ' || pg_get_constraintdef(oid), convalidated, condeferrable "
        "FROM pg_constraint WHERE conrelid = ANY(%(t)s::regclass[]) UNION ALL "
        "SELECT attrelid::regclass || '.' || attname, attnotnull, false FROM pg_attribute "
        "WHERE attrelid = ANY(%(t)s::regclass[]) AND attnum > 0 ORDER BY 1, 2, 3",
        {"t": tables},
    )
    return cursor.fetchall()


def raw_cursor() -> psycopg.Cursor[Any]:
    connection.ensure_connection()
    return psycopg.Cursor(connection.connection)


def test_dropped_indexes__after_the_block__all_stand_as_before() -> None:
    with raw_cursor() as cursor:
        before = standing(cursor)
        with dropped_indexes(cursor):
            within = standing(cursor)
        assert standing(cursor) == before
    gone = {row[0] for row in before} - {row[0] for row in within}
    for name in (
        "example_once_per_branch",
        "identity_ordinal_unique",
        "datasets_app_blob_pkey",
        "example_output_gin",
    ):
        assert any(name in definition for definition in gone), name


def test_dropped_indexes__a_row_twice__is_refused_when_the_constraint_comes_back() -> None:
    dataset = uuid.uuid4()
    with (
        raw_cursor() as cursor,
        pytest.raises(psycopg.errors.UniqueViolation, match="identity_external_id_unique"),
        dropped_indexes(cursor),
    ):
        cursor.executemany(IDENTITY, [(uuid.uuid4(), dataset, "one", number) for number in (1, 2)])


def test_dropped_indexes__an_index_lost_inside__is_refused() -> None:
    with (
        raw_cursor() as cursor,
        pytest.raises(RestoreFailed, match="is not as it was before the restore"),
        dropped_indexes(cursor),
    ):
        cursor.execute("CREATE INDEX one_more ON datasets_app_blob (length(body))")
