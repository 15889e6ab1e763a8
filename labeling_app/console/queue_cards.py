"""Queues as people see them in lists: how far each is, what is theirs in it, what waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from django.db.models import Count, Q

from datasets_app.domain.roles import Action
from datasets_app.services.access import may
from goldenproject.kit.clock import now
from labeling_app.models import Label, LabelerStanding, LabelingQueue, LabelingSession, Review
from labeling_app.services.queue_progress import QueueProgress, progress_of_all


@dataclass(frozen=True)
class QueueCard:
    """A queue in a list, for one person: `today` and `mine` count that person's labels.

    Who may not review is shown its progress in steps.
    """

    queue: LabelingQueue
    progress: QueueProgress
    today: int
    mine: int
    reviews: int
    pause_reason: str
    resumes: bool
    may_label: bool
    may_review: bool

    @property
    def asks(self) -> str:
        """In words, what labelers answer."""
        return asked_of(self.queue)

    @property
    def percent(self) -> int:
        """The share of the labels that are wanted which are there; 100 only when all are."""
        return percent_of(self.progress)

    @property
    def is_done(self) -> bool:
        return self.progress.items > 0 and self.progress.open == 0


def queue_cards(person: Any, queues: Iterable[LabelingQueue]) -> list[QueueCard]:
    """Return the queues with what a list shows of them; seven queries, however many."""
    shown = list(queues)
    moment = now()
    midnight = datetime.combine(moment.date(), time(), tzinfo=moment.tzinfo)
    own = Label.objects.filter(queue__in=shown, labeler=person).order_by().values_list("queue_id")
    counted = own.annotate(total=Count("pk"), today=Count("pk", filter=Q(labeled_at__gte=midnight)))
    mine = {key: (total, today) for key, total, today in counted}
    waiting = Review.objects.filter(queue__in=shown, outcome=Review.Outcome.OPEN).order_by()
    reviews = dict(waiting.values_list("queue_id").annotate(Count("pk")))
    standings = LabelerStanding.objects.filter(queue__in=shown, labeler=person, paused_at__isnull=False)
    paused = dict(standings.values_list("queue_id", "pause_reason"))
    running = LabelingSession.objects.filter(queue__in=shown, labeler=person, ended_at__isnull=True)
    resumed = set(running.values_list("queue_id", flat=True))
    progress = progress_of_all(shown)
    told = {queue.pk: may(person, Action.REVIEW, queue.dataset) for queue in shown}
    return [
        QueueCard(
            queue=queue,
            progress=progress[queue.pk] if told[queue.pk] else progress[queue.pk].coarse(),
            today=mine.get(queue.pk, (0, 0))[1],
            mine=mine.get(queue.pk, (0, 0))[0],
            reviews=reviews.get(queue.pk, 0),
            pause_reason=paused.get(queue.pk, ""),
            resumes=queue.pk in resumed,
            may_label=may(person, Action.LABEL, queue.dataset),
            may_review=told[queue.pk],
        )
        for queue in shown
    ]


def percent_of(progress: QueueProgress) -> int:
    """Return how much of a queue is labeled, in percent; items that were settled otherwise count as done."""
    if not progress.items:
        return 0
    done = progress.items - progress.open
    share = max(done / progress.items, progress.labels / (progress.labels_wanted or 1))
    return 100 if done == progress.items else min(99, int(100 * share))


def asked_of(queue: LabelingQueue) -> str:
    """Return in words what a queue asks for: the field, or the fields of the whole output."""
    if queue.field_path:
        return queue.field_path.replace(".", " › ")
    properties = queue.example_type.output_schema.get("properties", {})
    order = [name for name in queue.example_type.output_schema.get("x-order", ()) if name in properties]
    names = [*order, *(name for name in properties if name not in order)]
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "") or "the answer"
