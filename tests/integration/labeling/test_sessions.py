"""Sessions: taken up again, ended when idle, narrower than their queue; over several queues without one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group

from datasets_app.models import Dataset
from datasets_app.services.curation.examples import bulk_upsert, set_mark, set_status, update_example
from goldenproject.kit.clock import frozen, now
from goldenproject.kit.errors import BadInput, Forbidden
from labeling_app.errors import NotAssigned, QueueNotOpen, SessionEnded
from labeling_app.models import LabelingQueue, LabelingSession, Lease
from labeling_app.services.assigning import assign_items, queues_for, set_members
from labeling_app.services.leasing import heartbeat, next_examples
from labeling_app.services.queues import set_queue_state
from labeling_app.services.sessions import close_idle_sessions, end_session, start_session
from tests.integration.labeling.labeling_data import ids, item_of, take, text_rows

Factory = Callable[..., LabelingQueue]


def test_start__open_session_of_the_queue__is_taken_up_again(
    queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(), person("reviewer")
    first = start_session(labeler=reviewer, queue=queue)
    assert start_session(labeler=reviewer, queue=queue).pk == first.pk
    assert start_session(labeler=reviewer, queue=queue, session_type="validation").pk != first.pk
    assert start_session(labeler=labelers[1], queue=queue).pk != first.pk
    end_session(session=first)
    assert start_session(labeler=reviewer, queue=queue).pk != first.pk


def test_start__strange_type_or_filter__is_refused(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    with pytest.raises(BadInput, match="Session type"):
        start_session(labeler=labelers[0], queue=queue, session_type="party")
    with pytest.raises(BadInput, match="“colour” is no filter"):
        start_session(labeler=labelers[0], queue=queue, filters={"colour": ["red"]})


def test_start__no_role__is_forbidden(queue_factory: Factory, person: Callable[..., Any]) -> None:
    for somebody in (person(None), person("viewer")):
        with pytest.raises(Forbidden):
            start_session(labeler=somebody, queue=queue_factory())
        with pytest.raises(Forbidden):
            start_session(labeler=somebody)


def test_start__paused_queue__is_told(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    set_queue_state(queue=queue, state="paused", actor=None)
    with pytest.raises(QueueNotOpen):
        start_session(labeler=labelers[0], queue=queue)


def test_idle__session_without_a_sign_of_life__ends_when_last_seen(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    take(queue, labelers[0])
    quiet, busy = LabelingSession.objects.get(), start_session(labeler=labelers[1], queue=queue)
    later = now() + timedelta(seconds=queue.idle_s + 1)
    with frozen(later - timedelta(seconds=60)):
        heartbeat(session=busy)
    with frozen(later):
        assert close_idle_sessions() == 1
        quiet.refresh_from_db()
        assert quiet.ended_at == quiet.last_seen_at
        assert (Lease.objects.get().state, item_of(queue, "t1").open_slots) == ("released", 1)
        with pytest.raises(SessionEnded):
            next_examples(session=quiet)
        with pytest.raises(SessionEnded):
            heartbeat(session=quiet)
        assert start_session(labeler=labelers[0], queue=queue).pk != quiet.pk


def test_next__filters_of_queue_and_session__both_hold(
    dataset: Dataset, queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    uuid = {n: item.example_id for n in range(1, 11) for item in [item_of(queue_factory(f"q{n}"), f"t{n}")]}
    set_mark(branch=dataset.main, uuids=[uuid[2], uuid[3], uuid[4]], name="hard", value=True, actor=None)
    set_mark(branch=dataset.main, uuids=[uuid[5]], name="tags", value=["hard"], actor=None)
    set_mark(branch=dataset.main, uuids=[uuid[6]], name="hard", value=False, actor=None)
    set_status(branch=dataset.main, uuids=[uuid[3]], status="validated", actor=None)
    queue = queue_factory(filters={"tags": ["hard"], "status": "pending"})
    assert ids(take(queue, labelers[0], 10)) == ["t2", "t4", "t5"]
    assert ids(
        take(queue_factory(filters={"tags": "hard"}), person("reviewer"), 10, filters={"text": "TION 3"})
    ) == ["t3"]


def test_next__filters_of_a_session_change__begins_again(
    queue_factory: Factory, person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    assert ids(take(queue, reviewer, filters={"text": "question 7"})) == ["t7"]
    assert ids(take(queue, reviewer, 2)) == ["t7", "t1"]


def test_next__filter_on_a_text__does_not_find_it_in_answers(
    dataset: Dataset, queue_factory: Factory, person: Callable[..., Any]
) -> None:
    row = dataset.main.examples.get(identity__external_id="t8")
    update_example(example=row, expected_output={"label": "praise"}, actor=None)
    assert take(queue_factory(), person("reviewer"), filters={"text": "praise"}) == []


def test_next__example_does_not_fit_any_more__is_marked_as_gone_and_passed(
    dataset: Dataset, queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(filters={"status": ["pending"]})
    first = [item_of(queue, f"t{n}").example_id for n in range(1, 10)]
    set_status(branch=dataset.main, uuids=first, status="rejected", actor=None)
    assert ids(take(queue, labelers[0])) == ["t10"]
    assert [item_of(queue, name).state for name in ("t1", "t9", "t10")] == ["gone", "gone", "open"]


def test_next__nothing_left_but_new_rows__come_by_themselves(
    dataset: Dataset, queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    take(queue, labelers[0], 10)
    session = start_session(labeler=labelers[1], queue=queue)
    bulk_upsert(branch=dataset.main, documents=text_rows(12), actor=None)
    assert next_examples(session=session) == []  # refreshed a moment ago
    with frozen(now() + timedelta(seconds=20)):
        assert ids(next_examples(session=session)) == ["t11"]


def test_next__held_example_left_the_working_copy__is_given_up(
    dataset: Dataset, queue_factory: Factory, labelers: list[Any]
) -> None:
    from datasets_app.services.curation.examples import delete_examples

    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    delete_examples(branch=dataset.main, uuids=[task.example], actor=None)
    assert ids(take(queue, labelers[0])) == ["t2"]
    assert item_of(queue, "t1").state == "gone"


def test_next__validation_session__shows_the_answer_that_is_there(
    dataset: Dataset, queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue = queue_factory()
    update_example(
        example=dataset.main.examples.get(identity__external_id="t1"),
        actor=None,
        expected_output={"label": "x"},
    )
    (unseen,) = take(queue, labelers[0])
    (seen,) = take(queue_factory(), person("reviewer"), session_type="validation")
    assert (unseen.current, seen.current) == (None, {"label": "x"})


def test_next__members_of_the_queue__only_they(queue_factory: Factory, labelers: list[Any]) -> None:
    queue, group = queue_factory(), Group.objects.create(name="night shift")
    labelers[1].groups.add(group)
    set_members(queue=queue, users=[labelers[0]], groups=[group], actor=None)
    assert [queue in queues_for(labeler) for labeler in labelers] == [True, True, False]
    take(queue, labelers[0])
    take(queue, labelers[1])
    with pytest.raises(NotAssigned):
        take(queue, labelers[2])
    set_members(queue=queue, actor=None)
    assert ids(take(queue, labelers[2])) == ["t3"]


def test_next__assigned_examples__go_to_whom_they_are_assigned(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue, group = queue_factory(), Group.objects.create(name="night shift")
    labelers[1].groups.add(group)
    example = {n: item_of(queue, f"t{n}").example_id for n in (1, 2)}
    assert assign_items(queue=queue, example_ids=[example[1]], user=labelers[0], actor=None) == 1
    assign_items(queue=queue, example_ids=[example[2]], group=group, actor=None)
    assert ids(take(queue, labelers[2])) == ["t3"]
    assert ids(take(queue, labelers[1])) == ["t2"]
    assert ids(take(queue, labelers[0])) == ["t1"]


def test_next__without_a_queue__takes_from_all_of_ones_queues_in_order(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    first, second = queue_factory("a"), queue_factory("b")
    session = start_session(labeler=labelers[0])
    tasks = next_examples(session=session, count=12)
    assert [task.queue for task in tasks] == [first.pk] * 10 + [second.pk] * 2
    assert len(next_examples(session=session, count=12)) == 12
    other = start_session(labeler=labelers[1], filters={"type": ["contact_tier"]})
    assert next_examples(session=other) == []


def test_next__branch_without_a_working_copy__is_told_and_nothing_is_gone(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    take(queue, labelers[0])
    queue.branch.worktree = "closed"
    queue.branch.save()
    session = LabelingSession.objects.get()
    with pytest.raises(QueueNotOpen, match="has no working copy now"):
        next_examples(session=session)
    assert set(queue.items.values_list("state", flat=True)) == {"open"}


def test_next__very_many_do_not_fit_any_more__the_queue_is_refreshed(
    dataset: Dataset, queue_factory: Factory, labelers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from labeling_app.services import picking

    queue = queue_factory(filters={"status": ["pending"]})
    session = start_session(labeler=labelers[0], queue=queue)
    examples = queue.items.values_list("example", flat=True)
    set_status(branch=dataset.main, uuids=list(examples), status="rejected", actor=None)
    monkeypatch.setattr(picking, "_MOST_ROUNDS", 1)
    assert next_examples(session=session) == []
    assert set(queue.items.values_list("state", flat=True)) == {"gone"}
