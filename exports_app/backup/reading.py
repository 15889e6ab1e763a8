"""Reading a backup without a database: its structure, its checksums, its records.

`open_backup` reads the main file once, line by line as it was written, so memory stays flat. A main file of another
tool, in any layout of JSON, is read as a whole; it has no checksums then.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from exports_app.backup import layout
from exports_app.backup.records import checked, seal
from exports_app.backup.tables import BY_NAME
from exports_app.errors import DamagedBackup, InvalidBackup, NewerBackup

_TOP = re.compile(rb'  "([a-z0-9_]+)": (.*)\n')
_SHARD_PATH = re.compile(rf"{layout.SHARDS}/[a-z_]+/[0-9a-z-]+\.jsonl")
_FILE_KEYS = ("path", "section", "count", "bytes", "sha256")
_ANOTHER_COPY = "Use another copy of the backup, or an older one."
_READ_BYTES = 1 << 20


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
        with self.path.open("rb", buffering=_READ_BYTES) as file:
            file.seek(self.start)
            for _, line in zip(range(self.count), file, strict=False):
                yield line[:-1] if self.is_shard else line.strip(b" ,\n")


@dataclass
class Backup:
    """A backup that was opened: what its main file says, and where its records are."""

    folder: Path
    main: Path
    version: str = ""
    created_at: datetime | None = None
    totals: dict[str, int] = field(default_factory=dict)
    analyses: list[dict[str, Any]] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    parts: dict[str, list[Part]] = field(default_factory=dict)
    sha256: str = ""
    changes: list[dict[str, Any]] = field(default_factory=list)
    recorded_totals: dict[str, int] | None = None

    def count(self, section: str) -> int:
        return sum(part.count for part in self.parts.get(section, []))

    def lines(self, section: str) -> Iterator[bytes]:
        for part in self.parts.get(section, []):
            yield from part.lines()


class _AnotherLayout(Exception):
    """The main file is not laid out as this version writes it."""


def open_backup(folder: Path) -> Backup:
    """Read and check the main file and the metadata file. Raises NoBackup, InvalidBackup, DamagedBackup, NewerBackup.

    Checked: version, required fields and types, the checksum of the file and of each record in it, duplicate ids,
    and that every shard is there in its size. What shards hold is `check_shards`' matter.
    """
    backup = Backup(folder, layout.main_file(folder))
    try:
        _MainFileScan(backup).run()
    except _AnotherLayout as reason:
        _read_document(backup, str(reason))
    _check_header(backup)
    _check_shard_list(backup)
    _read_metadata(backup)
    return backup


class _MainFileScan:
    """One pass over the main file, in the layout that `writing` gives it."""

    def __init__(self, backup: Backup) -> None:
        self._backup = backup
        self._hash = hashlib.sha256()
        self._number = 0
        self._offset = 0
        self._header: dict[str, Any] = {}

    def run(self) -> None:
        with self._backup.main.open("rb", buffering=_READ_BYTES) as file:
            self._lines = iter(file)
            if self._next() != b"{\n":
                raise _AnotherLayout("line 1")
            while not self._ended():
                pass
            if next(self._lines, b""):
                raise _AnotherLayout("text behind the end")
        self._backup.version = self._header.get("version", "")
        self._backup.created_at = parsed_time(self._header.get("created_at"))
        self._backup.totals = self._header.get("metadata", {})
        self._backup.sha256 = self._header["sha256"]

    def _next(self, *, hashed: bool = True) -> bytes:
        line = next(self._lines, b"")
        if not line:
            raise DamagedBackup(
                f"{self._backup.main}: the file ends after line {self._number}, in the middle of the document.",
                hint=_ANOTHER_COPY,
            )
        self._number += 1
        self._offset += len(line)
        if hashed:
            self._hash.update(line)
        return line

    def _ended(self) -> bool:
        line = self._next(hashed=False)
        match = _TOP.fullmatch(line)
        if match is None:
            raise _AnotherLayout(f"line {self._number}")
        name, rest = match[1].decode(), match[2]
        if name == "sha256":
            self._finish(rest)
            return True
        if name != "created_at":
            self._hash.update(line)
        if rest == b"[":
            self._section(name)
        elif rest == b"[],":
            self._backup.parts.setdefault(name, [])
        elif rest == b"{":
            self._object(name)
        elif rest.startswith(b'"') and rest.endswith(b'",'):
            self._header[name] = _loads(rest[:-1], f"{self._backup.main}:{self._number}")
        else:
            raise _AnotherLayout(f"line {self._number}")
        return False

    def _object(self, name: str) -> None:
        text = b"{"
        while (line := self._next()) != b"  },\n":
            text += line
            if len(text) > _READ_BYTES:
                raise _AnotherLayout(f"line {self._number}")
        self._header[name] = _loads(text + b"}", f"{self._backup.main}:{self._number}")

    def _section(self, name: str) -> None:
        start, first = self._offset, self._number + 1
        checker = _RecordChecker(name)
        count = 0
        while (line := self._next()) != b"  ],\n":
            if not line.startswith(b"    {"):
                raise _AnotherLayout(f"line {self._number}")
            record = line.strip(b" ,\n")
            fields = checker.check(record, f"{self._backup.main}:{self._number}")
            if name == "people":
                self._backup.people.append(fields["name"])
            elif name == "files":
                self._add_shard(fields)
            count += 1
        part = Part(f"{self._backup.main.name} “{name}”", count, self._backup.main, start, first)
        self._backup.parts.setdefault(name, []).append(part)

    def _add_shard(self, fields: dict[str, Any]) -> None:
        path = fields["path"]
        if not isinstance(path, str) or _SHARD_PATH.fullmatch(path) is None:
            raise InvalidBackup(f"{self._backup.main}:{self._number}: {path!r} is no name of a shard.")
        place = self._backup.folder / PurePosixPath(path)
        part = Part(path, int(fields["count"]), place, 0, 1, str(fields["sha256"]), int(fields["bytes"]))
        self._backup.parts.setdefault(str(fields["section"]), []).append(part)

    def _finish(self, rest: bytes) -> None:
        written = _loads(rest, f"{self._backup.main}:{self._number}")
        if self._next(hashed=False) != b"}\n":
            raise _AnotherLayout(f"line {self._number}")
        if self._hash.hexdigest() != written:
            raise DamagedBackup(
                f"{self._backup.main}: found the checksum {self._hash.hexdigest()}, expected {written}.",
                hint=f"The file was truncated or changed. {_ANOTHER_COPY}",
            )
        self._header["sha256"] = written


class _RecordChecker:
    """Checks the records of one section: checksum, required fields, no key twice."""

    def __init__(self, section: str) -> None:
        known = BY_NAME.get(section)
        self._key = known.key if known else {"people": ("name",), "files": ("path",)}.get(section, ())
        extra = {"people": ("name",), "files": _FILE_KEYS}.get(section, ())
        self._required = known.required_keys() if known else extra
        self._seen: set[tuple[Any, ...]] = set()
        self._last: bytes = b""

    def check(self, line: bytes, place: str) -> dict[str, Any]:
        fields = checked(line, place, self._required)
        if self._key:
            key = tuple(fields[name] for name in self._key)
            if key in self._seen:
                raise _duplicate(place, self._key, key)
            self._seen.add(key)
        return fields

    def check_sorted(self, line: bytes, place: str) -> dict[str, Any]:
        """As `check`, for records in the order of their leading field: only those of one value are remembered."""
        fields = checked(line, place, self._required)
        if self._key:
            leading = str(fields[self._key[0]]).encode()
            if leading != self._last:
                if leading < self._last:
                    raise InvalidBackup(f"{place}: found {leading.decode()} behind {self._last.decode()}.")
                self._seen.clear()
                self._last = leading
            key = tuple(fields[name] for name in self._key)
            if key in self._seen:
                raise _duplicate(place, self._key, key)
            self._seen.add(key)
        return fields


def _duplicate(place: str, names: tuple[str, ...], key: tuple[Any, ...]) -> InvalidBackup:
    told = ", ".join(f"{name} {value}" for name, value in zip(names, key, strict=True))
    return InvalidBackup(f"{place}: duplicate record: {told} occurs twice.")


# Files of other tools ---------------------------------------------------------------------------------------------


def _read_document(backup: Backup, reason: str) -> None:
    """Read a main file in any layout of JSON. One with our checksum must be in our layout."""
    try:
        text = backup.main.read_text(encoding="utf-8")
        document = json.loads(text, object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        raise DamagedBackup(f"{backup.main}: byte {error.start} is no UTF-8.", hint=_ANOTHER_COPY) from error
    except json.JSONDecodeError as error:
        raise DamagedBackup(
            f"{backup.main}: no JSON at line {error.lineno}, column {error.colno} ({error.msg}).",
            hint=f"The file was truncated or changed. {_ANOTHER_COPY}",
        ) from error
    if not isinstance(document, dict):
        raise InvalidBackup(f"{backup.main}: found {type(document).__name__}, expected an object.")
    if "sha256" in document or "files" in document:
        raise DamagedBackup(
            f"{backup.main}: {reason} is not as it was written, so the checksum cannot match.",
            hint=f"The file was changed or laid out anew. {_ANOTHER_COPY}",
        )
    backup.version = document.get("version", "")
    backup.created_at = parsed_time(document.get("created_at"))
    backup.totals = document.get("metadata", {})
    backup.analyses = document.get("analyses", [])
    if "analyses" not in document or "metadata" not in document:
        missing = "analyses" if "analyses" not in document else "metadata"
        raise InvalidBackup(f"{backup.main}: the field “{missing}” is missing.")
    for name in document.keys() & (BY_NAME.keys() | {"people"}):
        backup.parts[name] = [_part_in_memory(backup, name, document[name])]
        if name == "people":
            backup.people = [record["name"] for record in document[name]]


def _part_in_memory(backup: Backup, name: str, records: Any) -> Part:
    if not isinstance(records, list):
        raise InvalidBackup(f"{backup.main}: “{name}” is {type(records).__name__}, expected a list.")
    checker = _RecordChecker(name)
    lines = []
    for number, record in enumerate(records):
        if isinstance(record, dict):
            record.pop("crc32", None)
        line = seal(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode())
        checker.check(line, f"{backup.main}: {name}[{number}]")
        lines.append(line)
    return Part(f"{backup.main.name} “{name}”", len(lines), memory=tuple(lines))


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidBackup(f"The key “{twice}” occurs twice in one object of the backup.")
    return made


# Header, metadata, shards -----------------------------------------------------------------------------------------


def _check_header(backup: Backup) -> None:
    where = str(backup.main)
    if not isinstance(backup.version, str) or not re.fullmatch(r"\d+\.\d+", backup.version):
        raise InvalidBackup(f"{where}: found the version {backup.version!r}, expected one like “1.0”.")
    if tuple(map(int, backup.version.split("."))) > (1, 0):
        raise NewerBackup(
            f"{where}: the backup has format {backup.version}; this version reads up to 1.0.",
            hint="Update golden datasets, then restore.",
        )
    if backup.created_at is None:
        raise InvalidBackup(f"{where}: “created_at” is missing or no time, expected ISO 8601 in UTC.")
    if not isinstance(backup.totals, dict):
        raise InvalidBackup(f"{where}: “metadata” is {type(backup.totals).__name__}, expected an object.")
    for name in ("total_analyses", "total_chunks", "total_artifacts"):
        value = backup.totals.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvalidBackup(f"{where}: metadata.{name} is {value!r}, expected a count.")
    _check_analyses(backup)


_ANALYSIS_FIELDS = {
    "id": str,
    "url": str,
    "content_type": str,
    "status": str,
    "created_at": str,
    "findings": list,
    "chunks": list,
}


def _check_analyses(backup: Backup) -> None:
    if not isinstance(backup.analyses, list):
        raise InvalidBackup(f"{backup.main}: “analyses” is no list.")
    seen: set[str] = set()
    for number, analysis in enumerate(backup.analyses):
        place = f"{backup.main}: analyses[{number}]"
        if not isinstance(analysis, dict):
            raise InvalidBackup(f"{place} is no object.")
        for name, kind in _ANALYSIS_FIELDS.items():
            if not isinstance(analysis.get(name), kind):
                raise InvalidBackup(f"{place}: “{name}” is missing or no {kind.__name__}.")
        if analysis["id"] in seen:
            raise InvalidBackup(f"{place}: duplicate record: id {analysis['id']} occurs twice.")
        seen.add(analysis["id"])


def _check_shard_list(backup: Backup) -> None:
    for part in shards(backup):
        assert part.path is not None
        if not part.path.is_file():
            raise DamagedBackup(f"{part.path}: the shard is missing.", hint=_ANOTHER_COPY)
        size = part.path.stat().st_size
        if size != part.size:
            raise DamagedBackup(
                f"{part.path}: found {size} bytes, expected {part.size}: the file was truncated or changed.",
                hint=_ANOTHER_COPY,
            )


def shards(backup: Backup) -> list[Part]:
    return [part for parts in backup.parts.values() for part in parts if part.is_shard]


def check_shards(backup: Backup, *, records: bool = False) -> Iterator[int]:
    """Check each shard's SHA-256 and count, with `records` each record too; yield the records done so far.

    Raises DamagedBackup, InvalidBackup.
    """
    done = 0
    for name, parts in backup.parts.items():
        checker = _RecordChecker(name)
        for part in (p for p in parts if p.is_shard):
            _check_digest(part)
            if records:
                for number, line in enumerate(part.lines(), start=1):
                    checker.check_sorted(line, f"{part.path}:{number}")
            done += part.count
            yield done


def _check_digest(part: Part) -> None:
    assert part.path is not None
    digest = hashlib.sha256()
    lines = 0
    with part.path.open("rb", buffering=0) as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
            lines += block.count(b"\n")
    if digest.hexdigest() != part.sha256:
        raise DamagedBackup(
            f"{part.path}: found the checksum {digest.hexdigest()}, expected {part.sha256}.",
            hint=f"The file was truncated or changed. {_ANOTHER_COPY}",
        )
    if lines != part.count:
        raise InvalidBackup(f"{part.path}: found {lines} records, expected {part.count}.")


def _read_metadata(backup: Backup) -> None:
    path = layout.metadata_file(backup.folder)
    if not path.is_file():
        return
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise DamagedBackup(f"{path}: no JSON ({error}).", hint=_ANOTHER_COPY) from error
    if not isinstance(document, dict) or not isinstance(document.get("changes", []), list):
        raise InvalidBackup(f"{path}: expected an object with a list of “changes”.")
    for number, change in enumerate(document.get("changes", [])):
        if not isinstance(change, dict) or not isinstance(change.get("count"), int) or "date" not in change:
            raise InvalidBackup(f"{path}: changes[{number}] needs date, action, count and description.")
    backup.changes = document.get("changes", [])
    backup.recorded_totals = {
        k: v for k, v in document.items() if k.startswith("total_") and isinstance(v, int)
    }


def findings(backup: Backup) -> list[str]:
    """Return what is wrong with the content though the file can be trusted: counts that differ."""
    found = []
    totals = {
        "total_datasets": backup.count("datasets"),
        "total_examples": backup.count("examples"),
        "total_commits": backup.count("commits"),
        "total_analyses": sum(a["status"] == "completed" for a in backup.analyses),
        "total_chunks": sum(len(a["chunks"]) for a in backup.analyses if a["status"] == "completed"),
    }
    for name, count in totals.items():
        told = backup.totals.get(name)
        if told is not None and told != count:
            found.append(f"{backup.main.name}: {name} is {told}, found {count}")
    for name, told in (backup.recorded_totals or {}).items():
        known = backup.totals.get(name)
        if known is not None and known != told:
            found.append(f"{layout.METADATA}: {name} is {told}, the backup has {known}")
    return found


def _loads(text: bytes, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DamagedBackup(f"{place}: no JSON ({error}).", hint=_ANOTHER_COPY) from error


def parsed_time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
