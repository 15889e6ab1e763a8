"""Gold answers: set, met as hidden checks, judged; who misses too many is paused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from datasets_app.errors import SchemaViolation
from datasets_app.models import AuditEvent, Dataset, Example
from datasets_app.services.curation.examples import update_example
from goldenproject.kit.clock import frozen, now
from goldenproject.kit.errors import BadInput, Forbidden
from labeling_app.errors import LabelerPaused
from labeling_app.models import GoldAnswer, Label, LabelerStanding, LabelingQueue, Lease, QueueItem
from labeling_app.services.gold import (
    gold_answers,
    gold_from_present,
    let_go_on,
    pause_labeler,
    promote_unanimous,
    remove_gold,
    set_gold,
    unanimous_items,
)
from labeling_app.services.queues import refresh_queue
from labeling_app.services.submitting import submit_label
from labeling_app.services.undoing import undo_label
from tests.integration.labeling.labeling_data import answer, item_of, take

pytestmark = pytest.mark.django_db


def gold(queue: LabelingQueue, *names: str, label: str = "a", actor: Any = None) -> int:
    found = {item_of(queue, name).example_id: {"label": label} for name in names}
    return set_gold(queue=queue, answers=found, actor=actor)


@pytest.fixture
def checked(queue_factory: Callable[..., LabelingQueue], person: Callable[..., Any]) -> LabelingQueue:
    """A queue whose t1 … t4 are hidden checks with the answer a, and in which half of the examples are checks."""
    queue = queue_factory(gold_rate=0.5, gold_pause_below=0.75, gold_pause_after=2)
    gold(queue, "t1", "t2", "t3", "t4", actor=person("reviewer"))
    return queue


def label_all(queue: LabelingQueue, labeler: Any, label: str = "a") -> list[bool | None]:
    """Answer whatever comes until nothing does; returns gold_correct of each label in order."""
    while take(queue, labeler):
        answer(queue, labeler, label)
    rows = Label.objects.filter(queue=queue, labeler=labeler).order_by("labeled_at", "id")
    return list(rows.values_list("gold_correct", flat=True))


def test_set_gold__of_examples__is_never_given_in_order(checked: LabelingQueue, labelers: list[Any]) -> None:
    found = label_all(checked, labelers[0])
    slots = Lease.objects.filter(queue=checked).values_list(
        "item__example__external_id", "slot", "is_gold_check"
    )
    met = {name for name, _, is_check in slots if is_check}
    assert met <= {"t1", "t2", "t3", "t4"}
    assert {name for name, _, is_check in slots if not is_check} == {f"t{n}" for n in range(5, 11)}
    assert {slot for _, slot, is_check in slots if is_check} <= {0}
    assert (found.count(True), found.count(None)) == (len(met), 6)


def test_set_gold__right_answers__adopt_nothing(checked: LabelingQueue, labelers: list[Any]) -> None:
    label_all(checked, labelers[0])
    assert set(QueueItem.objects.filter(queue=checked, is_gold=True).values_list("state", flat=True)) == {
        "open"
    }


def test_set_gold__answer_that_no_labeler_could_give__is_refused_and_nothing_written(
    queue_factory: Callable[..., LabelingQueue],
) -> None:
    queue = queue_factory()
    keys = [item_of(queue, name).example_id for name in ("t1", "t2")]
    with pytest.raises(SchemaViolation) as caught:
        set_gold(queue=queue, answers={keys[0]: {"label": "a"}, keys[1]: {"label": 7}}, actor=None)
    assert f"The gold answer of {keys[1]}: $.output.label" in str(caught.value)
    assert not GoldAnswer.objects.exists()


def test_set_gold__example_of_another_branch__is_refused(
    queue_factory: Callable[..., LabelingQueue], dataset: Dataset
) -> None:
    from uuid import UUID

    with pytest.raises(BadInput, match="1 of 1 examples are no Text classification on branch main"):
        set_gold(queue=queue_factory(), answers={UUID(int=5): {"label": "a"}}, actor=None)


def test_set_gold__example_outside_of_the_filters__joins_as_a_check_and_stays(
    queue_factory: Callable[..., LabelingQueue], dataset: Dataset
) -> None:
    queue = queue_factory(filters={"text": "question 1"})
    assert queue.items.count() == 2  # t1 and t10
    outside = Example.objects.get(branch=dataset.main, identity__external_id="t5")
    set_gold(queue=queue, answers={outside.identity_id: {"label": "a"}}, actor=None)
    refresh_queue(queue=queue)
    item = item_of(queue, "t5")
    assert (item.is_gold, item.state) == (True, "open")
    remove_gold(queue=queue, example_ids=[outside.identity_id], actor=None)
    refresh_queue(queue=queue)
    item.refresh_from_db()
    assert (item.is_gold, item.state) == (False, "gone")


def test_set_gold__by_a_labeler__is_forbidden(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory()
    for forbidden in (
        lambda: gold(queue, "t1", actor=labelers[0]),
        lambda: gold_from_present(queue=queue, example_ids=[], actor=labelers[0]),
        lambda: promote_unanimous(queue=queue, actor=labelers[0]),
        lambda: remove_gold(queue=queue, example_ids=[], actor=labelers[0]),
        lambda: let_go_on(queue=queue, labeler=labelers[0], actor=labelers[0]),
        lambda: pause_labeler(queue=queue, labeler=labelers[1], actor=labelers[0], reason="x"),
    ):
        with pytest.raises(Forbidden):
            forbidden()


def test_set_gold__corrected_answer__judges_the_checks_so_far_anew(
    checked: LabelingQueue, labelers: list[Any]
) -> None:
    label_all(checked, labelers[0])
    met = Label.objects.filter(queue=checked, gold_correct=True)[0]
    set_gold(queue=checked, answers={met.example_id: {"label": "b"}}, actor=None)
    met.refresh_from_db()
    assert met.gold_correct is False
    assert list(gold_answers(checked).filter(item=met.item_id).values_list("checks", "missed")) == [(1, 1)]


def test_gold_from_present__examples_with_answers__take_them(
    queue_factory: Callable[..., LabelingQueue], dataset: Dataset, person: Callable[..., Any]
) -> None:
    queue = queue_factory()
    row = Example.objects.get(branch=dataset.main, identity__external_id="t1")
    update_example(example=row, actor=None, expected_output={"label": "c"})
    assert gold_from_present(queue=queue, example_ids=[row.identity_id], actor=person("reviewer")) == 1
    assert GoldAnswer.objects.get().value == {"label": "c"}
    assert AuditEvent.objects.filter(action="labels.gold").get().summary == "1 gold answers in queue queue 1"
    empty = item_of(queue, "t2").example_id
    with pytest.raises(BadInput, match="1 of 2 examples have no answer now"):
        gold_from_present(queue=queue, example_ids=[row.identity_id, empty], actor=None)


def test_promote_unanimous__two_of_one_mind__become_gold(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=2)
    for labeler, labels in ((labelers[0], "aab"), (labelers[1], "abb")):
        for label in labels:
            answer(queue, labeler, label)
    assert unanimous_items(queue).count() == 2
    assert unanimous_items(queue, at_least=3).count() == 0
    assert promote_unanimous(queue=queue, actor=None) == 2
    found = GoldAnswer.objects.order_by("item").values_list("item__example__external_id", "value", "origin")
    assert list(found) == [("t1", {"label": "a"}, "promoted"), ("t3", {"label": "b"}, "promoted")]
    assert promote_unanimous(queue=queue, actor=None) == 0


def test_judge__too_many_missed__pauses_with_a_reason(checked: LabelingQueue, labelers: list[Any]) -> None:
    with pytest.raises(LabelerPaused) as caught:
        label_all(checked, labelers[0], label="wrong")
    standing = LabelerStanding.objects.get()
    assert standing.pause_reason in str(caught.value)
    assert standing.pause_reason.startswith(
        "0% of your last 2 answers that could be checked agreed with the known ones, where 75% are expected."
    )
    assert Label.objects.filter(labeler=labelers[0], gold_correct=False).count() == 2
    answer(checked, labelers[1])  # the others go on


def test_let_go_on__after_a_pause__the_checks_so_far_count_no_more(
    checked: LabelingQueue, labelers: list[Any], person: Callable[..., Any]
) -> None:
    with pytest.raises(LabelerPaused):
        label_all(checked, labelers[0], label="wrong")
    let_go_on(queue=checked, labeler=labelers[0], actor=person("reviewer"))
    with frozen(now() + timedelta(seconds=1)):
        label_all(checked, labelers[0], label="a")
    standing = LabelerStanding.objects.get()
    assert (standing.paused_at, standing.pause_reason) == (None, "")
    history = standing.history.order_by("history_id").values_list("paused_at", flat=True)
    assert [paused_at is None for paused_at in history] == [False, True]


def test_remove_gold__an_answered_check__becomes_a_label_like_all_others(
    checked: LabelingQueue, labelers: list[Any]
) -> None:
    label_all(checked, labelers[0])
    met = Label.objects.filter(queue=checked, gold_correct=True)[0]
    assert remove_gold(queue=checked, example_ids=[met.example_id], actor=None) == 1
    met.refresh_from_db()
    item = QueueItem.objects.get(pk=met.item_id)
    assert (met.gold_correct, item.is_gold, item.label_count, item.open_slots) == (None, False, 1, 0)
    assert item.state == "adopted"
    row = Example.objects.get(branch=checked.branch, identity_id=met.example_id)
    assert row.expected_output == {"label": "a"}
    assert remove_gold(queue=checked, example_ids=[met.example_id], actor=None) == 0


def test_gold_rate__as_a_float__is_stored_as_it_was_given(
    queue_factory: Callable[..., LabelingQueue],
) -> None:
    queue = queue_factory(gold_rate=0.05, gold_pause_below=0.6)
    queue.refresh_from_db()
    assert (queue.gold_rate, queue.gold_pause_below) == (Decimal("0.050"), Decimal("0.600"))


def test_remove_gold__while_a_check_is_held__it_is_a_label_like_all_others(
    checked: LabelingQueue, labelers: list[Any], person: Callable[..., Any]
) -> None:
    held = take(checked, labelers[0], count=10)
    lease = Lease.objects.filter(is_gold_check=True)[0]
    (task,) = [task for task in held if task.lease == lease.pk]
    remove_gold(queue=checked, example_ids=[task.example], actor=person("reviewer"))
    submit_label(lease_id=task.lease, labeler=labelers[0], value={"label": "a"})
    item = QueueItem.objects.get(pk=task.item)
    assert (item.state, item.label_count, item.open_slots) == ("adopted", 1, 0)
    label = Label.objects.get(item=item)
    assert label.gold_correct is None
    undo_label(label_id=label.pk, labeler=labelers[0])
    item.refresh_from_db()
    assert (item.state, item.label_count, item.open_slots) == ("open", 0, 0)
    row = Example.objects.get(branch=checked.branch, identity=task.example)
    assert row.expected_output is None
