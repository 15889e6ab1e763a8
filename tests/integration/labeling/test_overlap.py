"""Another overlap: small queues follow at once, big ones by a job, and nobody gets too much meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from datasets_app.models import JobRun
from datasets_app.services.jobs import kind_of
from goldenproject.kit.clock import frozen, now
from goldenproject.kit.errors import Forbidden
from labeling_app.errors import LeaseLost
from labeling_app.models import Label, LabelingQueue, Lease, QueueItem, Review
from labeling_app.services import overlap
from labeling_app.services.bulk import NothingToLabel, label_in_bulk
from labeling_app.services.overlap import bring_in_line, unfinished_overlap_job
from labeling_app.services.passing import flag
from labeling_app.services.queues import update_queue
from labeling_app.services.reviewing import decide
from labeling_app.services.slots import recount
from labeling_app.services.submitting import skip, submit_label
from labeling_app.services.undoing import undo_skip
from labeling_app.services.verifying import verify_labels
from tests.integration.labeling.labeling_data import answer, ids, item_of, take

Factory = Callable[..., LabelingQueue]


@pytest.fixture
def big(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten examples are many, and three make a part of the job."""
    monkeypatch.setattr(overlap, "ITEMS_AT_ONCE", 9)
    monkeypatch.setattr(overlap, "_ITEMS_IN_A_PART", 3)


def slots(queue: LabelingQueue, *numbers: int) -> list[tuple[str, int, int]]:
    items = [item_of(queue, f"t{n}") for n in numbers]
    return [(item.state, item.label_count, item.open_slots) for item in items]


def run(job: JobRun | None) -> dict[str, Any]:
    assert job is not None
    silent: Any = lambda *told: None  # noqa: E731
    result = kind_of(job.kind).work(job, silent)
    JobRun.objects.filter(pk=job.pk).update(state="done")
    return result


def test_update__small_queue__needs_no_job(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory()
    take(queue, labelers[0])
    update_queue(queue=queue, actor=None, overlap=2)
    assert unfinished_overlap_job(queue) is None
    assert slots(queue, 1, 2) == [("open", 0, 1), ("open", 0, 2)]


def test_update__raised_in_a_big_queue__items_give_no_more_until_the_job_comes_by(
    big: None, queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(adopts="never")
    answer(queue, labelers[0])
    update_queue(queue=queue, actor=None, overlap=2)
    assert QueueItem.objects.filter(queue=queue, open_slots=2).count() == 0
    assert ids(take(queue, labelers[1])) == ["t2"]
    assert ids(take(queue, labelers[2])) == ["t3"]
    told: list[Any] = []
    tell: Any = lambda *said: told.append(said[:2])  # noqa: E731
    job = unfinished_overlap_job(queue)
    assert job is not None and job.arguments == {"queue": str(queue.pk), "overlap": 2}
    assert kind_of(job.kind).work(job, tell) == {
        "items": 8,  # those that are held were counted before
        "opened": 0,
        "settled": 0,
    }
    assert told[:4] == [(0, 10), (3, 10), (6, 10), (9, 10)]
    assert slots(queue, 1, 2, 3, 4) == [("review", 1, 1), ("open", 0, 1), ("open", 0, 1), ("open", 0, 2)]
    assert ids(take(queue, labelers[2], 2)) == ["t3", "t2"]


def test_update__raised_in_a_big_queue__what_had_all_its_labels_is_open_again(
    big: None, queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(adopts="never")
    adopted = queue_factory()
    for one in (queue, adopted):
        answer(one, labelers[0])
    QueueItem.objects.filter(pk=item_of(queue, "t1").pk).update(state="labeled")
    update_queue(queue=queue, actor=None, overlap=3)
    update_queue(queue=adopted, actor=None, overlap=3)
    assert run(unfinished_overlap_job(queue)) == {"items": 10, "opened": 1, "settled": 0}
    assert run(unfinished_overlap_job(adopted)) == {"items": 10, "opened": 0, "settled": 0}
    assert slots(queue, 1, 2) == [("open", 1, 2), ("open", 0, 3)]
    assert slots(adopted, 1, 2) == [("adopted", 1, 2), ("open", 0, 3)]
    assert ids(take(queue, labelers[1])) == ["t1"]


def test_update__lowered_in_a_big_queue__holds_at_once_for_whatever_is_taken(
    big: None, queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=3, adopts="never")
    answer(queue, labelers[0])  # t1 has a label, t2 is held, the rest was not touched
    take(queue, labelers[0])
    update_queue(queue=queue, actor=None, overlap=1)
    assert slots(queue, 1, 2, 3) == [("open", 1, 2), ("open", 0, 0), ("open", 0, 3)]
    assert ids(take(queue, labelers[1])) == ["t3"]
    assert ids(take(queue, labelers[2])) == ["t4"]
    assert slots(queue, 3, 4) == [("open", 0, 0), ("open", 0, 0)]
    assert run(unfinished_overlap_job(queue)) == {"items": 7, "opened": 0, "settled": 1}
    assert slots(queue, 1, 2, 3, 5) == [("review", 1, 0), ("open", 0, 0), ("open", 0, 0), ("open", 0, 1)]
    assert Label.objects.count() == 1
    assert verify_labels(deep=True).errors == []


def test_update__lowered_in_a_big_queue__leases_of_before_count_while_there_is_room(
    big: None, queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=2, adopts="never")
    late, skipped = take(queue, labelers[0])[0], take(queue, labelers[1])[0]
    skip(lease_id=skipped.lease, labeler=labelers[1], reason="unsure")
    with frozen(now() + timedelta(hours=1)):
        take(queue, labelers[2], 2)  # ends the lease of the first, and takes t1 and t2
        Lease.objects.filter(labeler=labelers[2]).update(state="released")
        recount(queue=queue)
        update_queue(queue=queue, actor=None, overlap=1)
        assert undo_skip(lease_id=skipped.lease, labeler=labelers[1]).shown.external_id == "t1"
        assert slots(queue, 1) == [("open", 0, 0)]
        with pytest.raises(LeaseLost):
            submit_label(lease_id=late.lease, labeler=labelers[0], value={"label": "a"})
    assert run(unfinished_overlap_job(queue))["settled"] == 0
    assert verify_labels(deep=True).errors == []


def test_update__lowered_in_a_big_queue__bulk_labels_no_more_either(
    big: None, queue_factory: Factory, labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue = queue_factory(overlap=2, adopts="never")
    answer(queue, labelers[0])
    update_queue(queue=queue, actor=None, overlap=1)
    with pytest.raises(NothingToLabel):
        label_in_bulk(
            queue=queue,
            example_ids=[item_of(queue, "t1").example_id],
            value={"label": "a"},
            actor=person("reviewer"),
        )


def test_update__lowered_and_raised_again__each_change_is_followed(
    big: None, queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=3)
    for number in (1, 2, 1):
        update_queue(queue=queue, actor=None, overlap=number)
        take(queue, labelers[0])
    jobs = JobRun.objects.filter(kind="label_overlap").order_by("created_at")
    assert [job.arguments["overlap"] for job in jobs] == [
        1,
        2,
    ]  # the third change waits for the first one's job
    for job in jobs:
        run(job)
    assert slots(queue, 1, 2) == [("open", 0, 0), ("open", 0, 1)]
    assert verify_labels(deep=True).errors == []


def test_verify__job_has_not_come_by_yet__is_no_error_but_one_that_was_lost_is(
    big: None, queue_factory: Factory
) -> None:
    queue = queue_factory()
    update_queue(queue=queue, actor=None, overlap=2)
    assert verify_labels(deep=True).errors == []
    JobRun.objects.update(state="failed")
    assert len(verify_labels(deep=True).errors) == 10


def test_bring_in_line__twice__changes_nothing_the_second_time(big: None, queue_factory: Factory) -> None:
    queue = queue_factory()
    update_queue(queue=queue, actor=None, overlap=2)
    assert bring_in_line(queue=queue).items == 10
    assert bring_in_line(queue=queue).document() == {"items": 0, "opened": 0, "settled": 0}


def test_bring_in_line__by_a_labeler__is_forbidden(queue_factory: Factory, labelers: list[Any]) -> None:
    with pytest.raises(Forbidden):
        bring_in_line(queue=queue_factory(), actor=labelers[0])


@pytest.mark.parametrize(
    ("decided", "state"), [(["kept"], "labeled"), ([], "review"), (["adopted", "flagged"], "review")]
)
def test_update__lowered_to_labels_that_were_reviewed_early__waits_for_no_more(
    decided: list[str],
    state: str,
    queue_factory: Factory,
    labelers: list[Any],
    person: Callable[..., Any],
) -> None:
    queue = queue_factory(overlap=2)
    given = answer(queue, labelers[0])
    reviewer = person("reviewer")
    flag(label_id=given.label, labeler=labelers[0], comment="odd")
    for outcome in decided:
        if outcome == "flagged":
            update_queue(queue=queue, actor=None, overlap=3)
            flag(label_id=given.label, labeler=labelers[0], comment="still odd")
            continue
        review = Review.objects.get(item__queue=queue, outcome="")
        decide(review_id=review.pk, actor=reviewer, outcome=outcome, value={"label": "a"})
    update_queue(queue=queue, actor=None, overlap=1)
    assert slots(queue, 1) == [(state, 1, 0)]
    assert bring_in_line(queue=queue).items == 0
