"""Places that archives go to and come from: a folder, or any URL that fsspec has a driver for.

An archive appears under its name whole or not at all. Where a file can be seen while it is written, it is written under
another name and renamed; an object store shows an object when its upload is complete. What was put there is read back
and compared before it counts.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from exports_app.backup import layout
from exports_app.backup.packing import archive_moment
from exports_app.errors import DestinationFailed, MissingDriver, NoBackup, UnknownDestination
from goldenproject.kit.errors import GoldenError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.:-]*)://")
_ATOMIC_PUT = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci"}
_PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    **dict.fromkeys(("http", "https"), "aiohttp requests"),
    "smb": "smbprotocol",
    "webdav": "webdav4",
}
_UNFINISHED = ".unfinished"
_LEFTOVER_AGE = timedelta(days=1)
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Archive:
    """An archive at a destination."""

    name: str
    moment: datetime
    size: int


def is_url(text: str) -> bool:
    """Tell whether `text` is a URL rather than a path."""
    return _SCHEME.match(text) is not None


def shown(place: str) -> str:
    """Return a path or URL as messages and the audit may show it: without user, password and query."""
    if not is_url(place):
        return place
    try:
        parts = urlsplit(place.rpartition("::")[2])
    except ValueError:
        return _SCHEME.match(place)[0] + "…"  # type: ignore[index]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Destination:
    """A folder that holds archives, at a path or URL."""

    def __init__(self, place: str) -> None:
        """Raises UnknownDestination, MissingDriver, DestinationFailed."""
        self.place = place
        self.shown = shown(place)
        self.is_local = not is_url(place) or place.lower().startswith("file:")
        with self.told("reach it"):
            self._fs, path = _file_system(place)
        self._root = path.rstrip("/") or "/"
        self._puts_atomically = bool(_ATOMIC_PUT & set(_protocols(self._fs)))

    def archives(self) -> list[Archive]:
        """Return what is there of ours, the newest first."""
        found = []
        for entry in self._listed():
            name = posixpath.basename(str(entry["name"]).rstrip("/"))
            moment = archive_moment(name)
            if moment is not None and entry.get("type") == "file":
                found.append(Archive(name, moment, int(entry.get("size") or 0)))
        return sorted(found, key=lambda archive: (archive.moment, archive.name), reverse=True)

    def is_file(self) -> bool:
        with self.told("look at it"):
            return bool(self._fs.isfile(self._root))

    def put(self, source: Path, name: str, sha256: str, *, moment: datetime) -> None:
        """Upload `source`, read it back, and give it its name. On failure nothing of that name is there.

        Uploads that a killed process left behind more than a day before `moment` are removed.
        """
        size = source.stat().st_size
        path = self._path(name if self._puts_atomically else f".{name}{_UNFINISHED}")
        with self.told(f"put {name} there"):
            if not self._puts_atomically:
                self._fs.makedirs(self._root, exist_ok=True)
        try:
            with self.told(f"put {name} there"):
                self._fs.put_file(str(source), path)
                self._compare(path, name, size, sha256)
                if not self._puts_atomically:
                    self._rename(path, self._path(name))
        except BaseException:
            self._forget(path)
            raise
        self._remove_leftovers(moment)

    def delete(self, name: str) -> None:
        with self.told(f"delete {name} there"):
            self._fs.rm_file(self._path(name))

    @contextmanager
    def reading(self, name: str = "") -> Iterator[_Told]:
        """Open an archive (without a name: the place itself is one) to be read from start to end."""
        path = self._path(name) if name else self._root
        with self.told(f"open {name or 'it'}"):
            file = self._fs.open(path, "rb")
        with file:
            yield _Told(file, self, f"read {name or 'it'}")

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _listed(self) -> list[dict[str, Any]]:
        self._fs.invalidate_cache()
        with self.told("list it"):
            try:
                return list(self._fs.ls(self._root, detail=True))
            except FileNotFoundError:
                return []

    def _compare(self, path: str, name: str, size: int, sha256: str) -> None:
        self._fs.invalidate_cache()
        found_size = self._fs.info(path)["size"]
        digest = hashlib.sha256()
        with self._fs.open(path, "rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
        if (found_size, digest.hexdigest()) != (size, sha256):
            raise DestinationFailed(
                f"{self.shown}: {name} came back as {found_size} bytes with the checksum {digest.hexdigest()}, "
                f"expected {size} with {sha256}.",
                hint="It was removed again; older archives are as they were.",
            )

    def _rename(self, path: str, final: str) -> None:
        if self.is_local:
            layout.sync_file(Path(path))
        self._fs.mv(path, final)
        if self.is_local:
            layout.sync_folder(Path(self._root))

    def _forget(self, path: str) -> None:
        try:
            if self._fs.exists(path):
                self._fs.rm_file(path)
        except Exception:  # noqa: S110 - the failure that led here is the one to tell
            pass

    def _remove_leftovers(self, moment: datetime) -> None:
        for entry in self._listed():
            name = posixpath.basename(str(entry["name"]))
            if name.startswith(".") and name.endswith(_UNFINISHED):
                made = archive_moment(name[1 : -len(_UNFINISHED)])
                if made is not None and moment - made > _LEFTOVER_AGE:
                    self._forget(self._path(name))

    @contextmanager
    def told(self, what: str) -> Iterator[None]:
        """Turn what drivers raise into an error of ours that shows no secret of the URL."""
        try:
            with layout.clear_disk_errors(Path(self.shown)):
                yield
        except GoldenError:
            raise
        except FileNotFoundError as error:
            raise NoBackup(f"{self.shown}: there is nothing there to {what}.") from _without_secrets(error)
        except Exception as error:  # drivers raise classes of their own libraries
            reason = _cleared(self.place, str(error).strip()) or type(error).__name__
            raise DestinationFailed(
                f"{self.shown}: could not {what}: {reason.splitlines()[0]}",
                hint="Are the address and the rights right, and does it answer?",
            ) from _without_secrets(error)


class _Told:
    """A file of a driver, whose troubles are told as ours."""

    def __init__(self, file: IO[bytes], destination: Destination, what: str) -> None:
        self._file, self._destination, self._what = file, destination, what

    def read(self, size: int) -> bytes:
        with self._destination.told(self._what):
            return self._file.read(size)


def _without_secrets(error: Exception) -> Exception | None:
    """Keep a cause for --traceback only where its text came from the local file system."""
    return error if isinstance(error, OSError) and error.errno is not None else None


def _file_system(place: str) -> tuple[Any, str]:
    import fsspec

    if not is_url(place):
        return fsspec.filesystem("file"), str(Path(place).expanduser().absolute())
    scheme = _SCHEME.match(place)[1].lower()  # type: ignore[index]
    if "::" in place:
        raise UnknownDestination(f"{shown(place)}: chained URLs (“::”) are not taken.")
    try:
        return fsspec.core.url_to_fs(place)  # type: ignore[no-any-return]
    except ImportError as error:
        package = _PACKAGES.get(scheme)
        raise MissingDriver(
            f"{shown(place)}: the driver of {scheme}:// is not installed.",
            hint=f"Install it: pip install {package}" if package else str(error),
        ) from None
    except ValueError as error:
        if "Protocol not known" in str(error):
            raise UnknownDestination(
                f"{shown(place)}: found the scheme {scheme}://, which no driver knows.",
                hint="Known are, among others, file, s3, gs, az, sftp. A path needs no scheme.",
            ) from None
        raise


def _protocols(file_system: Any) -> tuple[str, ...]:
    protocol = file_system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _cleared(place: str, text: str) -> str:
    """Take the secrets of the URL out of a message of another library."""
    if not is_url(place):
        return text
    try:
        parts = urlsplit(place)
        found = [parts.password, parts.query, parts.netloc.rpartition("@")[0]]
    except ValueError:
        return "the address cannot be read"
    hidden = {form for secret in found if secret for form in (secret, unquote(secret))}
    hidden |= {value for pair in parts.query.split("&") if (value := pair.partition("=")[2])}
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
