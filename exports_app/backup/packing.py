"""A backup folder as one stream: a tar, perhaps compressed, perhaps encrypted. Both ways in flat memory.

The tar is reproducible: the same folder gives the same bytes (order, times, owners and modes are fixed). Its last member
is the main file, so a tar that was cut off between two members has none. What is unpacked may come from anywhere: only plain
files under the names that a backup folder has are written, nothing else.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol

from exports_app.backup import encryption, layout
from exports_app.backup.encryption import Decrypting, Encrypting, Secrets
from exports_app.errors import DamagedBackup, DiskFull, InvalidBackup

COMPRESSIONS = {"zstd": ".zst", "gzip": ".gz", "none": ""}
_NAME = re.compile(r"golden-backup-(\d{8}T\d{6}Z)\.tar(\.zst|\.gz|)(\.enc)?")
_STAMP = "%Y%m%dT%H%M%SZ"
_MEMBER = re.compile(
    rf"{layout.MAIN}|{layout.METADATA}|{layout.DUMP_MANIFEST}|golden_dataset-[0-9a-f]{{16}}\.dump"
    rf"|{layout.SHARDS}/[a-z_]+/[0-9a-z-]+\.jsonl"
)
_LAST = (layout.DUMP_MANIFEST, layout.METADATA, layout.MAIN)
_COPY_BYTES = 1 << 20
_ANOTHER = "Use another copy of the backup, or an older one."


class SupportsRead(Protocol):
    """What can be read from start to end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Packing:
    """How archives are made; `secrets` None: not encrypted."""

    compression: str = "zstd"
    secrets: Secrets | None = None


def archive_name(moment: datetime, packing: Packing) -> str:
    """Return the name of an archive made at `moment`, such as golden-backup-20261121T020000Z.tar.zst.enc."""
    ending = COMPRESSIONS[packing.compression] + (".enc" if packing.secrets else "")
    return f"golden-backup-{moment.astimezone(UTC).strftime(_STAMP)}.tar{ending}"


def archive_moment(name: str) -> datetime | None:
    """Return when the archive of this name was made; None when it is no name of ours."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def pack(folder: Path, raw: IO[bytes], packing: Packing) -> None:
    """Write the backup in `folder`, which nobody writes to meanwhile, to `raw`. Raises MissingKey, OSError."""
    encrypting = Encrypting(raw, packing.secrets) if packing.secrets else None
    with _compressing(_Unclosed(encrypting or raw), packing.compression) as compressed:
        with tarfile.open(
            fileobj=compressed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_COPY_BYTES
        ) as tar:
            for name in _members(folder):
                path = folder / name
                with path.open("rb") as file:
                    tar.addfile(_header(name, os.fstat(file.fileno()).st_size), file)
    if encrypting is not None:
        encrypting.finish()


def _members(folder: Path) -> list[str]:
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    ours = [name for name in names if _MEMBER.fullmatch(name)]
    return sorted(ours, key=lambda name: (_LAST.index(name) if name in _LAST else -1, name))


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)  # times, owners and names of owners are zero and empty
    header.size, header.mode = size, 0o644
    return header


def unpack(raw: SupportsRead, folder: Path, secrets: Secrets, name: str) -> None:
    """Write what an archive holds into the empty `folder`. `name` is what messages call the archive.

    Encryption and compression are told by the bytes, not by the name. Raises DamagedBackup, InvalidBackup (a member that no
    backup has: another name, a link, a device), DiskFull, MissingKey, WrongKey.
    """
    try:
        with ExitStack() as stack:
            stream = _peekable(raw)
            if encryption.is_encrypted(stream.peek(8)):
                stream = _peekable(Decrypting(stream, secrets, name))
            plain = stack.enter_context(_decompressing(stream))
            with tarfile.open(fileobj=plain, mode="r|", bufsize=_COPY_BYTES) as tar:
                written = _write_members(tar, folder, name)
            while plain.read(_COPY_BYTES):  # what follows the tar is proved too: checksums stand at the end
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, _CompressedStreamError) as error:
        raise DamagedBackup(
            f"{name}: the archive is truncated or was changed, or is none ({error}).", hint=_ANOTHER
        ) from error
    if not written & {layout.MAIN, layout.DUMP_MANIFEST}:
        raise DamagedBackup(f"{name}: the archive ends before {layout.MAIN}.", hint=_ANOTHER)


def _write_members(tar: tarfile.TarFile, folder: Path, name: str) -> set[str]:
    written: set[str] = set()
    for member in tar:
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or not _MEMBER.fullmatch(member.name):
            raise InvalidBackup(f"{name}: the archive holds {member.name!r}, which is no file of a backup.")
        if member.name in written:
            raise InvalidBackup(f"{name}: the archive holds {member.name!r} twice.")
        if member.size > shutil.disk_usage(folder).free:
            raise DiskFull(
                f"{folder}: there is no room for {member.name} of {name} ({member.size} bytes).",
                hint="Make room, or let TMPDIR name a folder on a larger disk.",
            )
        source = tar.extractfile(member)
        assert source is not None
        path = folder / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            shutil.copyfileobj(source, file, _COPY_BYTES)
        written.add(member.name)
    return written


class _CompressedStreamError(Exception):
    """The compressed stream cannot be read on."""


class _Unclosed(io.RawIOBase):
    """Passes writes on; closing it leaves the stream below open, which has more to do."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._raw.write(data)
        return len(data)


@contextmanager
def _compressing(raw: _Unclosed, compression: str) -> Iterator[Any]:
    if compression == "zstd":
        import pyarrow

        with pyarrow.CompressedOutputStream(pyarrow.PythonFile(raw, mode="w"), "zstd") as stream:
            yield stream
    elif compression == "gzip":
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as file:
            yield file
    else:
        yield raw


def _peekable(raw: SupportsRead) -> io.BufferedReader:
    return raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(_Readable(raw), _COPY_BYTES)


@contextmanager
def _decompressing(stream: io.BufferedReader) -> Iterator[Any]:
    beginning = stream.peek(4)
    if beginning.startswith(b"\x28\xb5\x2f\xfd"):
        yield _ZstdReader(stream)
    elif beginning.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=stream, mode="rb") as file:
            yield file
    else:
        yield stream


class _ZstdReader:
    """Reads a zstd stream; an error of the stream is told as one, and one of what lies below as itself."""

    def __init__(self, stream: io.BufferedReader) -> None:
        import pyarrow

        self._below = _Readable(stream)
        self._stream = pyarrow.CompressedInputStream(pyarrow.PythonFile(self._below, mode="r"), "zstd")

    def read(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except Exception as error:
            # an exception of the stream below comes back out of C++ in other clothes
            if self._below.error is not None:
                raise self._below.error from None
            raise _CompressedStreamError(str(error)) from error


class _Readable(io.RawIOBase):
    """Any object that has read(size), as a raw stream; keeps the exception that reading raised."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.error: BaseException | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._source.read(len(buffer))
        except BaseException as error:
            self.error = error
            raise
        buffer[: len(data)] = data
        return len(data)
