"""Back up everything that the database holds of the golden data into a folder, from one snapshot."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection, transaction

from datasets_app.domain.roles import Action
from datasets_app.models import AuditEvent
from datasets_app.services.access import record, require
from exports_app.backup import layout
from exports_app.backup.comparing import compare_analyses, compare_examples, compare_labels, compare_queries
from exports_app.backup.opened import Backup
from exports_app.backup.reading import open_backup
from exports_app.backup.writing import (
    INLINE_EXAMPLES,
    Progress,
    WriteOptions,
    WrittenBackup,
    lock_tables,
    write_backup,
    write_metadata,
)
from goldenproject.kit.clock import now
from goldenproject.kit.errors import GoldenError

_CHANGE_KEYS = ("date", "action", "count", "description")


@dataclass(frozen=True)
class BackupOptions:
    """`description`: a person's words on what changed. `inline_examples`: beyond it, shards lie beside the main file."""

    description: str = ""
    inline_examples: int = INLINE_EXAMPLES
    keep_record: bool = (
        True  # False for the safety backup of a restore, which is no step of the data's own history
    )


@dataclass(frozen=True)
class BackupResult:
    """`changed` is False when the folder held this very backup: then no file was touched."""

    directory: Path
    sha256: str
    changed: bool
    created_at: datetime
    totals: dict[str, int]
    counts: dict[str, int]
    changes: list[dict[str, Any]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "directory": str(self.directory),
            "created_at": self.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


def create_backup(
    *,
    directory: Path,
    actor: Any,
    options: BackupOptions | None = None,
    progress: Progress | None = None,
    recorded: bool = True,
) -> BackupResult:
    """Write a backup of format 1.0 into `directory`, which is made if need be.

    `recorded=False` leaves the audit entry to the caller, who calls `record_backup` when the backup is where it counts.

    Consistent (one REPEATABLE READ snapshot), atomic (the old backup counts until the new one is complete and on the
    disk), and without effect on the files when nothing changed. Raises BackupInUse, DiskFull, UnwritableFolder,
    Forbidden (an actor who may not back up; None is the system's operator).
    """
    if actor is not None:
        require(actor, Action.BACKUP)
    options = options or BackupOptions()
    with layout.clear_disk_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with layout.locked(directory, writing=True):
            result = _write_and_publish(directory, options, progress)
    if recorded:
        record_backup(result, actor, options)
    return result


def _write_and_publish(directory: Path, options: BackupOptions, progress: Progress | None) -> BackupResult:
    new = layout.prepare(directory)
    moment = now()
    try:
        written = _write_snapshot(new, WriteOptions(moment, options.inline_examples), progress)
        before = _readable(directory)
        changed = (
            before is None or before.sha256 != written.sha256 or not layout.metadata_file(directory).exists()
        )
        changes: list[dict[str, Any]] = []
        if changed:
            known, changes = _changes(directory, new, before, written, options, moment)
            write_metadata(new, written.totals, moment, known + changes)
        else:
            assert before is not None and before.created_at is not None
            moment = before.created_at
            (new / layout.MAIN).unlink()  # only the shards are put in place: that mends one that was damaged
        layout.publish(directory)
        layout.remove_unnamed_shards(directory, written.shards)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return BackupResult(directory, written.sha256, changed, moment, written.totals, written.counts, changes)


def _write_snapshot(folder: Path, options: WriteOptions, progress: Progress | None) -> WrittenBackup:
    nested = connection.in_atomic_block
    with transaction.atomic():
        connection.ensure_connection()
        with psycopg.Cursor(connection.connection) as cursor:
            if not nested:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                lock_tables(cursor)
            return write_backup(cursor, folder, options, progress)


def _readable(directory: Path) -> Backup | None:
    """Return the backup that is there, None when there is none that can be trusted."""
    try:
        return open_backup(directory, trusted=True)
    except GoldenError:
        return None


def _changes(
    directory: Path,
    new: Path,
    before: Backup | None,
    written: WrittenBackup,
    options: BackupOptions,
    moment: datetime,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the changes told so far, and those of this backup."""
    events = AuditEvent.objects.filter(action="backup_change").order_by("id")
    if before is not None:
        counts = _compared(before, open_backup(new, trusted=True))
        known = before.changes
    else:
        counts = _counts_since_last(written)
        # jsonb has an order of keys of its own
        known = [{key: event.details.get(key) for key in _CHANGE_KEYS} for event in events]
    date = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    counted = [
        (kind, action, count)
        for kind, actions in counts.items()
        for action, count in actions.items()
        if count
    ]
    made = [
        {
            "date": date,
            "action": action,
            "count": count,
            "description": _in_words(options.description, _described(kind, action, count), len(counted)),
        }
        for kind, action, count in counted
    ]
    if not made and options.description:
        made = [{"date": date, "action": "modified", "count": 0, "description": options.description}]
    return known, made


_KINDS = {
    "total_analyses": ("analysis", "analyses"),
    "total_test_queries": ("test query", "test queries"),
    "total_examples": ("example", "examples"),
    "total_labels": ("label", "labels"),
}


def _compared(before: Backup, after: Backup) -> dict[str, dict[str, int]]:
    """Return for each kind of record how many were added, removed and modified."""
    return {
        "total_analyses": asdict(compare_analyses(before, after)),
        "total_test_queries": asdict(compare_queries(before, after)),
        "total_examples": asdict(compare_examples(before, after)),
        "total_labels": asdict(compare_labels(before, after)),
    }


def _in_words(words: str, counted: str, of: int) -> str:
    """Return the person's own words for a change; of several changes each says which one it is."""
    if not words:
        return counted
    return words if of == 1 else f"{words} ({counted})"


def _described(kind: str, action: str, count: int) -> str:
    return f"{count} {_KINDS[kind][count != 1]} {action}"


def _counts_since_last(written: WrittenBackup) -> dict[str, dict[str, int]]:
    """Compare with what the database knows of the last backup or restore, when its files are not at hand."""
    events = AuditEvent.objects.filter(action__in=("backup", "restore"), details__has_key="sha256")
    last = events.order_by("-id").first()
    if last is not None and last.details["sha256"] == written.sha256:
        return {}
    before = last.details["totals"] if last is not None else {}
    counts = {}
    for kind in _KINDS:
        difference = written.totals[kind] - before.get(kind, 0)
        counts[kind] = {"added": max(difference, 0), "removed": max(-difference, 0)}
    return counts


def totals_told(totals: dict[str, int]) -> str:
    """Return the totals in words: "98 analyses, 415 chunks, 98 artifacts, 2 datasets, …"; a missing one is left out."""
    return ", ".join(f"{totals[name]} {words}" for name, words in _TOLD.items() if name in totals)


_TOLD = {
    "total_analyses": "analyses",
    "total_chunks": "chunks",
    "total_artifacts": "artifacts",
    "total_test_queries": "test queries",
    "total_datasets": "datasets",
    "total_examples": "examples",
    "total_commits": "commits",
    "total_labels": "labels",
}


def record_backup(result: BackupResult, actor: Any, options: BackupOptions, place: str = "") -> None:
    """Add the audit entry of a backup and its changes. `place` is where it counts, if not in its folder."""
    place = place or str(result.directory)
    with transaction.atomic():
        if options.keep_record:
            AuditEvent.objects.bulk_create(
                AuditEvent(action="backup_change", details=change) for change in result.changes
            )
        record(
            actor,
            "backup",
            None,
            f"{totals_told(result.totals)} to {place}",
            format="json",
            directory=place,
            sha256=result.sha256,
            changed=result.changed,
            totals=result.totals,
        )


def last_backup() -> AuditEvent | None:
    """Return the audit event of the newest backup of any format."""
    return AuditEvent.objects.filter(action="backup", succeeded=True).order_by("-id").first()


def as_text(result: BackupResult) -> str:
    """One line for people."""
    what = totals_told(result.totals)
    if not result.changed:
        return f"Nothing changed since {result.created_at:%Y-%m-%d %H:%M} UTC: {what} in {result.directory}."
    told = "; ".join(change["description"] for change in result.changes)
    return f"Backed up {what} to {result.directory}." + (f" {told}." if told else "")
