"""Backups of a corpus written by hand, restored and looked at by tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exports_app.services.restores import RestoreOptions, RestoreResult, restore_backup
from tests.integration.corpus_data import (
    foreign_document,
)
from tests.integration.test_backup_round_trip import everything

MAIN, METADATA = "golden_dataset_backup.json", "golden_dataset_metadata.json"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def written(folder: Path, analyses: list[dict[str, Any]], indent: int = 4, **changes: Any) -> Path:
    """Write a backup as another tool does."""
    text = json.dumps(foreign_document(analyses, **changes), indent=indent)
    (folder / MAIN).write_text(text)
    return folder


def restored(folder: Path, **options: Any) -> RestoreResult:
    chosen = RestoreOptions(**{"embeddings": False, "safety_dir": folder.parent / "safety", **options})
    return restore_backup(directory=folder, actor=None, options=chosen)


def rows() -> dict[str, list[str]]:
    """Every record of the database, but for the default corpus that the restore itself may have made."""
    return {name: lines for name, lines in everything().items() if name != "audit_events"}
