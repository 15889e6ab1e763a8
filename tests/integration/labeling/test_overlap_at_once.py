"""The overlap of a queue changes while people label: no example gets more labelers than it may, no label is lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from goldenproject.kit.clock import now
from labeling_app.models import Label, LabelHistory, LabelingQueue, Lease, QueueItem
from labeling_app.services import overlap
from labeling_app.services.overlap import bring_in_line
from labeling_app.services.queues import QueueOptions, create_queue, update_queue
from labeling_app.services.submitting import skip, submit_label
from labeling_app.services.verifying import verify_labels
from tests.integration.labeling.labeling_data import take, text_rows
from tests.integration.labeling.test_bulk_at_once import someone
from tests.integration.threads import at_once, until_somebody_waits

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "ITEMS_AT_ONCE", 5)
    monkeypatch.setattr(overlap, "_ITEMS_IN_A_PART", 4)


def made_queue(rows: int, options: QueueOptions) -> LabelingQueue:
    dataset = create_dataset(name="texts", actor=None, default_type=get_type("text_classification"))
    bulk_upsert(branch=dataset.main, documents=text_rows(rows), actor=None)
    return create_queue(dataset=dataset, name="q", actor=None, options=options)


def label_all(queue: LabelingQueue, labeler: Any, skips: bool = False) -> int:
    """Answer whatever comes, or give every fourth back, until nothing comes any more; return how many labels."""
    done = seen = 0
    while tasks := take(queue, labeler, 2):
        for task in tasks:
            seen += 1
            if skips and seen % 4 == 0:
                skip(lease_id=task.lease, labeler=labeler, reason="unsure")
                continue
            submit_label(lease_id=task.lease, labeler=labeler, value={"label": "a"})
            done += 1
    return done


def test_update__lowered_beside_labelers_at_work__whatever_is_given_out_then_keeps_to_it() -> None:
    queue = made_queue(40, QueueOptions(overlap=3))
    people = [someone(name) for name in ("labeler", "reviewer", "curator")]

    stored = []

    def lower() -> int:
        update_queue(queue=queue, actor=None, overlap=1)
        stored.append(now())
        bring_in_line(queue=queue)
        return 0

    counts = at_once(lower, *[lambda one=one: label_all(queue, one, skips=True) for one in people])
    assert all(isinstance(count, int) for count in counts), counts
    assert sum(counts) == Label.objects.count() == LabelHistory.objects.filter(event="submitted").count()
    bring_in_line(queue=queue)
    late = Lease.objects.filter(state="submitted", leased_at__gt=stored[0]).values_list("item", flat=True)
    assert late and set(QueueItem.objects.filter(pk__in=late).values_list("label_count", flat=True)) == {1}
    labeled = QueueItem.objects.filter(label_count__gt=0)  # the others were skipped by everybody
    assert set(labeled.values_list("state", flat=True)) == {"adopted"}
    assert verify_labels(deep=True).errors == []


def test_update__raised_beside_labelers_at_work__every_example_gets_all_its_labels() -> None:
    queue = made_queue(40, QueueOptions(adopts="never"))
    people = [someone(name) for name in ("labeler", "reviewer", "curator")]

    def raise_it() -> int:
        update_queue(queue=queue, actor=None, overlap=2)
        bring_in_line(queue=queue)
        return 0

    counts = at_once(raise_it, *[lambda one=one: label_all(queue, one) for one in people])
    assert all(isinstance(count, int) for count in counts), counts
    bring_in_line(queue=queue)
    rest = sum(label_all(queue, one) for one in people)
    assert sum(counts) + rest == Label.objects.count()
    assert max(QueueItem.objects.values_list("label_count", flat=True)) <= 2
    # an item about which a reviewer was asked already is the reviewer's; every other has its two labels
    assert set(QueueItem.objects.exclude(state="review").values_list("label_count", flat=True)) <= {2}
    assert not QueueItem.objects.filter(state="open").exists()
    assert verify_labels(deep=True).errors == []


def test_submit__waits_while_a_lower_overlap_is_stored__settled_by_the_lower_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overlap, "ITEMS_AT_ONCE", 20_000)
    queue, labeler = made_queue(1, QueueOptions(overlap=2)), someone("labeler")
    (task,) = take(queue, labeler)
    is_locked, follow = threading.Event(), overlap._follow

    def follow_once_somebody_waits(*told: Any) -> None:
        is_locked.set()
        until_somebody_waits()
        follow(*told)

    def submit() -> str:
        is_locked.wait(timeout=30)
        return submit_label(lease_id=task.lease, labeler=labeler, value={"label": "a"}).item_state

    monkeypatch.setattr(overlap, "_follow", follow_once_somebody_waits)
    _, state = at_once(lambda: update_queue(queue=queue, actor=None, overlap=1), submit)
    assert state == "adopted"
    item = QueueItem.objects.get()
    assert (item.state, item.label_count, item.open_slots) == ("adopted", 1, 0)
