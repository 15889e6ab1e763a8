"""Queues whose items have the labels that a test wants, made directly and all at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from goldenproject.kit.clock import now
from labeling_app.models import GoldAnswer, Label, LabelHistory, LabelingQueue, QueueItem


def rate(
    queue: LabelingQueue, ratings: Mapping[str, Mapping[str, Any]], *, at: datetime | None = None
) -> dict[str, int]:
    """Write {external id: {annotator: answer}} as labels of the queue; return the items by external id."""
    items = {
        item.example.external_id or "": item
        for item in QueueItem.objects.filter(queue=queue).select_related("example")
    }
    when = at or now()
    labels = [
        Label(
            queue=queue,
            item=items[external],
            example_id=items[external].example_id,
            annotator=annotator,
            value=value,
            content_hash=b"\0" * 32,
            labeled_at=when + timedelta(milliseconds=number),
        )
        for external, given in ratings.items()
        for number, (annotator, value) in enumerate(given.items())
    ]
    Label.objects.bulk_create(labels)
    LabelHistory.objects.bulk_create(
        LabelHistory(
            example_id=label.example_id,
            queue=queue,
            annotator=label.annotator,
            event=LabelHistory.Event.SUBMITTED,
            label_type=queue.label_type,
            label_value=label.value,
            labeled_at=label.labeled_at,
        )
        for label in labels
    )
    return {external: item.pk for external, item in items.items()}


def gold(queue: LabelingQueue, answers: Mapping[str, Any]) -> None:
    """Make these examples gold, with these answers."""
    items = {
        item.example.external_id: item
        for item in QueueItem.objects.filter(queue=queue).select_related("example")
    }
    GoldAnswer.objects.bulk_create(
        GoldAnswer(item=items[external], queue=queue, value=value) for external, value in answers.items()
    )
    QueueItem.objects.filter(pk__in=[items[external].pk for external in answers]).update(is_gold=True)
