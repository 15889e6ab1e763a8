"""The files of a backup folder: their names, who may use them at a time, and how a new backup takes the old one's place.

    golden_dataset_backup.json        the main file; names every shard with its count and SHA-256
    golden_dataset_metadata.json      totals and the changes from backup to backup
    golden_dataset_shards/SECTION/…   what is too much for the main file; a shard's name holds its SHA-256
    .golden-backup-new                a backup being written; worth nothing
    .golden-backup-ready              a backup that is complete and about to take the old one's place

A folder is replaced in steps: shards (new names, so nothing is overwritten), then one rename of -new to -ready, from
which moment the new backup counts, then metadata and main file are renamed into place. Whoever finds -ready after a
kill reads from it, and the next backup finishes the move.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exports_app.errors import BackupInUse, DiskFull, NoBackup, UnwritableFolder

MAIN = "golden_dataset_backup.json"
METADATA = "golden_dataset_metadata.json"
DUMP_MANIFEST = "golden_dataset_dump.json"
SHARDS = "golden_dataset_shards"
NEW = ".golden-backup-new"
READY = ".golden-backup-ready"


@contextmanager
def locked(folder: Path, *, writing: bool) -> Iterator[None]:
    """Hold the folder for writing (alone) or reading (with other readers). Raises BackupInUse at once, NoBackup.

    The lock is the kernel's, on the folder itself: it leaves no file, and a killed process holds nothing.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise NoBackup(f"{folder}: there is no such folder ({error.strerror}).") from error
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if writing else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupInUse(
                f"{folder}: another process is {'using' if writing else 'writing'} this backup folder.",
                hint="Wait until it has finished, or choose another folder.",
            ) from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def clear_disk_errors(folder: Path) -> Iterator[None]:
    """Tell a full disk and a folder that may not be written as what they are."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"{error.filename or folder}: the disk is full.",
                hint="Make room and run it again; the backup that was there is as it was.",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise UnwritableFolder(f"{error.filename or folder}: {error.strerror}.") from error
        raise


def main_file(folder: Path) -> Path:
    """Return the main file that counts. Raises NoBackup."""
    return _counting(folder, MAIN, required=True)


def metadata_file(folder: Path) -> Path:
    """Return where the metadata file that counts is, or would be."""
    return _counting(folder, METADATA, required=False)


def _counting(folder: Path, name: str, *, required: bool) -> Path:
    ready = folder / READY / name
    path = ready if ready.exists() else folder / name
    if required and not path.is_file():
        raise NoBackup(f"{folder}: found no {name}.", hint="Name the folder that golden_backup wrote.")
    return path


def prepare(folder: Path) -> Path:
    """Finish or throw away what killed processes left, and return a fresh folder to write the new backup in."""
    take_place(folder)
    new = folder / NEW
    if new.exists():
        shutil.rmtree(new)
    new.mkdir()
    return new


def publish(folder: Path) -> None:
    """Make the finished backup in -new the one that counts."""
    new, ready = folder / NEW, folder / READY
    staged = new / SHARDS
    if staged.exists():
        _place_shards(staged, folder / SHARDS)
        shutil.rmtree(staged)
    sync_folder(new)
    os.rename(new, ready)
    sync_folder(folder)
    take_place(folder)


def take_place(folder: Path) -> None:
    """Move what is in -ready into place; the main file last. Does nothing when there is no -ready."""
    ready = folder / READY
    if not ready.exists():
        return
    for name in (METADATA, MAIN):
        if (ready / name).exists():
            os.replace(ready / name, folder / name)
    sync_folder(folder)
    shutil.rmtree(ready)


def _place_shards(source: Path, target: Path) -> None:
    for section in sorted(source.iterdir()):
        (target / section.name).mkdir(parents=True, exist_ok=True)
        for shard in sorted(section.iterdir()):
            # over one of the same name too: the old file may have been damaged since
            os.replace(shard, target / section.name / shard.name)
        sync_folder(target / section.name)
    sync_folder(target)


def remove_unnamed_shards(folder: Path, named: set[str]) -> None:
    """Remove the shards that the main file does not name; call it when that file is in place."""
    shards = folder / SHARDS
    if not shards.exists():
        return
    for path in sorted(shards.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in named:
            path.unlink()
    if not any(shards.iterdir()):
        shards.rmdir()


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    sync_folder(path)


def main_file_exists(folder: Path) -> bool:
    return (folder / READY / MAIN).is_file() or (folder / MAIN).is_file()
