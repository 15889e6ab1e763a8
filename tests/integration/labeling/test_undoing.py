"""Undo of any own submission: the label goes, the history keeps both, the example is held again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datasets_app.models import Example
from datasets_app.services.curation.examples import delete_examples
from goldenproject.kit.errors import Conflict
from labeling_app.errors import (
    ExampleGone,
    KeyReused,
    NotAssigned,
    QueueNotOpen,
    UnknownLabel,
    UnknownLease,
)
from labeling_app.models import Label, LabelHistory, LabelingQueue, LabelingSession, Lease
from labeling_app.services.assigning import set_members
from labeling_app.services.bulk import label_in_bulk, undo_bulk
from labeling_app.services.leasing import next_examples
from labeling_app.services.queues import set_queue_state
from labeling_app.services.sessions import end_session
from labeling_app.services.submitting import flag, skip, submit_label
from labeling_app.services.undoing import own_labels, undo_label, undo_skip
from tests.integration.labeling.labeling_data import answer, ids, item_of, take

Factory = Callable[..., LabelingQueue]


def output(queue: LabelingQueue, external_id: str = "t1") -> Any:
    return Example.objects.get(branch=queue.branch, identity__external_id=external_id).expected_output


def test_undo__adopted_label__gives_the_output_back_and_the_example_to_correct(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    done = answer(queue, labelers[0], "wrong", notes="hm", confidence=0.5)
    assert output(queue) == {"label": "wrong"}
    task = undo_label(label_id=done.label or 0, labeler=labelers[0])
    assert output(queue) is None
    assert task.mine == {"label": done.label, "value": {"label": "wrong"}, "confidence": 0.5, "notes": "hm"}
    assert task.shown.draft == {"value": {"label": "wrong"}, "confidence": 0.5, "notes": "hm"}
    item = item_of(queue, "t1")
    assert (item.label_count, item.open_slots, item.state) == (0, 0, "open")
    assert ids(take(queue, labelers[1])) == ["t2"]
    assert ids(take(queue, labelers[0])) == ["t1"]
    submit_label(lease_id=task.lease, labeler=labelers[0], value={"label": "right"})
    assert output(queue) == {"label": "right"}
    kept = LabelHistory.objects.filter(event__in=("submitted", "undone")).order_by("id")
    assert list(kept.values_list("event", "label_value", "previous_value")) == [
        ("submitted", {"label": "wrong"}, None),
        ("undone", None, {"label": "wrong"}),
        ("submitted", {"label": "right"}, None),
    ]


def test_undo__one_of_two_labels__reopens_the_item_for_its_labeler_alone(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=2)
    answer(queue, labelers[0], "a")
    done = answer(queue, labelers[1], "b")
    assert item_of(queue, "t1").state == "review"
    undo_label(label_id=done.label or 0, labeler=labelers[1])
    item = item_of(queue, "t1")
    assert (item.label_count, item.open_slots, item.state) == (1, 0, "open")


def test_undo__twice__is_unknown_and_with_a_key_the_same_task_again(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    done = answer(queue, labelers[0])
    first = undo_label(label_id=done.label or 0, labeler=labelers[0], key="u1")
    assert undo_label(label_id=done.label or 0, labeler=labelers[0], key="u1").lease == first.lease
    with pytest.raises(UnknownLabel):
        undo_label(label_id=done.label or 0, labeler=labelers[0])
    assert LabelHistory.objects.filter(event="undone").count() == 1


def test_undo__key_of_a_submission__is_refused(queue_factory: Factory, labelers: list[Any]) -> None:
    done = answer(queue_factory(), labelers[0], key="k")
    with pytest.raises(KeyReused):
        undo_label(label_id=done.label or 0, labeler=labelers[0], key="k")
    assert Label.objects.count() == 1


def test_undo__anothers_label__is_unknown(queue_factory: Factory, labelers: list[Any]) -> None:
    done = answer(queue_factory(), labelers[0])
    with pytest.raises(UnknownLabel):
        undo_label(label_id=done.label or 0, labeler=labelers[1])


def test_undo__queue_is_closed__leaves_the_label(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    done = answer(queue, labelers[0])
    set_queue_state(queue=queue, state="closed", actor=None)
    with pytest.raises(QueueNotOpen):
        undo_label(label_id=done.label or 0, labeler=labelers[0])
    assert Label.objects.count() == 1


def test_undo__example_is_gone__leaves_the_label(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    done = answer(queue, labelers[0])
    delete_examples(branch=queue.branch, uuids=[done.example], actor=None)
    with pytest.raises(ExampleGone):
        undo_label(label_id=done.label or 0, labeler=labelers[0])
    assert (Label.objects.count(), Lease.objects.get().state) == (1, "submitted")


def test_undo__session_ended_since__is_held_in_a_new_one(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    done = answer(queue, labelers[0])
    end_session(session=LabelingSession.objects.get())
    task = undo_label(label_id=done.label or 0, labeler=labelers[0])
    session = LabelingSession.objects.get(ended_at__isnull=True)
    assert [held.lease for held in next_examples(session=session)] == [task.lease]


def test_skip__with_a_reason__goes_to_others_and_can_be_taken_back(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    skip(lease_id=task.lease, labeler=labelers[0], reason="in a language I do not read", key="s")
    assert skip(
        lease_id=task.lease, labeler=labelers[0], reason="in a language I do not read", key="s"
    ).replayed
    assert (ids(take(queue, labelers[0])), LabelHistory.objects.get().notes) == (
        ["t2"],
        "in a language I do not read",
    )
    assert undo_skip(lease_id=task.lease, labeler=labelers[0]).shown.external_id == "t1"
    skip(lease_id=task.lease, labeler=labelers[0], reason="again")
    assert ids(take(queue, labelers[1])) == ["t1"]
    with pytest.raises(UnknownLease, match="Others have labeled"):
        undo_skip(lease_id=task.lease, labeler=labelers[0])


def test_skip__of_an_answered_example__is_refused(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    submit_label(lease_id=task.lease, labeler=labelers[0], value={"label": "a"})
    with pytest.raises(Conflict, match="labeled this example already"):
        skip(lease_id=task.lease, labeler=labelers[0], reason="late")


def test_flag__held_example__opens_a_review_and_stays_held(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    flag(lease_id=task.lease, labeler=labelers[0], comment="Is this a question at all?", key="f")
    assert flag(
        lease_id=task.lease, labeler=labelers[0], comment="Is this a question at all?", key="f"
    ).replayed
    review = item_of(queue, "t1").reviews.get()
    assert (review.reason, review.detail) == ("flagged", "labeler: Is this a question at all?")
    assert Lease.objects.get().state == "held"
    assert LabelHistory.objects.filter(event="flagged").count() == 1


def test_flag__own_label__opens_a_review(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    done = answer(queue, labelers[0])
    flag(label_id=done.label, labeler=labelers[0], comment="I was in doubt.")
    assert item_of(queue, "t1").state == "review"
    with pytest.raises(UnknownLabel):
        flag(label_id=done.label, labeler=labelers[1], comment="not mine")


def test_flag__own_label_given_in_bulk__opens_a_review_and_makes_no_lease(
    queue_factory: Factory, person: Callable[..., Any]
) -> None:
    reviewer, queue = person("reviewer"), queue_factory()
    bulk = label_in_bulk(
        queue=queue, example_ids=[item_of(queue, "t1").example_id], value={"label": "a"}, actor=reviewer
    )
    label = Label.objects.get(bulk=bulk)
    first, again = (
        flag(label_id=label.pk, labeler=reviewer, comment="Not like the others.", key="f") for _ in range(2)
    )
    assert (first.label, first.item_state, first.replayed, again.replayed) == (
        label.pk,
        "review",
        False,
        True,
    )
    assert item_of(queue, "t1").reviews.get().detail == "reviewer: Not like the others."
    said = LabelHistory.objects.get(event="flagged")
    assert (said.annotator, said.lease_id, said.notes) == ("reviewer", None, "Not like the others.")
    assert said.history.get().history_user == reviewer
    assert not Lease.objects.exists()
    assert undo_bulk(bulk=bulk, actor=reviewer).taken_back == 1
    assert ids(take(queue, reviewer)) == ["t1"]


def test_flag__key_of_a_flag_about_another_example__is_refused(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    one, other = answer(queue, labelers[0]), answer(queue, labelers[0])
    flag(label_id=one.label, labeler=labelers[0], comment="In doubt.", key="f")
    with pytest.raises(KeyReused):
        flag(label_id=other.label, labeler=labelers[0], comment="In doubt.", key="f")
    assert not item_of(queue, "t2").reviews.exists()


def test_flag__own_label_but_taken_off_the_queue__is_refused(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    done = answer(queue, labelers[0])
    set_members(queue=queue, users=[labelers[1]], groups=[], actor=None)
    with pytest.raises(NotAssigned):
        flag(label_id=done.label, labeler=labelers[0], comment="In doubt.")
    assert item_of(queue, "t1").state == "adopted"


def test_own_labels__newest_first__page_by_page(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    given = [answer(queue, labelers[0]).label for _ in range(5)]
    first = own_labels(labeler=labelers[0], queue=queue, limit=3)
    rest = own_labels(labeler=labelers[0], queue=queue, before=first[-1].pk)
    assert [label.pk for label in first + rest] == given[::-1]
    assert own_labels(labeler=labelers[1], queue=queue) == []


def test_undo__own_label_given_in_bulk__is_held_in_a_slot_of_its_own(
    queue_factory: Factory, person: Callable[..., Any]
) -> None:
    reviewer = person("reviewer")
    queue = queue_factory(overlap=2)
    examples = [item_of(queue, name).example_id for name in ("t1", "t2")]
    label_in_bulk(
        queue=queue, example_ids=examples, value={"label": "a"}, actor=reviewer, rule={"filters": {}}
    )
    label = Label.objects.get(item=item_of(queue, "t1"))
    task = undo_label(label_id=label.pk, labeler=reviewer)
    item = item_of(queue, "t1")
    assert (item.label_count, item.open_slots, Lease.objects.get(pk=task.lease).slot) == (0, 1, 1)
    assert submit_label(lease_id=task.lease, labeler=reviewer, value={"label": "b"}).label != label.pk
    item = item_of(queue, "t1")
    assert (item.label_count, item.open_slots) == (1, 1)
