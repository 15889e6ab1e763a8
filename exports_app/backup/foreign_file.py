"""A main file of another tool: any layout of JSON, read as a whole; it has no checksums."""

from __future__ import annotations

import json
from typing import Any

from exports_app.backup.analyses import ANALYSIS_KEYS, DETAILS, DOCUMENTS, exact, rendered
from exports_app.backup.opened import ANOTHER_COPY, Backup, DocumentPart, Part, check_version, parsed_time
from exports_app.backup.record_checks import RecordChecker
from exports_app.backup.records import seal
from exports_app.backup.tables import BY_NAME
from exports_app.errors import DamagedBackup, InvalidBackup


def read_document(backup: Backup, reason: str) -> None:
    """Read a main file in any layout of JSON. One with our checksum must be in our layout."""
    try:
        text = backup.main.read_text(encoding="utf-8")
        document = json.loads(text, object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        raise DamagedBackup(f"{backup.main}: byte {error.start} is no UTF-8.", hint=ANOTHER_COPY) from error
    except json.JSONDecodeError as error:
        raise DamagedBackup(
            f"{backup.main}: no JSON at line {error.lineno}, column {error.colno} ({error.msg}).",
            hint=f"The file was truncated or changed. {ANOTHER_COPY}",
        ) from error
    if not isinstance(document, dict):
        raise InvalidBackup(f"{backup.main}: found {type(document).__name__}, expected an object.")
    if "sha256" in document or "files" in document:
        raise DamagedBackup(
            f"{backup.main}: {reason} is not as it was written, so the checksum cannot match.",
            hint=f"The file was changed or laid out anew. {ANOTHER_COPY}",
        )
    backup.version = document.get("version", "")
    check_version(backup.version, backup.main)
    backup.created_at = parsed_time(document.get("created_at"))
    backup.totals = document.get("metadata", {})
    if "analyses" not in document or "metadata" not in document:
        missing = "analyses" if "analyses" not in document else "metadata"
        raise InvalidBackup(f"{backup.main}: the field “{missing}” is missing.")
    exactly = exact(text)
    for name in DOCUMENTS:
        if name in document:
            backup.documents[name] = _documents_in_memory(backup, name, document[name], exactly[name])
    for name in document.keys() & (BY_NAME.keys() | {"people", DETAILS}):
        backup.parts[name] = [_part_in_memory(backup, name, document[name])]
        if name == "people":
            backup.people = [record["name"] for record in document[name]]


def _documents_in_memory(backup: Backup, name: str, documents: Any, exactly: Any) -> DocumentPart:
    """Return the analyses as our own layout has them; `exactly` are the same with each number as it is written."""
    if not isinstance(documents, list):
        raise InvalidBackup(f"{backup.main}: “{name}” is no list.")
    backup.census.begin(name)
    records = []
    for number, document in enumerate(documents):
        backup.census.add(document, f"{backup.main}: {name}[{number}]")
        try:
            records.append(rendered({key: exactly[number][key] for key in ANALYSIS_KEYS}))
        except TypeError as error:  # a lone surrogate: JSON can write what no text can hold
            raise InvalidBackup(f"{backup.main}: {name}[{number}]: {error}.") from error
        backup.census.add_text(records[-1])
    return DocumentPart(len(records), memory=tuple(records))


def _part_in_memory(backup: Backup, name: str, records: Any) -> Part:
    if not isinstance(records, list):
        raise InvalidBackup(f"{backup.main}: “{name}” is {type(records).__name__}, expected a list.")
    checker = RecordChecker(name)
    lines = []
    for number, record in enumerate(records):
        if isinstance(record, dict):
            record.pop("crc32", None)
            if name == DETAILS:
                record["analysis_crc32"] = None  # of a layout that this file does not have
        line = seal(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode())
        checker.check(line, f"{backup.main}: {name}[{number}]")
        lines.append(line)
    return Part(f"{backup.main.name} “{name}”", len(lines), memory=tuple(lines))


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidBackup(f"The key “{twice}” occurs twice in one object of the backup.")
    return made
