"""Labels in bulk while others label: no example gets more labels than it wants, no batch is taken back twice."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from labeling_app.models import Label, LabelHistory, LabelingQueue, QueueItem
from labeling_app.services.bulk import BulkUndoneBefore, NothingToLabel, label_in_bulk, undo_bulk
from labeling_app.services.queues import QueueOptions, create_queue
from labeling_app.services.submitting import submit_label
from labeling_app.services.verifying import verify_labels
from tests.integration.labeling.labeling_data import take, text_rows
from tests.integration.threads import at_once

pytestmark = pytest.mark.usefixtures("committed_db")


def made_queue(rows: int) -> LabelingQueue:
    dataset = create_dataset(name="texts", actor=None, default_type=get_type("text_classification"))
    bulk_upsert(branch=dataset.main, documents=text_rows(rows), actor=None)
    return create_queue(dataset=dataset, name="q", actor=None, options=QueueOptions())


def someone(role: str) -> Any:
    user = get_user_model().objects.create(username=role)
    user.groups.add(Group.objects.get(name=role))
    return user


def everything_in(queue: LabelingQueue) -> list[Any]:
    return list(QueueItem.objects.filter(queue=queue).values_list("example_id", flat=True))


def test_label_in_bulk__beside_others_at_work__each_example_gets_one_label() -> None:
    queue = made_queue(40)
    examples = everything_in(queue)
    labeler, reviewer, curator = map(someone, ("labeler", "reviewer", "curator"))

    def one_by_one() -> int:
        done = 0
        while tasks := take(queue, labeler, 2):
            for task in tasks:
                submit_label(lease_id=task.lease, labeler=labeler, value={"label": "b"})
                done += 1
        return done

    def in_bulk(person: Any) -> int:
        try:
            bulk = label_in_bulk(queue=queue, example_ids=examples, value={"label": "a"}, actor=person)
        except NothingToLabel:
            return 0
        return bulk.example_count

    counts = at_once(one_by_one, lambda: in_bulk(reviewer), lambda: in_bulk(curator))
    assert all(isinstance(count, int) for count in counts), counts
    assert sum(counts) == Label.objects.count() <= 40
    assert set(QueueItem.objects.values_list("label_count", "open_slots")) <= {(1, 0), (0, 1)}
    assert verify_labels(deep=True).errors == []


def test_undo_bulk__twice_at_once__happens_once() -> None:
    queue, reviewer = made_queue(10), someone("reviewer")
    bulk = label_in_bulk(queue=queue, example_ids=everything_in(queue), value={"label": "a"}, actor=reviewer)
    results = at_once(*[lambda: undo_bulk(bulk=bulk, actor=reviewer)] * 3)
    refused = [result for result in results if isinstance(result, BulkUndoneBefore)]
    done = [result for result in results if result not in refused]
    assert len(refused) == 2 and [one.taken_back for one in done] == [10]
    assert LabelHistory.objects.filter(event="bulk_undone").count() == 10 and not Label.objects.exists()
    assert verify_labels(deep=True).errors == []
