"""The places that labelers take on an item: freed, counted anew, and looked for again."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection

from labeling_app.models import LabelingQueue, Lease

# What counts is counted; the item's row must be locked before, or a lease made meanwhile would be overlooked. A lease
# that was answered has its label, so the greater of both is the same, unless something was written past the services:
# then no slot is open that a lease could not take.
COUNTED = """
    labeling_app_queueitem w
      JOIN labeling_app_labelingqueue q ON q.id = w.queue_id
     CROSS JOIN LATERAL (SELECT count(*) AS n FROM labeling_app_label l WHERE l.item_id = w.id) l
     CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE s.state = 'held') AS held, count(*) AS active
                           FROM labeling_app_lease s
                          WHERE s.item_id = w.id AND s.state IN ('held', 'submitted') AND s.slot > 0) s
"""
OPEN_SLOTS = "greatest(0, q.overlap - greatest(l.n + s.held, s.active))"
_RECOUNT = f"""
    UPDATE labeling_app_queueitem i
       SET label_count = c.labels, open_slots = c.open
      FROM (SELECT w.id, l.n AS labels, {OPEN_SLOTS} AS open
              FROM {COUNTED}
             WHERE w.id = ANY(%s)) c
     WHERE i.id = c.id AND (i.label_count, i.open_slots) IS DISTINCT FROM (c.labels, c.open)
"""
# The same for a whole queue: labels and leases are few where items are many, so they are counted first.
_RECOUNT_ALL = """
    UPDATE labeling_app_queueitem i
       SET label_count = c.labels, open_slots = c.open
      FROM (SELECT w.id, coalesce(l.n, 0) AS labels,
                   greatest(0, q.overlap - greatest(coalesce(l.n, 0) + coalesce(s.held, 0), coalesce(s.active, 0)))
                       AS open
              FROM labeling_app_queueitem w
              JOIN labeling_app_labelingqueue q ON q.id = w.queue_id
              LEFT JOIN (SELECT item_id, count(*) AS n FROM labeling_app_label
                          WHERE queue_id = %s GROUP BY item_id) l ON l.item_id = w.id
              LEFT JOIN (SELECT item_id, count(*) FILTER (WHERE state = 'held') AS held, count(*) AS active
                           FROM labeling_app_lease
                          WHERE queue_id = %s AND state IN ('held', 'submitted') AND slot > 0
                          GROUP BY item_id) s ON s.item_id = w.id
             WHERE w.queue_id = %s) c
     WHERE i.id = c.id AND (i.label_count, i.open_slots) IS DISTINCT FROM (c.labels, c.open)
"""
# Counted, so that no million rows travel.
_LOCK = """
    SELECT count(*) FROM (SELECT 1 FROM labeling_app_queueitem w WHERE {which} ORDER BY w.id FOR NO KEY UPDATE) locked
"""
_OF_ITEMS = "w.id = ANY(%s)"
_OF_QUEUE = "w.queue_id = %s"

# A session that is busy just now is left alone rather than waited for: it starts over by itself every so often.
_REWIND = """
    UPDATE labeling_app_labelingsession s SET seen_position = NULL, seen_item = NULL
      FROM (SELECT w.id FROM labeling_app_labelingsession w
             WHERE w.queue_id = %s AND w.ended_at IS NULL AND (w.seen_position, w.seen_item) >= (%s, %s)
               FOR NO KEY UPDATE SKIP LOCKED) w
     WHERE s.id = w.id
"""
_FIRST = "SELECT position, id FROM labeling_app_queueitem WHERE id = ANY(%s) ORDER BY position, id LIMIT 1"

_EXPIRED = """
    SELECT l.id, l.item_id
      FROM labeling_app_lease l JOIN labeling_app_queueitem i ON i.id = l.item_id
     WHERE l.queue_id = %s AND l.state = 'held' AND l.expires_at < %s AND l.session_id IS DISTINCT FROM %s
     ORDER BY l.expires_at LIMIT %s
       FOR NO KEY UPDATE OF l, i SKIP LOCKED
"""
_END = "UPDATE labeling_app_lease SET state = %s, ended_at = %s WHERE id = ANY(%s)"
SWEPT_AT_ONCE = 200


def recount(*, queue: LabelingQueue, item_ids: Iterable[int] | None = None) -> None:
    """Bring `label_count` and `open_slots` of items (all of the queue by default) in line with labels and leases.

    For whoever writes or removes Labels or Leases in sets. It locks the items, in the order of their ids.
    """
    with connection.cursor() as cursor:
        if item_ids is None:
            cursor.execute(_LOCK.format(which=_OF_QUEUE), [queue.pk])
            cursor.execute(_RECOUNT_ALL, [queue.pk, queue.pk, queue.pk])
        else:
            items = list(item_ids)
            cursor.execute(_LOCK.format(which=_OF_ITEMS), [items])
            cursor.execute(_RECOUNT, [items])


def recount_held(*, queue: LabelingQueue) -> None:
    """Count anew the items that somebody holds."""
    held = Lease.objects.filter(queue=queue, state=Lease.State.HELD, slot__gt=0)
    recount(queue=queue, item_ids=sorted(set(held.values_list("item", flat=True))))


def rewind(*, queue: LabelingQueue, item_ids: Sequence[int] = ()) -> None:
    """Let sessions that have gone past these items (without any: all sessions) look at them again.

    Call it for whatever makes items wanting again: an undo, a decision to send back, a new order, a refresh.
    """
    with connection.cursor() as cursor:
        place: Any = ("-Infinity", 0)
        if item_ids:
            cursor.execute(_FIRST, [list(item_ids)])
            place = cursor.fetchone()
        if place is not None:
            cursor.execute(_REWIND, [queue.pk, *place])


def end_leases(*, queue: LabelingQueue, leases: Sequence[tuple[uuid.UUID, int]], state: str, at: Any) -> None:
    """End leases (id, item) whose rows and items are locked already, and free their slots."""
    items = sorted({item for _, item in leases})
    with connection.cursor() as cursor:
        cursor.execute(_END, [state, at, [lease for lease, _ in leases]])
        cursor.execute(_RECOUNT, [items])
    if queue.overlap == 1:  # beyond that, going through what one has had costs more than finding these later
        rewind(queue=queue, item_ids=items)


def sweep_expired(*, queue: LabelingQueue, at: Any, but: uuid.UUID | None = None) -> int:
    """End leases that ran out, except those of the session `but`, up to SWEPT_AT_ONCE; return how many.

    Index scan on lease_running_out. What somebody has locked is being answered, or swept by another.
    """
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRED, [queue.pk, at, but, SWEPT_AT_ONCE])
        found = cursor.fetchall()
    if found:
        end_leases(queue=queue, leases=found, state="expired", at=at)
    return len(found)
