"""Put many prepared examples into a working copy as sets: new ones inserted, changed ones updated, equal ones left alone.

The rows come in batches through the temporary table golden_import; every `FLUSH_ROWS` rows they are written:
known examples are looked up, identities that are new get the next ordinals (in the order of the file), rows that
differ are updated, rows that are new inserted. A dataset that was empty before skips the look-ups.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from datasets_app.models import Branch
from datasets_app.services.versioning.statistics import refresh_statistics
from goldenproject.kit.database_io import advisory_lock, binary_cursor, copy_rows


class PreparedExample(NamedTuple):
    """An example that passed every check, as JSON texts. `labels` and `metadata` are None where the file has none."""

    line: int
    example_id: uuid.UUID
    external_id: str | None
    type_id: int
    input_data: str
    expected_output: str | None
    labels: str | None
    metadata: str | None
    search_text: str


@dataclass
class UpsertCounts:
    added: int = 0
    changed: int = 0
    unchanged: int = 0


FLUSH_ROWS = 100_000
_COPY = """
    COPY golden_import (line, example_id, external_id, type_id, input_data, expected_output, labels, metadata,
        search_text) FROM STDIN (FORMAT BINARY)
"""
_COLUMN_TYPES = ["int8", "uuid", "text", "int8", "text", "text", "text", "text", "text"]
# The ordinal of a row that turns out to be known is replaced by its own; the sequence may have gaps.
_CREATE = """
    CREATE TEMP TABLE golden_import (line bigint, example_id uuid, external_id text, type_id bigint, input_data text,
        expected_output text, labels text, metadata text, search_text text, is_known boolean DEFAULT false,
        ordinal bigint DEFAULT nextval('golden_ordinal_seq')) ON COMMIT DROP
"""
_FIND_KNOWN = """
    UPDATE golden_import g SET is_known = true, ordinal = i.ordinal
      FROM datasets_app_exampleidentity i WHERE i.id = g.example_id
"""
# An id from outside may be known under another UUID when it came with a backup of another tool.
_FIND_KNOWN_IDS = """
    UPDATE golden_import g SET is_known = true, ordinal = i.ordinal, example_id = i.id
      FROM datasets_app_exampleidentity i
     WHERE NOT g.is_known AND i.dataset_id = %s AND i.external_id = g.external_id
"""
# An export names an example that has no id from outside by its UUID; coming back, that is the same example.
_FIND_UUIDS = """
    UPDATE golden_import g SET is_known = true, ordinal = i.ordinal, example_id = i.id, external_id = NULL
      FROM datasets_app_exampleidentity i
     WHERE NOT g.is_known AND i.dataset_id = %s AND i.external_id IS NULL
       AND i.id = CASE WHEN g.external_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN g.external_id::uuid END
"""
_ADD_IDENTITIES = """
    INSERT INTO datasets_app_exampleidentity (id, dataset_id, external_id, ordinal)
    SELECT example_id, %s, external_id, ordinal FROM golden_import WHERE NOT is_known
"""
_UPDATE_CHANGED = """
    UPDATE datasets_app_example e
       SET example_type_id = g.type_id, input_data = g.input_data, expected_output = g.expected_output,
           labels = coalesce(g.labels, e.labels), metadata = coalesce(g.metadata, e.metadata),
           provenance = CASE WHEN e.provenance ? 'label'
               AND e.expected_output #> string_to_array(coalesce(e.provenance #>> '{label,field}', ''), '.')
                   IS DISTINCT FROM g.expected_output #> string_to_array(coalesce(e.provenance #>> '{label,field}', ''), '.')
               THEN e.provenance - 'label' ELSE e.provenance END,
           validation_status = CASE WHEN (e.input_data, e.expected_output, e.example_type_id)
               IS DISTINCT FROM (g.input_data, g.expected_output, g.type_id) THEN 'pending' ELSE e.validation_status END,
           updated_at = statement_timestamp()
      FROM (SELECT example_id, type_id, input_data::jsonb, expected_output::jsonb, labels::jsonb, metadata::jsonb
              FROM golden_import WHERE is_known) g
     WHERE e.branch_id = %s AND e.example_id = g.example_id
       AND (e.example_type_id, e.input_data, e.expected_output, e.labels, e.metadata) IS DISTINCT FROM
           (g.type_id, g.input_data, g.expected_output, coalesce(g.labels, e.labels), coalesce(g.metadata, e.metadata))
"""
_ADD_ROWS = """
    INSERT INTO datasets_app_example (branch_id, example_id, ordinal, example_type_id, input_data, expected_output,
           labels, metadata, provenance, validation_status, search_text)
    SELECT %s, g.example_id, g.ordinal, g.type_id, g.input_data::jsonb, g.expected_output::jsonb,
           coalesce(g.labels, '{}')::jsonb, coalesce(g.metadata, '{}')::jsonb, '{}', 'pending', lower(g.search_text)
      FROM golden_import g
"""
_UNLESS_THERE = """
     WHERE NOT g.is_known OR NOT EXISTS (
           SELECT 1 FROM datasets_app_example e WHERE e.branch_id = %s AND e.example_id = g.example_id)
"""


class BulkUpsert:
    """Writes batches into one working copy; must run inside the transaction of its caller.

    Concurrent imports of equal examples into one dataset are one after the other, by a lock on the dataset's name.
    """

    def __init__(self, branch: Branch) -> None:
        self._branch = branch
        self._waiting = 0
        self.counts = UpsertCounts()
        advisory_lock(f"golden import {branch.dataset_id}")
        with binary_cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS golden_import")
            cursor.execute(_CREATE)
            cursor.execute(
                "SELECT EXISTS (SELECT 1 FROM datasets_app_exampleidentity WHERE dataset_id = %s)",
                [branch.dataset_id],
            )
            self._was_empty = not cursor.fetchone()[0]  # type: ignore[index]

    def write(self, examples: Iterable[PreparedExample]) -> int:
        """Take one batch and return its size. A UUID may come once only in all batches together."""
        size = copy_rows(_COPY, examples, _COLUMN_TYPES)
        self.write_staged(size)
        return size

    def write_staged(self, size: int) -> None:
        """Count `size` rows that were put into golden_import, and write them when there are enough."""
        self._waiting += size
        if self._waiting >= FLUSH_ROWS:
            self._flush()

    def _flush(self) -> None:
        branch = self._branch
        changed = 0
        with binary_cursor() as cursor:
            if self._was_empty:
                cursor.execute(_ADD_IDENTITIES, [branch.dataset_id])
                cursor.execute(_ADD_ROWS, [branch.pk])
            else:
                cursor.execute("ANALYZE golden_import (example_id, external_id)")
                cursor.execute(_FIND_KNOWN)
                cursor.execute(_FIND_KNOWN_IDS, [branch.dataset_id])
                cursor.execute(_FIND_UUIDS, [branch.dataset_id])
                cursor.execute(_ADD_IDENTITIES, [branch.dataset_id])
                cursor.execute(_UPDATE_CHANGED, [branch.pk])
                changed = cursor.rowcount
                cursor.execute(_ADD_ROWS + _UNLESS_THERE, [branch.pk, branch.pk])
            added = cursor.rowcount
            cursor.execute("TRUNCATE golden_import")
        self.counts.added += added
        self.counts.changed += changed
        self.counts.unchanged += self._waiting - added - changed
        self._waiting = 0

    def close(self) -> UpsertCounts:
        """Write what still waits and return what became of all rows."""
        if self._waiting:
            self._flush()
        with binary_cursor() as cursor:
            cursor.execute("DROP TABLE golden_import")
        refresh_statistics(self.counts.added + self.counts.changed)
        return self.counts
