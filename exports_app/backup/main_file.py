"""One pass over the main file, line by line as `writing` lays it out, so memory stays flat."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import Any

from exports_app.backup import layout
from exports_app.backup.opened import ANOTHER_COPY, READ_BYTES, Backup, Part, loaded, parsed_time
from exports_app.backup.record_checks import RecordChecker
from exports_app.errors import DamagedBackup, InvalidBackup

_TOP = re.compile(rb'  "([a-z0-9_]+)": (.*)\n')
_SHARD_PATH = re.compile(rf"{layout.SHARDS}/[a-z_]+/[0-9a-z-]+\.jsonl")


class AnotherLayout(Exception):
    """The main file is not laid out as this version writes it."""


class MainFileScan:
    """One pass over the main file, in the layout that `writing` gives it."""

    def __init__(self, backup: Backup) -> None:
        self._backup = backup
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
            raise DamagedBackup(
                f"{self._backup.main}: the file ends after line {self._number}, in the middle of the document.",
                hint=ANOTHER_COPY,
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
            raise AnotherLayout(f"line {self._number}")
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
            self._header[name] = loaded(rest[:-1], f"{self._backup.main}:{self._number}")
        else:
            raise AnotherLayout(f"line {self._number}")
        return False

    def _object(self, name: str) -> None:
        text = b"{"
        while (line := self._next()) != b"  },\n":
            text += line
            if len(text) > READ_BYTES:
                raise AnotherLayout(f"line {self._number}")
        self._header[name] = loaded(text + b"}", f"{self._backup.main}:{self._number}")

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
