"""Backups as one file each, at any destination: made, thinned out, found and opened again."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.services.access import record, require
from exports_app.backup import layout
from exports_app.backup.destinations import Archive, Destination, is_url
from exports_app.backup.encryption import secrets_of
from exports_app.backup.packing import Packing, archive_name, pack, unpack
from exports_app.backup.retention import Retention, kept
from exports_app.backup.temporary import temporary_folder
from exports_app.backup.writing import Progress
from exports_app.errors import NoBackup
from exports_app.services.backups import BackupOptions, BackupResult, create_backup, record_backup
from exports_app.services.dumps import create_dump, record_dump
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput, GoldenError


@dataclass(frozen=True)
class ArchiveOptions:
    """`retention` says which older archives stay; with `keep_dry_run` what would go is told and stays."""

    backup: BackupOptions = field(default_factory=BackupOptions)
    format: str = "json"
    compression: str = "zstd"
    encrypt: bool = False
    retention: Retention = field(default_factory=Retention)
    keep_dry_run: bool = False


@dataclass(frozen=True)
class ArchiveResult:
    """`backup` is what the archive holds; `deleted` are the names of archives that the retention took (or would)."""

    destination: str
    name: str
    size: int
    sha256: str
    backup: BackupResult
    deleted: list[str] = field(default_factory=list)
    kept: int = 0
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            **self.backup.document(),
            "directory": self.destination,
            "archive": {"name": self.name, "bytes": self.size, "sha256": self.sha256},
            "retention": {"deleted": self.deleted, "kept": self.kept, "dry_run": self.dry_run},
            "warnings": self.warnings,
        }

    def as_text(self) -> str:
        lines = [f"Warning: {text}" for text in self.warnings]
        lines.append(f"Backed up to {self.destination}/{self.name} ({self.size} bytes).")
        if not self.backup.changed:
            lines[-1] += f" Nothing changed since {self.backup.created_at:%Y-%m-%d %H:%M} UTC."
        elif self.backup.changes:
            lines[-1] += " " + "; ".join(change["description"] for change in self.backup.changes)
        if self.deleted:
            verb = "Would delete" if self.dry_run else "Deleted"
            lines.append(f"{verb} {len(self.deleted)} older: {', '.join(self.deleted)}.")
        return "\n".join(lines)


def create_archive(
    *, place: str, actor: Any, options: ArchiveOptions | None = None, progress: Progress | None = None
) -> ArchiveResult:
    """Back up into one file at `place`, a folder or URL; then apply the retention.

    The newest archive there is unpacked first: the new one is compared with it, so the log of changes goes on from archive
    to archive. The key comes from the environment. Raises as `create_backup`, and MissingKey, UnknownDestination,
    MissingDriver, DestinationFailed; the archives that were there are then as they were.
    """
    if actor is not None:
        require(actor, Action.BACKUP)
    options = options or ArchiveOptions()
    secrets = secrets_of(os.environ) if options.encrypt else None
    packing = Packing(options.compression, secrets)
    destination = Destination(place)
    there = destination.archives()
    with temporary_folder() as temporary, layout.clear_disk_errors(temporary):
        folder, file = temporary / "backup", temporary / "archive"
        folder.mkdir()
        # a wrong key is told before the work, not after it
        with file.open("wb") as stream:
            _check_key(stream, packing)
        warnings = _unpack_newest(destination, there, folder) if options.format == "json" else []
        result = _write_backup(folder, actor, options, progress)
        digest = _pack(folder, file, packing)
        moment, name = _free_name(there, packing)
        destination.put(file, name, digest, moment=moment)
        size = file.stat().st_size
    _record(result, actor, options, f"{destination.shown}/{name}")
    deleted, left = _thin_out(destination, actor, options, moment)
    return ArchiveResult(
        destination.shown, name, size, digest, result, deleted, left, options.keep_dry_run, warnings
    )


def _check_key(stream: Any, packing: Packing) -> None:
    if packing.secrets is not None:
        from exports_app.backup.encryption import Encrypting

        Encrypting(stream, packing.secrets)


def _unpack_newest(destination: Destination, there: list[Archive], folder: Path) -> list[str]:
    """Put the newest archive's backup into `folder`; return what is to say when it cannot be read."""
    if not there:
        return []
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent) as trial:
            with destination.reading(there[0].name) as stream:
                unpack(stream, Path(trial), secrets_of(os.environ), there[0].name)
            if layout.main_file_exists(Path(trial)):
                for path in Path(trial).iterdir():
                    os.rename(path, folder / path.name)
    except GoldenError as error:
        return [f"the archive before could not be compared with: {error.message}"]
    return []


def _write_backup(
    folder: Path, actor: Any, options: ArchiveOptions, progress: Progress | None
) -> BackupResult:
    if options.format == "dump":
        return create_dump(directory=folder, actor=actor, recorded=False)
    return create_backup(
        directory=folder, actor=actor, options=options.backup, progress=progress, recorded=False
    )


def _pack(folder: Path, file: Path, packing: Packing) -> str:
    """Pack the folder into `file` and return its SHA-256."""
    with file.open("wb") as stream:
        pack(folder, stream, packing)
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _free_name(there: list[Archive], packing: Packing) -> tuple[datetime, str]:
    """Return a time that no archive has, and the name: two backups in one second are two archives."""
    moment, taken = now().replace(microsecond=0), {archive.moment for archive in there}
    while moment in taken:
        moment += timedelta(seconds=1)
    return moment, archive_name(moment, packing)


def _record(result: BackupResult, actor: Any, options: ArchiveOptions, place: str) -> None:
    if options.format == "dump":
        record_dump(result, actor, place)
    else:
        record_backup(result, actor, options.backup, place)


def _thin_out(
    destination: Destination, actor: Any, options: ArchiveOptions, newest: datetime
) -> tuple[list[str], int]:
    """Delete what the retention does not keep, the oldest first; return the names, and how many are left."""
    there = destination.archives()
    keep = kept((archive.moment for archive in there), options.retention) | {newest}
    going = [archive.name for archive in reversed(there) if archive.moment not in keep]
    if going and not options.keep_dry_run:
        for name in going:
            destination.delete(name)
        record(
            actor, "backup.retention", None, f"{len(going)} archives of {destination.shown}", deleted=going
        )
    return going, len(there) - len(going)


@dataclass(frozen=True)
class Source:
    """A backup to read: a folder as `golden_backup` wrote it, and what to call where it came from."""

    folder: Path
    shown: str

    def named(self, text: str) -> str:
        """Return a message with the source in the place of the temporary folder, which nobody knows."""
        return text.replace(str(self.folder), self.shown)


@contextmanager
def opened_source(place: str, at: str = "") -> Iterator[Source]:
    """Find the backup at `place` and yield it as a folder; what had to be fetched is removed afterwards.

    `place`: a backup folder, an archive, or a folder or URL with archives, of which the newest is taken, or the one that `at`
    names: its name, or a time (the newest one then; a date means its end, in UTC). Raises NoBackup, BadInput (`at` is no
    time), and what `Destination` and `unpack` raise.
    """
    local = None if is_url(place) else Path(place).expanduser().absolute()
    if local is not None and _is_backup_folder(local):
        if at:
            raise BadInput(
                f"{local}: is one backup, not a folder of archives; there is nothing to choose by --at."
            )
        yield Source(local, str(local))
        return
    if local is not None and not local.exists():
        raise NoBackup(f"{local}: there is no such folder or archive.")
    destination = Destination(place)
    name = "" if destination.is_file() else _chosen(destination, at)
    told = f"{destination.shown.rstrip('/')}/{name}".rstrip("/") if name else destination.shown
    with temporary_folder() as temporary:
        with layout.clear_disk_errors(temporary), destination.reading(name) as stream:
            unpack(stream, temporary, secrets_of(os.environ), told)
        source = Source(temporary, told)
        try:
            yield source
        except GoldenError as error:
            error.message = source.named(error.message)
            raise


def _is_backup_folder(folder: Path) -> bool:
    return layout.main_file_exists(folder) or (folder / layout.DUMP_MANIFEST).is_file()


def _chosen(destination: Destination, at: str) -> str:
    there = destination.archives()
    if at:
        wanted = [archive for archive in there if archive.name == at]
        if not wanted:
            latest = _end_of(at)
            wanted = [archive for archive in there if archive.moment <= latest]
    else:
        wanted = there
    if not wanted:
        found = f"the oldest of {len(there)} is {there[-1].name}" if there else "there is no archive"
        raise NoBackup(
            f"{destination.shown}: found no {layout.MAIN}"
            + (f" and nothing of {at}" if at else "")
            + f"; {found}.",
            hint="Name the folder that golden_backup wrote, an archive, or a folder or URL of archives.",
        )
    return wanted[0].name


def _end_of(at: str) -> datetime:
    """Return the time that `at` says; a date alone stands for its last moment. Raises BadInput."""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise BadInput(
            f"--at: found {at!r}, expected the name of an archive there, or a time such as 2026-11-21T02:00."
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment + timedelta(days=1, microseconds=-1) if len(at) <= len("2026-11-21") else moment
