"""What a backup is once it is opened: its header, and where its records are."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from exports_app.backup.census import Census
from exports_app.errors import DamagedBackup, InvalidBackup, NewerBackup

ANOTHER_COPY = "Use another copy of the backup, or an older one."
READ_BYTES = 1 << 20
DOCUMENT_ENDS = (b"    },\n", b"    }\n")
LIST_END = b"  ],\n"


@dataclass(frozen=True)
class Part:
    """Records in a row: lines of a shard, or a stretch of the main file, or (foreign files) in memory."""

    name: str
    count: int
    path: Path | None = None
    start: int = 0
    first_line: int = 1
    sha256: str = ""
    size: int = 0
    memory: tuple[bytes, ...] = ()

    @property
    def is_shard(self) -> bool:
        return bool(self.sha256)

    def lines(self) -> Iterator[bytes]:
        """Yield each record's line, without line feed, indentation and comma."""
        if self.path is None:
            yield from self.memory
            return
        with self.path.open("rb", buffering=READ_BYTES) as file:
            file.seek(self.start)
            for _, line in zip(range(self.count), file, strict=False):
                yield line[:-1] if self.is_shard else line.strip(b" ,\n")


@dataclass(frozen=True)
class DocumentPart:
    """Analyses in a row: a stretch of the main file in our layout, or (foreign files) documents in memory."""

    count: int
    path: Path | None = None
    start: int = 0
    first_line: int = 1
    memory: tuple[bytes, ...] = ()

    def records(self) -> Iterator[bytes]:
        """Yield each analysis as `analyses.rendered` writes it."""
        if self.path is None:
            yield from self.memory
            return
        with self.path.open("rb", buffering=READ_BYTES) as file:
            file.seek(self.start)
            for _ in range(self.count):
                yield joined_record(read_record(file))


def read_record(lines: Iterator[bytes]) -> list[bytes]:
    """Return the lines of the next analysis; the last is no end of one when the file or the layout breaks off.

    Only the lines that open and close an analysis stand at this depth.
    """
    found = []
    for line in lines:
        found.append(line)
        if line in DOCUMENT_ENDS or line == LIST_END:
            break
    return found


def joined_record(lines: list[bytes]) -> bytes:
    return b"".join(lines).strip(b" ,\n")


def loaded_document(record: bytes) -> Any:
    """Return what an analysis says; numbers that no float holds are left to Python. Raises ValueError."""
    try:
        return orjson.loads(record)
    except orjson.JSONDecodeError:
        return json.loads(record)


@dataclass
class Backup:
    """A backup that was opened: what its main file says, and where its records are."""

    folder: Path
    main: Path
    version: str = ""
    created_at: datetime | None = None
    totals: dict[str, int] = field(default_factory=dict)
    census: Census = field(default_factory=Census)
    documents: dict[str, DocumentPart] = field(default_factory=dict)
    people: list[str] = field(default_factory=list)
    parts: dict[str, list[Part]] = field(default_factory=dict)
    sha256: str = ""
    changes: list[dict[str, Any]] = field(default_factory=list)
    recorded_totals: dict[str, int] | None = None

    def count(self, section: str) -> int:
        return sum(part.count for part in self.parts.get(section, []))

    def records(self) -> Iterator[bytes]:
        """Yield every analysis, the completed ones first."""
        for part in self.documents.values():
            yield from part.records()

    def analysis_ids(self) -> Iterator[uuid.UUID]:
        """Yield the id of every analysis."""
        ids = self.census.analysis_ids
        return (uuid.UUID(bytes=ids.at(number)) for number in range(len(ids)))

    def lines(self, section: str) -> Iterator[bytes]:
        for part in self.parts.get(section, []):
            yield from part.lines()


def check_version(version: Any, main: Path) -> None:
    """Raise InvalidBackup or NewerBackup unless this program reads the format `version`."""
    if not isinstance(version, str) or not re.fullmatch(r"\d+\.\d+", version):
        raise InvalidBackup(f"{main}: found the version {version!r}, expected one like “1.0”.")
    if tuple(map(int, version.split("."))) > (1, 0):
        raise NewerBackup(
            f"{main}: the backup has format {version}; this version reads up to 1.0.",
            hint="Update golden datasets, then restore.",
        )


def loaded(text: bytes, place: str) -> Any:
    """Return what a piece of JSON says. Raises DamagedBackup."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise DamagedBackup(f"{place}: no JSON ({error}).", hint=ANOTHER_COPY) from error


def parsed_time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
