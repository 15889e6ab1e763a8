"""How far a queue is."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import asdict, dataclass

from django.db.models import Count, Sum

from labeling_app.models import LabelingQueue, QueueItem

KEPT_S = 10.0
_PER_COST = 100.0
_kept: dict[tuple[str, uuid.UUID], tuple[float, QueueProgress]] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class QueueProgress:
    """Items of a queue by state, gold answers left out; labels that are there, and how many are wanted in all.

    `items` are those that are not gone. `labels_wanted` is the overlap times `items`.
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

    def document(self) -> dict[str, int]:
        return asdict(self)


def progress_of(queue: LabelingQueue, *, fresh: bool = False) -> QueueProgress:
    """Count the items of a queue; the figures are kept in the process for 10 s, longer where counting takes long.

    At 1,000,000 items a count reads the whole queue, so it must not be part of every request.
    """
    key = (QueueItem.objects.db, queue.pk)
    with _lock:
        kept = _kept.get(key)
    if kept is not None and not fresh and time.monotonic() < kept[0]:
        return kept[1]
    started = time.monotonic()
    counted = _count(queue)
    ended = time.monotonic()
    with _lock:
        _kept[key] = (ended + KEPT_S + _PER_COST * (ended - started), counted)
    return counted


def forget_progress(queue: LabelingQueue) -> None:
    """Let the next look at a queue's progress count anew, in this process."""
    with _lock:
        for key in [key for key in _kept if key[1] == queue.pk]:
            del _kept[key]


def _count(queue: LabelingQueue) -> QueueProgress:
    rows = QueueItem.objects.filter(queue=queue, is_gold=False).order_by().values_list("state")
    by_state = {
        state: (n, labels or 0) for state, n, labels in rows.annotate(Count("pk"), Sum("label_count"))
    }
    counts = {state.value: by_state.get(state.value, (0, 0))[0] for state in QueueItem.State}
    items = sum(counts.values()) - counts["gone"]
    return QueueProgress(
        items=items,
        **counts,
        labels=sum(labels for _, labels in by_state.values()),
        labels_wanted=items * queue.overlap,
    )
