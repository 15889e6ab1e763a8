"""The queue of the first start: each answer settles an example or starts a review."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from datasets_app.services.demo import load_demo
from goldenproject import runner
from labeling_app.models import GoldAnswer, Label, LabelHistory, LabelingQueue, QueueItem, Suggestion
from labeling_app.services.demo_labels import FIRST_LABELER, GOLD_ANSWERS, TOPICS, load_demo_labels
from labeling_app.services.leasing import next_examples
from labeling_app.services.queues import progress_of
from labeling_app.services.sessions import start_session
from labeling_app.services.submitting import submit_label

pytestmark = pytest.mark.django_db


def test_load_demo_labels__of_the_demo_dataset__leaves_one_label_to_give_each() -> None:
    load_demo(actor=None, count=80)
    queue = load_demo_labels(actor=None)
    assert queue is not None
    progress = progress_of(queue, fresh=True)
    assert (progress.items, progress.open, progress.labels, progress.labels_wanted) == (20, 20, 20, 40)
    assert GoldAnswer.objects.filter(queue=queue).count() == GOLD_ANSWERS
    assert set(Label.objects.values_list("annotator", flat=True)) == {FIRST_LABELER}
    assert not Label.objects.exclude(labeler=None).exists()
    assert LabelHistory.objects.filter(event="imported").count() == 20
    assert 0 < Suggestion.objects.count() < 20


def test_load_demo_labels__first_answers__are_adopted_or_reviewed() -> None:
    load_demo(actor=None, count=72)
    queue = load_demo_labels(actor=None)
    labeler = get_user_model().objects.create_superuser("admin")
    session = start_session(labeler=labeler, queue=queue)
    while tasks := next_examples(session=session):
        task = tasks[0]
        label = Label.objects.filter(item=task.item).values_list("value", flat=True).first()
        said = label["label"] if label else TOPICS[0]
        other = said if task.item % 3 else TOPICS[(TOPICS.index(said) + 1) % len(TOPICS)]
        submit_label(lease_id=task.lease, labeler=labeler, value={"label": other})
    states = set(QueueItem.objects.filter(queue=queue, is_gold=False).values_list("state", flat=True))
    assert states == {"adopted", "review"}


def test_load_demo_labels__without_the_demo_dataset__does_nothing() -> None:
    assert load_demo_labels(actor=None) is None
    assert not LabelingQueue.objects.exists()


def test_first_start__queue_that_was_removed__does_not_come_back() -> None:
    load_demo(actor=None, count=70)
    told: list[str] = []
    runner._load_demo(None, told.append)
    assert told[0] == "Loading the demo labeling queue …"
    assert LabelingQueue.objects.get().name == "Label the rest"
    runner._load_demo(None, told.append)
    assert LabelingQueue.objects.count() == 1
