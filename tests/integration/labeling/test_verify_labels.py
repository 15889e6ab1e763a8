"""Verify finds what does not fit among labels, and nothing where people just work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from labeling_app.models import Consensus, Label, LabelHistory, LabelingQueue, QueueItem, Review
from labeling_app.services.reviewing import decide
from labeling_app.services.submitting import skip
from labeling_app.services.undoing import undo_label
from labeling_app.services.verifying import broken_references, verify_labels
from tests.integration.labeling.labeling_data import answer, item_of, take
from tests.integration.labeling.test_gold import gold

Make = Callable[..., LabelingQueue]


@pytest.fixture
def queue(queue_factory: Make, labelers: list[Any], person: Callable[..., Any]) -> LabelingQueue:
    """Three examples labeled by two, one of them in disagreement and sent back; one skipped, one taken back, one held."""
    queue = queue_factory(overlap=2)
    first, second = labelers[:2]
    for labeler, labels in ((first, "aba"), (second, "aaa")):
        for label in labels:
            answer(queue, labeler, label)
    review = Review.objects.get(item=item_of(queue, "t2"))
    decide(review_id=review.pk, actor=person("reviewer"), outcome="sent_back", comment="Read it again.")
    (task,) = take(queue, first)
    skip(lease_id=task.lease, labeler=first, reason="unclear")
    taken_back = answer(queue, first, "c").label
    assert taken_back is not None
    undo_label(label_id=taken_back, labeler=first)
    return queue


def test_verify_labels__after_real_work__finds_nothing_and_counts(queue: LabelingQueue) -> None:
    found = verify_labels(deep=True)
    assert found.errors == []
    assert found.stats == {
        "queues": 1,
        "queue_items": 10,
        "labels": 4,
        "label_history": LabelHistory.objects.count(),
        "open_reviews": 0,
    }
    assert found.covered == {"history": LabelHistory.objects.order_by("-id").values_list("id", flat=True)[0]}


def test_verify_labels__hidden_checks_answered_and_held__finds_nothing(
    queue_factory: Make, labelers: list[Any]
) -> None:
    checked = queue_factory(overlap=2, gold_rate=0.5)
    gold(checked, "t1", "t2", "t3", "t4")
    for labeler in labelers[:2]:
        for _ in range(8):
            if take(checked, labeler):
                answer(checked, labeler, "a")
    take(checked, labelers[2], count=5)
    assert Label.objects.filter(gold_correct=True).exists()
    assert verify_labels(deep=True).errors == []


def test_verify_labels__value_that_history_does_not_tell__is_named(queue: LabelingQueue) -> None:
    label = Label.objects.get(item=item_of(queue, "t1"), annotator="labeler")
    Label.objects.filter(pk=label.pk).update(value={"label": "forged"})
    told = f"label that is not the newest word of its history: {label.example_id} by labeler"
    assert verify_labels().errors == [told]


def test_verify_labels__label_that_is_gone_unsaid__is_named_with_its_counts(queue: LabelingQueue) -> None:
    label = Label.objects.get(item=item_of(queue, "t1"), annotator="labeler")
    label.delete()
    assert verify_labels().errors == [
        f"label that is not the newest word of its history: {label.example_id} by labeler",
        f"item whose label_count or open_slots is not what labels and leases tell: {label.example_id}",
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"open_slots": 2}, "item whose label_count or open_slots is not what labels and leases tell"),
        ({"state": "review"}, "item to be reviewed without an open review"),
    ],
)
def test_verify_labels__item_that_tells_otherwise__is_named(
    queue: LabelingQueue, change: dict[str, Any], told: str
) -> None:
    item = item_of(queue, "t1")
    QueueItem.objects.filter(pk=item.pk).update(**change)
    assert verify_labels().errors == [f"{told}: {item.example_id}"]


def test_verify_labels__adopted_without_an_answer__is_named(queue: LabelingQueue) -> None:
    item = item_of(queue, "t1")
    assert item.state == "adopted"
    Consensus.objects.filter(item=item).update(adopted_at=None)
    assert verify_labels().errors == [f"adopted item without an adopted answer: {item.example_id}"]


def test_verify_labels__only_what_came_since__looks_at_nothing_older(
    queue: LabelingQueue, labelers: list[Any]
) -> None:
    covered = verify_labels().covered
    old = Label.objects.get(item=item_of(queue, "t1"), annotator="labeler")
    Label.objects.filter(pk=old.pk).update(value={"label": "forged"})
    assert verify_labels(since=covered).errors == []
    new = Label.objects.get(pk=answer(queue, labelers[2], "a").label or 0)
    Label.objects.filter(pk=new.pk).update(value={"label": "forged too"})
    example = new.example_id
    told = f"label that is not the newest word of its history: {example} by third-labeler"
    assert verify_labels(since=covered).errors == [told]
    assert len(verify_labels(since={"history": covered["history"] + 10**6}).errors) == 2, "ids went back"


def test_broken_references__of_what_was_deleted_past_everything__are_named(queue: LabelingQueue) -> None:
    label = Label.objects.get(item=item_of(queue, "t1"), annotator="labeler")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE labeling_app_label SET bulk_id = gen_random_uuid(), item_id = -1 WHERE id = %s",
            [label.pk],
        )
    assert broken_references() == [
        f"label of an item of another queue or of none: {label.pk}",
        f"label of a bulk labeling that is not there: {label.pk}",
    ]
