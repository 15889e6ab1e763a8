"""How fast a queue is labeled, and when it will be done at that pace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, Q
from django.db.models.functions import TruncDate

from goldenproject.kit.clock import now
from labeling_app.models import Label, LabelingQueue, Source
from labeling_app.services.annotators import PERSON
from labeling_app.services.queue_progress import QueueProgress

PACE_DAYS = 7
SHOWN_DAYS = 14


@dataclass(frozen=True)
class QueuePace:
    """Labels of the last hour and of each of the last 14 days (UTC), oldest first; how many people gave those of the last 7.

    `days_left` is None where nothing was labeled in the last 7 days, or nothing is left.
    """

    last_hour: int
    days: list[tuple[date, int]]
    labelers: int
    per_day: float
    days_left: float | None


def pace_of(queue: LabelingQueue, progress: QueueProgress) -> QueuePace:
    """Return the pace of a queue: three scans of the newest part of its labels. Imported labels are no work of now."""
    moment = now()
    today = moment.date()
    given = Label.objects.filter(queue=queue).exclude(source=Source.IMPORTED).order_by()
    recent = given.filter(labeled_at__gte=moment - timedelta(days=SHOWN_DAYS))
    by_day = dict(recent.annotate(day=TruncDate("labeled_at")).values_list("day").annotate(Count("pk")))
    week = given.filter(labeled_at__gte=moment - timedelta(days=PACE_DAYS))
    hour = Q(labeled_at__gte=moment - timedelta(hours=1))
    counted = week.aggregate(
        n=Count("pk"), people=Count(PERSON, distinct=True), hour=Count("pk", filter=hour)
    )
    # a queue that was begun an hour ago is judged by the days since then, not by a week in which it did not exist
    first = week.order_by("labeled_at").values_list("labeled_at", flat=True).first()
    lived = max((moment - first).total_seconds() / 86_400, 1.0) if first else 1.0
    per_day = counted["n"] / min(lived, PACE_DAYS)
    left = max(0, progress.labels_wanted - progress.labels)
    days = [today - timedelta(days=back) for back in reversed(range(SHOWN_DAYS))]
    return QueuePace(
        last_hour=counted["hour"],
        days=[(day, by_day.get(day, 0)) for day in days],
        labelers=counted["people"],
        per_day=per_day,
        days_left=left / per_day if per_day and left else None,
    )
