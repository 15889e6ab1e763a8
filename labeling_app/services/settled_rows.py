"""Store what settling works out, in one statement: consensus, rows of the log, states of items.

Every submit that completes an example goes through here, so it is one plain statement rather than several of the ORM's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from goldenproject.kit.database_io import prepared_cursor
from labeling_app.models import Consensus, LabelHistory

# of a JSON document each, in which null is NULL
_STORE = """
    WITH consensus AS (
        INSERT INTO labeling_app_consensus
               (item_id, queue_id, value, method, confidence, agreement, label_count, origin, adopted_value, before,
                decided_by_id, adopted_at, computed_at)
        SELECT item, queue, value, method, confidence, agreement, labels, origin, adopted_value, before, decided_by,
               adopted_at, computed_at
          FROM jsonb_to_recordset(%s::jsonb)
               AS w(item bigint, queue uuid, value jsonb, method text, confidence numeric, agreement numeric, labels int,
                    origin text, adopted_value jsonb, before jsonb, decided_by int, adopted_at timestamptz,
                    computed_at timestamptz)
            ON CONFLICT (item_id) DO UPDATE
           SET value = excluded.value, method = excluded.method, confidence = excluded.confidence,
               agreement = excluded.agreement, label_count = excluded.label_count, origin = excluded.origin,
               adopted_value = excluded.adopted_value, before = excluded.before, decided_by_id = excluded.decided_by_id,
               adopted_at = excluded.adopted_at, computed_at = excluded.computed_at
    ), log AS (
        INSERT INTO labeling_app_labelhistory
               (example_id, queue_id, labeler_id, annotator, event, label_type, label_value, previous_value, labeled_at,
                confidence, notes, source)
        SELECT example, queue, labeler, annotator, event, label_type, value, previous, at, confidence, notes, source
          FROM jsonb_to_recordset(%s::jsonb)
               AS w(example uuid, queue uuid, labeler int, annotator text, event text, label_type text, value jsonb,
                    previous jsonb, at timestamptz, confidence numeric, notes text, source text)
    )
    UPDATE labeling_app_queueitem i SET state = s.state
      FROM jsonb_to_recordset(%s::jsonb) AS s(id bigint, state text)
     WHERE i.id = s.id AND i.state <> s.state
"""


def write_settled(
    *,
    consensuses: Iterable[Consensus] = (),
    log: Iterable[LabelHistory] = (),
    states: Mapping[int, str] | None = None,
) -> None:
    """Store consensuses, new or known; add rows about items as a whole to the log; set the states of items, by id.

    The rows of the log are those without a session, a lease and a key of their own. A state that is there already is
    not written.
    """
    parts = (
        [_consensus(row) for row in consensuses],
        [_log_row(row) for row in log],
        [{"id": pk, "state": str(state)} for pk, state in (states or {}).items()],
    )
    if any(parts):
        with prepared_cursor() as cursor:
            cursor.execute(_STORE, [orjson.dumps(part, default=str).decode() for part in parts])


def write_consensuses(consensuses: Iterable[Consensus]) -> None:
    """Store these rows, new or known."""
    write_settled(consensuses=consensuses)


def write_item_states(states: Mapping[int, str]) -> None:
    """Set the states of items, by id."""
    write_settled(states=states)


def _consensus(row: Consensus) -> dict[str, Any]:
    return {
        "item": row.item_id,
        "queue": row.queue_id,
        "value": row.value,
        "method": str(row.method),
        "confidence": row.confidence,
        "agreement": row.agreement,
        "labels": row.label_count,
        "origin": str(row.origin),
        "adopted_value": row.adopted_value,
        "before": row.before,
        "decided_by": row.decided_by_id,
        "adopted_at": row.adopted_at,
        "computed_at": row.computed_at,
    }


def _log_row(row: LabelHistory) -> dict[str, Any]:
    return {
        "example": row.example_id,
        "queue": row.queue_id,
        "labeler": row.labeler_id,
        "annotator": row.annotator,
        "event": str(row.event),
        "label_type": row.label_type,
        "value": row.label_value,
        "previous": row.previous_value,
        "at": row.labeled_at,
        "confidence": row.confidence,
        "notes": row.notes,
        "source": str(row.source),
    }
