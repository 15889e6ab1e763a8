"""One pass over the main file, line by line as `writing` lays it out, so memory stays flat."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import Any

from exports_app.backup import layout
from exports_app.backup.analyses import DOCUMENTS
from exports_app.backup.opened import (
    ANOTHER_COPY,
    DOCUMENT_ENDS,
    LIST_END,
    READ_BYTES,
    Backup,
    DocumentPart,
    Part,
    check_version,
    joined_record,
    loaded,
    loaded_document,
    parsed_time,
    read_record,
)
from exports_app.backup.record_checks import RecordChecker
from exports_app.errors import DamagedBackup, InvalidBackup

_TOP = re.compile(rb'  "([a-z0-9_]+)": (.*)\n')
_SHARD_PATH = re.compile(rf"{layout.SHARDS}/[a-z_]+/[0-9a-z-]+\.jsonl")


class AnotherLayout(Exception):
    """The main file is not laid out as this version writes it."""


class MainFileScan:
    """One pass over the main file, in the layout that `writing` gives it."""

    def __init__(self, backup: Backup, *, trusted: bool = False) -> None:
        self._backup = backup
        self._trusted = trusted
        self._hash = hashlib.sha256()
        self._number = 0
        self._offset = 0
        self._header: dict[str, Any] = {}

    def run(self) -> None:
        with self._backup.main.open("rb", buffering=READ_BYTES) as file:
            self._lines = iter(file)
            if self._next() != b"{\n":
                raise AnotherLayout("line 1")
            while not self._ended():
                pass
            if next(self._lines, b""):
                raise AnotherLayout("text behind the end")
        self._backup.version = self._header.get("version", "")
        self._backup.created_at = parsed_time(self._header.get("created_at"))
        self._backup.totals = self._header.get("metadata", {})
        self._backup.sha256 = self._header["sha256"]

    def _next(self, *, hashed: bool = True) -> bytes:
        line = next(self._lines, b"")
        if not line:
            raise self._broken_off()
        self._number += 1
        self._offset += len(line)
        if hashed:
            self._hash.update(line)
        return line

    def _ended(self) -> bool:
        line = self._next(hashed=False)
        match = _TOP.fullmatch(line)
        if match is None:
            raise AnotherLayout(f"line {self._number}")
        name, rest = match[1].decode(), match[2]
        if name == "sha256":
            self._finish(rest)
            return True
        if name != "created_at":
            self._hash.update(line)
        if rest == b"[" and name in DOCUMENTS:
            self._documents(name)
        elif rest == b"[":
            self._section(name)
        elif rest == b"[]," and name in DOCUMENTS:
            self._backup.documents[name] = DocumentPart(0)
        elif rest == b"[],":
            self._backup.parts.setdefault(name, [])
        elif rest == b"{":
            self._object(name)
        elif rest.startswith(b'"') and rest.endswith(b'",'):
            self._header[name] = loaded(rest[:-1], f"{self._backup.main}:{self._number}")
            if name == "version":
                check_version(self._header[name], self._backup.main)
        else:
            raise AnotherLayout(f"line {self._number}")
        return False

    def _object(self, name: str) -> None:
        text = b"{"
        while (line := self._next()) != b"  },\n":
            text += line
            if line == b"  }\n" or len(text) > READ_BYTES:  # the last key of another tool's file
                raise AnotherLayout(f"line {self._number}")
        self._header[name] = loaded(text + b"}", f"{self._backup.main}:{self._number}")

    def _documents(self, name: str) -> None:
        start, first, count = self._offset, self._number + 1, 0
        census = self._backup.census
        census.begin(name)
        while True:
            lines = read_record(self._lines)
            number = self._number + 1
            self._number += len(lines)
            text = b"".join(lines)
            self._offset += len(text)
            self._hash.update(text)
            if lines == [LIST_END]:
                break
            if not lines or lines[-1] not in (*DOCUMENT_ENDS, LIST_END):
                if lines[-2:-1] == [b"  ]\n"]:  # the last key of another tool's file
                    raise AnotherLayout(f"line {self._number}")
                raise self._broken_off()
            if lines[0] != b"    {\n" or lines[-1] == LIST_END:
                raise AnotherLayout(f"line {number}")
            record = joined_record(lines)
            if not self._trusted:
                census.add(self._document(record, number), f"{self._backup.main}: {name}[{count}]")
            elif not census.add_trusted(record):
                raise AnotherLayout(f"line {number}")
            census.add_text(record)
            count += 1
        self._backup.documents[name] = DocumentPart(count, self._backup.main, start, first)

    def _document(self, record: bytes, number: int) -> Any:
        try:
            return loaded_document(record)
        except ValueError as error:
            raise DamagedBackup(
                f"{self._backup.main}:{number}: no JSON ({error}).", hint=ANOTHER_COPY
            ) from error

    def _broken_off(self) -> DamagedBackup:
        return DamagedBackup(
            f"{self._backup.main}: the file ends after line {self._number}, in the middle of the document.",
            hint=ANOTHER_COPY,
        )

    def _section(self, name: str) -> None:
        start, first = self._offset, self._number + 1
        checker = RecordChecker(name)
        count = 0
        while (line := self._next()) != b"  ],\n":
            if not line.startswith(b"    {"):
                raise AnotherLayout(f"line {self._number}")
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
        written = loaded(rest, f"{self._backup.main}:{self._number}")
        if self._next(hashed=False) != b"}\n":
            raise AnotherLayout(f"line {self._number}")
        if self._hash.hexdigest() != written:
            raise DamagedBackup(
                f"{self._backup.main}: found the checksum {self._hash.hexdigest()}, expected {written}.",
                hint=f"The file was truncated or changed. {ANOTHER_COPY}",
            )
        self._header["sha256"] = written
