"""The history of what was restored without any, as from another tool's file: it begins with the restore."""

from __future__ import annotations

from typing import Any

import psycopg

from exports_app.backup.tables import BY_NAME, CORPUS_SECTIONS
from goldenproject.kit.clock import now

_OF_HISTORY = (
    "history_id",
    "history_date",
    "history_type",
    "history_user_id",
    "history_change_reason",
    "db_user",
)


def begin_histories(cursor: psycopg.Cursor[Any]) -> None:
    """Give each row of the corpus that has no history its first row: later changes are told against it."""
    for name in CORPUS_SECTIONS:
        section = BY_NAME[name]
        if not section.is_history:
            continue
        columns = [c.column for c in section.columns() if c.column not in _OF_HISTORY]
        table = section.table.replace("_historical", "_")
        cursor.execute(
            f"INSERT INTO {section.table} ({', '.join(columns)}, history_date, history_type, history_change_reason, "
            f"db_user) SELECT {', '.join(f't.{c}' for c in columns)}, %s, '+', 'restored', session_user "
            f"FROM {table} t WHERE NOT EXISTS (SELECT 1 FROM {section.table} h WHERE h.id = t.id)",
            [now()],
        )
