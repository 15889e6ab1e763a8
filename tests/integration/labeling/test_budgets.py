"""What is done for every example costs few statements, however long the queue is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling_app.models import LabelingQueue, Lease
from labeling_app.services.gold import set_gold
from labeling_app.services.leasing import heartbeat, next_examples
from labeling_app.services.sessions import start_session
from labeling_app.services.submitting import submit_label
from tests.integration.labeling.labeling_data import answer

Factory = Callable[..., LabelingQueue]
WITH_SAVEPOINT = 2  # the test's own transaction makes one of what is a transaction elsewhere


def statements(work: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured) - WITH_SAVEPOINT


def test_next__nothing_held__takes_three_statements(queue_factory: Factory, labelers: list[Any]) -> None:
    session = start_session(labeler=labelers[0], queue=queue_factory())
    next_examples(session=session)
    assert (
        statements(lambda: next_examples(session=session, count=3, hold=[])) == 5
    )  # prolongs and reads what is held
    other = start_session(labeler=labelers[1], queue=session.queue)
    assert statements(lambda: next_examples(session=other, count=5)) == 3


def test_submit__more_labels_wanted__takes_two_statements(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=2)
    answer(queue, labelers[0])
    (task,) = next_examples(session=start_session(labeler=labelers[0], queue=queue))

    def submit() -> None:
        submit_label(lease_id=task.lease, labeler=labelers[0], value={"label": "a"}, key="k")

    assert statements(submit) == 2


def test_submit__last_label_that_is_adopted__takes_four_statements(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    answer(queue, labelers[0])
    (task,) = next_examples(session=start_session(labeler=labelers[0], queue=queue))
    assert (
        statements(
            lambda: submit_label(lease_id=task.lease, labeler=labelers[0], value={"label": "a"}, key="k")
        )
        == 4
    )


def test_heartbeat__takes_three_statements(queue_factory: Factory, labelers: list[Any]) -> None:
    session = start_session(labeler=labelers[0], queue=queue_factory())
    next_examples(session=session, count=5)
    assert statements(lambda: heartbeat(session=session)) == 3


def test_next__queue_with_checks__takes_two_more_where_one_is_due(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(gold_rate=0.5)
    items = queue.items.order_by("id")[:2]
    set_gold(queue=queue, answers={item.example_id: {"label": "a"} for item in items}, actor=None)
    next_examples(session=start_session(labeler=labelers[1], queue=queue))  # reads the queue
    session = start_session(labeler=labelers[0], queue=queue)
    # at the beginning of the queue it also asks what was given back
    assert statements(lambda: next_examples(session=session)) == 3 + 2 + 1
    taken: list[int] = []
    for _ in range(4):
        Lease.objects.filter(state="held").update(state="submitted")
        taken.append(statements(lambda: next_examples(session=session)))
    # the example behind the check, with a look whether that was had; a check and its example; one with no gold left
    assert taken == [4, 5, 4, 5]
    LabelingQueue.objects.update(gold_rate="0.001")
    next_examples(session=start_session(labeler=labelers[1], queue=queue))
    Lease.objects.filter(state="held").update(state="submitted")
    assert statements(lambda: next_examples(session=session)) == 3
