"""Many labelers at once, each with a connection of their own: nobody gets what is not theirs, nothing is lost."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction

from datasets_app.models import Example
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from labeling_app.errors import UnknownLabel
from labeling_app.models import Label, LabelHistory, LabelingQueue, LabelingSession, Lease, QueueItem, Review
from labeling_app.services.gold import set_gold
from labeling_app.services.leasing import next_examples
from labeling_app.services.queues import QueueOptions, create_queue
from labeling_app.services.sessions import start_session
from labeling_app.services.submitting import skip, submit_label
from labeling_app.services.undoing import undo_label
from tests.integration.labeling.labeling_data import answer, take, text_rows
from tests.integration.threads import at_once, until_somebody_waits

pytestmark = pytest.mark.usefixtures("committed_db")


def made_queue(rows: int, **options: Any) -> LabelingQueue:
    dataset = create_dataset(name="texts", actor=None, default_type=get_type("text_classification"))
    bulk_upsert(branch=dataset.main, documents=text_rows(rows), actor=None)
    return create_queue(dataset=dataset, name="q", actor=None, options=QueueOptions(**options))


def people(count: int, role: str = "labeler") -> list[Any]:
    group = Group.objects.get(name=role)
    found = [get_user_model().objects.create(username=f"labeler-{n}") for n in range(1, count + 1)]
    for one in found:
        one.groups.add(group)
    return found


def label_until_empty(queue: LabelingQueue, labeler: Any, *, skip_every: int = 0) -> list[int]:
    """Label as long as there is something; return the labels that were acknowledged."""
    session = start_session(labeler=labeler, queue=queue)
    acknowledged: list[int] = []
    number = 0
    while tasks := next_examples(session=session, count=2):
        for task in tasks:
            number += 1
            if skip_every and number % skip_every == 0:
                skip(lease_id=task.lease, labeler=labeler, reason="not mine")
                continue
            done = submit_label(
                lease_id=task.lease, labeler=labeler, value={"label": "a"}, key=f"{labeler.pk} {task.lease}"
            )
            acknowledged.append(done.label or 0)
    return acknowledged


@pytest.mark.parametrize("overlap", [1, 2])
def test_labeling__24_labelers_on_a_small_queue__each_item_gets_its_labels_once(overlap: int) -> None:
    queue = made_queue(60, overlap=overlap)
    results = at_once(*[lambda who=who: label_until_empty(queue, who) for who in people(24)])
    assert [result for result in results if isinstance(result, Exception)] == []
    acknowledged = sorted(label for result in results for label in result)
    stored = list(Label.objects.order_by("pk").values_list("pk", flat=True))
    assert acknowledged == stored and len(stored) == 60 * overlap
    per_item = Counter(Label.objects.values_list("item", flat=True))
    assert set(per_item.values()) == {overlap}
    assert LabelHistory.objects.filter(event="submitted").count() == 60 * overlap
    assert set(QueueItem.objects.values_list("label_count", "open_slots", "state")) == {
        (overlap, 0, "adopted")
    }
    assert Lease.objects.exclude(state="submitted").count() == 0
    assert sum(LabelingSession.objects.values_list("examples_labeled", flat=True)) == 60 * overlap


def test_labeling__some_skip_and_undo__counts_stay_right() -> None:
    queue = made_queue(40, overlap=2, adopts="never")
    labelers = people(8)
    results = at_once(*[lambda who=who: label_until_empty(queue, who, skip_every=5) for who in labelers])
    assert [result for result in results if isinstance(result, Exception)] == []
    labels = {
        who: list(Label.objects.filter(labeler=who).values_list("pk", flat=True)[:3]) for who in labelers
    }

    def undo_all(who: Any) -> int:
        return len([undo_label(label_id=label, labeler=who) for label in labels[who]])

    undone = at_once(*[lambda who=who: undo_all(who) for who in labelers])
    assert undone == [len(labels[who]) for who in labelers]
    for item in QueueItem.objects.all():
        given = Label.objects.filter(item=item).count()
        held = Lease.objects.filter(item=item, state="held").count()
        assert (item.label_count, item.open_slots) == (given, 2 - given - held), item.pk


def test_next__one_labeler_in_many_windows__never_the_same_example_twice() -> None:
    queue = made_queue(30)
    (labeler,) = people(1, "reviewer")
    types = ["initial_labeling", "validation", "correction"] * 4
    results = at_once(*[lambda kind=kind: take(queue, labeler, 2, session_type=kind) for kind in types])
    assert [result for result in results if isinstance(result, Exception)] == []
    held = Lease.objects.filter(state="held").values_list("item", flat=True)
    assert len(held) == len(set(held)) == 6


def test_next__one_labeler_with_a_queue_and_without__never_the_same_check_twice() -> None:
    queue = made_queue(20, gold_rate=0.5)
    items = QueueItem.objects.order_by("id")[:8]
    set_gold(queue=queue, answers={item.example_id: {"label": "a"} for item in items}, actor=None)
    (labeler,) = people(1)
    sessions = [start_session(labeler=labeler, queue=one) for one in (queue, None)]
    results = at_once(
        *[lambda session=session: next_examples(session=session, count=4) for session in sessions]
    )
    assert [result for result in results if isinstance(result, Exception)] == []
    given = [task.item for tasks in results for task in tasks]
    assert len(given) == len(set(given)) == 8
    assert Lease.objects.filter(is_gold_check=True).count() in (
        4,
        5,
    )  # one may have its example locked by the other


def test_submit__same_key_from_many_threads__is_stored_once() -> None:
    queue = made_queue(3)
    (labeler,) = people(1)
    (task,) = take(queue, labeler)
    send = {"lease_id": task.lease, "labeler": labeler, "value": {"label": "a"}, "key": "once"}
    results = at_once(*[lambda: submit_label(**send) for _ in range(12)])
    assert [result for result in results if isinstance(result, Exception)] == []
    assert {result.label for result in results} == {Label.objects.get().pk}
    assert sorted(result.replayed for result in results) == [False] + [True] * 11
    assert LabelHistory.objects.filter(event="submitted").count() == 1


def test_undo__from_many_threads__happens_once() -> None:
    queue = made_queue(3)
    (labeler,) = people(1)
    done = answer(queue, labeler)
    results = at_once(*[lambda: undo_label(label_id=done.label or 0, labeler=labeler) for _ in range(8)])
    assert [type(result) for result in results if isinstance(result, Exception)] == [UnknownLabel] * 7
    assert LabelHistory.objects.filter(event="undone").count() == 1


def test_submit__waits_while_the_input_is_edited__a_reviewer_is_asked_instead_of_adopting() -> None:
    queue, labeler = made_queue(1), people(1)[0]
    (task,) = take(queue, labeler)
    is_locked = threading.Event()

    def edit() -> None:
        with transaction.atomic():
            QueueItem.objects.select_for_update().get()
            is_locked.set()
            until_somebody_waits()
            bulk_upsert(branch=queue.branch, documents=[{"id": "t1", "input": {"text": "other"}}], actor=None)

    def submit() -> str:
        is_locked.wait(timeout=30)
        return submit_label(lease_id=task.lease, labeler=labeler, value={"label": "a"}).item_state

    assert at_once(edit, submit) == [None, "review"]
    assert Review.objects.get().reason == "changed"
    assert Example.objects.get().expected_output is None
