"""Let a redaction reach the labels: what was said of an example goes, that it was said and when and by whom stays.

The answers that hold now (Label) are gone as if taken back, so no figure, consensus or file can count them; the log keeps
each of its rows with a tombstone in the place of its values. The guards let only this pass, and only for examples that
have a redaction on record; what somebody still writes of such an example is kept without its words (sql/erasing.sql).
"""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection, transaction

from datasets_app.services.versioning.erasing import Erasure
from goldenproject.kit.audit import known_person
from labeling_app.errors import ExampleRedacted
from labeling_app.models import LabelHistory, LabelingQueue
from labeling_app.services.queue_progress import forget_progress
from labeling_app.services.slots import recount

ERASED_TEXT = "[redacted]"

_ITEMS = """
    SELECT i.id, i.queue_id FROM labeling_app_queueitem i WHERE i.example_id = %(example)s
     ORDER BY i.id FOR NO KEY UPDATE
"""
_SAID = """
    SELECT DISTINCT queue_id FROM labeling_app_labelhistory WHERE example_id = %(example)s
"""
# Everything else about an example is written under the lock of its item; of these a writer may not have seen the redaction.
_LOCK = """
    LOCK TABLE labeling_app_draft, labeling_app_suggestion, labeling_app_goldanswer, labeling_app_review
        IN SHARE ROW EXCLUSIVE MODE
"""
_END_LEASES = """
    UPDATE labeling_app_lease SET state = 'released', ended_at = coalesce(ended_at, %(at)s)
     WHERE item_id = ANY(%(items)s) AND state IN ('held', 'submitted', 'skipped')
"""
_LEAVE_QUEUES = """
    UPDATE labeling_app_queueitem SET state = 'gone', is_gold = false WHERE id = ANY(%(items)s)
"""
_CLOSE_REVIEWS = """
    UPDATE labeling_app_review
       SET outcome = 'redacted', suggestion = NULL, decided_by_id = %(person)s, decided_at = %(at)s
     WHERE item_id = ANY(%(items)s) AND outcome = ''
"""
_DROP_PROPOSALS = """
    UPDATE labeling_app_review SET suggestion = NULL WHERE item_id = ANY(%(items)s) AND suggestion IS NOT NULL
"""
_RESET_CONSENSUS = """
    UPDATE labeling_app_consensus
       SET value = NULL, confidence = NULL, agreement = NULL, label_count = 0, origin = '', adopted_value = NULL,
           before = '{}', decided_by_id = NULL, adopted_at = NULL
     WHERE item_id = ANY(%(items)s) AND (label_count > 0 OR value IS NOT NULL OR adopted_at IS NOT NULL OR before <> '{}')
"""
# An answer that other examples got too is theirs as well; that of a batch whose examples are all redacted is nobody's.
_BULKS = """
    SELECT b.id, NOT EXISTS (SELECT 1 FROM labeling_app_labelhistory h
                              WHERE h.bulk_id = b.id AND NOT EXISTS
                                    (SELECT 1 FROM datasets_app_redaction r WHERE r.example_id = h.example_id))
      FROM (SELECT DISTINCT bulk_id AS id FROM labeling_app_labelhistory
             WHERE example_id = %(example)s AND bulk_id IS NOT NULL) b
"""
# How a batch was found tells of its examples where somebody searched for a text or for an answer.
_ERASE_BULKS = """
    UPDATE {table}
       SET value = CASE WHEN id = ANY(%(alone)s) THEN %(stone)s::jsonb ELSE value END,
           rule = CASE WHEN {tells}
                       THEN jsonb_strip_nulls(jsonb_build_object('redacted', true, 'left_out', rule -> 'left_out'))
                       ELSE rule END
     WHERE id = ANY(%(bulks)s) AND (id = ANY(%(alone)s) AND {not_stone} OR {tells})
"""
_TELLS = """(rule - '{redacted,left_out,at_least,similar_to,filters}'::text[] <> '{}'
             OR rule ->> 'similar_to' !~ '^[0-9a-f-]{36}$'
             OR jsonb_typeof(rule -> 'filters') <> 'object'
             OR CASE jsonb_typeof(rule -> 'filters') WHEN 'object'
                     THEN (rule -> 'filters') - '{status,tier,at_least,unlabeled_only}'::text[] <> '{}' END)"""
_WEBHOOK_MESSAGES = """
    UPDATE labeling_app_webhookdelivery
       SET payload = payload || jsonb_build_object('facts', jsonb_build_object('redacted', true)), error = '',
           state = CASE WHEN state = 'waiting' THEN 'failed' ELSE state END
     WHERE payload ->> 'example' = %(example)s::text AND payload -> 'facts' <> '{"redacted": true}'
"""
# The one event of the audit in which words about an example stand: why a decision was undone.
_AUDIT = """
    UPDATE datasets_app_auditevent
       SET summary = substring(summary FROM '^.* no longer “[^”]*”\\. ') || '[redacted]'
     WHERE dataset_id IN (SELECT q.dataset_id FROM labeling_app_labelingqueue q WHERE q.id = ANY(%(queues)s))
       AND action = 'labels.review_undone' AND details ->> 'review' = ANY(%(reviews)s)
       AND summary ~ '^.* no longer “[^”]*”\\. ' AND summary !~ ' no longer “[^”]*”\\. \\[redacted\\]$'
"""
_REVIEWS = "SELECT array_agg(id::text) FROM labeling_app_review WHERE item_id = ANY(%(items)s)"
_LEFT = """
    SELECT DISTINCT h.example_id::text
      FROM (SELECT r.example_id, h.queue_id, max(h.id) AS at
              FROM (SELECT DISTINCT example_id FROM datasets_app_redaction) r
              JOIN labeling_app_labelhistory h ON h.example_id = r.example_id AND h.event = 'redacted'
             GROUP BY 1, 2) e
      JOIN labeling_app_labelhistory h ON h.example_id = e.example_id AND h.queue_id = e.queue_id AND h.id < e.at
     WHERE h.event <> 'redacted'
       AND (h.notes NOT IN ('', '[redacted]') OR NOT golden_is_erased(coalesce(h.label_value, 'null'), NULL)
            OR NOT golden_is_erased(coalesce(h.previous_value, 'null'), NULL))
"""

# table → (kind in the report, condition, columns with answers, with texts, with objects)
_BLANKED: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "labelhistory": (
        "label_history",
        "example_id = %(example)s AND event <> 'redacted'",
        ("label_value", "previous_value"),
        ("notes",),
        (),
    ),
    "review": (
        "reviews",
        "item_id = ANY(%(items)s)",
        ("value",),
        ("detail", "comment"),
        (),
    ),
    "historicallabelhistory": (
        "history",
        "example_id = %(example)s AND event <> 'redacted'",
        ("label_value", "previous_value"),
        ("notes",),
        (),
    ),
    "historicalreview": (
        "history",
        "item_id = ANY(%(items)s)",
        ("suggestion", "value"),
        ("detail", "comment"),
        (),
    ),
    "historicalconsensus": (
        "history",
        "item_id = ANY(%(items)s)",
        ("value", "adopted_value"),
        (),
        ("before",),
    ),
    "historicalgoldanswer": ("history", "item_id = ANY(%(items)s)", ("value",), ("explanation",), ()),
}
_KEPT = {"labelhistory", "review"}  # the others are histories, which come after all changes


def erase_said(erasure: Erasure) -> dict[str, int]:
    """Erase what labels, reviews, prelabels, batches and messages tell of an example; return how many rows, by kind.

    Inside the transaction and the `acting` of the redaction, which must be on record. The same twice finds nothing.
    """
    with connection.cursor() as cursor:
        asked: dict[str, Any] = {"example": erasure.example_id}
        cursor.execute(_ITEMS, asked)
        items = cursor.fetchall()
        cursor.execute(_SAID, asked)
        queues = sorted({queue for _, queue in items} | {queue for (queue,) in cursor.fetchall()})
        if not queues:
            return {}
        asked |= {
            "items": [item for item, _ in items],
            "queues": queues,
            "stone": erasure.tombstone,
            "hash": erasure.example_id.hex,
            "at": erasure.at,
            "person": getattr(known_person(erasure.actor), "pk", None),
        }
        return _erase(cursor, erasure, asked, items, queues)


def refuse_redacted(*, example_id: uuid.UUID, queue_id: uuid.UUID, since: datetime | None = None) -> None:
    """Raise ExampleRedacted if the words about an example were erased, at all or at `since` and later."""
    erased = LabelHistory.objects.filter(
        example=example_id, queue=queue_id, event=LabelHistory.Event.REDACTED
    )
    if since is not None:
        erased = erased.filter(labeled_at__gte=since)
    if erased.exists():
        raise ExampleRedacted


def left_of_redacted() -> list[str]:
    """Return the examples of whose labels something is left that was said before they were redacted."""
    with connection.cursor() as cursor:
        cursor.execute(_LEFT)
        return sorted(row[0] for row in cursor.fetchall())


def _erase(
    cursor: Any,
    erasure: Erasure,
    asked: dict[str, Any],
    items: list[tuple[int, uuid.UUID]],
    queues: list[uuid.UUID],
) -> dict[str, int]:
    erased: Counter[str] = Counter()

    def run(statement: str, kind: str | None = None) -> None:
        cursor.execute(statement, asked)
        if kind is not None:
            erased[kind] += cursor.rowcount

    # these have no index of their own and take their time, which nobody waits for: every submit waits for the tables below
    run(_WEBHOOK_MESSAGES, "webhook_messages")
    cursor.execute(_REVIEWS, asked)
    asked["reviews"] = cursor.fetchone()[0] or []
    run(_AUDIT, "audit_events")
    run(_LOCK)
    run("DELETE FROM labeling_app_label WHERE example_id = %(example)s", "labels")
    for table, kind in (
        ("draft", "drafts"),
        ("suggestion", "suggestions"),
        ("goldanswer", "gold_answers"),
    ):
        run(f"DELETE FROM labeling_app_{table} WHERE item_id = ANY(%(items)s)", kind)
    run(_RESET_CONSENSUS, "consensus")
    run(_CLOSE_REVIEWS)
    run(_DROP_PROPOSALS)
    run(_END_LEASES)
    run(_LEAVE_QUEUES)
    for table in sorted(_KEPT):
        run(_blank(table), _BLANKED[table][0])
    _erase_bulks(cursor, asked, erased)
    # what the statements above have changed is in these too, as it was before
    for table in sorted(_BLANKED.keys() - _KEPT):
        run(_blank(table), _BLANKED[table][0])
    found = {kind: count for kind, count in erased.items() if count}
    rows = LabelHistory.objects.filter(
        example=erasure.example_id, event=LabelHistory.Event.REDACTED, labeled_at__lte=erasure.at
    )
    told = set(rows.values_list("queue", flat=True))
    for queue in LabelingQueue.objects.filter(pk__in=queues):
        recount(queue=queue, item_ids=[item for item, of in items if of == queue.pk])
        if found or queue.pk not in told:
            _tell(queue, erasure)
        transaction.on_commit(partial(forget_progress, queue))
    return found


def _blank(table: str) -> str:
    """Return the statement that puts tombstones in the place of answers, and words in the place of texts."""
    _, which, answers, texts, objects = _BLANKED[table]
    values = [f"{c} = CASE WHEN {c} IS NOT NULL THEN %(stone)s::jsonb END" for c in answers]
    values += [f"{c} = CASE WHEN {c} <> '' THEN '{ERASED_TEXT}' ELSE '' END" for c in texts]
    values += [f"{c} = '{{}}'" for c in objects]
    left = [f"{c} IS NOT NULL AND {_not_stone(c)}" for c in answers]
    left += [f"{c} NOT IN ('', '{ERASED_TEXT}')" for c in texts]
    left += [f"{c} <> '{{}}'" for c in objects]
    return f"UPDATE labeling_app_{table} SET {', '.join(values)} WHERE {which} AND ({' OR '.join(left)})"


def _not_stone(column: str) -> str:
    return f"NOT ({column} ? 'redacted' AND golden_is_erased({column}, NULL))"


def _erase_bulks(cursor: Any, asked: dict[str, Any], erased: Counter[str]) -> None:
    cursor.execute(_BULKS, asked)
    bulks = cursor.fetchall()
    if not bulks:
        return
    asked |= {"bulks": [bulk for bulk, _ in bulks], "alone": [bulk for bulk, is_alone in bulks if is_alone]}
    for table, kind in (("bulklabeling", "bulk_labelings"), ("historicalbulklabeling", "history")):
        statement = _ERASE_BULKS.format(
            table=f"labeling_app_{table}", tells=_TELLS, not_stone=_not_stone("value")
        )
        cursor.execute(statement, asked)
        erased[kind] += cursor.rowcount


def _tell(queue: LabelingQueue, erasure: Erasure) -> None:
    """Add to the log that what was said before is erased, by whom, and why."""
    person = known_person(erasure.actor)
    LabelHistory.objects.create(
        example_id=erasure.example_id,
        queue=queue,
        labeler=person,
        annotator="" if person is None else person.get_username(),
        event=LabelHistory.Event.REDACTED,
        label_type=queue.label_type,
        labeled_at=erasure.at,
        notes=erasure.reason,
    )
