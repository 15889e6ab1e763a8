"""The canonical content of working rows, read by sets."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from datasets_app.domain.canonical import canonical_text, content_hash, loads_stored
from goldenproject.kit.database_io import binary_cursor

# The columns that make up content, as text; the names of the document's parts stand beside them.
CONTENT_COLUMNS = (
    "t.name, e.input_data::text, e.expected_output::text, e.labels::text, e.metadata::text, e.provenance::text, "
    "e.source_decision_id, e.validation_status"
)
_OF_EXAMPLES = f"""
    SELECT e.example_id, {CONTENT_COLUMNS}
      FROM datasets_app_example e JOIN datasets_app_exampletype t ON t.id = e.example_type_id
     WHERE e.branch_id = %s AND e.example_id = ANY(%s)
"""


class WorkingContent(NamedTuple):
    """The content of one working row: canonical text and its SHA-256."""

    uuid: uuid.UUID
    hash: bytes
    text: str


def text_of_columns(columns: Sequence[Any]) -> str:
    """Return the canonical text of a row's `CONTENT_COLUMNS`."""
    type_name, input_, output, labels, metadata, provenance, source, status = columns
    parts = [f'{{"input":{input_}']
    if output is not None and output != "null":
        parts.append(f'"output":{output}')
    for name, value in (("labels", labels), ("metadata", metadata), ("provenance", provenance)):
        if value != "{}":
            parts.append(f'"{name}":{value}')
    document = loads_stored(",".join(parts) + "}")
    document["type"] = type_name
    if source is not None:
        document["source"] = source
    if status != "pending":
        document["status"] = status
    return canonical_text(document)


def content_hash_of_columns(columns: Sequence[Any]) -> bytes:
    """Return the content hash of a row's `CONTENT_COLUMNS`."""
    return content_hash(text_of_columns(columns))


def working_contents(branch_id: int, uuids: Iterable[uuid.UUID]) -> Iterator[WorkingContent]:
    """Yield the content of those of `uuids` that have a row in the working copy of the branch."""
    with binary_cursor() as cursor:
        cursor.execute(_OF_EXAMPLES, [branch_id, list(uuids)])
        for row in cursor:
            text = text_of_columns(row[1:])
            yield WorkingContent(row[0], content_hash(text), text)
