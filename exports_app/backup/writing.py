"""Writing a backup from one snapshot: PostgreSQL makes the lines, this module seals, cuts and hashes them.

Nothing is collected: rows stream from COPY into files, so memory does not grow with the data.
"""

from __future__ import annotations

import hashlib
import json
import os
from binascii import crc32
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import psycopg

from exports_app.backup import analyses, layout
from exports_app.backup.analyses import DETAILS, DOCUMENTS
from exports_app.backup.records import seal
from exports_app.backup.sections import Section
from exports_app.backup.tables import SECTIONS, people_sql, saved_tables

VERSION = "1.0"
INLINE_EXAMPLES = 50_000
_INLINE_RECORDS_PER_EXAMPLE = 20
_SHARD_RECORDS = 100_000
_BATCH = 2000
_PROGRESS_ROWS = 20_000

# In CSV with control characters as quote and delimiter, a line of JSON comes out and goes in byte by byte as it is.
CSV = r"(FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class WriteOptions:
    """`inline_examples`: up to how many examples all is in the main file. `created_at`: the time that the file tells."""

    created_at: datetime
    inline_examples: int = INLINE_EXAMPLES
    shard_records: int = _SHARD_RECORDS


@dataclass
class WrittenBackup:
    """What was written: the checksum of the content, totals, records by section, and the shards that are named."""

    sha256: str = ""
    totals: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    shards: set[str] = field(default_factory=set)


def lock_tables(cursor: psycopg.Cursor[Any]) -> None:
    """Keep every table from being truncated or altered; call it before the first query, so before the snapshot."""
    cursor.execute("LOCK TABLE " + ", ".join(saved_tables()) + " IN ACCESS SHARE MODE")
    cursor.execute("SET LOCAL timezone = 'UTC'")
    cursor.execute("SET LOCAL work_mem = '64MB'")


def write_backup(
    cursor: psycopg.Cursor[Any], folder: Path, options: WriteOptions, progress: Progress | None = None
) -> WrittenBackup:
    """Write main file and shards into `folder` (the -new of a backup folder). The cursor is in the snapshot's transaction."""
    return _Writer(cursor, folder, options, progress).write()


class _MainFile:
    """The main file; hashes all but the moment of creation."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb", buffering=1 << 20)
        self._hash = hashlib.sha256()

    def write(self, data: bytes, *, hashed: bool = True) -> None:
        self._file.write(data)
        if hashed:
            self._hash.update(data)

    def close(self) -> str:
        digest = self._hash.hexdigest()
        self.write(b'  "sha256": "%s"\n}\n' % digest.encode(), hashed=False)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return digest

    def abandon(self) -> None:
        self._file.close()


class _Writer:
    def __init__(
        self, cursor: psycopg.Cursor[Any], folder: Path, options: WriteOptions, progress: Progress | None
    ) -> None:
        self._cursor = cursor
        self._folder = folder
        self._options = options
        self._progress = progress
        self._result = WrittenBackup()
        self._files: list[dict[str, Any]] = []
        self._checksums = bytearray()
        self._done = 0
        self._expected = 0

    def write(self) -> WrittenBackup:
        counts = self._count()
        result = self._result
        result.totals = {
            "total_analyses": counts["analyses"],
            "total_chunks": counts["chunks"],
            "total_artifacts": counts["artifacts"],
            "total_datasets": counts["datasets"],
            "total_examples": counts["examples"],
            "total_commits": counts["commits"],
            "total_test_queries": counts["test_queries"],
            "total_labels": counts["labels"],
        }
        main = _MainFile(self._folder / layout.MAIN)
        try:
            self._write_into(main, self._keeps_inline(counts))
        except BaseException:
            main.abandon()
            raise
        result.sha256 = main.close()
        return result

    def _write_into(self, main: _MainFile, inline: bool) -> None:
        main.write(b'{\n  "version": "%s",\n' % VERSION.encode())
        main.write(created_at_line(self._options.created_at), hashed=False)
        totals = json.dumps(self._result.totals, indent=2).replace("\n", "\n  ")
        main.write(b'  "metadata": %s,\n' % totals.encode())
        for name in DOCUMENTS:
            self._result.counts[name] = self._write_documents(main, name)
        self._cursor.execute(people_sql())
        names = [json.dumps({"name": row[0]}, ensure_ascii=False).encode() for row in self._cursor.fetchall()]
        self._write_inline(main, "people", names)
        for section in SECTIONS:
            if inline or not section.bulk:
                count = self._write_inline(main, section.name, self._records(section))
            else:
                count = self._write_shards(section)
            self._result.counts[section.name] = count
            if section.name == "corpora":
                self._write_details(main, inline)
        listed = [json.dumps(f, ensure_ascii=False).encode() for f in self._files]
        self._write_inline(main, "files", listed)

    def _count(self) -> dict[str, int]:
        counts = {}
        for section in SECTIONS:
            where = f" WHERE {section.where}" if section.where else ""
            self._cursor.execute(f"SELECT count(*) FROM {section.table} t{where}")
            counts[section.name] = self._cursor.fetchall()[0][0]
        self._cursor.execute(analyses.TOTALS_SQL)
        completed, chunks, artifacts, every = self._cursor.fetchall()[0]
        self._expected = sum(counts.values()) + 2 * every
        return {**counts, "analyses": completed, "chunks": chunks, "artifacts": artifacts, DETAILS: every}

    def _keeps_inline(self, counts: dict[str, int]) -> bool:
        limit = self._options.inline_examples
        return (
            counts["identities"] <= limit
            and counts[DETAILS] <= limit
            and sum(counts[s.name] for s in SECTIONS if s.bulk) <= limit * _INLINE_RECORDS_PER_EXAMPLE
        )

    # records ------------------------------------------------------------------------------------------------------

    def _records(self, section: Section) -> Iterator[bytes]:
        if section.by_month:
            for _, records in self._months(section):
                yield from records
        else:
            yield from self._copied(section.line_sql())

    def _copied(self, query: str) -> Iterator[bytes]:
        with self._cursor.copy(f"COPY ({query}) TO STDOUT {CSV}") as copy:  # type: ignore[arg-type]
            for block in copy:
                self._step()
                yield bytes(block)[:-1]

    def _step(self) -> None:
        self._done += 1
        if self._progress is not None and self._done % _PROGRESS_ROWS == 0:
            self._progress(self._done, self._expected)

    def _months(self, section: Section) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Yield each month ("2026-11", UTC) with its records in the order in which history was written."""
        self._cursor.execute(
            "SELECT to_char(month, 'YYYY-MM'), month::text, low, high FROM ("
            "SELECT date_trunc('month', history_date, 'UTC') AS month, min(history_id) AS low, max(history_id) AS high "
            f"FROM {section.table} GROUP BY 1) m ORDER BY month"
        )
        for label, month, low, high in self._cursor.fetchall():
            where = (
                f"t.history_id BETWEEN {low} AND {high} AND t.history_date >= '{month}'::timestamptz "
                f"AND t.history_date < '{month}'::timestamptz + interval '1 month'"
            )
            yield label, self._copied(section.line_sql(where))

    # main file ----------------------------------------------------------------------------------------------------

    def _write_inline(self, main: _MainFile, name: str, records: Iterable[bytes]) -> int:
        main.write(b'  "%s": [' % name.encode())
        count = 0
        batch: list[bytes] = []
        for record in records:
            batch.append(b"%s\n    %s" % (b"," if count else b"", seal(record)))
            count += 1
            if len(batch) >= _BATCH:
                main.write(b"".join(batch))
                batch.clear()
        main.write(b"".join(batch) + (b"\n  ],\n" if count else b"],\n"))
        return count

    def _write_documents(self, main: _MainFile, name: str) -> int:
        """Write the analyses of a list, pretty-printed, and keep each one's id and checksum (20 bytes)."""
        main.write(b'  "%s": [' % name.encode())
        count = 0
        for packed, document in analyses.documents(name):
            main.write(b"%s\n    %s" % (b"," if count else b"", document))
            self._checksums += packed + crc32(document).to_bytes(4, "big")
            count += 1
            self._step()
        main.write(b"\n  ],\n" if count else b"],\n")
        return count

    def _write_details(self, main: _MainFile, inline: bool) -> None:
        records = self._details()
        if inline:
            self._result.counts[DETAILS] = self._write_inline(main, DETAILS, records)
            return
        digits = prefix_digits(len(self._checksums) // 20, self._options.shard_records)
        total = 0
        for label, group in _cut_by_prefix(records, len('{"id":"'), digits):
            total += self._write_shard(DETAILS, label, group)
        self._result.counts[DETAILS] = total

    def _details(self) -> Iterator[bytes]:
        """Yield the details of each analysis by id, with the checksum of its document."""
        import numpy as np

        known = np.frombuffer(self._checksums, dtype=[("id", "S16"), ("crc", ">u4")])
        ordered = known["crc"][known["id"].argsort()]
        for number, record in enumerate(self._copied(analyses.DETAILS_SQL)):
            yield b'%s,"analysis_crc32":"%08x"}' % (record[:-1], ordered[number])

    # shards -------------------------------------------------------------------------------------------------------

    def _write_shards(self, section: Section) -> int:
        total = 0
        for label, records in self._labelled(section):
            total += self._write_shard(section.name, label, records)
        return total

    def _labelled(self, section: Section) -> Iterator[tuple[str, Iterable[bytes]]]:
        if section.by_month:
            for month, records in self._months(section):
                yield from _cut_by_count(records, self._options.shard_records, f"{month}-")
        elif section.by_prefix:
            self._cursor.execute(f"SELECT count(*) FROM {section.table}")
            digits = prefix_digits(self._cursor.fetchall()[0][0], self._options.shard_records)
            yield from _cut_by_prefix(self._records(section), len(section.key[0]) + 5, digits)
        elif section.by_block:
            yield from _cut_by_block(
                self._records(section), len(section.key[0]) + 4, self._options.shard_records
            )
        else:
            yield from _cut_by_count(self._records(section), self._options.shard_records, "")

    def _write_shard(self, name: str, label: str, records: Iterable[bytes]) -> int:
        folder = self._folder / layout.SHARDS / name
        folder.mkdir(parents=True, exist_ok=True)
        unnamed = folder / "unnamed"
        digest = hashlib.sha256()
        count = size = 0
        with unnamed.open("wb", buffering=0) as file:
            for batch in _batches(records):
                data = b"\n".join(map(seal, batch)) + b"\n"
                digest.update(data)
                file.write(data)
                count += len(batch)
                size += len(data)
            os.fsync(file.fileno())
        path = f"{layout.SHARDS}/{name}/{label}-{digest.hexdigest()[:16]}.jsonl"
        os.rename(unnamed, self._folder / path)
        self._result.shards.add(path)
        self._files.append(
            {
                "path": path,
                "section": name,
                "count": count,
                "bytes": size,
                "sha256": digest.hexdigest(),
            }
        )
        return count


def created_at_line(moment: datetime) -> bytes:
    return b'  "created_at": "%s",\n' % moment.strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def prefix_digits(count: int, shard_records: int) -> int:
    """Return how many leading hex digits cut `count` records into shards of about `shard_records` at the most."""
    digits = 0
    while count > shard_records * 16**digits:
        digits += 1
    return digits


def _batches(records: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for record in records:
        batch.append(record)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _cut_by_prefix(records: Iterator[bytes], at: int, digits: int) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Cut records that are sorted by their leading field where its first `digits` hex digits change."""
    yield from _cut(records, lambda record, number: record[at : at + digits].decode() or "all")


def _cut_by_count(records: Iterator[bytes], size: int, stem: str) -> Iterator[tuple[str, Iterable[bytes]]]:
    yield from _cut(records, lambda record, number: f"{stem}{number // size + 1:04d}")


def _cut_by_block(records: Iterator[bytes], at: int, size: int) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Cut records that are sorted by their leading number where it passes a multiple of `size`.

    A record that comes or goes changes the shard that it is in and no other.
    """
    yield from _cut(records, lambda record, _: f"{int(record[at : record.index(b',', at)]) // size:06d}")


def _cut(
    records: Iterator[bytes], label_of: Callable[[bytes, int], str]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Group neighbours of one label; each group must be used up before the next is asked for."""
    number = 0
    waiting = next(records, None)

    def group(label: str) -> Iterator[bytes]:
        nonlocal waiting, number
        while waiting is not None and label_of(waiting, number) == label:
            yield waiting
            number += 1
            waiting = next(records, None)

    while waiting is not None:
        label = label_of(waiting, number)
        yield label, group(label)


def write_metadata(
    folder: Path, totals: dict[str, int], last_updated: datetime, changes: list[dict[str, Any]]
) -> None:
    """Write golden_dataset_metadata.json into `folder`."""
    document = {**totals, "last_updated": last_updated.strftime("%Y-%m-%dT%H:%M:%SZ"), "changes": changes}
    path = folder / layout.METADATA
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
