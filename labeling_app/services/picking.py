"""Which example a labeler gets next: a walk along the queue's index, from where the session was. See decision 0014."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from goldenproject.kit.clock import random_uuid
from goldenproject.kit.database_io import try_advisory_lock
from labeling_app.models import LabelingQueue, LabelingSession, QueueItem
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
# comes too, so that it can be marked as gone. `label_count` is asked for because `open_slots` may still be that of a
# greater overlap, see the module overlap.
_CANDIDATES = """
    SELECT i.id, i.position, coalesce(e.id IS NOT NULL AND ({queue_filters}), false), {payload}
      FROM labeling_app_queueitem i {row}
     WHERE i.queue_id = %s AND i.open_slots > 0 AND i.label_count < %s AND i.state = 'open' AND NOT i.is_gold
       AND (i.position, i.id) > (%s, %s) AND i.id <> ALL (%s)
       AND (i.assignee_id IS NULL OR i.assignee_id = %s)
       AND (i.assigned_group_id IS NULL OR i.assigned_group_id IN
            (SELECT g.group_id FROM auth_user_groups g WHERE g.user_id = %s))
       AND (SELECT true FROM labeling_app_lease l
             WHERE l.item_id = i.id AND l.labeler_id = %s AND l.state IN ('held', 'submitted', 'skipped')
             LIMIT 1) IS NULL
       AND (SELECT true FROM labeling_app_label l
             WHERE l.item_id = i.id AND (l.labeler_id = %s OR l.annotator = %s) LIMIT 1) IS NULL
       AND (e.id IS NULL OR ({session_filters}))
     ORDER BY i.position, i.id
     LIMIT %s
       FOR NO KEY UPDATE OF i SKIP LOCKED
"""


@dataclass(frozen=True)
class Found:
    """An example to be given out, under the lease `lease`; an ordinary one stands at `position` in the queue."""

    item: int
    shown: Shown
    position: float = 0
    is_gold: bool = False
    lease: uuid.UUID = field(default_factory=random_uuid)

    @property
    def before(self) -> tuple[float, int]:
        """The place in the queue from which it is the next."""
        return self.position, self.item - 1


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
                found.append(Found(item, shown_of(payload), position))
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
                queue.overlap,
                *after,
                but,
                labeler.pk,
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


def refreshed(queue: LabelingQueue, at: datetime) -> bool:
    """Refresh a small queue that has nothing to give, if it was not just done; tell whether anything came."""
    if queue.refreshed_at is not None and queue.refreshed_at > at - timedelta(seconds=REFRESH_AFTER_S):
        return False
    if rows_of(queue) > ROWS_REFRESHED_AT_ONCE or not try_advisory_lock(refresh_lock(queue)):
        return False
    report = refresh_queue(queue=queue)
    return bool(report.added or report.back)
