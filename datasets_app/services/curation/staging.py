"""Imports in two steps: a file is read, checked and staged for a preview; then it is applied as it was shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson
from psycopg.types.json import Jsonb

from datasets_app.models import Branch, ImportBatch
from datasets_app.services.access import record
from datasets_app.services.curation.importing import (
    ImportOptions,
    ImportResult,
    Progress,
    prepared_rows,
    type_for,
)
from datasets_app.services.curation.preparing import RefusedRow
from datasets_app.services.curation.upserting import BulkUpsert, PreparedExample
from datasets_app.services.versioning.commits import lock_branch
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.clock import now
from goldenproject.kit.database_io import binary_cursor, copy_rows
from goldenproject.kit.errors import Conflict
from goldenproject.kit.read_ahead import batches_ahead
from goldenproject.kit.retries import retried

_BATCH_ROWS = 10_000
_COPY = """
    COPY datasets_app_stagedrow (batch_id, line, action, example_id, external_id, input_data, expected_output, labels,
        metadata, search_text, errors, raw) FROM STDIN (FORMAT BINARY)
"""
_TYPES = [
    "uuid",
    "int8",
    "varchar",
    "uuid",
    "text",
    "jsonb",
    "jsonb",
    "jsonb",
    "jsonb",
    "text",
    "jsonb",
    "text",
]
# as the writing itself will find them: an id known under another UUID, the UUID of an example without an id
_FIND_KNOWN = (
    """
    UPDATE datasets_app_stagedrow s SET example_id = i.id
      FROM datasets_app_exampleidentity i
     WHERE s.batch_id = %(batch)s AND s.action = 'new' AND i.dataset_id = %(dataset)s
       AND i.external_id = s.external_id AND i.id <> s.example_id
    """,
    """
    UPDATE datasets_app_stagedrow s SET example_id = i.id
      FROM datasets_app_exampleidentity i
     WHERE s.batch_id = %(batch)s AND s.action = 'new' AND i.dataset_id = %(dataset)s AND i.external_id IS NULL
       AND i.id = CASE WHEN s.external_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN s.external_id::uuid END
    """,
)
_CLASSIFY = """
    UPDATE datasets_app_stagedrow s
       SET action = CASE WHEN (e.example_type_id, e.input_data, e.expected_output, e.labels, e.metadata)
                              IS DISTINCT FROM
                              (%(type)s, s.input_data, s.expected_output, coalesce(s.labels, e.labels),
                               coalesce(s.metadata, e.metadata))
                         THEN 'changed' ELSE 'unchanged' END
      FROM datasets_app_example e
     WHERE s.batch_id = %(batch)s AND s.action = 'new' AND e.branch_id = %(branch)s AND e.example_id = s.example_id
"""
_COUNT = "SELECT action, count(*) FROM datasets_app_stagedrow WHERE batch_id = %s GROUP BY action"
_UNSTAGE = """
    INSERT INTO golden_import (line, example_id, external_id, type_id, input_data, expected_output, labels, metadata,
        search_text)
    SELECT line, example_id, external_id, %s, input_data::text, expected_output::text, labels::text, metadata::text,
        search_text
      FROM datasets_app_stagedrow WHERE batch_id = %s AND action IN ('new', 'changed', 'unchanged')
"""


def stage_file(
    *,
    branch: Branch,
    file: BinaryIO,
    file_name: str,
    options: ImportOptions,
    actor: Any,
    progress: Progress | None = None,
) -> ImportBatch:
    """Read and check a file and keep its rows with what each would do. Nothing of it reaches the dataset yet."""
    rows = prepared_rows(branch.dataset, file, file_name, options)
    with acting(actor, f"stage {file_name}"):
        example_type = type_for(branch.dataset, options.type_name)
        batch = ImportBatch.objects.create(
            branch=branch,
            example_type=example_type,
            file_name=file_name[:255],
            options={"format": options.format, "mapping": dict(options.mapping)},
            created_by=known_person(actor),
        )
        read = 0
        for part in batches_ahead(rows, _BATCH_ROWS):
            copy_rows(_COPY, (_staged(batch, row) for row in part), _TYPES)
            read += len(part)
            if progress:
                progress(read)
        with binary_cursor() as cursor:
            for statement in _FIND_KNOWN:
                cursor.execute(statement, {"batch": batch.pk, "dataset": branch.dataset_id})
            cursor.execute(_CLASSIFY, {"type": example_type.pk, "batch": batch.pk, "branch": branch.pk})
            cursor.execute(_COUNT, [batch.pk])
            counts = dict(cursor.fetchall())
        batch.rows_read = read
        batch.rows_new = counts.get("new", 0)
        batch.rows_changed = counts.get("changed", 0)
        batch.rows_unchanged = counts.get("unchanged", 0)
        batch.rows_refused = counts.get("refused", 0)
        batch.save()
    return batch


def _json(text: str | None) -> Jsonb | None:
    return None if text is None else Jsonb(text, dumps=str.encode)


def _staged(batch: ImportBatch, row: PreparedExample | RefusedRow) -> tuple[Any, ...]:
    if isinstance(row, RefusedRow):
        errors = Jsonb(row.errors, dumps=orjson.dumps)
        return (batch.pk, row.line, "refused", None, None, None, None, None, None, "", errors, row.raw)
    return (
        batch.pk,
        row.line,
        "new",
        row.example_id,
        row.external_id,
        _json(row.input_data),
        _json(row.expected_output),
        _json(row.labels),
        _json(row.metadata),
        row.search_text,
        _json("[]"),
        "",
    )


@retried()
def apply_batch(*, batch: ImportBatch, actor: Any) -> ImportResult:
    """Write the good rows of a staged file into the working copy, in one transaction, and clear the stage.

    Rows are compared with the working copy as it is now: what others changed since the preview counts.
    """
    with acting(actor, f"import {batch.file_name}"):
        current = _locked_staged(batch)
        branch = lock_branch(Branch.objects.select_related("dataset").get(pk=current.branch_id))
        upsert = BulkUpsert(branch)
        with binary_cursor() as cursor:
            cursor.execute(_UNSTAGE, [current.example_type_id, current.pk])
            upsert.write_staged(cursor.rowcount)
        counts = upsert.close()
        _clear(current)
        current.state = ImportBatch.State.APPLIED
        current.applied_at = now()
        current.save()
        record(
            actor,
            "import",
            branch.dataset,
            f"{current.file_name}: {counts.added} added, {counts.changed} changed, {current.rows_refused} refused",
        )
    batch.refresh_from_db()
    return ImportResult(
        current.rows_read, counts.added, counts.changed, counts.unchanged, current.rows_refused
    )


@retried()
def discard_batch(*, batch: ImportBatch, actor: Any) -> None:
    """Throw a staged file away."""
    with acting(actor, f"discard {batch.file_name}"):
        current = _locked_staged(batch)
        _clear(current)
        current.state = ImportBatch.State.DISCARDED
        current.save()
    batch.refresh_from_db()


def refused_rows(batch: ImportBatch) -> Iterator[bytes]:
    """Yield the refused rows of a staged file as JSONL: line, errors, raw."""
    rows = batch.rows.filter(action="refused").order_by("line").values_list("line", "errors", "raw")
    for line, errors, raw in rows.iterator():
        yield orjson.dumps({"line": line, "errors": errors, "raw": raw}) + b"\n"


def _locked_staged(batch: ImportBatch) -> ImportBatch:
    current = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if current.state != ImportBatch.State.STAGED:
        raise Conflict(f"The import of {current.file_name} was {current.state} already.")
    return current


def _clear(batch: ImportBatch) -> None:
    """Forget the good rows; the refused ones stay for download."""
    batch.rows.exclude(action="refused").delete()
