"""Which example a labeler gets next: a walk along the queue's index, from where the session was. See decision 0014."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.crypto import salted_hmac

from goldenproject.kit.database_io import try_advisory_lock
from labeling_app.domain.gold_checks import gold_due
from labeling_app.models import LabelingQueue, LabelingSession, QueueItem
from labeling_app.services.gold import pick_gold
from labeling_app.services.queue_filters import conditions
from labeling_app.services.refreshing import (
    ROWS_REFRESHED_AT_ONCE,
    refresh_lock,
    refresh_or_start,
    refresh_queue,
    rows_of,
)
from labeling_app.services.tasks import PAYLOAD, ROW, Shown, shown_of

REFRESH_AFTER_S = 15
BEGINNING = (float("-inf"), 0)
_MOST_LOOKED_AT = 2000
_MOST_ROUNDS = 8

# Walks queue_item_next (queue, position, id) from where this session was, and stops after the rows it wants. Expected
# plan, whatever the sizes and however old the statistics are: Limit → LockRows → Nested Loop Left Join of Index Scan
# using queue_item_next, with two sub-plans (Index Scan using lease_never_twice_to_one, label_once_per_annotator), and
# Index Scan using example_once_per_branch. `IS NULL` of a sub-select with LIMIT, where NOT EXISTS would say the same,
# because that is made into a join, for which all leases of a labeler were read. What does not fit the queue any more
# comes too, so that it can be marked as gone.
_CANDIDATES = """
    SELECT i.id, i.position, coalesce(e.id IS NOT NULL AND ({queue_filters}), false), {payload}
      FROM labeling_app_queueitem i {row}
     WHERE i.queue_id = %s AND i.open_slots > 0 AND i.state = 'open' AND NOT i.is_gold
       AND (i.position, i.id) > (%s, %s) AND i.id <> ALL (%s)
       AND (i.assignee_id IS NULL OR i.assignee_id = %s)
       AND (i.assigned_group_id IS NULL OR i.assigned_group_id IN
            (SELECT g.group_id FROM auth_user_groups g WHERE g.user_id = %s))
       AND (SELECT true FROM labeling_app_lease l
             WHERE l.item_id = i.id AND l.labeler_id = %s AND l.state IN ('held', 'submitted', 'skipped')
             LIMIT 1) IS NULL
       AND (SELECT true FROM labeling_app_label l WHERE l.item_id = i.id AND l.annotator = %s LIMIT 1) IS NULL
       AND (e.id IS NULL OR ({session_filters}))
     ORDER BY i.position, i.id
     LIMIT %s
       FOR NO KEY UPDATE OF i SKIP LOCKED
"""
_GOLD = f"""
    SELECT i.id, e.id IS NOT NULL AND ({{shown}}), {PAYLOAD} FROM labeling_app_queueitem i {ROW} WHERE i.id = %s
"""


@dataclass(frozen=True)
class Found:
    item: int
    shown: Shown
    is_gold: bool = False


def candidates(
    session: LabelingSession, queue: LabelingQueue, count: int, place: tuple[float, int]
) -> tuple[list[Found], tuple[float, int]]:
    """Return locked items for this session, and where it has got to; once past the end it starts again.

    Items that do not fit the queue any more are marked as gone on the way, more and more at a time. When there are very
    many of them, it stops: a job brings the queue in line, and the session goes on from there the next time.
    """
    found: list[Found] = []
    look, started_over = count, place == BEGINNING
    for _ in range(_MOST_ROUNDS):
        asked = look
        rows = _look(session, queue, asked, place, [one.item for one in found])
        gone = []
        for item, position, fits, *payload in rows:
            if not fits:
                gone.append(item)
            elif len(found) < count:
                found.append(Found(item, shown_of(payload)))
            else:
                break  # looked at too many, because others were gone
            place = (position, item)
        if gone:
            QueueItem.objects.filter(pk__in=gone).update(state=QueueItem.State.GONE)
            look = min(look * 8, _MOST_LOOKED_AT)
        if len(found) == count or (len(rows) < asked and started_over):
            return found, place
        if len(rows) < asked:
            started_over, place = True, BEGINNING
    refresh_or_start(queue=queue, actor=None)
    return found, place


def _look(
    session: LabelingSession,
    queue: LabelingQueue,
    limit: int,
    after: tuple[float, int],
    but: list[int],
) -> list[tuple[Any, ...]]:
    queue_filters, queue_values = conditions(queue.filters)
    session_filters, session_values = conditions(session.filters, of_labeler=True)
    labeler = session.labeler
    statement = _CANDIDATES.format(
        queue_filters=queue_filters, session_filters=session_filters, payload=PAYLOAD, row=ROW
    )
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            [
                *queue_values,
                labeler.pk,
                queue.branch_id,
                queue.example_type_id,
                queue.pk,
                *after,
                but,
                labeler.pk,
                labeler.pk,
                labeler.pk,
                labeler.get_username(),
                *session_values,
                limit,
            ],
        )
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def due_gold(session: LabelingSession, queue: LabelingQueue, count: int) -> tuple[int, Found | None]:
    """Return a gold item as a hidden check, and as which of the next `count` examples, when one is due.

    None when none is, or when this labeler had them all. At the most one at a time. Where the answer that is there is
    shown, a check would be answered by what it shows; and one without the text that the labeler asked for would stand out.
    """
    unseen = session.session_type == LabelingSession.Type.INITIAL_LABELING
    if not queue.gold_rate or session.queue_id is None or not unseen:
        return 0, None
    seed = _secret_seed(queue)
    due = [n for n in range(count) if gold_due(seed, session.pk, session.served + n, queue.gold_rate)]
    picked = pick_gold(session=session) if due else None
    if picked is None:
        return 0, None
    shown, values = conditions({"text": session.filters.get("text")}, of_labeler=True)
    with connection.cursor() as cursor:
        cursor.execute(
            _GOLD.format(shown=shown),
            [*values, session.labeler_id, queue.branch_id, queue.example_type_id, picked],
        )
        item, fits, *payload = cursor.fetchone()
    return due[0], Found(item, shown_of(payload), is_gold=True) if fits else None


def _secret_seed(queue: LabelingQueue) -> int:
    """Return what rules when checks come. The queue's seed alone is easily guessed, and a labeler knows all the rest."""
    return int.from_bytes(salted_hmac("golden gold checks", f"{queue.pk}:{queue.seed}").digest())


def refreshed(queue: LabelingQueue, at: datetime) -> bool:
    """Refresh a small queue that has nothing to give, if it was not just done; tell whether anything came."""
    if queue.refreshed_at is not None and queue.refreshed_at > at - timedelta(seconds=REFRESH_AFTER_S):
        return False
    if rows_of(queue) > ROWS_REFRESHED_AT_ONCE or not try_advisory_lock(refresh_lock(queue)):
        return False
    report = refresh_queue(queue=queue)
    return bool(report.added or report.back)
