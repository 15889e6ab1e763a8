"""Sending labels back is undone: labels, turns, consensus and answers are as before, and the history keeps both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datasets_app.models import AuditEvent, Example
from datasets_app.services.curation.adopting import adopt_outputs
from datasets_app.services.curation.examples import update_example
from goldenproject.kit.errors import Conflict
from labeling_app.errors import ExampleChanged, LabeledSince, LeaseLost
from labeling_app.models import Consensus, Label, LabelHistory, LabelingQueue, Lease, QueueItem, Review
from labeling_app.services.bulk import label_in_bulk, undo_bulk
from labeling_app.services.reviewing import decide, open_review, undo_decision
from labeling_app.services.submitting import skip, submit_label
from labeling_app.services.undoing import undo_label
from labeling_app.services.verifying import verify_labels
from tests.integration.labeling.labeling_data import answer, item_of, take

pytestmark = pytest.mark.django_db

Factory = Callable[..., LabelingQueue]


def _standing(queue: LabelingQueue) -> dict[str, Any]:
    """All that is known of the queue's first item, so that before and after can be compared."""
    item = item_of(queue, "t1")
    rows = {
        "labels": Label.objects.filter(item=item).order_by("annotator"),
        "leases": Lease.objects.filter(item=item).exclude(state="released").order_by("labeler"),
        "consensus": Consensus.objects.filter(item=item),
        "item": QueueItem.objects.filter(pk=item.pk),
        "working row": Example.objects.filter(branch=queue.branch, identity=item.example_id),
    }
    left_out = ("computed_at", "updated_at")
    found: dict[str, Any] = {}
    for name, queryset in rows.items():
        found[name] = [
            {
                key: bytes(value) if isinstance(value, memoryview) else value
                for key, value in row.items()
                if key not in left_out and (name, key) != ("labels", "id")
            }
            for row in queryset.values()
        ]
    return found


def _disputed(queue: LabelingQueue, labelers: list[Any]) -> Review:
    answer(queue, labelers[0], "refund", confidence=0.7, notes="It says so.", duration_ms=4200)
    answer(queue, labelers[1], "fees")
    return Review.objects.get(item=item_of(queue, "t1"))


def _send_back(review: Review, reviewer: Any) -> None:
    decide(review_id=review.pk, actor=reviewer, outcome="sent_back", comment="Read the rules.")


def test_undo_decision__sent_back__labels_and_turns_stand_exactly_as_before(
    queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    review = _disputed(queue, labelers)
    before = _standing(queue)
    _send_back(review, reviewer)
    undone = undo_decision(review_id=review.pk, actor=reviewer, comment="A slip.")
    assert _standing(queue) == before
    assert (undone.outcome, undone.decided_by, item_of(queue, "t1").state) == ("", None, "review")
    log = LabelHistory.objects.filter(queue=queue).order_by("pk")
    assert list(log.values_list("annotator", "event", "label_value", "confidence", "notes")) == [
        ("labeler", "submitted", {"label": "refund"}, log[0].confidence, "It says so."),
        ("second-labeler", "submitted", {"label": "fees"}, None, ""),
        ("labeler", "sent_back", None, None, "Read the rules."),
        ("second-labeler", "sent_back", None, None, "Read the rules."),
        ("labeler", "restored", {"label": "refund"}, log[0].confidence, "It says so."),
        ("second-labeler", "restored", {"label": "fees"}, None, ""),
    ]
    assert AuditEvent.objects.filter(action="labels.review_undone").count() == 1
    assert verify_labels(deep=True).errors == []
    # and on it goes: a label is taken back, the other adopted
    undo_label(label_id=Label.objects.get(labeler=labelers[1]).pk, labeler=labelers[1])
    assert item_of(queue, "t1").state == "open"
    assert verify_labels(deep=True).errors == []


def test_undo_decision__sent_back_twice__the_second_time_as_the_first(
    queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    review = _disputed(queue, labelers)
    before = _standing(queue)
    for _ in range(2):
        _send_back(review, reviewer)
        undo_decision(review_id=review.pk, actor=reviewer)
    assert _standing(queue) == before
    assert verify_labels(deep=True).errors == []
    decide(review_id=review.pk, actor=reviewer, outcome="adopted", value={"label": "fees"})
    assert verify_labels(deep=True).errors == []


def test_undo_decision__sent_back_what_had_been_adopted__the_answer_is_there_again(
    queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2, validates_adopted=True), person("reviewer")
    for labeler in labelers[:2]:
        answer(queue, labeler, "refund")
    item = item_of(queue, "t1")
    review = open_review(queue=queue, item_id=item.pk, reason="label_error", detail="looks like fees")
    before = _standing(queue)
    assert before["working row"][0]["validation_status"] == "validated"
    _send_back(review, reviewer)
    assert _standing(queue)["working row"][0]["expected_output"] is None
    undo_decision(review_id=review.pk, actor=reviewer)
    assert _standing(queue) == before
    assert before["working row"][0]["provenance"]["label"]["origin"] == "unanimous"
    adopted = LabelHistory.objects.filter(event="adopted").order_by("pk").values_list("annotator", "notes")
    assert len(set(adopted)) == 1 and len(adopted) == 2, "told in the same words as the first time"
    assert verify_labels(deep=True).errors == []
    decide(review_id=review.pk, actor=reviewer, outcome="kept")
    assert item_of(queue, "t1").state == "adopted"


def test_undo_decision__sent_back_and_edited_since__is_refused_and_nothing_is_written(
    queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    for labeler in labelers[:2]:
        answer(queue, labeler, "refund")
    review = open_review(queue=queue, item_id=item_of(queue, "t1").pk, reason="label_error")
    _send_back(review, reviewer)
    row = Example.objects.get(branch=queue.branch, identity__external_id="t1")
    update_example(example=row, actor=person("curator"), expected_output={"label": "other"})
    before, written = _standing(queue), LabelHistory.objects.count()
    with pytest.raises(ExampleChanged, match="edited since it was sent back"):
        undo_decision(review_id=review.pk, actor=reviewer)
    assert (_standing(queue), LabelHistory.objects.count()) == (before, written)


def test_undo_decision__sent_back_and_edited_at_the_same_moment__is_refused_and_nothing_is_written(
    queue_factory: Factory,
    labelers: list[Any],
    person: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue, reviewer, curator = queue_factory(overlap=2), person("reviewer"), person("curator")
    for labeler in labelers[:2]:
        answer(queue, labeler, "refund")
    review = open_review(queue=queue, item_id=item_of(queue, "t1").pk, reason="label_error")
    _send_back(review, reviewer)
    written = LabelHistory.objects.count()

    def edit_then_write(**asked: Any) -> Any:
        row = Example.objects.get(branch=queue.branch, identity__external_id="t1")
        update_example(example=row, actor=curator, expected_output={"label": "other"})
        return adopt_outputs(**asked)

    monkeypatch.setattr("labeling_app.services.review_sending.adopt_outputs", edit_then_write)
    with pytest.raises(ExampleChanged, match="edited since it was sent back"):
        undo_decision(review_id=review.pk, actor=reviewer)
    assert (Label.objects.count(), LabelHistory.objects.count()) == (0, written)


def test_send_back__again_and_again__only_what_the_last_took_away_is_remembered(
    queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    for _ in range(2):
        answer(queue, labelers[0], "refund")
        answer(queue, labelers[1], "fees")
        _send_back(Review.objects.get(item=item_of(queue, "t1"), outcome=""), reviewer)
    consensus = Consensus.objects.get()
    assert consensus.before["sent_back"]["before"] == {}


def test_undo_decision__labeled_since__is_refused_and_says_by_whom(
    queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    review = _disputed(queue, labelers)
    _send_back(review, reviewer)
    given = answer(queue, labelers[0], "fees")
    with pytest.raises(LabeledSince, match="labeler labeled this example since it was sent back"):
        undo_decision(review_id=review.pk, actor=reviewer)
    assert given.label is not None
    undo_label(label_id=given.label, labeler=labelers[0])
    with pytest.raises(LabeledSince):
        undo_decision(review_id=review.pk, actor=reviewer)
    assert not Label.objects.exists()
    assert verify_labels(deep=True).errors == []


def test_undo_decision__sent_back_and_held_by_now__the_answer_is_kept_not_counted(
    queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    review = _disputed(queue, labelers)
    before = _standing(queue)
    _send_back(review, reviewer)
    (same_one,) = take(queue, labelers[0])
    (another,) = take(queue, labelers[2])
    assert same_one.shown.external_id == another.shown.external_id == "t1"
    undo_decision(review_id=review.pk, actor=reviewer)
    assert _standing(queue) == before
    with pytest.raises(LeaseLost):
        submit_label(lease_id=another.lease, labeler=labelers[2], value={"label": "other"})
    assert LabelHistory.objects.filter(event="late").count() == 1
    assert verify_labels(deep=True).errors == []


def test_undo_decision__sent_back_after_skips__those_who_skipped_do_not_get_it_again(
    queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    (task,) = take(queue, labelers[2])
    skip(lease_id=task.lease, labeler=labelers[2], reason="unclear")
    review = _disputed(queue, labelers)
    before = _standing(queue)
    assert [lease["state"] for lease in before["leases"]].count("skipped") == 1
    _send_back(review, reviewer)
    for labeler in (
        labelers[0],
        labelers[2],
    ):  # one who had labeled it and one who had skipped it skip it now
        (task,) = take(queue, labeler)
        skip(lease_id=task.lease, labeler=labeler)
    undo_decision(review_id=review.pk, actor=reviewer)
    after = _standing(queue)
    assert [lease["state"] for lease in after["leases"]] == [lease["state"] for lease in before["leases"]]
    assert (after["labels"], after["item"]) == (before["labels"], before["item"])
    assert verify_labels(deep=True).errors == []


def test_undo_decision__sent_back_labels_of_a_batch_that_was_taken_back__is_refused(
    queue_factory: Factory, person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=1), person("reviewer")
    item = item_of(queue, "t1")
    batch = label_in_bulk(
        queue=queue, example_ids=[item.example_id], value={"label": "fees"}, actor=person("curator")
    )
    review = open_review(queue=queue, item_id=item.pk, reason="label_error")
    before = _standing(queue)
    _send_back(review, reviewer)
    undo_decision(review_id=review.pk, actor=reviewer)
    assert _standing(queue) == before
    _send_back(review, reviewer)
    undo_bulk(bulk=batch, actor=person("curator"))
    with pytest.raises(LabeledSince, match="batch was taken back"):
        undo_decision(review_id=review.pk, actor=reviewer)


def test_undo_decision__sent_back_and_under_review_again__says_what_to_do(
    queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    review = _disputed(queue, labelers)
    _send_back(review, reviewer)
    open_review(queue=queue, item_id=review.item_id, reason="flagged", detail="labeler: what is this?")
    with pytest.raises(Conflict, match="another review of this example since") as told:
        undo_decision(review_id=review.pk, actor=reviewer)
    assert told.value.hint == "It is open: decide that one."


def test_undo_decision__sent_back_without_any_label__the_review_is_open_again(
    queue_factory: Factory, person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    review = open_review(queue=queue, item_id=item_of(queue, "t1").pk, reason="flagged", detail="x: odd")
    before = _standing(queue)
    _send_back(review, reviewer)
    assert undo_decision(review_id=review.pk, actor=reviewer).outcome == ""
    assert _standing(queue) == before


def test_decide__sent_back_after_it_had_been_rejected__is_no_longer_rejected(
    queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    first = _disputed(queue, labelers)
    decide(review_id=first.pk, actor=reviewer, outcome="rejected", comment="Unreadable.")
    again = open_review(queue=queue, item_id=first.item_id, reason="flagged", detail="It can be read.")
    _send_back(again, reviewer)
    row = Example.objects.get(branch=queue.branch, identity=first.item.example_id)
    assert (row.validation_status, item_of(queue, "t1").state) == ("pending", "open")
    undo_decision(review_id=again.pk, actor=reviewer)
    assert item_of(queue, "t1").state == "review"
    assert Label.objects.filter(item=first.item_id).count() == 2
    assert verify_labels(deep=True).errors == []
