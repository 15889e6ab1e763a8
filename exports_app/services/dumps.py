"""Native snapshots of the database as backups: fast and exact, not for version control."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from django.db import connection, transaction

from datasets_app.domain.roles import Action
from datasets_app.services.access import record, require
from exports_app.backup import layout
from exports_app.backup.dumping import load_dump, open_dump, write_dump
from exports_app.errors import RestoreConflict
from exports_app.services.backups import BackupResult
from exports_app.services.restores import RestoreOptions, RestoreResult, is_pristine, take_safety_backup
from goldenproject.kit.clock import now

_COMPLETED = "JOIN datasets_app_analysis a ON a.id = t.analysis_id WHERE a.status = 'completed'"
_TOTALS = {
    "total_analyses": "datasets_app_analysis WHERE status = 'completed'",
    "total_chunks": f"datasets_app_chunk t {_COMPLETED}",
    "total_artifacts": f"datasets_app_artifact t {_COMPLETED}",
    "total_test_queries": "datasets_app_testquery",
    "total_datasets": "datasets_app_dataset",
    "total_examples": "datasets_app_example",
    "total_commits": "datasets_app_datasetcommit",
    "total_labels": "labeling_app_label",
}


def create_dump(*, directory: Path, actor: Any, recorded: bool = True) -> BackupResult:
    """Write a native dump into `directory`. Raises as `create_backup`, and DumpFailed.

    `recorded=False` leaves the audit entry to the caller, who calls `record_dump` when the dump is where it counts.
    """
    if actor is not None:
        require(actor, Action.BACKUP)
    with layout.clear_disk_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with layout.locked(directory, writing=True), transaction.atomic():
            connection.ensure_connection()
            with psycopg.Cursor(connection.connection) as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                cursor.execute("SELECT pg_export_snapshot()")
                snapshot = cursor.fetchall()[0][0]
                totals = {name: _count(cursor, table) for name, table in _TOTALS.items()}
                dump = write_dump(
                    directory, connection.settings_dict, created_at=now(), totals=totals, snapshot=snapshot
                )
    result = BackupResult(directory, dump.sha256, True, dump.created_at, totals, {})
    if recorded:
        record_dump(result, actor)
    return result


def record_dump(result: BackupResult, actor: Any, place: str = "") -> None:
    """Add the audit entry of a dump. `place` is where it counts, if not in its folder."""
    place = place or str(result.directory)
    record(
        actor,
        "backup",
        None,
        f"native dump to {place}",
        format="dump",
        directory=place,
        dump_sha256=result.sha256,
        totals=result.totals,
    )


def _count(cursor: psycopg.Cursor[Any], rows: str) -> int:
    cursor.execute(f"SELECT count(*) FROM {rows}")
    return int(cursor.fetchall()[0][0])


def restore_dump(*, directory: Path, actor: Any, options: RestoreOptions | None = None) -> RestoreResult:
    """Put a native dump in the place of the whole database: people, tokens and jobs too.

    A database that holds data needs `replace`, and is backed up (as JSON) first. Raises as `restore_backup`, and
    DumpFailed.
    """
    if actor is not None:
        require(actor, Action.RESTORE)
    options = options or RestoreOptions()
    with layout.locked(directory, writing=False):
        dump = open_dump(directory)
        pristine = is_pristine()
        if not pristine and not options.replace:
            raise RestoreConflict(
                "The database holds data already; a native dump can only take the place of all of it.",
                hint="Say --replace; what is there is backed up first.",
            )
        counts = {name.removeprefix("total_"): count for name, count in dump.totals.items()}
        if options.dry_run:
            return RestoreResult(directory, True, True, {}, counts)
        safety = None if pristine else take_safety_backup(options)
        connection.close()
        load_dump(dump, connection.settings_dict)
    with transaction.atomic():
        record(
            None,  # the one who restores may not be known to what was restored
            "restore",
            None,
            f"native dump from {options.source or directory}",
            format="dump",
            directory=options.source or str(directory),
            restored_by=actor.get_username() if actor is not None else "",
            safety_backup=str(safety) if safety else None,
        )
    return RestoreResult(directory, False, options.replace, {}, counts, safety_backup=safety)
