"""Examples of any version: a page, one, or all of them in the order of import. No working copy is needed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from django.db import transaction

from datasets_app.domain import tree
from datasets_app.domain.canonical import loads_stored
from datasets_app.domain.content import Content, is_tombstone
from datasets_app.errors import Redacted, UnknownExample
from datasets_app.models import DatasetCommit
from datasets_app.services.versioning.comparing import identities
from datasets_app.services.versioning.store import NodeStore, blob_texts
from goldenproject.kit.database_io import binary_cursor, held_cursor, stream

_SCAN_AHEAD = 4
_STREAM_ROWS = 5000


@dataclass(frozen=True)
class VersionedExample:
    """An example as a version holds it; `content` is None when it was redacted."""

    uuid: uuid.UUID
    external_id: str | None
    ordinal: int
    content: Content | None

    @property
    def name(self) -> str:
        return self.external_id if self.external_id is not None else str(self.uuid)


def page_at(
    commit: DatasetCommit, *, after_ordinal: int | None = None, limit: int = 50
) -> list[VersionedExample]:
    """Return up to `limit` examples of a version behind `after_ordinal`, in the order of import.

    Walks the identities of the dataset and asks the tree which of them the version holds.
    """
    found: list[tuple[uuid.UUID, str | None, int, bytes]] = []
    last = -1 if after_ordinal is None else after_ordinal
    take = limit
    while len(found) < limit:
        rows = _identities_after(commit, last, take)
        held = tree.lookup(commit.root, [row[0].bytes for row in rows], NodeStore())
        found += [(*row, held[row[0].bytes]) for row in rows if row[0].bytes in held]
        if len(rows) < take:
            break
        last = rows[-1][2]
        take = min(take * _SCAN_AHEAD, 20_000)
    page = found[:limit]
    texts = blob_texts(content for *_, content in page)
    return [VersionedExample(u, e, o, content_of(texts[h])) for u, e, o, h in page]


def _identities_after(
    commit: DatasetCommit, ordinal: int, count: int
) -> list[tuple[uuid.UUID, str | None, int]]:
    with binary_cursor() as cursor:
        cursor.execute(
            "SELECT id, external_id, ordinal FROM datasets_app_exampleidentity "
            "WHERE dataset_id = %s AND ordinal > %s ORDER BY ordinal LIMIT %s",
            [commit.dataset_id, ordinal, count],
        )
        return cursor.fetchall()


def content_of(text: str) -> Content | None:
    """Return the content of a canonical text, None for a tombstone."""
    document = loads_stored(text)
    return None if is_tombstone(document) else Content.from_document(document)


def example_at(commit: DatasetCommit, example: uuid.UUID) -> VersionedExample:
    """Return one example as a version holds it. Raises UnknownExample, Redacted."""
    held = tree.lookup(commit.root, [example.bytes], NodeStore())
    if not held:
        raise UnknownExample(f"Version {commit.short_hash} does not hold example {example}.")
    external_id, ordinal = identities([example.bytes])[example.bytes]
    content = content_of(next(iter(blob_texts(held.values()).values())))
    if content is None:
        raise Redacted(f"The content of example {external_id or example} was redacted.")
    return VersionedExample(example, external_id, ordinal, content)


class StreamedRow(NamedTuple):
    """An example of a version as it is streamed: `text` is the canonical content, or a tombstone."""

    ordinal: int
    uuid: uuid.UUID
    external_id: str | None
    text: str


_JOINED = """
    SELECT i.ordinal, i.id, i.external_id, b.body
      FROM golden_version v
      JOIN datasets_app_exampleidentity i ON i.id = v.example_id
      JOIN datasets_app_blob b ON b.hash = v.hash
     ORDER BY i.ordinal
"""


def stream_at(commit: DatasetCommit, *, chunk_rows: int = _STREAM_ROWS) -> Iterator[list[StreamedRow]]:
    """Yield all examples of a version in the order of import, in lists of `chunk_rows`. Flat memory.

    Must run inside a transaction; the list of (example, content hash) goes through a temporary table.
    """
    load_version_table(commit)
    for rows in stream(_JOINED, chunk_rows=chunk_rows):
        yield [StreamedRow(*row) for row in rows]


def rows_at(commit: DatasetCommit, *, chunk_rows: int = _STREAM_ROWS) -> Iterator[StreamedRow]:
    """Yield all examples of a version in the order of import, for readers who may stop halfway or do other work meanwhile.

    No transaction is open between two rows. The server keeps the rows aside until the last is read.
    """
    with transaction.atomic():
        load_version_table(commit)
        cursor = held_cursor(_JOINED)
    with closing(cursor):
        while rows := cursor.fetchmany(chunk_rows):
            yield from (StreamedRow(*row) for row in rows)


_BINARY_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_BINARY_COPY_END = b"\xff\xff"
_VERSION_ROW = np.dtype(
    [("fields", ">i2"), ("uuid_bytes", ">i4"), ("uuid", "V16"), ("hash_bytes", ">i4"), ("hash", "V32")]
)


def load_version_table(commit: DatasetCommit) -> None:
    """Fill the temporary table golden_version(example_id uuid, hash bytea) with a version's entries.

    The leaves' bodies are turned into rows of binary COPY as arrays: a tenth of the time that a row at a time takes.
    """
    with binary_cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS golden_version")
        cursor.execute("CREATE TEMP TABLE golden_version (example_id uuid, hash bytea) ON COMMIT DROP")
        # a COPY for each batch of leaves: while one is open, the connection cannot fetch more nodes
        for bodies in tree.leaves(commit.root, NodeStore()):
            with cursor.copy("COPY golden_version FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(_BINARY_COPY_HEADER + _version_rows(bodies) + _BINARY_COPY_END)
        cursor.execute("ANALYZE golden_version")


def _version_rows(bodies: Iterable[bytes]) -> bytes:
    entries = np.frombuffer(b"".join(body[1:] for body in bodies), dtype=[("uuid", "V16"), ("hash", "V32")])
    rows = np.zeros(len(entries), dtype=_VERSION_ROW)
    rows["fields"], rows["uuid_bytes"], rows["hash_bytes"] = 2, 16, 32
    rows["uuid"], rows["hash"] = entries["uuid"], entries["hash"]
    return rows.tobytes()
