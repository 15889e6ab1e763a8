"""What reviewers decide, what it leaves behind, and how it is undone."""

from __future__ import annotations

from typing import Any

import pytest

from datasets_app.errors import SchemaViolation
from datasets_app.models import AuditEvent, Example, Membership
from datasets_app.services.curation.adopting import adopt_outputs
from datasets_app.services.curation.examples import update_example
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput, Conflict, Forbidden
from labeling_app.errors import AlreadyDecided, ExampleChanged, ExampleGone, LabeledSince
from labeling_app.models import Label, LabelHistory, LabelingQueue, LabelingSession, Lease, QueueItem, Review
from labeling_app.services.events import example_rejected, example_validated
from labeling_app.services.reviewing import (
    case_of,
    decide,
    decided_reviews,
    get_review,
    next_reviews,
    open_review,
    undo_decision,
)
from labeling_app.services.settling import settle, unadopt
from tests.integration.labeling.settling_data import (
    consensus_row,
    contacts,
    give,
    person,
    queue_of,
    row_of,
    state_of,
)

pytestmark = pytest.mark.django_db


def _reviewer(queue: LabelingQueue, name: str = "reviewer", role: str = "reviewer") -> Any:
    user = person(name)
    Membership.objects.get_or_create(dataset=queue.dataset, user=user, role=role)
    return user


def _disputed(queue: LabelingQueue, *values: Any, external_id: str = "c1") -> Review:
    item = give(queue, external_id, *values)
    settle(queue=queue, item_ids=[item.pk], actor=None)
    return Review.objects.get(item=item, outcome="")


def _heard(signal: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    signal.connect(lambda **message: found.append(message), weak=False, dispatch_uid="heard")
    return found


def test_decide__a_label_is_adopted__example_is_validated_by_the_reviewer() -> None:
    queue = queue_of(contacts(output={"tier": "D", "reasoning": "guess"}))
    review = _disputed(queue, "B", "A")
    reviewer = _reviewer(queue)
    heard = _heard(example_validated)
    decide(review_id=review.pk, actor=reviewer, outcome="adopted", value="A", comment="It says so.")
    example_validated.disconnect(dispatch_uid="heard")
    row = row_of(review.item)
    assert row.expected_output == {"tier": "A", "reasoning": "guess"}
    assert row.provenance["label"] == {
        "origin": "adjudicated",
        "labels": 2,
        "queue": "tiers",
        "field": "tier",
        "agreement": 0.0,
    }
    assert (row.validation_status, row.validated_by) == ("validated", reviewer)
    review.refresh_from_db()
    assert (review.outcome, review.value, review.comment) == ("adopted", "A", "It says so.")
    assert (review.decided_by, state_of(review.item)) == (reviewer, "adopted")
    log = LabelHistory.objects.get(event="adopted")
    assert (log.labeler, log.annotator, log.label_value, log.previous_value, log.notes) == (
        reviewer,
        "reviewer",
        "A",
        "D",
        "It says so.",
    )
    assert [m["facts"]["value"] for m in heard] == ["A"]
    event = AuditEvent.objects.get(action="labels.review")
    assert event.summary == "a label was adopted: c1 in tiers"


def test_decide__value_is_none_of_the_labels__is_a_third_answer_only() -> None:
    queue = queue_of(contacts())
    review = _disputed(queue, "B", "A")
    reviewer = _reviewer(queue)
    with pytest.raises(BadInput, match="none of the labels"):
        decide(review_id=review.pk, actor=reviewer, outcome="adopted", value="C")
    decide(review_id=review.pk, actor=reviewer, outcome="third_answer", value="C")
    assert row_of(review.item).expected_output == {"tier": "C"}


def test_decide__third_answer_breaks_the_schema__nothing_is_written() -> None:
    queue = queue_of(contacts())
    review = _disputed(queue, "B", "A")
    with pytest.raises(SchemaViolation, match=r"\$\.output\.tier"):
        decide(review_id=review.pk, actor=_reviewer(queue), outcome="third_answer", value="Z")
    review.refresh_from_db()
    assert (review.outcome, row_of(review.item).expected_output) == ("", None)


@pytest.mark.parametrize(("given", "outcome"), [(["A"], "adopted"), ([], "third_answer")])
def test_decide__flagged_before_it_has_all_its_labels__answer_is_adopted_and_can_be_undone(
    given: list[str], outcome: str
) -> None:
    queue = queue_of(contacts(), overlap=3)
    item = give(queue, "c1", *given)
    review = open_review(queue=queue, item_id=item.pk, reason="flagged", detail="labeler-1: clear already")
    reviewer = _reviewer(queue)
    decide(review_id=review.pk, actor=reviewer, outcome=outcome, value="A")
    assert (state_of(item), row_of(item).expected_output) == ("adopted", {"tier": "A"})
    assert consensus_row(item).label_count == len(given)
    undo_decision(review_id=review.pk, actor=reviewer)
    assert (state_of(item), row_of(item).expected_output) == ("open", None)


def test_decide__twice__the_second_is_told_who_decided() -> None:
    queue = queue_of(contacts())
    review = _disputed(queue, "B", "A")
    decide(review_id=review.pk, actor=_reviewer(queue), outcome="adopted", value="A")
    with pytest.raises(AlreadyDecided, match="reviewer has decided this already: a label was adopted"):
        decide(review_id=review.pk, actor=_reviewer(queue, "second-reviewer"), outcome="adopted", value="B")
    assert row_of(review.item).expected_output == {"tier": "A"}


def test_decide__labels_changed_since_they_were_shown__is_refused() -> None:
    queue = queue_of(contacts())
    review = _disputed(queue, "B", "A")
    seen = case_of(get_review(review.pk)).fingerprint
    Label.objects.filter(annotator="labeler-1").update(value="C")
    with pytest.raises(ExampleChanged):
        decide(review_id=review.pk, actor=_reviewer(queue), outcome="adopted", value="A", seen=seen)


def test_decide__labeler__may_not() -> None:
    queue = queue_of(contacts())
    review = _disputed(queue, "B", "A")
    labeler = _reviewer(queue, "labeler-1", role="labeler")
    with pytest.raises(Forbidden):
        decide(review_id=review.pk, actor=labeler, outcome="kept")
    with pytest.raises(Forbidden):
        next_reviews(queue, labeler)
    assert list(next_reviews(None, labeler)) == []


def test_decide__rejected__needs_a_reason_and_rejects_the_example() -> None:
    queue = queue_of(contacts(output={"tier": "D"}))
    review = _disputed(queue, "B", "A")
    reviewer = _reviewer(queue)
    heard = _heard(example_rejected)
    with pytest.raises(BadInput, match="reason"):
        decide(review_id=review.pk, actor=reviewer, outcome="rejected", comment=" ")
    decide(review_id=review.pk, actor=reviewer, outcome="rejected", comment="no title")
    example_rejected.disconnect(dispatch_uid="heard")
    row = row_of(review.item)
    assert (row.expected_output, row.validation_status, row.validated_by) == (
        {"tier": "D"},
        "rejected",
        reviewer,
    )
    assert state_of(review.item) == "rejected"
    assert LabelHistory.objects.get(event="rejected").notes == "no title"
    assert [m["facts"]["reason"] for m in heard] == ["no title"]


def test_decide__rejected_while_the_example_is_edited__is_refused_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = queue_of(contacts(output={"tier": "D"}))
    review, judge = _disputed(queue, "B", "A"), _reviewer(queue)

    def edit_then_write(**asked: Any) -> Any:
        update_example(example=row_of(review.item), actor=None, validation_status="validated")
        return adopt_outputs(**asked)

    monkeypatch.setattr("labeling_app.services.reviewing.adopt_outputs", edit_then_write)
    with pytest.raises(ExampleChanged):
        decide(review_id=review.pk, actor=judge, outcome="rejected", comment="no title")
    review.refresh_from_db()
    assert review.outcome == "" and not LabelHistory.objects.filter(event="rejected").exists()


def test_decide__sent_back__labels_are_history_and_the_same_labelers_may_have_it_again() -> None:
    queue = queue_of(contacts())
    review = _disputed(queue, "B", "A")
    item = review.item
    session = LabelingSession.objects.create(
        queue=queue, labeler=person("labeler-1"), started_at=now(), last_seen_at=now()
    )
    lease = Lease.objects.create(
        queue=queue,
        item=item,
        labeler=person("labeler-1"),
        session=session,
        slot=1,
        state="submitted",
        leased_at=now(),
        expires_at=now(),
        content_hash=b"",
    )
    decide(review_id=review.pk, actor=_reviewer(queue), outcome="sent_back", comment="Read the rules.")
    item.refresh_from_db()
    lease.refresh_from_db()
    assert (item.state, item.label_count, item.open_slots, lease.state) == ("open", 0, 2, "released")
    assert not Label.objects.filter(item=item).exists()
    log = LabelHistory.objects.filter(event="sent_back").order_by("annotator")
    assert [(row.annotator, row.previous_value, row.notes) for row in log] == [
        ("labeler-1", "B", "Read the rules."),
        ("labeler-2", "A", "Read the rules."),
    ]
    give(queue, "c1", "A", "A")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert (state_of(item), row_of(item).expected_output) == ("adopted", {"tier": "A"})


def test_decide__kept__the_same_labels_do_not_ask_again_but_others_do() -> None:
    queue = queue_of(contacts(output={"tier": "D"}), overlap=2)
    review = _disputed(queue, "B", "A")
    decide(review_id=review.pk, actor=_reviewer(queue), outcome="kept")
    settle(queue=queue, item_ids=[review.item_id], actor=None)
    assert (state_of(review.item), Review.objects.count()) == ("labeled", 1)
    assert row_of(review.item).expected_output == {"tier": "D"}
    give(queue, "c1", "C")
    settle(queue=queue, item_ids=[review.item_id], actor=None)
    assert (state_of(review.item), Review.objects.filter(outcome="").count()) == ("review", 1)


def test_decide__example_is_gone__can_be_kept_but_not_adopted() -> None:
    queue = queue_of(contacts())
    review = _disputed(queue, "B", "A")
    Example.objects.filter(identity=review.item.example_id).delete()
    reviewer = _reviewer(queue)
    with pytest.raises(ExampleGone):
        decide(review_id=review.pk, actor=reviewer, outcome="adopted", value="A")
    assert decide(review_id=review.pk, actor=reviewer, outcome="kept").outcome == "kept"


def test_open_review__a_second_reason__adds_to_the_one_that_is_open() -> None:
    queue = queue_of(contacts())
    review = _disputed(queue, "B", "A")
    again = open_review(
        queue=queue, item_id=review.item_id, reason="flagged", detail="labeler-1: unclear", score=-1
    )
    assert (again.pk, again.reason, again.score) == (review.pk, "disagreement", -1.0)
    assert again.detail == "The labelers disagree.\nlabeler-1: unclear"


def test_open_review__adopted_item__waits_for_the_reviewer_and_kept_lets_it_be() -> None:
    queue = queue_of(contacts())
    item = give(queue, "c1", "B", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    review = open_review(queue=queue, item_id=item.pk, reason="label_error", detail="looks like A")
    assert state_of(item) == "review"
    decide(review_id=review.pk, actor=_reviewer(queue), outcome="kept")
    assert (state_of(item), row_of(item).expected_output) == ("adopted", {"tier": "B"})


def test_next_reviews__lowest_agreement_first_and_only_where_one_may() -> None:
    queue = queue_of(contacts(count=3), overlap=3)
    other = queue_of(contacts(name="others"), name="others")
    _disputed(queue, "A", "A", "B")
    _disputed(queue, "A", "B", "C", external_id="c2")
    _disputed(other, "A", "B")
    reviewer = _reviewer(queue)
    found = next_reviews(None, reviewer)
    assert [review.item.example.external_id for review in found] == ["c2", "c1"]
    first = found[0]
    assert [r.pk for r in next_reviews(queue, reviewer, but=[first.pk])] == [found[1].pk]
    assert list(next_reviews(queue, reviewer, reason="flagged")) == []
    QueueItem.objects.filter(pk=first.item_id).update(state="gone")
    assert first not in next_reviews(queue, reviewer)


def test_undo_decision__adopted__everything_is_as_before_and_the_review_is_open() -> None:
    queue = queue_of(contacts(output={"tier": "D"}))
    review = _disputed(queue, "B", "A")
    reviewer = _reviewer(queue)
    decide(review_id=review.pk, actor=reviewer, outcome="adopted", value="A")
    undone = undo_decision(review_id=review.pk, actor=reviewer)
    row = row_of(review.item)
    assert (row.expected_output, row.provenance, row.validation_status, row.validated_by) == (
        {"tier": "D"},
        {},
        "pending",
        None,
    )
    assert (undone.outcome, undone.decided_by, state_of(review.item)) == ("", None, "review")
    events = LabelHistory.objects.order_by("id").values_list("event", flat=True)
    assert list(events) == ["adopted", "unadopted"]
    assert Review.history.filter(id=review.pk, outcome="adopted").count() == 1
    with pytest.raises(Conflict, match="is open"):
        undo_decision(review_id=review.pk, actor=reviewer)


def test_undo_decision__on_top_of_what_labels_had_adopted__that_is_there_again() -> None:
    queue = queue_of(contacts(output={"tier": "D"}))
    item = give(queue, "c1", "B", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    review = open_review(queue=queue, item_id=item.pk, reason="label_error")
    reviewer = _reviewer(queue)
    decide(review_id=review.pk, actor=reviewer, outcome="third_answer", value="A")
    undo_decision(review_id=review.pk, actor=reviewer)
    assert row_of(item).expected_output == {"tier": "B"}
    assert row_of(item).provenance["label"]["origin"] == "unanimous"
    assert consensus_row(item).origin == "unanimous"
    unadopt(queue=queue, item_ids=[item.pk], actor=None)
    assert (row_of(item).expected_output, row_of(item).provenance) == ({"tier": "D"}, {})


def test_undo_decision__answer_was_edited_since__stays_and_the_review_tells_it() -> None:
    queue = queue_of(contacts())
    review = _disputed(queue, "B", "A")
    reviewer = _reviewer(queue)
    decide(review_id=review.pk, actor=reviewer, outcome="adopted", value="A")
    update_example(example=row_of(review.item), actor=reviewer, expected_output={"tier": "C"})
    undo_decision(review_id=review.pk, actor=reviewer)
    review.refresh_from_db()
    assert row_of(review.item).expected_output == {"tier": "C"}
    assert "somebody had changed the example since" in review.detail


def test_undo_decision__rejected__status_is_as_before() -> None:
    dataset = contacts(output={"tier": "A"})
    curator = person("curator")
    Example.objects.update(validation_status="validated", validated_by=curator, validated_at=now())
    queue = queue_of(dataset)
    review = _disputed(queue, "B", "A")
    reviewer = _reviewer(queue)
    decide(review_id=review.pk, actor=reviewer, outcome="rejected", comment="spam")
    undo_decision(review_id=review.pk, actor=reviewer)
    row = row_of(review.item)
    assert (row.validation_status, row.validated_by, state_of(review.item)) == (
        "validated",
        curator,
        "review",
    )


def test_undo_decision__sent_back_labels_that_the_log_does_not_tell_of__is_refused() -> None:
    queue = queue_of(contacts())
    review = _disputed(queue, "B", "A")
    reviewer = _reviewer(queue)
    decide(review_id=review.pk, actor=reviewer, outcome="sent_back", comment="again")
    with pytest.raises(LabeledSince, match="does not tell how labeler-1 gave the label"):
        undo_decision(review_id=review.pk, actor=reviewer)


def test_unadopt__of_an_adjudicated_item__its_review_is_open_again() -> None:
    queue = queue_of(contacts())
    review = _disputed(queue, "B", "A")
    reviewer = _reviewer(queue)
    decide(review_id=review.pk, actor=reviewer, outcome="adopted", value="A")
    unadopt(queue=queue, item_ids=[review.item_id], actor=person("labeler-1"))
    review.refresh_from_db()
    assert (review.outcome, state_of(review.item)) == ("", "review")
    assert review.detail.endswith("A label was taken back.")
    assert row_of(review.item).expected_output is None
    assert list(decided_reviews(queue, reviewer)) == []


def test_settle__labels_come_after_an_adjudication__it_stands() -> None:
    queue = queue_of(contacts())
    review = _disputed(queue, "B", "A")
    decide(review_id=review.pk, actor=_reviewer(queue), outcome="third_answer", value="C")
    give(queue, "c1", "B")
    settle(queue=queue, item_ids=[review.item_id], actor=None)
    assert (state_of(review.item), row_of(review.item).expected_output) == ("adopted", {"tier": "C"})
    assert consensus_row(review.item).label_count == 3
