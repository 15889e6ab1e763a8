"""The shards beside the main file: there, whole, and what their names and the main file say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from exports_app.backup.opened import ANOTHER_COPY, READ_BYTES, Backup, Part
from exports_app.backup.record_checks import RecordChecker
from exports_app.errors import DamagedBackup, InvalidBackup


def check_shard_list(backup: Backup) -> None:
    """Raise DamagedBackup when a shard is missing or has another size."""
    for part in shards(backup):
        assert part.path is not None
        if not part.path.is_file():
            raise DamagedBackup(f"{part.path}: the shard is missing.", hint=ANOTHER_COPY)
        size = part.path.stat().st_size
        if size != part.size:
            raise DamagedBackup(
                f"{part.path}: found {size} bytes, expected {part.size}: the file was truncated or changed.",
                hint=ANOTHER_COPY,
            )


def shards(backup: Backup) -> list[Part]:
    return [part for parts in backup.parts.values() for part in parts if part.is_shard]


def check_shards(backup: Backup, *, records: bool = False) -> Iterator[int]:
    """Check each shard's SHA-256 and count, with `records` each record too; yield the records done so far.

    Raises DamagedBackup, InvalidBackup.
    """
    done = 0
    for name, parts in backup.parts.items():
        checker = RecordChecker(name)
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
        while block := file.read(READ_BYTES):
            digest.update(block)
            lines += block.count(b"\n")
    if digest.hexdigest() != part.sha256:
        raise DamagedBackup(
            f"{part.path}: found the checksum {digest.hexdigest()}, expected {part.sha256}.",
            hint=f"The file was truncated or changed. {ANOTHER_COPY}",
        )
    if lines != part.count:
        raise InvalidBackup(f"{part.path}: found {lines} records, expected {part.count}.")
