"""Prove that labels are whole: each is the newest word of its history, items count what is there, decisions fit.

A run that gets the `covered` of the last good one looks at what labels, leases and histories tell of since; `deep`, or
no `since`, reads everything. All of it as sets: one statement a check, each consistent in itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import models, transaction

from goldenproject.kit.database_io import binary_cursor
from goldenproject.kit.guards import all_guards
from labeling_app.services.erasing import left_of_redacted

MAX_NAMED = 20

_COUNTS = """
    SELECT (SELECT count(*) FROM labeling_app_labelingqueue), (SELECT count(*) FROM labeling_app_queueitem),
           (SELECT count(*) FROM labeling_app_label), (SELECT count(*) FROM labeling_app_labelhistory),
           (SELECT count(*) FROM labeling_app_review WHERE outcome = '')
"""
_COUNTED = ("queues", "queue_items", "labels", "label_history", "open_reviews")

# A transaction that is still writing holds ids below the greatest one seen, so the mark moves only when none is.
_MARK = """
    SELECT (SELECT coalesce(max(id), 0) FROM labeling_app_labelhistory),
           (SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot()) x LEFT JOIN pg_stat_activity a
                ON a.backend_xid = x::xid WHERE a.datname IS NULL OR a.datname = current_database())
"""
_SAID = "('submitted', 'changed', 'imported', 'bulk', 'restored')"
_WITHDRAWN = "('undone', 'bulk_undone', 'sent_back')"

# Items (w) that history tells of since the mark, or that somebody holds; all of them without a mark.
_SINCE = """
    (w.id IN (SELECT i.id FROM labeling_app_labelhistory h JOIN labeling_app_queueitem i
                  ON i.queue_id = h.queue_id AND i.example_id = h.example_id WHERE h.id > {mark})
     OR w.id IN (SELECT item_id FROM labeling_app_lease WHERE state = 'held'))
"""

# One pass over the history that matters for the newest word of each annotator, one over the labels. What was said before
# an example was redacted holds no longer: it counts as taken back.
_NEWEST = f"""
    WITH erased AS MATERIALIZED (
        SELECT h.queue_id, h.example_id, max(h.id) AS at
          FROM (SELECT DISTINCT example_id FROM datasets_app_redaction) r
          JOIN labeling_app_labelhistory h ON h.example_id = r.example_id AND h.event = 'redacted' GROUP BY 1, 2
    )
    SELECT coalesce(n.example_id, l.example_id)::text || ' by ' || coalesce(n.annotator, l.annotator)
      FROM (SELECT DISTINCT ON (h.queue_id, h.example_id, h.annotator)
                   h.queue_id, h.example_id, h.annotator, h.event, h.label_value, h.confidence, h.notes
              FROM labeling_app_labelhistory h
             WHERE h.event IN {_SAID[:-1]}, {_WITHDRAWN[1:]} AND {{history}}
               AND NOT EXISTS (SELECT 1 FROM erased e
                                WHERE (e.queue_id, e.example_id) = (h.queue_id, h.example_id) AND e.at > h.id)
             ORDER BY h.queue_id, h.example_id, h.annotator, h.id DESC) n
      FULL JOIN (SELECT * FROM labeling_app_label h WHERE {{history}}) l
        ON (l.queue_id, l.example_id, l.annotator) = (n.queue_id, n.example_id, n.annotator)
     WHERE n.queue_id IS NULL OR (n.event IN {_WITHDRAWN}) <> (l.id IS NULL)
        OR (l.id IS NOT NULL
            AND (l.value, l.confidence, l.notes) IS DISTINCT FROM (n.label_value, n.confidence, n.notes))
"""
_OF_ITEMS = "(h.queue_id, h.example_id) IN (SELECT queue_id, example_id FROM labeling_app_labelhistory WHERE id > {mark})"

# A hidden check takes no slot, so of gold items only the labels are counted. A job that brings a queue in line with
# another overlap has not come by everywhere yet.
_CHECKS = {
    "item whose label_count or open_slots is not what labels and leases tell": """
        SELECT w.example_id::text FROM labeling_app_queueitem w
          JOIN labeling_app_labelingqueue q ON q.id = w.queue_id
          LEFT JOIN (SELECT item_id, count(*) AS n FROM labeling_app_label GROUP BY 1) l ON l.item_id = w.id
          LEFT JOIN (SELECT item_id, count(*) AS n FROM labeling_app_lease
                      WHERE state = 'held' AND slot > 0 GROUP BY 1) s ON s.item_id = w.id
         WHERE {items} AND (w.label_count <> coalesce(l.n, 0)
            OR NOT w.is_gold AND w.open_slots <> greatest(0, q.overlap - coalesce(l.n, 0) - coalesce(s.n, 0))
               AND NOT EXISTS (SELECT 1 FROM datasets_app_jobrun j
                                WHERE j.kind = 'label_overlap' AND j.state IN ('queued', 'running')
                                  AND j.arguments ->> 'queue' = q.id::text))""",
    "item with more labels by turns than its queue ever asked for": """
        SELECT w.example_id::text FROM labeling_app_queueitem w
          JOIN (SELECT l.item_id, count(*) AS n FROM labeling_app_label l
                  JOIN labeling_app_lease s ON s.id = l.lease_id AND s.slot > 0 GROUP BY 1) l ON l.item_id = w.id
          JOIN (SELECT id, max(overlap) AS most FROM labeling_app_historicallabelingqueue GROUP BY 1) q
            ON q.id = w.queue_id
         WHERE {items} AND l.n > q.most""",
    "adopted item without an adopted answer": """
        SELECT w.example_id::text FROM labeling_app_queueitem w
          LEFT JOIN labeling_app_consensus c ON c.item_id = w.id
         WHERE {items} AND w.state = 'adopted' AND c.adopted_at IS NULL""",
    "item that has an adopted answer and waits for labels": """
        SELECT w.example_id::text FROM labeling_app_queueitem w
          JOIN labeling_app_consensus c ON c.item_id = w.id
         WHERE {items} AND w.state = 'labeled' AND c.adopted_at IS NOT NULL""",
    "item to be reviewed without an open review": """
        SELECT w.example_id::text FROM labeling_app_queueitem w
         WHERE {items} AND w.state = 'review' AND NOT EXISTS
               (SELECT 1 FROM labeling_app_review r WHERE r.item_id = w.id AND r.outcome = '')""",
}

# (what, table, condition on t under which its reference is broken); no foreign key tells of these
_ITEM = (
    "NOT EXISTS (SELECT 1 FROM labeling_app_queueitem i WHERE i.id = t.item_id AND i.queue_id = t.queue_id)"
)
_REFERENCES = {
    "label of an item of another queue or of none": ("label", _ITEM),
    "label whose example is not its item's": (
        "label",
        "EXISTS (SELECT 1 FROM labeling_app_queueitem i WHERE i.id = t.item_id AND i.example_id <> t.example_id)",
    ),
    "label of a session that is not there": (
        "label",
        "t.session_id IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM labeling_app_labelingsession s WHERE s.id = t.session_id)",
    ),
    "label of a bulk labeling that is not there": (
        "label",
        "t.bulk_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM labeling_app_bulklabeling b WHERE b.id = t.bulk_id)",
    ),
    "turn at an item of another queue or of none": ("lease", _ITEM),
    "consensus of an item of another queue or of none": ("consensus", _ITEM),
    "gold answer of an item of another queue or of none": ("goldanswer", _ITEM),
    "review of an item of another queue": ("review", _ITEM),
    "suggestion for an item that is not there": (
        "suggestion",
        "NOT EXISTS (SELECT 1 FROM labeling_app_queueitem i WHERE i.id = t.item_id)",
    ),
    "item of an example that is not of its queue's dataset": (
        "queueitem",
        "NOT EXISTS (SELECT 1 FROM datasets_app_exampleidentity x JOIN labeling_app_labelingqueue q "
        "ON q.dataset_id = x.dataset_id WHERE x.id = t.example_id AND q.id = t.queue_id)",
    ),
    "history of a queue that is not there": (
        "labelhistory",
        "NOT EXISTS (SELECT 1 FROM labeling_app_labelingqueue q WHERE q.id = t.queue_id)",
    ),
    "history of an example that is not there": (
        "labelhistory",
        "NOT EXISTS (SELECT 1 FROM datasets_app_exampleidentity x WHERE x.id = t.example_id)",
    ),
}


@dataclass
class LabelFindings:
    """`covered` is what to give as `since` to the next run, when this one found no errors. Plain JSON."""

    errors: list[str] = field(default_factory=list)
    stats: dict[str, int] = field(default_factory=dict)
    covered: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, names: list[str]) -> None:
        """Add an error for each of the first 20 names, and of many that there are more."""
        self.errors += [f"{kind}: {name}" for name in names[:MAX_NAMED]]
        if len(names) > MAX_NAMED:
            self.errors.append(f"… and more of the kind “{kind}”")


def verify_labels(*, deep: bool = False, since: dict[str, Any] | None = None) -> LabelFindings:
    """Check the labels of every queue. Writes nothing.

    `since` is the `covered` of the last run without errors. After a restore give None: ids went back.
    """
    found = LabelFindings()
    with transaction.atomic():
        (newest, writers), before = _rows(_MARK)[0], int((since or {}).get("history", -1))
        whole = deep or not 0 <= before <= newest
        found.covered = {"history": max(before, 0) if writers else newest}
        found.stats = dict(zip(_COUNTED, _rows(_COUNTS)[0], strict=True))
        items = "true" if whole else _SINCE.format(mark=before)
        history = "true" if whole else _OF_ITEMS.format(mark=before)
        found.add("label that is not the newest word of its history", _named(_NEWEST.format(history=history)))
        for kind, query in _CHECKS.items():
            found.add(kind, _named(query.format(items=items)))
        if whole:
            found.errors += broken_references()
            found.add("words about a redacted example are left in its labels", left_of_redacted())
        if deep:
            for kind, query in _history_checks().items():
                found.add(kind, _named(query))
    return found


def broken_references() -> list[str]:
    """Return what of the labels points at nothing, or at something of another queue."""
    found = LabelFindings()
    for kind, (table, broken) in _REFERENCES.items():
        key = "t.item_id" if table in ("consensus", "goldanswer") else "t.id"
        found.add(kind, _named(f"SELECT {key}::text FROM labeling_app_{table} t WHERE {broken}"))
    return found.errors


def _history_checks() -> dict[str, str]:
    """Return for each audited table the query of rows that differ from their last history, or have none."""
    queries = {}
    for guard in all_guards():
        if guard.name != "golden_audit_update" or not guard.table.startswith("labeling_app_"):
            continue
        model = next(
            m for m in apps.get_app_config("labeling_app").get_models() if m._meta.db_table == guard.table
        )
        queries[f"{model._meta.model_name} differs from its last history"] = _unrecorded(
            model, guard.definition
        )
    return queries


def _unrecorded(model: type[models.Model], definition: str) -> str:
    """The columns whose change alone is no history are named in the guard, as its last argument."""
    ignored = set(definition.rsplit("'", 2)[1].split(","))
    meta = model._meta
    key = meta.pk.column
    columns = [f.column for f in meta.concrete_fields if f.column not in ignored]
    history = model.history.model._meta.db_table  # type: ignore[attr-defined]
    mine, recorded = (", ".join(f'{alias}."{column}"' for column in columns) for alias in "th")
    return (
        f"SELECT t.{key}::text FROM {meta.db_table} t "
        f"LEFT JOIN (SELECT {key}, max(history_id) AS newest FROM {history} GROUP BY 1) n ON n.{key} = t.{key} "
        f"LEFT JOIN {history} h ON h.history_id = n.newest "
        f"WHERE h.history_id IS NULL OR h.history_type = '-' OR ({mine}) IS DISTINCT FROM ({recorded})"
    )


def _named(query: str) -> list[str]:
    return [str(row[0]) for row in _rows(f"{query} LIMIT {MAX_NAMED + 1}")]


def _rows(query: str) -> list[tuple[Any, ...]]:
    with binary_cursor() as cursor:
        cursor.execute(query)  # type: ignore[arg-type]
        return cursor.fetchall()
