"""Store what settling works out, a statement for each set: consensus, states of items, rows of the log.

Every submit that completes an example goes through here, so these are plain INSERTs rather than the ORM's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from goldenproject.kit.database_io import prepared_cursor
from labeling_app.models import Consensus, LabelHistory

_CONSENSUSES = """
    INSERT INTO labeling_app_consensus
           (item_id, queue_id, value, method, confidence, agreement, label_count, origin, adopted_value, before,
            decided_by_id, adopted_at, computed_at)
    SELECT w.item, w.queue, w.value::jsonb, w.method, w.confidence, w.agreement, w.labels, w.origin,
           w.adopted_value::jsonb, w.before::jsonb, w.decided_by, w.adopted_at, w.computed_at
      FROM unnest(%s::bigint[], %s::uuid[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::int[], %s::text[],
                  %s::text[], %s::text[], %s::int[], %s::timestamptz[], %s::timestamptz[])
           AS w(item, queue, value, method, confidence, agreement, labels, origin, adopted_value, before, decided_by,
                adopted_at, computed_at)
        ON CONFLICT (item_id) DO UPDATE
       SET value = excluded.value, method = excluded.method, confidence = excluded.confidence,
           agreement = excluded.agreement, label_count = excluded.label_count, origin = excluded.origin,
           adopted_value = excluded.adopted_value, before = excluded.before, decided_by_id = excluded.decided_by_id,
           adopted_at = excluded.adopted_at, computed_at = excluded.computed_at
"""
_LOG = """
    INSERT INTO labeling_app_labelhistory
           (example_id, queue_id, labeler_id, annotator, event, label_type, label_value, previous_value, labeled_at,
            confidence, notes, source)
    SELECT w.example, w.queue, w.labeler, w.annotator, w.event, w.label_type, w.value::jsonb, w.previous::jsonb, w.at,
           w.confidence, w.notes, w.source
      FROM unnest(%s::uuid[], %s::uuid[], %s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                  %s::timestamptz[], %s::numeric[], %s::text[], %s::text[])
           AS w(example, queue, labeler, annotator, event, label_type, value, previous, at, confidence, notes, source)
"""
_STATES = """
    UPDATE labeling_app_queueitem i SET state = s.state FROM unnest(%s::bigint[], %s::text[]) AS s(id, state)
     WHERE i.id = s.id AND i.state <> s.state
"""


def write_consensuses(consensuses: Iterable[Consensus]) -> None:
    """Store these rows, new or known."""
    _insert(
        _CONSENSUSES,
        [
            (
                row.item_id,
                row.queue_id,
                _json(row.value),
                str(row.method),
                row.confidence,
                row.agreement,
                row.label_count,
                str(row.origin),
                _json(row.adopted_value),
                orjson.dumps(row.before).decode(),
                row.decided_by_id,
                row.adopted_at,
                row.computed_at,
            )
            for row in consensuses
        ],
    )


def write_log(rows: Iterable[LabelHistory]) -> None:
    """Add rows about items as a whole to the log: those without a session, a lease and a key of their own."""
    _insert(
        _LOG,
        [
            (
                row.example_id,
                row.queue_id,
                row.labeler_id,
                row.annotator,
                str(row.event),
                row.label_type,
                _json(row.label_value),
                _json(row.previous_value),
                row.labeled_at,
                row.confidence,
                row.notes,
                str(row.source),
            )
            for row in rows
        ],
    )


def write_item_states(states: Mapping[int, str]) -> None:
    """Set the states of items, by id; those that have theirs already are not written."""
    if states:
        with prepared_cursor() as cursor:
            cursor.execute(_STATES, [list(states), [str(state) for state in states.values()]])


def _insert(statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        with prepared_cursor() as cursor:
            cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])


def _json(value: Any) -> str | None:
    """Return a JSON value as text; none at all is NULL, as the ORM has it."""
    return None if value is None else orjson.dumps(value).decode()
