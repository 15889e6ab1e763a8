"""How many labelers each example of a queue gets, changed while people label: items follow, many of them by a job.

The queue's own number holds from the moment it is stored; what `open_slots` of an item says lags behind it in a big
queue until the job has come by. That is safe in both directions. Raised: an item that was not reached yet gives out as
many places as before. Lowered: whoever takes an item takes the least of its `open_slots` and of what the queue's number
leaves beside its labels (see picking, leasing and keeping), which is right for an item that nobody holds; those that
somebody holds, few at any time, are counted in the very transaction that lowers the number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection

from datasets_app.domain.roles import Action
from datasets_app.models import JobRun
from datasets_app.services.access import require
from datasets_app.services.jobs import start_job
from goldenproject.kit.audit import acting
from goldenproject.kit.database_io import advisory_lock
from goldenproject.kit.retries import retried
from labeling_app.models import LabelingQueue, QueueItem
from labeling_app.services.queue_progress import forget_progress
from labeling_app.services.settling import settle
from labeling_app.services.slots import COUNTED, OPEN_SLOTS, recount, recount_held, rewind

OVERLAP_JOB = "label_overlap"
ITEMS_AT_ONCE = 20_000  # a second's work; more is done by a job
_ITEMS_IN_A_PART = 5_000
_MOST_PASSES = 5

_LAST_OF_PART = """
    SELECT max(id), count(*) FROM (SELECT id FROM labeling_app_queueitem
                                    WHERE queue_id = %s AND id > %s ORDER BY id LIMIT %s) p
"""
# Index scans for each item of the part: its labels by label_once_per_annotator, its leases by lease_slot_once. Only what
# differs is locked and written: `open_slots` rules an index, so each write costs an entry in all of them.
_DIFFERING = f"""
    SELECT w.id, NOT w.is_gold AND (w.state = 'labeled' AND l.n < q.overlap OR w.state = 'open' AND l.n >= q.overlap)
      FROM {COUNTED}
     WHERE w.queue_id = %s AND w.id > %s AND w.id <= %s
       AND ((w.label_count, w.open_slots) IS DISTINCT FROM (l.n, {OPEN_SLOTS})
            OR NOT w.is_gold AND (w.state = 'labeled' AND l.n < q.overlap OR w.state = 'open' AND l.n >= q.overlap))
     ORDER BY w.id
"""

Report = Callable[..., None]


@dataclass
class OverlapReport:
    """How many items a change of the overlap was brought to, and how many of these want labels again, or have them all."""

    items: int = 0
    opened: int = 0
    settled: int = 0

    def document(self) -> dict[str, int]:
        return asdict(self)


def overlap_lock(queue: LabelingQueue) -> None:
    """Wait until nobody else changes the overlap of the queue or brings items in line with it, and keep it so."""
    advisory_lock(f"overlap of queue {queue.pk}")


def follow_overlap(*, queue: LabelingQueue, before: int, actor: Any) -> JobRun | None:
    """Let the items follow a number that was just stored: at once, or in a big queue by a job, which is returned.

    Inside the transaction that stores it, under `overlap_lock`. What has all its labels by a lower number is settled;
    what had them by the number before and wants more is open again. What was adopted stays so, and labels always stay.
    """
    if _is_small(queue):
        recount(queue=queue)
        _follow(queue, None, OverlapReport(), actor)
        if queue.overlap > before:
            rewind(queue=queue)
        return None
    if queue.overlap < before:
        recount_held(queue=queue)
    return start_job(
        kind=OVERLAP_JOB,
        dataset=queue.dataset,
        actor=actor,
        arguments={"queue": str(queue.pk), "overlap": queue.overlap},
    )


def unfinished_overlap_job(queue: LabelingQueue) -> JobRun | None:
    """Return the newest job that brings items of the queue in line, if one waits or runs."""
    unfinished = JobRun.objects.filter(
        kind=OVERLAP_JOB, state__in=(JobRun.State.QUEUED, JobRun.State.RUNNING)
    )
    return unfinished.filter(arguments__queue=str(queue.pk)).order_by("-created_at").first()


def bring_in_line(
    *, queue: LabelingQueue, actor: Any = None, progress: Report | None = None
) -> OverlapReport:
    """Bring all items of a queue in line with its overlap, in parts of a transaction each. Right: edit.

    The number is read anew for each part, so whatever it is by then holds; the same twice changes nothing. It ends when
    a pass finds nothing that differs: a transaction that was under way when the number changed may have counted by the
    old one.
    """
    if actor is not None:
        require(actor, Action.EDIT, queue.dataset)
    report, tell = OverlapReport(), progress or (lambda *told: None)
    total = QueueItem.objects.filter(queue=queue).count()
    _count_held(queue)
    for _ in range(_MOST_PASSES):
        last, seen, changed = 0, 0, report.items
        while True:
            tell(seen, total, f"{queue.name}: {report.items:,} examples brought in line")
            last, count = _part(queue, last, report, actor)
            if not count:
                break
            seen += count
        if report.items == changed:
            break
        rewind(queue=queue)
    forget_progress(queue)
    return report


@retried()
def _count_held(queue: LabelingQueue) -> None:
    with acting(None, "overlap"):
        overlap_lock(queue)
        recount_held(queue=queue)


@retried()
def _part(queue: LabelingQueue, after: int, report: OverlapReport, actor: Any) -> tuple[int, int]:
    """Bring the next items in line; return the last one looked at, and how many were."""
    with acting(actor, f"overlap of {queue.name}"):
        overlap_lock(queue)
        queue.overlap = LabelingQueue.objects.values_list("overlap", flat=True).get(pk=queue.pk)
        with connection.cursor() as cursor:
            cursor.execute(_LAST_OF_PART, [queue.pk, after, _ITEMS_IN_A_PART])
            last, count = cursor.fetchone()
            if not count:
                return after, 0
            cursor.execute(_DIFFERING, [queue.pk, after, last])
            differing = cursor.fetchall()
        done = OverlapReport(items=len(differing))
        if differing:
            recount(queue=queue, item_ids=[item for item, _ in differing])
        unsettled = [item for item, is_unsettled in differing if is_unsettled]
        if unsettled:
            _follow(queue, unsettled, done, actor)
    # after the commit: a part that is tried again is counted once
    report.items += done.items
    report.opened += done.opened
    report.settled += done.settled
    return last, count


def _follow(queue: LabelingQueue, item_ids: list[int] | None, done: OverlapReport, actor: Any) -> None:
    """Settle what has all its labels now, and open what wants more; items (None: all of the queue) were just counted."""
    items = QueueItem.objects.filter(queue=queue, is_gold=False)
    if item_ids is not None:
        items = items.filter(pk__in=item_ids)
    wanting = items.filter(state=QueueItem.State.LABELED, label_count__lt=queue.overlap)
    done.opened = wanting.update(state=QueueItem.State.OPEN)
    full = items.filter(state=QueueItem.State.OPEN, label_count__gte=queue.overlap)
    complete = list(full.order_by("pk").values_list("pk", flat=True))
    done.settled = len(complete)
    settle(queue=queue, item_ids=complete, actor=actor)


def _is_small(queue: LabelingQueue) -> bool:
    return QueueItem.objects.filter(queue=queue)[: ITEMS_AT_ONCE + 1].count() <= ITEMS_AT_ONCE
