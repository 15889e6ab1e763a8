"""Labels that are all there: adopted, or a question to a reviewer."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datasets_app.models import Example
from datasets_app.services.curation.examples import bulk_upsert, update_example
from datasets_app.services.curation.importing import ImportOptions
from labeling_app.domain.consensus import ConsensusValue
from labeling_app.models import LabelHistory, LabelingQueue, Review
from labeling_app.services.events import example_validated, labels_disagree
from labeling_app.services.recomputing import Recomputed, recompute_queue
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


def _open(item: Any) -> Review:
    return Review.objects.get(item=item, outcome="")


def test_settle__one_label_wanted__is_adopted_as_single_and_stays_pending() -> None:
    queue = queue_of(contacts(), overlap=1)
    item = give(queue, "c1", "B")
    settle(queue=queue, item_ids=[item.pk], actor=person("labeler-1"))
    row = row_of(item)
    assert row.expected_output == {"tier": "B"}
    assert row.provenance == {
        "label": {"origin": "single", "labels": 1, "queue": "tiers", "field": "tier", "method": "majority"}
    }
    assert (row.validation_status, state_of(item)) == ("pending", "adopted")
    log = LabelHistory.objects.get(event="adopted")
    assert (log.label_type, log.label_value, log.previous_value, log.notes) == (
        "output.tier",
        "B",
        None,
        "single, 1 label",
    )
    assert (log.labeler_id, log.annotator) == (None, "")


def test_settle__two_agree__part_is_composed_into_the_rest_and_validated_when_the_queue_says_so() -> None:
    queue = queue_of(contacts(output={"tier": "D", "reasoning": "guess"}), validates_adopted=True)
    item = give(queue, "c1", "B", "B")
    seen: list[dict[str, Any]] = []

    def hear(**message: Any) -> None:
        seen.append(message)

    example_validated.connect(hear)
    try:
        settle(queue=queue, item_ids=[item.pk], actor=person("labeler-2"))
    finally:
        example_validated.disconnect(hear)
    row = row_of(item)
    assert row.expected_output == {"tier": "B", "reasoning": "guess"}
    assert row.provenance["label"] == {
        "origin": "unanimous",
        "labels": 2,
        "queue": "tiers",
        "field": "tier",
        "agreement": 1.0,
        "method": "majority",
    }
    assert (row.validation_status, row.validated_by) == ("validated", None)
    assert row.validated_at is not None
    assert [(m["example_id"], m["facts"]["value"]) for m in seen] == [(item.example_id, "B")]


def test_settle__labels_are_missing__consensus_is_known_and_nothing_is_decided() -> None:
    queue = queue_of(contacts())
    item = give(queue, "c1", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert consensus_row(item).value == "B"
    assert (state_of(item), row_of(item).expected_output) == ("open", None)


def test_settle__overlap_was_lowered_since_the_queue_was_read__that_one_counts() -> None:
    queue = queue_of(contacts(), overlap=2)
    item = give(queue, "c1", "B")
    LabelingQueue.objects.filter(pk=queue.pk).update(overlap=1)
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert state_of(item) == "adopted"


def test_settle__they_disagree__a_review_is_opened_with_the_agreement_and_told() -> None:
    queue = queue_of(contacts(), overlap=3)
    item = give(queue, "c1", "B", "B", "A")
    seen: list[dict[str, Any]] = []

    def hear(**message: Any) -> None:
        seen.append(message)

    labels_disagree.connect(hear)
    try:
        settle(queue=queue, item_ids=[item.pk], actor=None)
        settle(queue=queue, item_ids=[item.pk], actor=None)
    finally:
        labels_disagree.disconnect(hear)
    review = _open(item)
    assert (review.reason, review.score, review.suggestion) == ("disagreement", 0.3333333333333333, "B")
    assert (state_of(item), row_of(item).expected_output) == ("review", None)
    assert len(seen) == 1


@pytest.mark.parametrize(("threshold", "state"), [("0.600", "adopted"), ("0.700", "review")])
def test_settle__consensus_queue__threshold_decides(threshold: str, state: str) -> None:
    queue = queue_of(contacts(), overlap=3, adopts="consensus", agreement_threshold=threshold)
    item = give(queue, "c1", "B", "B", "A")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert state_of(item) == state


def test_settle__queue_never_adopts__every_example_goes_to_a_reviewer() -> None:
    queue = queue_of(contacts(), adopts="never")
    item = give(queue, "c1", "B", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert (_open(item).reason, _open(item).score, state_of(item)) == ("check", 1.0, "review")


def test_settle__answer_does_not_fit_the_type_as_a_whole__a_reviewer_is_told_why() -> None:
    queue = queue_of(contacts(), overlap=1, field_path="reasoning")
    item = give(queue, "c1", "because")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert _open(item).detail == (
        "The answer cannot be adopted as it is: $.output.tier in the answer: "
        "$.output.tier: found nothing, expected a value, because the schema requires it."
    )
    assert (state_of(item), row_of(item).expected_output) == ("review", None)


def test_settle__answer_was_edited_after_the_first_label__is_not_overwritten() -> None:
    queue = queue_of(contacts(output={"tier": "D"}))
    item = give(queue, "c1", "B")
    update_example(example=row_of(item), actor=person("curator"), expected_output={"tier": "A"})
    give(queue, "c1", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert (_open(item).reason, state_of(item)) == ("changed", "review")
    assert row_of(item).expected_output == {"tier": "A"}


def test_settle__another_part_was_edited_after_the_first_label__is_adopted() -> None:
    queue = queue_of(contacts(output={"tier": "D"}))
    item = give(queue, "c1", "B")
    edited = {"tier": "D", "reasoning": "as before"}
    update_example(example=row_of(item), actor=person("curator"), expected_output=edited)
    give(queue, "c1", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert row_of(item).expected_output == {"tier": "B", "reasoning": "as before"}


def test_settle__input_was_edited_between_two_labels__a_reviewer_decides() -> None:
    queue = queue_of(contacts())
    item = give(queue, "c1", "B")
    update_example(example=row_of(item), actor=person("curator"), input_data={"title": "Director"})
    give(queue, "c1", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert (_open(item).reason, row_of(item).expected_output) == ("changed", None)


def test_settle__example_is_validated_with_another_answer__a_reviewer_decides() -> None:
    dataset = contacts(output={"tier": "A"})
    Example.objects.update(validation_status="validated")
    queue = queue_of(dataset)
    item = give(queue, "c1", "B", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert (_open(item).reason, row_of(item).expected_output) == ("check", {"tier": "A"})


def test_settle__example_was_removed__item_rests_and_labels_stay() -> None:
    queue = queue_of(contacts())
    item = give(queue, "c1", "B", "B")
    Example.objects.filter(identity=item.example_id).delete()
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert (state_of(item), consensus_row(item).label_count) == ("labeled", 2)


def test_settle__gold_item__nothing_follows() -> None:
    queue = queue_of(contacts())
    item = give(queue, "c1", "B", "B")
    type(item).objects.filter(pk=item.pk).update(is_gold=True)
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert (row_of(item).expected_output, state_of(item)) == (None, "open")


def test_settle__labels_agree_after_a_disagreement__review_is_settled() -> None:
    queue = queue_of(contacts())
    item = give(queue, "c1", "B", "A")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    item.labels.filter(annotator="labeler-2").update(value="B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert (Review.objects.get(item=item).outcome, state_of(item)) == ("settled", "adopted")


def test_settle__a_third_label_breaks_the_agreement__adoption_is_taken_back() -> None:
    queue = queue_of(contacts(output={"tier": "D"}))
    item = give(queue, "c1", "B", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    type(queue).objects.update(overlap=3)
    queue.refresh_from_db()
    give(queue, "c1", "A")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    row = row_of(item)
    assert (row.expected_output, row.provenance, state_of(item)) == ({"tier": "D"}, {}, "review")
    assert list(LabelHistory.objects.order_by("id").values_list("event", flat=True)) == [
        "adopted",
        "unadopted",
    ]


def test_settle__one_more_label_agrees__provenance_counts_it() -> None:
    queue = queue_of(contacts())
    item = give(queue, "c1", "B", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    give(queue, "c1", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    assert row_of(item).provenance["label"]["labels"] == 3
    unadopt(queue=queue, item_ids=[item.pk], actor=None)
    assert (row_of(item).expected_output, row_of(item).provenance) == (None, {})


def test_settle__many_items__as_many_queries_as_for_one() -> None:
    queue = queue_of(contacts(count=12), overlap=2, validates_adopted=True)
    items = [give(queue, f"c{n}", "B", "B" if n % 2 else "A") for n in range(1, 13)]
    with CaptureQueriesContext(connection) as one:
        settle(queue=queue, item_ids=[items[0].pk], actor=None)
    with CaptureQueriesContext(connection) as many:
        settle(queue=queue, item_ids=[item.pk for item in items[1:]], actor=None)
    messages = [query for query in many if "webhookdelivery" in query["sql"]]
    assert len(one) <= 10
    assert (
        len(many) - len(messages) <= len(one) + 2
    )  # the reviews of those who disagree, and the states that gave


def test_unadopt__nobody_changed_it__everything_is_as_before_and_twice_is_once() -> None:
    queue = queue_of(contacts(output={"tier": "D", "reasoning": "guess"}), validates_adopted=True)
    item = give(queue, "c1", "B", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    unadopt(queue=queue, item_ids=[item.pk], actor=person("labeler-1"))
    unadopt(queue=queue, item_ids=[item.pk], actor=person("labeler-1"))
    row = row_of(item)
    assert row.expected_output == {"tier": "D", "reasoning": "guess"}
    assert (row.provenance, row.validation_status, row.validated_at) == ({}, "pending", None)
    assert (consensus_row(item).origin, consensus_row(item).before) == ("", {})
    assert LabelHistory.objects.filter(event="unadopted").count() == 1
    assert state_of(item) == "labeled"


def test_unadopt__somebody_changed_the_answer_since__it_stays_and_a_review_tells_it() -> None:
    queue = queue_of(contacts(output={"tier": "D"}))
    item = give(queue, "c1", "B", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    update_example(example=row_of(item), actor=person("curator"), expected_output={"tier": "C"})
    unadopt(queue=queue, item_ids=[item.pk], actor=person("labeler-1"))
    assert (row_of(item).expected_output, row_of(item).provenance) == ({"tier": "C"}, {})
    assert (_open(item).reason, state_of(item)) == ("changed", "review")


def test_unadopt__a_label_is_missing_since__item_is_open_again() -> None:
    queue = queue_of(contacts())
    item = give(queue, "c1", "B", "B")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    item.labels.filter(annotator="labeler-2").delete()
    type(item).objects.filter(pk=item.pk).update(label_count=1, open_slots=1)
    unadopt(queue=queue, item_ids=[item.pk], actor=person("labeler-2"))
    settle(queue=queue, item_ids=[item.pk], actor=person("labeler-2"))
    assert (row_of(item).expected_output, state_of(item)) == (None, "open")
    assert consensus_row(item).label_count == 1


def test_recompute_queue__rules_were_loosened__reviews_are_settled_and_adopted() -> None:
    queue = queue_of(contacts(count=3), overlap=3)
    items = [
        give(queue, "c1", "B", "B", "A"),
        give(queue, "c2", "A", "B", "C"),
        give(queue, "c3", "B"),
    ]
    settle(queue=queue, item_ids=[item.pk for item in items], actor=None)
    type(queue).objects.update(adopts="consensus", agreement_threshold="0.6")
    queue.refresh_from_db()
    told: list[tuple[int, int | None]] = []
    found = recompute_queue(
        queue=queue, actor=None, progress=lambda done, total, message: told.append((done, total))
    )
    assert found == Recomputed(items=3, adopted=1, in_review=1)
    assert told == [(0, 3), (3, 3)]
    assert [state_of(item) for item in items] == ["adopted", "review", "open"]
    assert Review.objects.get(item=items[0]).outcome == "settled"
    assert row_of(items[0]).provenance["label"]["origin"] == "consensus"


def test_recompute_queue__method_of_the_whole_queue__items_labeled_meanwhile_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = queue_of(contacts(count=2), consensus_method="dawid_skene", adopts="consensus")
    items = [give(queue, "c1", "A", "B"), give(queue, "c2", "A", "B")]
    said = {item.pk: ConsensusValue("B", 1.0, 0.0, count) for item, count in zip(items, (2, 1), strict=True)}
    monkeypatch.setattr("labeling_app.services.recomputing.consensus_of", lambda **_: said)
    recompute_queue(queue=queue, actor=None)
    assert [state_of(item) for item in items] == ["adopted", "open"]
    assert row_of(items[0]).provenance["label"]["method"] == "dawid_skene"


@pytest.mark.parametrize(
    ("edited", "is_told"),
    [({"tier": "B", "reasoning": "as labeled"}, True), ({"tier": "C"}, False)],
    ids=["another part", "the labeled part"],
)
def test_edit__of_an_adopted_answer__provenance_tells_of_labels_only_while_they_hold(
    edited: dict[str, Any], is_told: bool
) -> None:
    queue = queue_of(contacts(count=2))
    items = [give(queue, name, "B", "B") for name in ("c1", "c2")]
    settle(queue=queue, item_ids=[item.pk for item in items], actor=None)
    update_example(example=row_of(items[0]), actor=person("curator"), expected_output=edited)
    document = {"id": "c2", "input": {"title": "Engineer 2"}, "output": edited, "provenance": {"label": {}}}
    bulk_upsert(
        branch=queue.branch,
        documents=[document],
        actor=person("curator"),
        options=ImportOptions("contact_tier"),
    )
    for item in items:
        assert (row_of(item).expected_output, "label" in row_of(item).provenance) == (edited, is_told)
