"""Queues, items and labels made directly, for tests of what follows from labels."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model

from datasets_app.domain.canonical import canonical_bytes, content_hash
from datasets_app.models import Dataset, Example
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import add_example
from datasets_app.services.curation.types import get_type
from goldenproject.kit.clock import now
from labeling_app.models import Consensus, Label, LabelingQueue, QueueItem


def person(name: str) -> Any:
    """The user of this name."""
    return get_user_model().objects.get_or_create(username=name)[0]


def contacts(count: int = 1, name: str = "contacts", output: Any = None) -> Dataset:
    """A dataset of contacts c1, c2 …, all with the same output."""
    dataset = create_dataset(name=name, actor=None)
    for number in range(1, count + 1):
        add_example(
            branch=dataset.main,
            example_type=get_type("contact_tier"),
            input_data={"title": f"Engineer {number}"},
            expected_output=output,
            external_id=f"c{number}",
            actor=None,
        )
    return dataset


def queue_of(dataset: Dataset, **options: Any) -> LabelingQueue:
    """A queue of contact tiers, two labelers each, with an item for every example."""
    options = {"field_path": "tier", "overlap": 2, "name": "tiers", **options}
    queue = LabelingQueue.objects.create(
        dataset=dataset, branch=dataset.main, example_type=get_type("contact_tier"), **options
    )
    for position, row in enumerate(Example.objects.filter(branch=dataset.main)):
        QueueItem.objects.create(
            queue=queue, example=row.identity, position=position, open_slots=queue.overlap
        )
    return queue


def give(queue: LabelingQueue, external_id: str, *values: Any, **fields: Any) -> QueueItem:
    """Labels of labeler-1, labeler-2 … on an example, as submitting leaves them; not settled yet."""
    item = QueueItem.objects.get(queue=queue, example__external_id=external_id)
    row = Example.objects.get(branch=queue.branch, identity=item.example_id)
    for number, value in enumerate(values, 1 + item.label_count):
        labeler = person(f"labeler-{number}")
        Label.objects.create(
            queue=queue,
            item=item,
            example=item.example,
            labeler=labeler,
            annotator=labeler.username,
            value=value,
            content_hash=content_hash(canonical_bytes(row.input_data)),
            labeled_at=now(),
            **fields,
        )
    item.label_count += len(values)
    item.open_slots = max(0, queue.overlap - item.label_count)
    item.save()
    return item


def row_of(item: QueueItem) -> Example:
    """The working row of an item."""
    return Example.objects.get(branch=item.queue.branch, identity=item.example_id)


def state_of(item: QueueItem) -> str:
    return QueueItem.objects.get(pk=item.pk).state


def consensus_row(item: QueueItem) -> Consensus:
    return Consensus.objects.get(pk=item.pk)
