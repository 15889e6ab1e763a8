"""One answer for many examples at once, and the whole batch taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from datasets_app.errors import SchemaViolation
from datasets_app.models import AuditEvent, Example, ExampleIdentity
from goldenproject.kit.clock import frozen, now
from goldenproject.kit.errors import BadInput, Forbidden
from labeling_app.errors import LabelerPaused, QueueNotOpen
from labeling_app.models import (
    BulkLabeling,
    Label,
    LabelerStanding,
    LabelHistory,
    LabelingQueue,
    QueueItem,
    Review,
)
from labeling_app.services.assigning import assign_items
from labeling_app.services.bulk import (
    BulkUndone,
    BulkUndoneBefore,
    NothingToLabel,
    bulks_of,
    label_in_bulk,
    undo_bulk,
)
from labeling_app.services.queues import update_queue
from labeling_app.services.reviewing import decide
from labeling_app.services.submitting import submit_label
from labeling_app.services.undoing import undo_label
from labeling_app.services.verifying import verify_labels
from tests.integration.labeling.labeling_data import answer, ids, item_of, take

Make = Callable[..., Any]


def examples(*names: str) -> list[Any]:
    return [ExampleIdentity.objects.get(external_id=name).pk for name in names]


def bulk_label(queue: LabelingQueue, actor: Any, *names: str, label: str = "a", **more: Any) -> BulkLabeling:
    return label_in_bulk(
        queue=queue, example_ids=examples(*names), value={"label": label}, actor=actor, **more
    )


def output_of(name: str) -> Any:
    return Example.objects.get(identity__external_id=name).expected_output


def counts(queue: LabelingQueue, *names: str) -> list[tuple[str, int, int]]:
    items = [item_of(queue, name) for name in names]
    return [(item.state, item.label_count, item.open_slots) for item in items]


def test_label_in_bulk__one_labeler_each__labels_history_and_adoption(
    queue_factory: Make, person: Make
) -> None:
    queue, reviewer = queue_factory(), person("reviewer")
    bulk = bulk_label(queue, reviewer, "t1", "t2", "t3", rule={"filters": {"text": "question"}})
    assert (bulk.example_count, bulk.rule) == (3, {"filters": {"text": "question"}, "left_out": {}})
    labels = Label.objects.filter(bulk=bulk)
    assert {(one.annotator, one.source, one.value["label"]) for one in labels} == {("reviewer", "bulk", "a")}
    assert LabelHistory.objects.filter(bulk=bulk, event="bulk", label_type="output").count() == 3
    assert [output_of(name) for name in ("t1", "t2", "t3", "t4")] == [{"label": "a"}] * 3 + [None]
    assert counts(queue, "t1", "t4") == [("adopted", 1, 0), ("open", 0, 1)]
    event = AuditEvent.objects.get(action="labels.bulk")
    assert event.summary == f"{queue.name}: 3 at once"
    assert list(bulks_of(queue)) == [bulk]


def test_label_in_bulk__overlap_was_lowered_since_the_queue_was_read__all_have_their_labels(
    queue_factory: Make, person: Make
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    update_queue(queue=LabelingQueue.objects.get(pk=queue.pk), actor=None, overlap=1)
    bulk_label(queue, reviewer, "t1", "t2")
    assert counts(queue, "t1", "t2") == [("adopted", 1, 0)] * 2


def test_label_in_bulk__by_somebody_renamed_since__is_one_person_and_gets_none_of_them_again(
    queue_factory: Make, person: Make
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    bulk_label(queue, reviewer, "t1", "t2")
    reviewer.username = "renamed-reviewer"
    reviewer.save()
    assert ids(take(queue, reviewer)) == ["t3"]
    with pytest.raises(NothingToLabel, match="2 labeled by you already"):
        bulk_label(queue, reviewer, "t1", "t2")


def test_label_in_bulk__two_labelers_each__the_next_label_settles(queue_factory: Make, person: Make) -> None:
    queue, reviewer, labeler = queue_factory(overlap=2), person("reviewer"), person()
    bulk_label(queue, reviewer, "t1", "t2")
    assert counts(queue, "t1") == [("open", 1, 1)] and output_of("t1") is None
    answer(queue, labeler, "a")
    answer(queue, labeler, "b")
    assert counts(queue, "t1", "t2") == [("adopted", 2, 0), ("review", 2, 0)]
    assert (output_of("t1"), output_of("t2")) == ({"label": "a"}, None)
    assert Review.objects.get(item=item_of(queue, "t2")).reason == "disagreement"
    # what one has labeled in bulk does not come again
    assert "t1" not in ids(take(queue, reviewer, 10))


def test_label_in_bulk__what_cannot_be_labeled__is_left_out_and_told(
    queue_factory: Make, person: Make, labelers: list[Any]
) -> None:
    queue, reviewer = queue_factory(), person("reviewer")
    answer(queue, labelers[0])  # t1
    take(queue, labelers[1])  # t2
    take(queue, reviewer)  # t3
    QueueItem.objects.filter(pk=item_of(queue, "t4").pk).update(is_gold=True)
    assign_items(queue=queue, example_ids=examples("t5"), actor=None, user=labelers[2])
    Example.objects.filter(identity__external_id="t6").delete()
    wanted = [*examples(*(f"t{n}" for n in range(1, 9))), queue.pk]
    bulk = label_in_bulk(queue=queue, example_ids=wanted, value={"label": "a"}, actor=reviewer)
    assert bulk.example_count == 2
    assert bulk.rule["left_out"] == {
        "not in this queue any more": 2,
        "with all their labels already": 1,
        "with somebody else just now": 1,
        "open in your own labeling console": 1,
        "hidden gold checks, which tell nothing when answered in bulk": 1,
        "assigned to somebody else": 1,
    }
    with pytest.raises(NothingToLabel, match="Left out: 1 with all their labels already"):
        bulk_label(queue, reviewer, "t1")
    with pytest.raises(NothingToLabel, match="Left out: 2 labeled by you already"):
        bulk_label(queue, reviewer, "t7", "t8")


def test_label_in_bulk__lease_that_ran_out__does_not_count(
    queue_factory: Make, person: Make, labelers: list[Any]
) -> None:
    queue = queue_factory()
    take(queue, labelers[0])
    with frozen(now() + timedelta(hours=1)):
        assert bulk_label(queue, person("reviewer"), "t1").rule["left_out"] == {}
    assert counts(queue, "t1") == [("adopted", 1, 0)]


def test_label_in_bulk__bad_requests__are_refused_and_write_nothing(
    queue_factory: Make, person: Make
) -> None:
    queue, reviewer = queue_factory(), person("reviewer")
    with pytest.raises(SchemaViolation, match=r"\$\.output"):
        label_in_bulk(queue=queue, example_ids=examples("t1"), value={"label": 7}, actor=reviewer)
    with pytest.raises(BadInput, match="found 0, expected 1 to 10,000"):
        bulk_label(queue, reviewer)
    with pytest.raises(Forbidden):
        bulk_label(queue, person("labeler"), "t1")
    LabelerStanding.objects.create(queue=queue, labeler=reviewer, paused_at=now(), pause_reason="Gold.")
    with pytest.raises(LabelerPaused, match="You are paused in “queue 1”. Gold."):
        bulk_label(queue, reviewer, "t1")
    LabelingQueue.objects.filter(pk=queue.pk).update(state="paused")
    queue.refresh_from_db()
    with pytest.raises(QueueNotOpen):
        bulk_label(queue, person("curator"), "t1")
    assert not BulkLabeling.objects.exists() and not LabelHistory.objects.exists()


def test_undo_bulk__batch__is_taken_back_as_a_whole(queue_factory: Make, person: Make) -> None:
    queue, reviewer, curator = queue_factory(), person("reviewer"), person("curator")
    kept = bulk_label(queue, reviewer, "t4")
    bulk = bulk_label(queue, reviewer, "t1", "t2", "t3")
    assert undo_bulk(bulk=bulk, actor=curator) == BulkUndone(taken_back=3, changed=0, decided=0)
    assert counts(queue, "t1", "t2", "t3", "t4") == [("open", 0, 1)] * 3 + [("adopted", 1, 0)]
    assert [output_of(name) for name in ("t1", "t4")] == [None, {"label": "a"}]
    history = LabelHistory.objects.filter(bulk=bulk, event="bulk_undone")
    assert [(row.annotator, row.previous_value) for row in history] == [("reviewer", {"label": "a"})] * 3
    bulk.refresh_from_db()
    assert bulk.undone_by == curator and Label.objects.get().bulk == kept
    with pytest.raises(BulkUndoneBefore):
        undo_bulk(bulk=bulk, actor=curator)
    # and it can be labeled again
    assert bulk_label(queue, reviewer, "t1", label="b").example_count == 1 and output_of("t1") == {
        "label": "b"
    }


def test_undo_bulk__with_labels_of_others__recomputes_what_they_say(
    queue_factory: Make, person: Make, labelers: list[Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    answer(queue, labelers[0], "b")
    bulk = bulk_label(queue, reviewer, "t1")
    assert counts(queue, "t1") == [("review", 2, 0)]
    undo_bulk(bulk=bulk, actor=reviewer)
    assert counts(queue, "t1") == [("open", 1, 1)]
    answer(queue, labelers[1], "b")
    assert counts(queue, "t1") == [("adopted", 2, 0)] and output_of("t1") == {"label": "b"}


def test_undo_bulk__changed_and_decided_since__stay_and_are_counted(
    queue_factory: Make, person: Make
) -> None:
    queue, reviewer, labeler = queue_factory(overlap=2), person("reviewer"), person()
    bulk = bulk_label(queue, reviewer, "t1", "t2", "t3")
    mine = Label.objects.get(item=item_of(queue, "t1"), bulk=bulk)
    task = undo_label(label_id=mine.pk, labeler=reviewer)
    submit_label(lease_id=task.lease, labeler=reviewer, value={"label": "mine"})
    for task in take(queue, labeler, 2):
        submit_label(lease_id=task.lease, labeler=labeler, value={"label": "b"})
    review = Review.objects.get(item=item_of(queue, "t2"), outcome="")
    decide(review_id=review.pk, actor=reviewer, outcome="third_answer", value={"label": "third"})
    done = undo_bulk(bulk=bulk, actor=reviewer)
    assert done == BulkUndone(taken_back=1, changed=1, decided=1)
    assert done.words() == (
        "Left as they are: 1 answered again or taken back since, 1 decided by a reviewer since."
    )
    assert output_of("t2") == {"label": "third"}
    assert counts(queue, "t3") == [("open", 0, 2)]


def test_undo_bulk__labeler__may_not(queue_factory: Make, person: Make) -> None:
    queue = queue_factory()
    bulk = bulk_label(queue, person("reviewer"), "t1")
    with pytest.raises(Forbidden):
        undo_bulk(bulk=bulk, actor=person("labeler"))
    assert counts(queue, "t1") == [("adopted", 1, 0)]


def test_bulk_and_undo__together_with_labels_of_others__leave_nothing_that_verify_would_name(
    queue_factory: Make, person: Make, labelers: list[Any]
) -> None:
    queue, reviewer = queue_factory(overlap=2), person("reviewer")
    for label in ("a", "b", "c"):
        answer(queue, labelers[0], label)
    bulks = [bulk_label(queue, reviewer, *names) for names in (("t1", "t2"), ("t3", "t4"), ("t5",))]
    assert verify_labels(deep=True).errors == []
    for bulk in bulks[:2]:
        undo_bulk(bulk=bulk, actor=reviewer)
    found = verify_labels(deep=True)
    assert (found.errors, found.stats["labels"]) == ([], 4)
