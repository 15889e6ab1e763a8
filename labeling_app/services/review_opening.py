"""Open a question to a reviewer about items. One is open per item; a second reason adds to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from goldenproject.kit.clock import now
from goldenproject.kit.database_io import json_or_null
from labeling_app.models import LabelingQueue, QueueItem, Review

# The newest numbers of a disagreement replace the older ones; every other reason is one more thing to know.
_OPEN = """
    INSERT INTO labeling_app_review AS r
           (queue_id, item_id, reason, detail, score, suggestion, opened_at, outcome, comment)
    SELECT %s, o.item, o.reason, o.detail, o.score, o.suggestion::jsonb, %s, '', ''
      FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::float8[], %s::text[])
           AS o(item, reason, detail, score, suggestion)
        ON CONFLICT (item_id) WHERE outcome = '' DO UPDATE
       SET reason = CASE WHEN r.reason = 'check' THEN excluded.reason ELSE r.reason END,
           detail = CASE WHEN r.reason IN ('check', 'disagreement')
                              AND excluded.reason IN ('check', 'disagreement') THEN excluded.detail
                         WHEN strpos(r.detail, excluded.detail) > 0 THEN r.detail
                         WHEN r.detail = '' THEN excluded.detail
                         ELSE r.detail || E'\\n' || excluded.detail END,
           score = CASE WHEN r.reason = excluded.reason AND r.reason IN ('check', 'disagreement') THEN excluded.score
                        ELSE least(r.score, excluded.score) END,
           suggestion = coalesce(excluded.suggestion, r.suggestion)
     RETURNING r.item_id, r.xmax = 0
"""
# An item that still wants labels goes on getting them while the question is open.
_MARK_ITEMS = """
    UPDATE labeling_app_queueitem i SET state = 'review'
      FROM labeling_app_labelingqueue q
     WHERE i.queue_id = q.id AND i.id = ANY(%s)
       AND (i.state IN ('labeled', 'adopted') OR i.state = 'open' AND i.label_count >= q.overlap)
"""


@dataclass(frozen=True, slots=True)
class Question:
    """Why a reviewer is to look at an item. `score`: lowest first, as a rule the agreement, 0–1."""

    item_id: int
    reason: str
    detail: str = ""
    score: float = 0.0
    suggestion: Any = None


def open_reviews(*, queue: LabelingQueue, questions: Sequence[Question]) -> set[int]:
    """Ask, at the most once per item, and return the items about which nothing had been open before.

    Call it inside the transaction of what raises the questions.
    """
    asked = sorted(questions, key=lambda question: question.item_id)
    if not asked:
        return set()
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(
            _OPEN,
            [
                queue.pk,
                now(),
                [q.item_id for q in asked],
                [q.reason for q in asked],
                [q.detail for q in asked],
                [q.score for q in asked],
                [json_or_null(q.suggestion) for q in asked],
            ],
        )
        new = {item for item, is_new in cursor.fetchall() if is_new}
        cursor.execute(_MARK_ITEMS, [[q.item_id for q in asked]])
    return new


def open_review(
    *,
    queue: LabelingQueue,
    item_id: int,
    reason: str,
    detail: str = "",
    score: float = 0.0,
    suggestion: Any = None,
) -> Review:
    """Ask a reviewer about one item and return the question that is open about it now."""
    open_reviews(queue=queue, questions=[Question(item_id, reason, detail, score, suggestion)])
    return Review.objects.get(item=item_id, outcome="")


def close_settled(item_ids: Iterable[int]) -> int:
    """Close what is open about disagreement alone, because the labels agree now; return how many."""
    return Review.objects.filter(
        item__in=list(item_ids), outcome="", reason__in=(Review.Reason.DISAGREEMENT, Review.Reason.CHECK)
    ).update(outcome=Review.Outcome.SETTLED, decided_at=now())


def resting_state(item: QueueItem, overlap: int, *, is_adopted: bool) -> str:
    """Return the state of an item about which no question is open."""
    if item.state in (QueueItem.State.GONE, QueueItem.State.REJECTED):
        return item.state
    if is_adopted:
        return QueueItem.State.ADOPTED
    return QueueItem.State.OPEN if item.label_count < overlap else QueueItem.State.LABELED
