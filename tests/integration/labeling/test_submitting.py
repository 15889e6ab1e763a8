"""An answer is stored once, counted once, and what cannot be counted is told and kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from datasets_app.errors import SchemaViolation
from datasets_app.models import Dataset, Example, ExampleType
from datasets_app.services.curation.examples import delete_examples, update_example
from goldenproject.kit.clock import frozen, now
from goldenproject.kit.errors import BadInput, Forbidden
from labeling_app.errors import (
    ExampleChanged,
    ExampleGone,
    KeyReused,
    LabelerPaused,
    LeaseLost,
    NotAssigned,
    QueueNotOpen,
    TypeChanged,
    UnknownLease,
)
from labeling_app.models import Draft, Label, LabelHistory, LabelingQueue, LabelingSession, Lease, QueueItem
from labeling_app.services import settling, submitting
from labeling_app.services.assigning import set_members
from labeling_app.services.gold import pause_labeler, set_gold
from labeling_app.services.queues import set_queue_state
from labeling_app.services.sessions import end_session
from labeling_app.services.slots import sweep_expired
from labeling_app.services.submitting import save_draft, submit_label
from tests.integration.labeling.labeling_data import answer, item_of, take

Factory = Callable[..., LabelingQueue]
GOOD = {"label": "a"}


def row(dataset: Dataset, external_id: str = "t1") -> Example:
    return Example.objects.get(branch=dataset.main, identity__external_id=external_id)


def events(queue: LabelingQueue) -> list[tuple[str, Any, Any]]:
    rows = LabelHistory.objects.filter(queue=queue).order_by("id")
    return list(rows.values_list("event", "label_value", "previous_value"))


def drafts() -> list[Any]:
    return list(Draft.objects.values_list("value", flat=True))


def test_submit__good_answer__is_label_history_and_adopted(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    save_draft(lease_id=task.lease, labeler=labelers[0], value={"label": "dra"})
    done = submit_label(
        lease_id=task.lease, labeler=labelers[0], value=GOOD, confidence=0.75, notes="sure", duration_ms=1200
    )
    label = Label.objects.get()
    assert (done.label, done.item_state, done.replayed) == (label.pk, "adopted", False)
    assert (label.annotator, label.value, float(label.confidence or 0), label.notes, label.duration_ms) == (
        "labeler",
        GOOD,
        0.75,
        "sure",
        1200,
    )
    assert events(queue)[0] == ("submitted", GOOD, None)
    assert LabelHistory.objects.order_by("id")[0].history.get().history_user == labelers[0]
    assert Lease.objects.get().state == Lease.State.SUBMITTED
    assert item_of(queue, "t1").label_count == 1
    assert LabelingSession.objects.get().examples_labeled == 1
    assert drafts() == []
    assert row(queue.dataset).expected_output == GOOD


def test_submit__breaks_the_schema__is_told_and_nothing_is_stored(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    with pytest.raises(SchemaViolation) as caught:
        submit_label(lease_id=task.lease, labeler=labelers[0], value={"label": 3})
    assert caught.value.details["violations"][0]["path"] == "$.output.label"
    assert (Label.objects.count(), LabelHistory.objects.count()) == (0, 0)
    assert Lease.objects.get().state == Lease.State.HELD


@pytest.mark.parametrize(
    "wrong",
    [{"confidence": 1.5}, {"duration_ms": -1}, {"notes": "x" * 10_001}, {"notes": "\x00"}, {"key": ""}, {"source": "bulk"},
     {"content_hash": "zz"}],
)  # fmt: skip
def test_submit__impossible_argument__is_refused(
    queue_factory: Factory, labelers: list[Any], wrong: dict[str, Any]
) -> None:
    (task,) = take(queue_factory(), labelers[0])
    with pytest.raises(BadInput):
        submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD, **wrong)
    assert LabelHistory.objects.count() == 0


def test_submit__anothers_lease__is_unknown(queue_factory: Factory, labelers: list[Any]) -> None:
    (task,) = take(queue_factory(), labelers[0])
    with pytest.raises(UnknownLease):
        submit_label(lease_id=task.lease, labeler=labelers[1], value=GOOD)


def test_submit__same_key_again__first_answer_again(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    sent = {"lease_id": task.lease, "labeler": labelers[0], "value": GOOD, "key": "k1", "notes": "n"}
    first, second = submit_label(**sent), submit_label(**sent)
    assert (second.label, second.replayed, first.replayed) == (first.label, True, False)
    assert [event for event, *_ in events(queue)] == ["submitted", "adopted"]


def test_submit__same_key_other_answer__is_refused(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    first, second = take(queue, labelers[0], 2)
    submit_label(lease_id=first.lease, labeler=labelers[0], value=GOOD, key="k1")
    with pytest.raises(KeyReused):
        submit_label(lease_id=first.lease, labeler=labelers[0], value={"label": "b"}, key="k1")
    with pytest.raises(KeyReused):
        submit_label(lease_id=second.lease, labeler=labelers[0], value=GOOD, key="k1")
    assert Label.objects.count() == 1


def test_submit__without_key_twice__is_stored_once_and_another_answer_changes_it(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(adopts="never")
    (task,) = take(queue, labelers[0])
    first = submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD)
    again = submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD)
    other = submit_label(lease_id=task.lease, labeler=labelers[0], value={"label": "b"})
    assert (again.replayed, other.replayed, other.label) == (True, False, first.label)
    assert events(queue) == [("submitted", GOOD, None), ("changed", {"label": "b"}, GOOD)]
    assert item_of(queue, "t1").label_count == 1


def test_submit__again_after_the_labeler_was_renamed__changes_the_label_of_before(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue, labeler = queue_factory(overlap=2), labelers[0]
    answer(queue, labeler, "a")
    labeler.username = "renamed"
    labeler.save(update_fields=["username"])
    submit_label(lease_id=Lease.objects.get().pk, labeler=labeler, value={"label": "b"})
    assert Label.objects.values_list("annotator", "value").get() == ("labeler", {"label": "b"})
    assert [name for name, _, _ in events(queue)] == ["submitted", "changed"]


def test_submit__change_of_an_adopted_label__is_adopted_anew(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD)
    submit_label(lease_id=task.lease, labeler=labelers[0], value={"label": "b"})
    assert row(queue.dataset).expected_output == {"label": "b"}


def test_submit__lease_ran_out_and_slot_is_free__counts(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    with frozen(now() + timedelta(seconds=queue.lease_s + 60)):
        assert sweep_expired(queue=queue, at=now()) == 1
        assert Lease.objects.get(pk=task.lease).state == Lease.State.EXPIRED
        done = submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD)
    assert done.item_state == "adopted"
    assert item_of(queue, "t1").open_slots == 0


def test_submit__lease_went_to_another__is_late_and_kept(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    with frozen(now() + timedelta(seconds=queue.lease_s + 60)):
        answer(queue, labelers[1], "b")
        for _ in range(2):  # the same again is told the same
            with pytest.raises(LeaseLost):
                submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD, key="late")
    late = LabelHistory.objects.get(event="late")
    assert (late.label_value, late.labeler, late.key) == (GOOD, labelers[0], "late")
    assert Label.objects.get().annotator == "second-labeler"


def test_submit__session_ended_meanwhile__counts_while_the_slot_is_free(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    end_session(session=LabelingSession.objects.get())
    assert item_of(queue, "t1").open_slots == 1
    assert submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD).item_state == "adopted"


def test_submit__old_lease_of_an_example_held_again__counts_once(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=2)
    (old,) = take(queue, labelers[0])
    end_session(session=LabelingSession.objects.get())
    (new,) = take(queue, labelers[0])
    submit_label(lease_id=old.lease, labeler=labelers[0], value=GOOD, key="a")
    assert submit_label(lease_id=new.lease, labeler=labelers[0], value=GOOD).replayed
    item = item_of(queue, "t1")
    assert (item.label_count, item.open_slots, new.example == old.example) == (1, 1, True)


def test_submit__example_changed_meanwhile__is_shown_and_the_answer_is_a_draft(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    update_example(example=row(queue.dataset), actor=None, input_data={"text": "another question"})
    with pytest.raises(ExampleChanged) as caught:
        submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD, content_hash=task.content_hash)
    assert caught.value.details["input"] == {"text": "another question"}
    assert (Label.objects.count(), drafts()) == (0, [GOOD])
    seen = caught.value.details["content_hash"]
    done = submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD, content_hash=seen)
    assert (done.item_state, Label.objects.get().content_hash.hex()) == ("adopted", seen)


def test_submit__only_the_output_changed_meanwhile__counts_and_a_reviewer_decides(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    update_example(example=row(queue.dataset), actor=None, expected_output={"label": "mine"})
    done = submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD)
    assert (done.item_state, row(queue.dataset).expected_output) == ("review", {"label": "mine"})


def test_submit__example_removed_meanwhile__is_gone_and_the_answer_kept(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    delete_examples(branch=queue.branch, uuids=[task.example], actor=None)
    for _ in range(2):
        with pytest.raises(ExampleGone):
            submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD, key="k")
    assert [(event, value) for event, value, _ in events(queue)] == [("late", GOOD)]
    assert item_of(queue, "t1").state == QueueItem.State.GONE
    assert Lease.objects.get().state == Lease.State.RELEASED


def test_submit__type_changed_meanwhile__counts_if_it_fits_and_is_told_if_not(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    first, second = take(queue, labelers[0], 2)
    kind = ExampleType.objects.get(name="text_classification")
    kind.output_schema = {**kind.output_schema, "properties": {"label": {"enum": ["a", "c"]}}}
    kind.save()
    digest = first.schema_digest
    submit_label(lease_id=first.lease, labeler=labelers[0], value=GOOD, schema_digest=digest)
    with pytest.raises(TypeChanged) as caught:
        submit_label(lease_id=second.lease, labeler=labelers[0], value={"label": "b"}, schema_digest=digest)
    assert caught.value.details["schema_digest"] != digest
    assert drafts() == [{"label": "b"}]


def test_submit__field_of_the_queue_left_the_type__is_told_and_kept(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    (task,) = take(queue_factory(field_path="label"), labelers[0])
    kind = ExampleType.objects.get(name="text_classification")
    kind.output_schema = {"type": "object", "properties": {"tone": {"type": "string"}}}
    kind.save()
    with pytest.raises(TypeChanged, match="this queue does not fit it any more"):
        submit_label(lease_id=task.lease, labeler=labelers[0], value="a")
    assert drafts() == ["a"]


def test_submit__queue_paused_meanwhile__is_told_kept_as_draft_and_given_back(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    set_queue_state(queue=queue, state="paused", actor=None)
    with pytest.raises(QueueNotOpen):
        submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD, key="k")
    assert (drafts(), item_of(queue, "t1").open_slots) == ([GOOD], 1)
    set_queue_state(queue=queue, state="open", actor=None)
    assert submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD, key="k").item_state == "adopted"


@pytest.mark.parametrize("way", ["role", "member", "paused", "inactive"])
def test_submit__labeler_removed_meanwhile__is_told_and_what_was_held_is_free(
    queue_factory: Factory, labelers: list[Any], way: str
) -> None:
    queue, labeler = queue_factory(), labelers[0]
    answer(queue, labeler)
    held = take(queue, labeler, 2)
    error: type[Exception] = Forbidden
    if way == "role":
        labeler.groups.clear()
    elif way == "member":
        set_members(queue=queue, users=[labelers[1]], actor=None)
        error = NotAssigned
    elif way == "paused":
        pause_labeler(queue=queue, labeler=labeler, actor=None, reason="Missed checks.")
        error = LabelerPaused
    else:
        type(labeler).objects.filter(pk=labeler.pk).update(is_active=False)
    now_labeler = type(labeler).objects.get(pk=labeler.pk)
    with pytest.raises(error):
        submit_label(lease_id=held[0].lease, labeler=now_labeler, value=GOOD)
    assert set(Lease.objects.filter(pk__in=[t.lease for t in held]).values_list("state", flat=True)) == {
        "released"
    }
    assert (Label.objects.count(), drafts()) == (1, [GOOD])


def test_submit__part_of_the_output__is_checked_and_adopted_as_that_part(
    dataset: Dataset, queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(field_path="label")
    (task,) = take(queue, labelers[0])
    with pytest.raises(SchemaViolation) as caught:
        submit_label(lease_id=task.lease, labeler=labelers[0], value={"label": "a"})
    assert caught.value.details["violations"][0]["path"] == "$.output.label"
    submit_label(lease_id=task.lease, labeler=labelers[0], value="a")
    assert row(dataset).expected_output == GOOD
    assert LabelHistory.objects.order_by("id")[0].label_type == "output.label"


def test_submit__gold_check__is_judged_and_counts_for_no_consensus(
    queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue = queue_factory(gold_rate=0.5)
    wanted = item_of(queue, "t5")
    set_gold(queue=queue, answers={wanted.example_id: GOOD}, actor=person("reviewer"))
    seen = None
    for _ in range(9):
        (task,) = take(queue, labelers[0])
        if task.item == wanted.pk:
            seen = task
        submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD)
    assert seen is not None and "gold" not in str(seen.document())
    label = Label.objects.get(item=wanted)
    assert (
        label.gold_correct,
        Label.objects.exclude(pk=label.pk).filter(gold_correct__isnull=False).count(),
    ) == (
        True,
        0,
    )
    assert Lease.objects.get(pk=seen.lease).slot == 0


def test_submit__only_label_of_an_example__is_settled_as_it_would_be_read(
    queue_factory: Factory, labelers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[Any] = []

    def settle(**given: Any) -> None:
        (item,) = given["locked"]
        settled.append((given["given"], settling._labels_of([item.pk])))
        settling.settle(**given)

    monkeypatch.setattr(submitting, "settle", settle)
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    submit_label(lease_id=task.lease, labeler=labelers[0], value=GOOD, confidence=0.8125)
    submit_label(lease_id=task.lease, labeler=labelers[0], value={"label": "b"})
    ((known, read), (unknown, _)) = settled
    assert known == read
    assert unknown is None
