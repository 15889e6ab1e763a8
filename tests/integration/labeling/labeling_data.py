"""Rows and short ways of the tests of labeling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labeling_app.models import LabelingQueue, QueueItem
from labeling_app.services.leasing import next_examples
from labeling_app.services.sessions import start_session
from labeling_app.services.submitting import Submitted, submit_label
from labeling_app.services.tasks import Task


def text_rows(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Return examples t1 … tn: “question n”, without answers."""
    return [{"id": f"t{n}", "input": {"text": f"question {n}"}, **fields} for n in range(1, count + 1)]


def take(queue: LabelingQueue, labeler: Any, count: int = 1, **session: Any) -> list[Task]:
    """Let a labeler take examples, in their open session of the queue."""
    return next_examples(session=start_session(labeler=labeler, queue=queue, **session), count=count)


def answer(queue: LabelingQueue, labeler: Any, label: str = "a", **more: Any) -> Submitted:
    """Let a labeler take the next example and answer it with {"label": label}."""
    (task,) = take(queue, labeler)
    return submit_label(lease_id=task.lease, labeler=labeler, value={"label": label}, **more)


def ids(tasks: Sequence[Task]) -> list[str | None]:
    return [task.shown.external_id for task in tasks]


def item_of(queue: LabelingQueue, external_id: str) -> QueueItem:
    return QueueItem.objects.get(queue=queue, example__external_id=external_id)
