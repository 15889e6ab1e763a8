"""Prepare the next batch in a thread while the database is busy with this one."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")
_DEPTH = 6
_SWITCH_INTERVAL_S = 0.0002


def batches_ahead(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield `items` in lists of `size`, made up to six lists ahead by a thread of its own.

    An error of `items` is raised here, after the batches before it. `items` may not use the database connection.
    When the consumer stops early, the thread ends after the batch that it is at.
    """
    ready: queue.Queue[Any] = queue.Queue(maxsize=_DEPTH)
    stopped = threading.Event()

    def offer(item: Any) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            iterator = iter(items)
            while batch := list(islice(iterator, size)):
                if not offer(batch):
                    return
            offer(None)
        except BaseException as error:
            offer(error)

    thread = threading.Thread(target=produce, name="read-ahead", daemon=True)
    interval_s = sys.getswitchinterval()
    # COPY gives the interpreter away at each block that it sends; getting it back must not take 5 ms each time
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    thread.start()
    try:
        while (batch := ready.get()) is not None:
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        sys.setswitchinterval(interval_s)
        stopped.set()
        thread.join()
