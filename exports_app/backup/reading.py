"""Opening a backup without a database: its main file, its header, its metadata file.

`open_backup` reads the main file once, line by line as it was written, so memory stays flat. A main file of another
tool, in any layout of JSON, is read as a whole; it has no checksums then.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import orjson

from exports_app.backup import layout
from exports_app.backup.analyses import DETAILS
from exports_app.backup.census import Ids
from exports_app.backup.foreign_file import read_document
from exports_app.backup.main_file import AnotherLayout, MainFileScan
from exports_app.backup.opened import ANOTHER_COPY, Backup, check_version
from exports_app.backup.shard_checks import check_shard_list
from exports_app.backup.tables import BY_NAME
from exports_app.errors import DamagedBackup, InvalidBackup

_KNOWN = {*BY_NAME, DETAILS, "people", "files"}
REQUIRED_TOTALS = ("total_analyses", "total_chunks", "total_artifacts")


def open_backup(folder: Path, *, trusted: bool = False) -> Backup:
    """Read and check the main file and the metadata file. Raises NoBackup, InvalidBackup, DamagedBackup, NewerBackup.

    Checked: version, required fields and types, the checksum of the file and of each record in it, duplicate ids,
    and that every shard is there in its size. What shards hold is `check_shards`' matter. `trusted` leaves what
    analyses hold at its checksum: for comparing what this program wrote.
    """
    backup = Backup(folder, layout.main_file(folder))
    try:
        MainFileScan(backup, trusted=trusted).run()
    except AnotherLayout as reason:
        backup = Backup(folder, backup.main)
        read_document(backup, str(reason))
    _check_header(backup)
    check_shard_list(backup)
    backup.census.refuse_repeated(backup.main)
    _read_metadata(backup)
    return backup


def _check_header(backup: Backup) -> None:
    where = str(backup.main)
    check_version(backup.version, backup.main)
    if backup.created_at is None:
        raise InvalidBackup(f"{where}: “created_at” is missing or no time, expected ISO 8601 in UTC.")
    if not isinstance(backup.totals, dict):
        raise InvalidBackup(f"{where}: “metadata” is {type(backup.totals).__name__}, expected an object.")
    for name in REQUIRED_TOTALS:
        value = backup.totals.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvalidBackup(f"{where}: metadata.{name} is {value!r}, expected a count.")


def _read_metadata(backup: Backup) -> None:
    path = layout.metadata_file(backup.folder)
    if not path.is_file():
        return
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise DamagedBackup(f"{path}: no JSON ({error}).", hint=ANOTHER_COPY) from error
    if not isinstance(document, dict) or not isinstance(document.get("changes", []), list):
        raise InvalidBackup(f"{path}: expected an object with a list of “changes”.")
    for number, change in enumerate(document.get("changes", [])):
        if not _is_change(change):
            raise InvalidBackup(
                f"{path}: changes[{number}] is {str(change)[:200]}, expected a date, an action (added, removed, "
                "modified), a count from 0 and a description."
            )
    backup.changes = document.get("changes", [])
    backup.recorded_totals = {k: v for k, v in document.items() if k.startswith("total_") and type(v) is int}


def _is_change(change: Any) -> bool:
    return (
        isinstance(change, dict)
        and isinstance(change.get("date"), str)
        and change.get("action") in ("added", "removed", "modified")
        and type(change.get("count")) is int
        and change["count"] >= 0
        and isinstance(change.get("description"), str)
    )


def findings(backup: Backup) -> list[str]:
    """Return what is wrong with the content though the file can be trusted.

    Counts that differ, URLs that break the contract, expected chunks that are missing. Raises DamagedBackup (an
    analysis that does not match its checksum).
    """
    try:
        backup.census.check_details(backup.lines(DETAILS))
        backup.census.check_expected(backup.lines("expected_chunks"), _query_ids(backup))
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidBackup(
            f"{backup.main}: a record of {DETAILS}, test_queries or expected_chunks has an id that is no UUID."
        ) from error
    found = []
    totals = {
        "total_datasets": backup.count("datasets"),
        "total_examples": backup.count("examples"),
        "total_commits": backup.count("commits"),
        "total_test_queries": backup.count("test_queries"),
        "total_labels": backup.count("labels"),
        "total_analyses": backup.census.completed,
        "total_chunks": backup.census.chunks,
        "total_artifacts": backup.census.artifacts,
    }
    for name, count in totals.items():
        told = backup.totals.get(name)
        if told is not None and told != count:
            found.append(f"{backup.main.name}: {name} is {told}, found {count}")
    if backup.recorded_totals is not None:
        missing = [name for name in REQUIRED_TOTALS if name not in backup.recorded_totals]
        found += [f"{layout.METADATA}: {name} is missing or no count" for name in missing]
    for name, told in (backup.recorded_totals or {}).items():
        known = backup.totals.get(name)
        if known is not None and known != told:
            found.append(f"{layout.METADATA}: {name} is {told}, the backup has {known}")
    for name in sorted(backup.parts.keys() - _KNOWN):
        if count := backup.count(name):
            found.append(f"{backup.main.name}: {count} records of “{name}”, which this version does not know")
    return found + backup.census.all_findings()


def _query_ids(backup: Backup) -> Ids:
    ids = Ids()
    for number, line in enumerate(backup.lines("test_queries")):
        ids.add(uuid.UUID(orjson.loads(line)["id"]), number)
    return ids
