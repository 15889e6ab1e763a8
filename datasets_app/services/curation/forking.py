"""Start a dataset from a version of another: the same contents under identities of its own."""

from __future__ import annotations

import uuid
from typing import Any

from datasets_app.domain.identity import uuid_of_external_id
from datasets_app.models import Branch, DatasetCommit
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.reading import StreamedRow, load_version_table
from goldenproject.kit.database_io import binary_cursor, copy_rows, stream


def copy_version(start: DatasetCommit, branch: Branch, *, actor: Any) -> None:
    """Copy the examples of `start` into the empty working copy of `branch` and commit them. Redacted ones stay behind."""
    with binary_cursor() as cursor:
        load_version_table(start)
        cursor.execute(
            "CREATE TEMP TABLE golden_fork (old_id uuid, new_id uuid, external_id text, ordinal bigint) ON COMMIT DROP"
        )
    query = (
        "SELECT i.ordinal, i.id, i.external_id, '' FROM golden_version v "
        "JOIN datasets_app_exampleidentity i ON i.id = v.example_id ORDER BY i.ordinal"
    )
    for rows in stream(query):
        copy_rows(
            "COPY golden_fork FROM STDIN (FORMAT BINARY)",
            (_forked(branch, StreamedRow(*row)) for row in rows),
            ["uuid", "uuid", "text", "int8"],
        )
    with binary_cursor() as cursor:
        cursor.execute(_COPY_IDENTITIES, [branch.dataset_id])
        cursor.execute(_COPY_ROWS, [branch.pk])
        cursor.execute("DROP TABLE golden_fork")
    if start.example_count:
        commit(branch=branch, message=f"Start from {start.dataset.name}@{start.short_hash}", actor=actor)


def _forked(branch: Branch, row: StreamedRow) -> tuple[uuid.UUID, uuid.UUID, str | None, int]:
    if row.external_id is not None:
        fresh = uuid_of_external_id(branch.dataset_id, row.external_id)
    else:
        fresh = uuid.uuid5(branch.dataset_id, f"fork:{row.uuid}")
    return row.uuid, fresh, row.external_id, row.ordinal


_COPY_IDENTITIES = """
    INSERT INTO datasets_app_exampleidentity (id, dataset_id, external_id, ordinal)
    SELECT f.new_id, %s, f.external_id, nextval('golden_ordinal_seq')
      FROM (SELECT * FROM golden_fork ORDER BY ordinal) f
"""
_COPY_ROWS = """
    INSERT INTO datasets_app_example (branch_id, example_id, ordinal, example_type_id, input_data, expected_output,
           labels, metadata, provenance, source_decision_id, validation_status)
    SELECT %s, i.id, i.ordinal, t.id, c.doc -> 'input', c.doc -> 'output', coalesce(c.doc -> 'labels', '{}'),
           coalesce(c.doc -> 'metadata', '{}'), coalesce(c.doc -> 'provenance', '{}'), c.doc ->> 'source',
           coalesce(c.doc ->> 'status', 'pending')
      FROM golden_fork f
      JOIN datasets_app_exampleidentity i ON i.id = f.new_id
      JOIN golden_version v ON v.example_id = f.old_id
      JOIN datasets_app_blob b ON b.hash = v.hash
      CROSS JOIN LATERAL (SELECT b.body::jsonb AS doc) c
      JOIN datasets_app_exampletype t ON t.name = c.doc ->> 'type'
     WHERE NOT EXISTS (SELECT 1 FROM datasets_app_redaction r WHERE r.blob_hash = b.hash)
     ORDER BY i.ordinal
"""
