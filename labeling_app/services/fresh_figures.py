"""What was computed from a queue's labels, kept by this process until something happens in the queue."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from labeling_app.models import LabelingQueue
from labeling_app.services.ratings import newest_history_id

Figures = TypeVar("Figures")

_MAX_KEPT = 32
_lock = threading.Lock()
_kept: OrderedDict[tuple[UUID, str], tuple[int, Any]] = OrderedDict()


def kept_figures(queue: LabelingQueue, name: str) -> Any:
    """Return the figures of this name if nothing has happened in the queue since they were computed, else None."""
    with _lock:
        known = _kept.get((queue.pk, name))
    return known[1] if known is not None and known[0] == newest_history_id(queue) else None


def fresh_figures(queue: LabelingQueue, name: str, compute: Callable[[], Figures]) -> Figures:
    """Return the figures of this name: the kept ones, or computed now and kept."""
    key = (queue.pk, name)
    newest = newest_history_id(
        queue
    )  # read first: what comes while it computes makes the figures stale, not wrong
    with _lock:
        known = _kept.get(key)
    if known is not None and known[0] == newest:
        kept: Figures = known[1]
        return kept
    figures = compute()
    with _lock:
        _kept[key] = (newest, figures)
        _kept.move_to_end(key)
        while len(_kept) > _MAX_KEPT:
            _kept.popitem(last=False)
    return figures
