"""An example that is being taken while a lower overlap is stored: its count is behind until the job comes by."""

from __future__ import annotations

from typing import Any

import pytest

from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from labeling_app.errors import LeaseLost
from labeling_app.models import LabelingQueue, QueueItem
from labeling_app.services import leasing, overlap
from labeling_app.services.leasing import release
from labeling_app.services.queues import QueueOptions, create_queue, update_queue
from labeling_app.services.submitting import submit_label
from labeling_app.services.verifying import verify_labels
from tests.integration.labeling.labeling_data import ids, item_of, take, text_rows
from tests.integration.people import person_of
from tests.integration.threads import at_once

pytestmark = pytest.mark.usefixtures("committed_db")


def made_queue(rows: int, wanted: int) -> LabelingQueue:
    dataset = create_dataset(name="texts", actor=None, default_type=get_type("text_classification"))
    bulk_upsert(branch=dataset.main, documents=text_rows(rows), actor=None)
    return create_queue(dataset=dataset, name="q", actor=None, options=QueueOptions(overlap=wanted))


def test_next__place_is_no_longer_there__another_example_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "ITEMS_AT_ONCE", 2)
    queue = made_queue(3, 2)
    first, second, third = (person_of(role) for role in ("labeler", "reviewer", "curator"))
    (late,) = take(queue, second)
    release(lease_id=late.lease, labeler=second)
    take(queue, first)
    update_queue(queue=queue, actor=None, overlap=1)
    t1 = item_of(queue, "t1")
    QueueItem.objects.filter(pk=t1.pk).update(open_slots=1)  # as committed only now, by the overlap of before
    with pytest.raises(LeaseLost):
        submit_label(lease_id=late.lease, labeler=second, value={"label": "a"})
    assert ids(take(queue, third)) == ["t2"]
    assert item_of(queue, "t1").open_slots == 0


def test_next__greater_overlap_is_stored_before_the_example_is_locked__counted_by_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue, candidates = made_queue(1, 1), leasing.candidates

    def candidates_later(*asked: Any) -> Any:
        at_once(lambda: update_queue(queue=queue, actor=None, overlap=3))
        return candidates(*asked)

    monkeypatch.setattr(leasing, "candidates", candidates_later)
    take(queue, person_of("labeler"))
    assert item_of(queue, "t1").open_slots == 2
    assert verify_labels(deep=True).errors == []
