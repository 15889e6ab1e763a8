"""Examples are given out in order, held for one labeler each, never twice to one, never to more than wanted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from goldenproject.kit.clock import frozen, now
from labeling_app.models import LabelingQueue, Lease, QueueItem
from labeling_app.services.leasing import heartbeat, next_examples, release
from labeling_app.services.sessions import start_session
from tests.integration.labeling.labeling_data import answer, ids, item_of, take

Factory = Callable[..., LabelingQueue]


def test_next__in_sequence__gives_the_first_and_keeps_giving_it(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    (first,) = take(queue, labelers[0])
    (again,) = take(queue, labelers[0])
    assert (first.shown.external_id, again.lease) == ("t1", first.lease)
    assert item_of(queue, "t1").open_slots == 0


def test_next__what_is_in_hand__is_not_given_again(queue_factory: Factory, labelers: list[Any]) -> None:
    session = start_session(labeler=labelers[0], queue=queue_factory())
    first = next_examples(session=session, count=2)
    second = next_examples(session=session, count=2, hold=[task.lease for task in first])
    assert ids(first) + ids(second) == ["t1", "t2", "t3", "t4"]


def test_next__overlap_of_two__two_labelers_get_each_a_third_none(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=2)
    assert [ids(take(queue, labeler, 10)) for labeler in labelers] == [
        [f"t{n}" for n in range(1, 11)],
        [f"t{n}" for n in range(1, 11)],
        [],
    ]
    slots = Lease.objects.filter(queue=queue).order_by("item", "slot").values_list("slot", flat=True)
    assert list(slots) == [1, 2] * 10


def test_next__lease_ran_out__goes_to_the_next_labeler(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    (held,) = take(queue, labelers[0])
    assert ids(take(queue, labelers[1])) == ["t2"]
    with frozen(now() + timedelta(seconds=queue.lease_s + 60)):
        assert ids(take(queue, labelers[2])) == ["t1"]
    assert Lease.objects.get(pk=held.lease).state == Lease.State.EXPIRED


def test_heartbeat__prolongs_what_is_held(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    session = start_session(labeler=labelers[0], queue=queue)
    (task,) = next_examples(session=session)
    later = now() + timedelta(seconds=queue.lease_s - 10)
    with frozen(later):
        assert heartbeat(session=session) == [task.lease]
    assert Lease.objects.get().expires_at == later + timedelta(seconds=queue.lease_s)


def test_release__gives_it_to_the_next_one(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    release(lease_id=task.lease, labeler=labelers[0])
    assert ids(take(queue, labelers[1])) == ["t1"]


@pytest.mark.parametrize("overlap", [1, 2])
def test_submit__all_of_a_queue__every_item_has_its_labels(
    queue_factory: Factory, labelers: list[Any], overlap: int
) -> None:
    queue = queue_factory(overlap=overlap)
    for labeler in labelers[:overlap]:
        for _ in range(10):
            answer(queue, labeler)
    assert take(queue, labelers[2]) == []
    rows = QueueItem.objects.filter(queue=queue).values_list("label_count", "open_slots", "state")
    assert set(rows) == {(overlap, 0, "adopted")}
