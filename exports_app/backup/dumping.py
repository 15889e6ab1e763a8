"""Native snapshots: pg_dump and pg_restore, with a manifest that carries the checksum of the dump.

A dump is exact and fast, and of the whole database: people, tokens and jobs too. It is not for version control.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from exports_app.backup import layout
from exports_app.backup.opened import parsed_time
from exports_app.errors import DamagedBackup, DumpFailed, InvalidBackup, NewerBackup, NoBackup
from goldenproject.database import server_binary

DUMP_VERSION = "1.0"
_READ_BYTES = 1 << 20
_LOCK_WAIT = "60s"


@dataclass(frozen=True)
class Dump:
    """A dump that was checked against its manifest."""

    path: Path
    created_at: datetime
    sha256: str
    totals: dict[str, int]


def write_dump(
    folder: Path, database: Mapping[str, Any], *, created_at: datetime, totals: dict[str, int], snapshot: str
) -> Dump:
    """Dump the database, as the exported `snapshot` sees it, into `folder`; the manifest takes its place last.

    `database` is Django's settings of the connection. Raises DumpFailed, OSError.
    """
    unnamed = folder / ".golden-dump-new"
    try:
        _run(
            [
                str(server_binary("pg_dump")),
                "--format=custom",
                "--no-owner",
                "--no-privileges",
                f"--snapshot={snapshot}",
                f"--file={unnamed}",
            ],
            database,
        )
        layout.sync_file(unnamed)
        digest = _digest(unnamed)
        path = folder / f"golden_dataset-{digest[:16]}.dump"
        os.replace(unnamed, path)
    finally:
        unnamed.unlink(missing_ok=True)
    _write_manifest(folder, path, digest, created_at, totals)
    for old in folder.glob("golden_dataset-*.dump"):
        if old != path:
            old.unlink()
    return Dump(path, created_at, digest, totals)


def _write_manifest(
    folder: Path, path: Path, digest: str, created_at: datetime, totals: dict[str, int]
) -> None:
    document = {
        "version": DUMP_VERSION,
        "format": "dump",
        "created_at": created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "metadata": totals,
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": digest,
    }
    new = folder / ".golden-dump-manifest-new"
    with new.open("w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, folder / layout.DUMP_MANIFEST)
    layout.sync_folder(folder)


def is_dump(folder: Path) -> bool:
    return (folder / layout.DUMP_MANIFEST).is_file()


def open_dump(folder: Path) -> Dump:
    """Check a dump against its manifest. Raises NoBackup, InvalidBackup, DamagedBackup, NewerBackup."""
    manifest = folder / layout.DUMP_MANIFEST
    try:
        document = json.loads(manifest.read_bytes())
        version, name, digest, size = (document[key] for key in ("version", "file", "sha256", "bytes"))
        totals = dict(document["metadata"])
        created_at = parsed_time(document["created_at"])
    except FileNotFoundError as error:
        raise NoBackup(f"{folder}: found no {layout.DUMP_MANIFEST}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidBackup(f"{manifest}: not the manifest of a dump ({error!r}).") from error
    if version != DUMP_VERSION:
        raise NewerBackup(
            f"{manifest}: the dump has format {version}; this version reads {DUMP_VERSION}.",
            hint="Update golden datasets, then restore.",
        )
    if created_at is None or Path(name).name != name:
        raise InvalidBackup(f"{manifest}: “created_at” or “file” is wrong.")
    path = folder / name
    if not path.is_file():
        raise DamagedBackup(f"{path}: the dump is missing.")
    found_size, found = path.stat().st_size, _digest(path)
    if (found_size, found) != (size, digest):
        raise DamagedBackup(
            f"{path}: found {found_size} bytes with the checksum {found}, expected {size} with {digest}.",
            hint="The file was truncated or changed. Use another copy of the backup.",
        )
    return Dump(path, created_at, digest, totals)


def load_dump(dump: Dump, database: Mapping[str, Any]) -> None:
    """Put the dump in the place of all that the database holds, in one transaction. Raises DumpFailed."""
    _run(
        [
            str(server_binary("pg_restore")),
            "--clean",
            "--if-exists",
            "--no-owner",
            "--no-privileges",
            "--single-transaction",
            "--exit-on-error",
            f"--dbname={database['NAME']}",
            str(dump.path),
        ],
        database,
    )


def _run(command: list[str], database: Mapping[str, Any]) -> None:
    done = subprocess.run(command, env=_environment(database), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise DumpFailed(
            f"{Path(command[0]).name} failed: {lines[0] if lines else f'exit code {done.returncode}'}",
            hint="Nothing was changed. Is there room on the disk, and may this role read all tables?",
        )


def _environment(database: Mapping[str, Any]) -> dict[str, str]:
    """The connection in libpq's variables: a password on the command line would be seen by everybody."""
    given = {
        "PGDATABASE": database.get("NAME"),
        "PGUSER": database.get("USER"),
        "PGPASSWORD": database.get("PASSWORD"),
        "PGHOST": database.get("HOST"),
        "PGPORT": database.get("PORT"),
        "PGSSLMODE": database.get("OPTIONS", {}).get("sslmode"),
        "PGSSLROOTCERT": database.get("OPTIONS", {}).get("sslrootcert"),
        "PGOPTIONS": f"-c lock_timeout={_LOCK_WAIT}",
    }
    return {**os.environ, **{key: str(value) for key, value in given.items() if value}}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
