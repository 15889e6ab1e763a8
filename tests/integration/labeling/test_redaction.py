"""After a redaction nothing is left of what was said about the example; that it was said stays, and everything still fits."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from datasets_app.errors import Redacted
from datasets_app.models import AuditEvent, Dataset, Redaction
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.versioning import erasing
from datasets_app.services.versioning.redacting import RedactionResult, redact
from datasets_app.services.versioning.verifying import verify_database
from exports_app.services.label_export import export_label_file
from labeling_app.errors import ExampleRedacted, UnknownLabel
from labeling_app.models import (
    BulkLabeling,
    Consensus,
    Draft,
    GoldAnswer,
    Label,
    LabelHistory,
    LabelingQueue,
    Lease,
    QueueItem,
    Review,
    Suggestion,
    WebhookDelivery,
)
from labeling_app.services.agreement import agreement_report
from labeling_app.services.bulk import label_in_bulk, undo_bulk
from labeling_app.services.erasing import left_of_redacted
from labeling_app.services.passing import flag, save_draft, skip
from labeling_app.services.queue_progress import progress_of
from labeling_app.services.refreshing import refresh_queue
from labeling_app.services.review_opening import open_review
from labeling_app.services.reviewing import decide, undo_decision
from labeling_app.services.submitting import submit_label
from labeling_app.services.suggestions import Suggested, set_suggestions
from labeling_app.services.undoing import undo_label
from labeling_app.services.verifying import verify_labels
from tests.integration.labeling.labeling_data import answer, item_of, take
from tests.integration.labeling.redacted_data import SECRET, fill_with_secret, places_of

Make = Callable[..., LabelingQueue]
HELD_THE_SECRET = [
    *("bulklabeling.rule", "bulklabeling.value", "consensus.adopted_value", "consensus.value", "draft.notes"),
    *("draft.value", "goldanswer.value", "historicalbulklabeling.rule", "historicalbulklabeling.value"),
    *("historicalconsensus.adopted_value", "historicalconsensus.value", "historicalgoldanswer.explanation"),
    *("historicalgoldanswer.value", "historicallabelhistory.label_value", "historicallabelhistory.notes"),
    *("historicallabelhistory.previous_value", "historicalreview.comment", "historicalreview.detail"),
    *("historicalreview.suggestion", "historicalreview.value", "label.notes", "label.value"),
    *("labelhistory.label_value", "labelhistory.notes", "labelhistory.previous_value", "review.comment"),
    *("review.detail", "review.suggestion", "review.value", "suggestion.value", "webhookdelivery.payload"),
]


def erase(dataset: Dataset, example: str = "t1", actor: Any = None) -> RedactionResult:
    return redact(dataset=dataset, example=example, reason="personal data", actor=actor)


def refusal(table: str, change: str) -> str:
    with pytest.raises(IntegrityError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE labeling_app_{table} SET {change}")
    return str(caught.value)


@pytest.fixture
def queues(
    queue_factory: Make, labelers: list[Any], person: Callable[..., Any]
) -> tuple[LabelingQueue, LabelingQueue]:
    """Two queues in which all was said of t1 that can be said, with the secret in it."""
    first, second = queue_factory("first", overlap=2), queue_factory("second", overlap=2)
    fill_with_secret(first, second, labelers, person("reviewer"))
    return first, second


# --- what goes, and what stays --------------------------------------------------------------------------------------
def test_redact__secret_in_every_table__is_in_none_after(queues: Any, dataset: Dataset) -> None:
    assert places_of(SECRET) == HELD_THE_SECRET
    assert set(places_of(SECRET, "datasets_app")) > {"auditevent.summary"}
    assert verify_labels(deep=True).errors == []
    erase(dataset)
    assert places_of(SECRET) == []
    assert places_of(SECRET, "datasets_app") == []
    assert verify_labels(deep=True).errors == []
    assert verify_labels().errors == []
    assert verify_database(deep=True).errors == []


def test_redact__what_was_said__is_still_counted_and_told(
    queues: Any, dataset: Dataset, person: Callable[..., Any]
) -> None:
    owner = person("administrator")
    kinds = (LabelHistory, Review, BulkLabeling, WebhookDelivery, Consensus, QueueItem, Lease)
    before = {kind: kind.objects.count() for kind in kinds}
    told = list(
        LabelHistory.objects.order_by("pk").values_list("pk", "event", "annotator", "labeled_at", "key")
    )
    result = erase(dataset, actor=owner)
    assert {kind: kind.objects.count() for kind in kinds} == {
        **before,
        LabelHistory: before[LabelHistory] + 2,
    }
    after = LabelHistory.objects.exclude(event="redacted").order_by("pk")
    assert list(after.values_list("pk", "event", "annotator", "labeled_at", "key")) == told
    stone = Redaction.objects.get()
    for queue in queues:
        row = LabelHistory.objects.get(queue=queue, event="redacted")
        assert (row.labeler, row.annotator, row.notes) == (owner, owner.get_username(), "personal data")
        assert row.labeled_at == stone.redacted_at
    submitted = LabelHistory.objects.get(key="k1")
    assert submitted.label_value == {
        "redacted": True,
        "hash": submitted.example_id.hex,
        "reason": "personal data",
        "at": stone.redacted_at.isoformat(),
    }
    assert submitted.notes == "[redacted]"
    assert submitted.history.first().history_user == owner
    event = AuditEvent.objects.get(action="redact")
    assert event.details["elsewhere"] == result.elsewhere
    assert result.elsewhere["labels"] == 2


def test_redact__one_of_two_labeled__leaves_the_other_as_it_is(
    queue_factory: Make, labelers: list[Any], dataset: Dataset
) -> None:
    queue = queue_factory(overlap=2)
    for labeler in labelers[:2]:
        for label in "ab":
            answer(queue, labeler, label, notes="as it says")
    said = LabelHistory.objects.filter(example=item_of(queue, "t2").example_id)
    before = list(said.order_by("pk").values())
    erase(dataset)
    assert list(said.order_by("pk").values()) == before
    assert Label.objects.filter(queue=queue).count() == 2
    assert item_of(queue, "t2").state == "adopted"


def test_redact__review_open_and_prelabels__closes_and_drops_them(
    queue_factory: Make, labelers: list[Any], dataset: Dataset
) -> None:
    queue = queue_factory(overlap=1)
    (task,) = take(queue, labelers[0])
    flag(lease_id=task.lease, labeler=labelers[0], comment="a name is in it")
    item = item_of(queue, "t1")
    set_suggestions(
        queue=queue, source="rules", suggestions=[Suggested(item.example_id, {"label": "x"})], actor=None
    )
    result = erase(dataset)
    review = Review.objects.get()
    assert (review.outcome, review.detail, review.suggestion) == ("redacted", "[redacted]", None)
    assert not Suggestion.objects.exists()
    assert item_of(queue, "t1").state == "gone"
    assert Lease.objects.get(pk=task.lease).state == "released"
    assert result.elsewhere["suggestions"] == 1


def test_redact__waiting_message__is_not_sent_any_more(queues: Any, dataset: Dataset) -> None:
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"waiting"}
    erase(dataset)
    found = {(row.state, row.payload["facts"]["redacted"]) for row in WebhookDelivery.objects.all()}
    assert found == {("failed", True)}
    assert {row.payload["example"] for row in WebhookDelivery.objects.all()} == {
        str(item_of(queues[0], "t1").example_id)
    }


# --- batches --------------------------------------------------------------------------------------------------------
def test_redact__one_of_a_batch__the_answer_stays_that_of_the_others(
    queue_factory: Make, dataset: Dataset, person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=1), person("reviewer")
    ids = [item_of(queue, name).example_id for name in ("t1", "t2")]
    rule = {"filters": {"status": ["pending"]}, "at_least": 0.8}
    bulk = label_in_bulk(queue=queue, example_ids=ids, value={"label": "z"}, actor=reviewer, rule=rule)
    erase(dataset)
    bulk.refresh_from_db()
    assert (bulk.value, bulk.rule) == ({"label": "z"}, {**rule, "left_out": {}})
    erase(dataset, "t2")
    bulk.refresh_from_db()
    assert bulk.value["redacted"] is True
    assert verify_labels(deep=True).errors == []


def test_redact__batch_found_by_a_text__forgets_the_text_and_is_still_undone(
    queue_factory: Make, dataset: Dataset, person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=1), person("reviewer")
    ids = [item_of(queue, name).example_id for name in ("t1", "t2")]
    rule = {"similar_to_text": "question of somebody"}
    bulk = label_in_bulk(queue=queue, example_ids=ids, value={"label": "z"}, actor=reviewer, rule=rule)
    erase(dataset)
    bulk.refresh_from_db()
    assert bulk.rule == {"redacted": True, "left_out": {}}
    done = undo_bulk(bulk=bulk, actor=reviewer)
    assert (done.taken_back, done.changed) == (1, 1)
    assert verify_labels(deep=True).errors == []


# --- figures and files ----------------------------------------------------------------------------------------------
def test_redact__answer_that_disagreed__counts_in_no_figure(
    queue_factory: Make, labelers: list[Any], dataset: Dataset
) -> None:
    queue = queue_factory(overlap=2)
    for labeler, labels in zip(labelers, ("xaab", "yaab"), strict=False):
        for label in labels:
            answer(queue, labeler, label)
    assert progress_of(queue, fresh=True).document()["review"] == 1
    before = agreement_report(queue)
    erase(dataset)
    after = agreement_report(queue)
    assert [(one.labels, one.compared, one.fields[0].percent.value) for one in (before, after)] == [
        (8, 4, 0.75),
        (6, 3, 1.0),
    ]
    assert after.fields[0].classes == ("a", "b")
    consensus = Consensus.objects.get(item=item_of(queue, "t1"))
    assert (consensus.value, consensus.agreement, consensus.label_count, consensus.adopted_at) == (
        None,
        None,
        0,
        None,
    )


def test_redact__label_file__holds_nothing_of_it(
    queue_factory: Make, labelers: list[Any], dataset: Dataset
) -> None:
    queue = queue_factory(overlap=1)
    for label in (SECRET, "b"):
        answer(queue, labelers[0], label)
    erase(dataset)
    file = io.BytesIO()
    made = export_label_file(queue=queue, tool="label_studio", file=file, actor=None)
    assert (made.tasks, made.labels, made.left_out) == (1, 1, 0)
    assert SECRET.encode() not in file.getvalue()


# --- what comes afterwards ------------------------------------------------------------------------------------------
def test_undo__redacted_label__is_told_plainly(
    queue_factory: Make, labelers: list[Any], dataset: Dataset
) -> None:
    queue = queue_factory(overlap=1)
    given = answer(queue, labelers[0], SECRET).label
    assert given is not None
    erase(dataset)
    with pytest.raises(UnknownLabel, match="its example was redacted"):
        undo_label(label_id=given, labeler=labelers[0])
    assert places_of(SECRET) == []


def test_undo_decision__of_redacted_example__is_refused(
    queues: Any, dataset: Dataset, person: Callable[..., Any]
) -> None:
    erase(dataset)
    review = Review.objects.get(queue=queues[0], outcome="third_answer")
    with pytest.raises(ExampleRedacted):
        undo_decision(review_id=review.pk, actor=person("reviewer"))
    review.refresh_from_db()
    assert (review.outcome, review.comment) == ("third_answer", "[redacted]")


def test_undo_decision__labels_sent_back_and_then_redacted__gives_none_back(
    queue_factory: Make, labelers: list[Any], dataset: Dataset, person: Callable[..., Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    for labeler, label in zip(labelers, ("a", "b"), strict=False):
        answer(queue, labeler, f"{SECRET} {label}")
    review = Review.objects.get()
    decide(review_id=review.pk, actor=reviewer, outcome="sent_back", comment=SECRET)
    erase(dataset)
    with pytest.raises(ExampleRedacted):
        undo_decision(review_id=review.pk, actor=reviewer)
    assert (Label.objects.count(), places_of(SECRET)) == (0, [])


@pytest.mark.parametrize("key", ["k9", None])
def test_submit__of_an_answer_that_was_redacted_since__stores_nothing_and_says_so(
    queue_factory: Make, labelers: list[Any], dataset: Dataset, key: str | None
) -> None:
    queue, labeler = queue_factory(overlap=1), labelers[0]
    (task,) = take(queue, labeler)
    said = {
        "lease_id": task.lease,
        "labeler": labeler,
        "value": {"label": SECRET},
        "notes": SECRET,
        "key": key,
    }
    submit_label(**said)
    erase(dataset)
    rows = LabelHistory.objects.count()
    with pytest.raises(ExampleRedacted) as caught:
        submit_label(**said)
    assert caught.value.code == "example_redacted"
    assert (LabelHistory.objects.count(), places_of(SECRET)) == (rows, [])


def test_submit__from_a_labeler_who_still_shows_it__keeps_nothing_of_it(
    queue_factory: Make, labelers: list[Any], dataset: Dataset
) -> None:
    queue, labeler = queue_factory(overlap=1), labelers[0]
    (task,) = take(queue, labeler)
    erase(dataset)
    save_draft(lease_id=task.lease, labeler=labeler, value={"label": SECRET}, notes=SECRET)
    ways: tuple[Callable[[], object], ...] = (
        lambda: submit_label(lease_id=task.lease, labeler=labeler, value={"label": SECRET}),
        lambda: flag(lease_id=task.lease, labeler=labeler, comment=SECRET),
        lambda: skip(lease_id=task.lease, labeler=labeler, reason=SECRET),
    )
    for send in ways:
        with pytest.raises(ExampleRedacted):
            send()
    assert places_of(SECRET) == []
    assert verify_labels(deep=True).errors == []


def test_tables__words_about_a_redacted_example_by_any_way__are_not_stored(
    queues: Any, dataset: Dataset
) -> None:
    """Whoever was under way meanwhile writes past the services' checks: the guards see to it."""
    erase(dataset)
    queue = queues[0]
    item = item_of(queue, "t1")
    LabelHistory.objects.create(
        queue=queue,
        example_id=item.example_id,
        event="late",
        annotator="x",
        label_type="output",
        label_value={"label": SECRET},
        previous_value=None,
        notes=SECRET,
        labeled_at=Redaction.objects.get().redacted_at,
    )
    row = LabelHistory.objects.latest("pk")
    assert row.label_value is not None
    assert (row.label_value["hash"], row.previous_value, row.notes) == (
        item.example_id.hex,
        None,
        "[redacted]",
    )
    Draft.objects.bulk_create(
        [Draft(item=item, labeler_id=1, value={"label": SECRET})], ignore_conflicts=True
    )
    GoldAnswer.objects.bulk_create([GoldAnswer(item=item, queue=queue, value=SECRET)], ignore_conflicts=True)
    open_review(queue=queue, item_id=item.pk, reason="flagged", detail=SECRET, suggestion={"label": SECRET})
    assert (Draft.objects.count(), GoldAnswer.objects.count(), Review.objects.latest("pk").detail) == (
        0,
        0,
        "[redacted]",
    )
    with (
        pytest.raises(OperationalError, match="was redacted: no label of it is taken") as caught,
        transaction.atomic(),
    ):
        Label.objects.create(
            queue=queue,
            item=item,
            example_id=item.example_id,
            annotator="x",
            value={"label": SECRET},
            content_hash=b"",
            labeled_at=row.labeled_at,
        )
    assert getattr(caught.value.__cause__, "sqlstate", "") == "40001", (
        "so the service tries again, and finds it gone"
    )
    assert places_of(SECRET) == []


def test_redact__example_comes_back_with_another_content__is_labeled_like_any_other(
    queue_factory: Make, labelers: list[Any], dataset: Dataset
) -> None:
    queue, labeler = queue_factory(overlap=1), labelers[0]
    first = answer(queue, labeler, SECRET, key="k1")
    erase(dataset)
    bulk_upsert(
        branch=dataset.main, documents=[{"id": "t1", "input": {"text": "without the name"}}], actor=None
    )
    refresh_queue(queue=queue)
    item = item_of(queue, "t1")
    assert (item.state, item.open_slots, item.label_count) == ("open", 1, 0)
    assert answer(queue, labeler, "b").example == first.example
    assert item_of(queue, "t1").state == "adopted"
    assert verify_labels(deep=True).errors == []
    assert erase(dataset).elsewhere["labels"] == 1
    assert not Label.objects.exists()
    assert LabelHistory.objects.filter(event="redacted").count() == 2
    assert verify_labels(deep=True).errors == []
    assert verify_database(deep=True).errors == []


def test_redact__labels_that_an_earlier_redaction_did_not_reach__again_reaches_them_once(
    queues: Any, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(erasing, "content_erasers", [])
        erase(dataset)
    assert SECRET in str(LabelHistory.objects.get(key="k1").label_value)
    assert erase(dataset).elsewhere["labels"] == 2
    assert places_of(SECRET) == []
    with pytest.raises(Redacted):
        erase(dataset)
    assert LabelHistory.objects.filter(event="redacted").count() == 2


# --- guards and verify ----------------------------------------------------------------------------------------------
def test_label_history__other_change_of_a_redacted_example__is_refused(queues: Any, dataset: Dataset) -> None:
    erase(dataset)
    for change in (
        'label_value = \'{"label": "forged"}\'',
        "annotator = 'somebody'",
        "label_value = NULL, event = 'skipped'",
        "notes = 'forged'",
    ):
        assert "the table is append-only" in refusal("labelhistory", f"{change} WHERE key = 'k1'")


def test_histories__erasing_without_a_redaction__is_refused(queues: Any) -> None:
    for table, column in (
        ("labelhistory", "label_value"),
        ("historicallabelhistory", "label_value"),
        ("historicalreview", "value"),
        ("historicalconsensus", "value"),
        ("historicalgoldanswer", "explanation"),
        ("historicalbulklabeling", "value"),
    ):
        erased = "''" if column == "explanation" else "'null'"
        assert "the table is append-only" in refusal(table, f"{column} = {erased}")


def test_verify_labels__words_left_from_before_a_redaction__are_named(queues: Any, dataset: Dataset) -> None:
    example = item_of(queues[0], "t1").example_id
    Redaction.objects.create(
        dataset=dataset, example_id=example, blob_hash=b"x" * 32, tombstone="{}", reason="r"
    )
    assert left_of_redacted() == []
    LabelHistory.objects.create(
        queue=queues[0],
        example_id=example,
        event="redacted",
        annotator="",
        label_type="output",
        labeled_at=Redaction.objects.get().redacted_at,
    )
    told = f"words about a redacted example are left in its labels: {example}"
    assert told in verify_labels(deep=True).errors
