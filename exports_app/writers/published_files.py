"""Files that appear under their name whole or not at all, with their SHA-256."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from goldenproject.kit.errors import BadInput, Conflict, GoldenError

CHECKSUMS = "SHA256SUMS"
_NEW_FILE_MODE = 0o666


class FileExists(Conflict):
    """There is a file of this name already."""

    code = "file_exists"


class CannotWrite(GoldenError):
    """The output cannot be written."""

    code = "cannot_write"


@dataclass(frozen=True)
class WrittenFile:
    """A file that was written: its name, size in bytes and SHA-256 (64 hex digits)."""

    name: str
    size_bytes: int
    sha256: str


class HashedFile:
    """A binary sink that counts and hashes what goes through it."""

    def __init__(self, path: Path, sink: BinaryIO) -> None:
        self.name = path.name
        self._path = path
        self._sink = sink
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self._size += len(data)
        with _told(self._path):
            return self._sink.write(data)

    def written(self) -> WrittenFile:
        return WrittenFile(self.name, self._size, self._digest.hexdigest())


class PublishedFile:
    """One file: written under a temporary name beside its own, synced, then renamed. On an error nothing stays."""

    def __init__(self, path: Path, *, replace: bool) -> None:
        self.path = path
        self._replace = replace
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")

    def __enter__(self) -> HashedFile:
        refuse_existing(self.path, replace=self._replace)
        with _told(self.path):
            descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _NEW_FILE_MODE)
        self._file = os.fdopen(descriptor, "wb", buffering=1 << 20)
        self._hashed = HashedFile(self.path, self._file)
        return self._hashed

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with _told(self.path):
                    sync_file(self._file)
                    self._file.close()
                    self._rename()
        finally:
            _close_quietly(self._file)
            self._temporary.unlink(missing_ok=True)

    def _rename(self) -> None:
        if self._replace:
            os.replace(self._temporary, self.path)
        else:
            _link_new(self._temporary, self.path)
        sync_directory(self.path.parent)


class PublishedDirectory:
    """A directory of files. A new or empty one appears as a whole; into one with files, each file is put by itself.

    `open` gives a sink for one file, `add` writes a small one. At the end SHA256SUMS (as sha256sum writes it) is put
    last: where it is, and fits, the directory is complete.
    """

    def __init__(self, path: Path, *, replace: bool) -> None:
        self.path = path
        self._replace = replace
        self._fresh = not path.exists() or (path.is_dir() and not any(path.iterdir()))
        self._stage = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        self._open: list[tuple[BinaryIO, HashedFile]] = []

    def __enter__(self) -> PublishedDirectory:
        if self.path.exists() and not self.path.is_dir():
            raise FileExists(
                f"{self.path} is a file, and a directory is to be written.", hint="Choose another path."
            )
        refuse_existing(self.path, replace=self._replace or self._fresh)
        with _told(self.path):
            self._stage.mkdir()
        return self

    def open(self, name: str) -> HashedFile:
        with _told(self.path / name):
            file = open(self._stage / name, "xb", buffering=1 << 20)  # noqa: SIM115 - closed at the end of the block
        hashed = HashedFile(self.path / name, file)
        self._open.append((file, hashed))
        return hashed

    def add(self, name: str, data: bytes) -> None:
        self.open(name).write(data)

    def written(self) -> list[WrittenFile]:
        return [hashed.written() for _, hashed in self._open]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with _told(self.path):
                    self._publish()
        finally:
            for file, _ in self._open:
                _close_quietly(file)
            shutil.rmtree(self._stage, ignore_errors=True)

    def _publish(self) -> None:
        sums = "".join(f"{f.sha256}  {f.name}\n" for f in sorted(self.written(), key=lambda f: f.name))
        self.add(CHECKSUMS, sums.encode())
        for file, _ in self._open:
            sync_file(file)
            file.close()
        sync_directory(self._stage)
        if self._fresh:
            os.rename(
                self._stage, self.path
            )  # over an empty directory this is allowed, over a full one it fails
        else:
            (self.path / CHECKSUMS).unlink(missing_ok=True)
            for _, hashed in self._open:
                os.replace(self._stage / hashed.name, self.path / hashed.name)
            sync_directory(self.path)
        sync_directory(self.path.parent)


def refuse_existing(path: Path, *, replace: bool) -> None:
    """Raise FileExists, or BadInput when the folder of `path` is missing."""
    if not path.parent.is_dir():
        raise BadInput(
            f"{path}: there is no directory {path.parent}.", hint="Make it first, or choose another path."
        )
    if path.exists() and not replace:
        raise FileExists(
            f"{path} is there already.", hint="Choose another path, or say --force to replace it."
        )


def sync_file(file: BinaryIO) -> None:
    """Bring what was written to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link_new(temporary: Path, path: Path) -> None:
    """Rename without ever replacing a file that came in the meantime."""
    try:
        os.link(temporary, path)
    except FileExistsError as error:
        raise FileExists(f"{path} is there already.", hint="It was made in the meantime.") from error
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        os.replace(temporary, path)  # a file system without hard links


def _close_quietly(file: BinaryIO) -> None:
    try:
        file.close()
    except OSError:
        pass  # what went wrong was raised before; closing only tries to flush the rest again


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read our output had enough: no fault of the file
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise CannotWrite(
            f"{path} cannot be written: {error.strerror or error}.",
            hint="Nothing was left behind; make room and run it again." if full else "",
        ) from error
