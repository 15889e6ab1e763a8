"""How far a queue is."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from django.db import connection

from labeling_app.models import LabelingQueue, QueueItem

logger = logging.getLogger(__name__)

KEPT_S = 10.0
_PER_COST = 100.0
_SLOW_S = 0.05

# Index Only Scan using queue_item_state: the whole of the queues, but of its index alone.
_BY_STATE = """
    SELECT queue_id, state, count(*) FROM labeling_app_queueitem WHERE queue_id = ANY(%s) GROUP BY queue_id, state
"""
# Index Scan using queue_item_gold: few.
_OF_GOLD = """
    SELECT queue_id, state, count(*), coalesce(sum(label_count), 0) FROM labeling_app_queueitem
     WHERE queue_id = ANY(%s) AND is_gold GROUP BY queue_id, state
"""
# Index Only Scan using label_newest_of_queue.
_LABELS = "SELECT queue_id, count(*) FROM labeling_app_label WHERE queue_id = ANY(%s) GROUP BY queue_id"


@dataclass(frozen=True)
class QueueProgress:
    """Items of a queue by state, gold answers left out; labels that are there, and how many are wanted in all.

    `items` are those that are not gone. `labels_wanted` is the overlap times `items`. `checks` are labels of gold answers.
    """

    items: int = 0
    open: int = 0
    labeled: int = 0
    review: int = 0
    adopted: int = 0
    rejected: int = 0
    gone: int = 0
    labels: int = 0
    labels_wanted: int = 0
    checks: int = 0

    def document(self) -> dict[str, int]:
        return {name: count for name, count in asdict(self).items() if name != "checks"}

    def coarse(self) -> QueueProgress:
        """Return figures for labelers: labels in steps of 5 or more until all are there, and what is open or not by them.

        Answers to hidden checks are counted too. Where the figures stood still when a check was answered or taken back,
        or were exact, they would tell which examples are checks.
        """
        labels = self.labels_wanted
        if self.labels < self.labels_wanted:
            labels = min(self.labels + self.checks, self.labels_wanted - 1)
            labels -= labels % max(5, self.labels_wanted // 100)
        is_open = max(1, self.items - self.items * labels // self.labels_wanted) if self.open else 0
        return QueueProgress(
            items=self.items,
            open=is_open,
            labeled=self.items - is_open,
            gone=self.gone,
            labels=labels,
            labels_wanted=self.labels_wanted,
        )


@dataclass(frozen=True)
class _Kept:
    progress: QueueProgress
    until: float
    cost_s: float


_kept: dict[uuid.UUID, _Kept] = {}
_being_counted: set[uuid.UUID] = set()
_lock = threading.Lock()


def progress_of(queue: LabelingQueue, *, fresh: bool = False) -> QueueProgress:
    """Count the items of a queue; the figures are kept in the process for 10 s, longer where counting takes long.

    Where it took longer than 50 ms (a queue of a million), those who ask get the figures of before while a thread
    counts anew: a labeler does not wait for them. `fresh` counts now.
    """
    return progress_of_all([queue], fresh=fresh)[queue.pk]


def progress_of_all(
    queues: Iterable[LabelingQueue], *, fresh: bool = False
) -> dict[uuid.UUID, QueueProgress]:
    """Return the progress of each queue as `progress_of` does; those to be counted take three statements together."""
    found: dict[uuid.UUID, QueueProgress] = {}
    wanted: list[LabelingQueue] = []
    behind: list[LabelingQueue] = []
    with _lock:
        for queue in queues:
            kept = None if fresh else _kept.get(queue.pk)
            if kept is None or (time.monotonic() >= kept.until and kept.cost_s <= _SLOW_S):
                wanted.append(queue)
                continue
            found[queue.pk] = kept.progress
            if time.monotonic() >= kept.until and queue.pk not in _being_counted:
                _being_counted.add(queue.pk)
                behind.append(queue)
    if behind:
        threading.Thread(target=_count_behind, args=(behind,), name="queue progress", daemon=True).start()
    return found | (_count_and_keep(wanted) if wanted else {})


def forget_progress(queue: LabelingQueue) -> None:
    """Let the next look at a queue's progress count anew, in this process."""
    with _lock:
        _kept.pop(queue.pk, None)


def _count_behind(queues: Sequence[LabelingQueue]) -> None:
    try:
        for queue in queues:
            _count_and_keep([queue])
    except Exception:  # nobody waits for it; who asks next tries again
        logger.exception("the progress of queues could not be counted: %s", [queue.pk for queue in queues])
    finally:
        connection.close()
        with _lock:
            _being_counted.difference_update(queue.pk for queue in queues)


def _count_and_keep(queues: Sequence[LabelingQueue]) -> dict[uuid.UUID, QueueProgress]:
    started = time.monotonic()
    counted = _count(queues)
    ended = time.monotonic()
    # of the time each queue has the share of what was counted of it: a long one beside short ones is the slow one
    sizes = {pk: one.items + one.gone + one.labels + 1 for pk, one in counted.items()}
    whole = sum(sizes.values())
    with _lock:
        for pk, progress in counted.items():
            cost = (ended - started) * sizes[pk] / whole
            _kept[pk] = _Kept(progress, ended + KEPT_S + _PER_COST * cost, cost)
    return counted


def _count(queues: Sequence[LabelingQueue]) -> dict[uuid.UUID, QueueProgress]:
    keys = [queue.pk for queue in queues]
    states = {key: dict.fromkeys(QueueItem.State.values, 0) for key in keys}
    with connection.cursor() as cursor:
        cursor.execute(_BY_STATE, [keys])
        for key, state, items in cursor.fetchall():
            states[key][state] = items
        cursor.execute(_LABELS, [keys])
        labels: dict[uuid.UUID, int] = dict.fromkeys(keys, 0) | dict(cursor.fetchall())
        cursor.execute(_OF_GOLD, [keys])
        checks: dict[uuid.UUID, int] = dict.fromkeys(keys, 0)
        for key, state, items, of_them in cursor.fetchall():
            states[key][state] -= items
            checks[key] += of_them
    found = {}
    for queue in queues:
        counts = states[queue.pk]
        items = sum(counts.values()) - counts["gone"]
        found[queue.pk] = QueueProgress(
            items=items,
            **counts,
            labels=labels[queue.pk] - checks[queue.pk],
            labels_wanted=items * queue.overlap,
            checks=checks[queue.pk],
        )
    return found
