"""What lies in GOLDEN_BACKUP_DIR: the folder's own backup and archives. Nothing outside of it can be named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings

from exports_app.backup import layout
from exports_app.backup.destinations import Destination
from exports_app.backup.dumping import is_dump
from exports_app.errors import NoBackup
from exports_app.services.archives import Source, opened_source
from goldenproject.kit.errors import BadInput

FOLDER = "folder"  # the name of the backup that lies in the folder itself


@dataclass(frozen=True)
class StoredArchive:
    """An archive in GOLDEN_BACKUP_DIR. `created_at` is what its name says; `size` in bytes."""

    name: str
    created_at: datetime
    size: int

    @property
    def encrypted(self) -> bool:
        return self.name.endswith(".enc")


def backup_folder() -> Path:
    return Path(settings.GOLDEN_BACKUP_DIR)


def folder_has_backup() -> bool:
    """Tell whether the folder itself holds a backup of format 1.0."""
    return layout.main_file_exists(backup_folder())


def stored_archives() -> list[StoredArchive]:
    """Return the archives, the newest first; none where there is no folder yet."""
    found = Destination(str(backup_folder())).archives()
    return [StoredArchive(archive.name, archive.moment, archive.size) for archive in found]


def check_stored(name: str) -> str:
    """Return `name` if it is FOLDER and there is a backup, or the name of an archive there. Raises NoBackup.

    The name is compared with the listing and never becomes a part of a path before that.
    """
    archives = [archive.name for archive in stored_archives()]
    if name == FOLDER:
        if folder_has_backup():
            return name
        raise NoBackup(
            "There is no backup in the backup folder yet.", hint="Back up first, or name an archive."
        )
    if name not in archives:
        newest = f"the newest is {archives[0]}" if archives else "there is none"
        raise NoBackup(
            f"There is no archive {name[:100]!r} in the backup folder; {newest}.",
            hint=f"“{FOLDER}” names the backup of the folder itself.",
        )
    return name


@contextmanager
def opened_stored(name: str) -> Iterator[Source]:
    """Yield the backup called `name` as a folder. Raises NoBackup, BadInput (a native dump), what `opened_source` raises.

    A native dump holds people, tokens and jobs too, and takes their place: that is the work of an operator.
    """
    check_stored(name)
    place = backup_folder() if name == FOLDER else backup_folder() / name
    with opened_source(str(place)) as source:
        if is_dump(source.folder) and not layout.main_file_exists(source.folder):
            raise BadInput(
                f"{name} is a native dump of the whole database, with people, tokens and jobs.",
                hint="It is restored on the machine of the data: manage.py golden_restore",
            )
        yield source
