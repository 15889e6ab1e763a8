"""The history of what was restored without any, as from another tool's file, or not quite as it was saved."""

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
        columns = _columns(name)
        table = section.table.replace("_historical", "_")
        cursor.execute(
            f"INSERT INTO {section.table} ({', '.join(columns)}, history_date, history_type, history_change_reason, "
            f"db_user) SELECT {', '.join(f't.{c}' for c in columns)}, %s, '+', 'restored', session_user "
            f"FROM {table} t WHERE NOT EXISTS (SELECT 1 FROM {section.table} h WHERE h.id = t.id)",
            [now()],
        )
    cursor.execute(_URLS_JUDGED_ANEW.format(columns=", ".join(_columns("history_analyses"))), [now()])


def _columns(name: str) -> list[str]:
    """Return the columns that a history shares with its table."""
    return [c.column for c in BY_NAME[name].columns() if c.column not in _OF_HISTORY]


# Each installation judges URLs by its own patterns and hosts: where the verdict differs from the saved one, that is a change.
_URLS_JUDGED_ANEW = """
    INSERT INTO datasets_app_historicalanalysis
           ({columns}, history_date, history_type, history_change_reason, db_user)
    SELECT {columns}, %s, '~', 'restored', session_user FROM datasets_app_analysis t
     WHERE EXISTS (SELECT 1 FROM (SELECT * FROM datasets_app_historicalanalysis l WHERE l.id = t.id
                                   ORDER BY l.history_id DESC LIMIT 1) h
                    WHERE (t.canonical_url, t.url_violation) IS DISTINCT FROM (h.canonical_url, h.url_violation))
"""
