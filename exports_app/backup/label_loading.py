"""Labels of a backup into a database that holds data, and out of it: which rows are a dataset's."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import psycopg

from exports_app.backup.label_tables import APP, LABEL_SECTIONS
from exports_app.backup.sections import Section
from goldenproject.kit.clock import now

_SESSIONS = f"{APP}_labelingsession"
# A session over all queues belongs to each dataset in which something was done in it.
_USED = " OR ".join(
    f"EXISTS (SELECT 1 FROM {APP}_{table} l WHERE l.session_id = r.{{id}} AND l.queue_id IN (SELECT id FROM {{scope}}))"
    for table in ("labelhistory", "label", "lease")
)


def label_scopes(cursor: psycopg.Cursor[Any], stage: Callable[[str], None]) -> None:
    """Fill golden_scope_queue with the queues of the chosen datasets; `stage(name)` brings a section into golden_stage."""
    cursor.execute("CREATE TEMP TABLE golden_scope_queue (id uuid) ON COMMIT DROP")
    for name in ("queues", "history_queues"):
        stage(name)
        cursor.execute(
            "INSERT INTO golden_scope_queue SELECT DISTINCT (doc->>'id')::uuid FROM golden_stage "
            "WHERE (doc->>'dataset_id')::uuid IN (SELECT id FROM golden_scope_dataset)"
        )


def label_condition(section: Section, *, items: int) -> str:
    """Return which staged rows (r) of a section come in with the chosen datasets. `items`: by how much item numbers shift."""
    scope = "golden_scope_queue"
    if section.name == "labeling_sessions":
        used = _USED.format(id="id", scope=scope)
        return f" WHERE r.queue_id IN (SELECT id FROM {scope}) OR (r.queue_id IS NULL AND ({used}))"
    if section.name == "history_labeling_sessions":  # of one that is there already the history is too
        return (
            f" WHERE r.queue_id IN (SELECT id FROM {scope}) OR (r.queue_id IS NULL "
            f"AND EXISTS (SELECT 1 FROM {_SESSIONS} s WHERE s.id = r.id) "
            f"AND NOT EXISTS (SELECT 1 FROM {APP}_historicallabelingsession h WHERE h.id = r.id))"
        )
    if section.scope == "queue_id":
        return f" WHERE r.queue_id IN (SELECT id FROM {scope})"
    if section.scope == "item_id":
        return (
            f" WHERE EXISTS (SELECT 1 FROM {APP}_queueitem i WHERE i.id = r.item_id + {items} "
            f"AND i.queue_id IN (SELECT id FROM {scope}))"
        )
    if section.scope == "dataset_id":
        return " WHERE r.dataset_id IN (SELECT id FROM golden_scope_dataset)"
    return ""


# Nobody sits at a session that comes out of a backup: it ended when it was last heard of.
_ENDED = f"""
    WITH ended AS (
        UPDATE {_SESSIONS} SET ended_at = last_seen_at
         WHERE ended_at IS NULL AND id NOT IN (SELECT id FROM golden_running) RETURNING *
    )
    INSERT INTO {APP}_historicallabelingsession
           ({{columns}}, history_date, history_type, history_change_reason, db_user)
    SELECT {{columns}}, %s, '~', 'restored', session_user FROM ended
"""


def note_running_sessions(cursor: psycopg.Cursor[Any]) -> None:
    """Note who is labeling in the data that stays, before anything is loaded."""
    cursor.execute(
        f"CREATE TEMP TABLE golden_running ON COMMIT DROP AS SELECT id FROM {_SESSIONS} WHERE ended_at IS NULL"
    )


def end_sessions(cursor: psycopg.Cursor[Any]) -> None:
    """End the restored sessions that ran when the backup was made; those of the data that stays go on."""
    columns = [c.column for s in LABEL_SECTIONS if s.name == "labeling_sessions" for c in s.columns()]
    cursor.execute(_ENDED.format(columns=", ".join(columns)), [now()])


_QUEUES = (
    f"(SELECT id FROM {APP}_labelingqueue WHERE dataset_id = ANY(%(ids)s) "
    f"UNION SELECT id FROM {APP}_historicallabelingqueue WHERE dataset_id = ANY(%(ids)s))"
)
_SUBSETS = {
    "queue_id": _QUEUES,
    "item_id": f"(SELECT id FROM {APP}_queueitem WHERE queue_id IN {_QUEUES})",
    "dataset_id": "(SELECT unnest(%(ids)s::uuid[]))",
}
_LAST = ("queue_items", "history_queues", "queues")


def delete_labels(cursor: psycopg.Cursor[Any], ids: list[uuid.UUID]) -> None:
    """Delete the queues of datasets with all that is theirs, children first. Guards must be lifted."""
    parameters = {"ids": ids}
    cursor.execute(f"DELETE FROM {APP}_draft WHERE item_id IN {_SUBSETS['item_id']}", parameters)
    cursor.execute(
        f"DELETE FROM {APP}_webhookdelivery WHERE webhook_id IN "
        f"(SELECT id FROM {APP}_webhook WHERE dataset_id = ANY(%(ids)s))",
        parameters,
    )
    named = {section.name: section for section in LABEL_SECTIONS if section.scope}
    order = [name for name in reversed(named) if name not in _LAST]
    for name in (*order, *_LAST):
        section = named[name]
        cursor.execute(
            f"DELETE FROM {section.table} t WHERE t.{section.scope} IN {_SUBSETS[section.scope]}", parameters
        )
