"""Work the consensus of a whole queue out anew, by the method that the queue asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q

from datasets_app.domain.roles import Action
from datasets_app.models import JobRun
from datasets_app.services.access import record, require
from datasets_app.services.jobs import start_job
from goldenproject.kit.audit import acting
from labeling_app.models import Label, LabelingQueue, QueueItem
from labeling_app.services.consensus_models import fitted_consensus
from labeling_app.services.consensus_report import consensus_of
from labeling_app.services.settling import ITEMS_AT_ONCE, OF_ONE_ITEM, settle

RECOMPUTE_JOB = "label_consensus"
Progress = Callable[[int, int | None, str | None], None]


@dataclass(frozen=True, slots=True)
class Recomputed:
    """How many items with labels were looked at, and the states that all items of the queue have now."""

    items: int
    adopted: int
    in_review: int


def start_recompute(*, queue: LabelingQueue, actor: Any) -> JobRun:
    """Start the job that works out the consensus of the whole queue. Raises Forbidden."""
    return start_job(
        kind=RECOMPUTE_JOB, dataset=queue.dataset, actor=actor, arguments={"queue": str(queue.pk)}
    )


def recompute_queue(*, queue: LabelingQueue, actor: Any, progress: Progress | None = None) -> Recomputed:
    """Settle every item that has labels, 1,000 in a transaction; what was interrupted is just begun again.

    Methods that weigh labelers against each other (weighted, dawid_skene, crowdlab) are worked out once, from all
    labels of the queue; items that get labels meanwhile are settled by those. Raises Forbidden.
    """
    if actor is not None:
        require(actor, Action.REVIEW, queue.dataset)
    tell = progress or (lambda done, total, message: None)
    items = _labeled_items(queue)
    tell(0, len(items), f"Consensus of {queue.name}: {queue.get_consensus_method_display()}")
    method = queue.consensus_method
    fitted = None if method in OF_ONE_ITEM else fitted_consensus(queue, method, fresh=True)
    for start in range(0, len(items), ITEMS_AT_ONCE):
        part = items[start : start + ITEMS_AT_ONCE]
        values = consensus_of(queue=queue, item_ids=part, method=method, fitted=fitted) if fitted else None
        with acting(actor, f"consensus of {queue.name}"):
            settle(queue=queue, item_ids=part, actor=actor, values=values)
        tell(min(start + ITEMS_AT_ONCE, len(items)), len(items), None)
    states = QueueItem.objects.filter(queue=queue).aggregate(
        adopted=Count("pk", filter=Q(state=QueueItem.State.ADOPTED)),
        in_review=Count("pk", filter=Q(state=QueueItem.State.REVIEW)),
    )
    with acting(actor, f"consensus of {queue.name}"):
        record(
            actor,
            "labels.consensus",
            queue.dataset,
            f"{queue.name}: {queue.get_consensus_method_display()} of {len(items)} items",
            **states,
        )
    return Recomputed(len(items), states["adopted"], states["in_review"])


def _labeled_items(queue: LabelingQueue) -> Sequence[int]:
    return list(Label.objects.filter(queue=queue).order_by("item").values_list("item", flat=True).distinct())
