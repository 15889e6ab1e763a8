"""Queues: made with their items in order, changed, refreshed, counted."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from datasets_app.models import AuditEvent, Dataset, ExampleQuality, JobRun
from datasets_app.services.curation.examples import bulk_upsert, delete_examples, set_status
from datasets_app.services.jobs import kind_of
from goldenproject.kit.errors import BadInput, Forbidden
from labeling_app.errors import UnknownQueue
from labeling_app.models import Label, LabelingQueue, QueueItem
from labeling_app.services import queue_progress, refreshing
from labeling_app.services.queues import (
    QueueOptions,
    create_queue,
    ensure_default_queue,
    get_queue,
    progress_of,
    refresh_or_start,
    refresh_queue,
    update_queue,
)
from labeling_app.services.slots import recount
from tests.integration.labeling.labeling_data import answer, ids, item_of, take, text_rows

Factory = Callable[..., LabelingQueue]


def order(queue: LabelingQueue) -> list[str | None]:
    rows = QueueItem.objects.filter(queue=queue).order_by("position", "id")
    return list(rows.values_list("example__external_id", flat=True))


def test_create__in_sequence__has_every_row_in_the_order_of_import(queue_factory: Factory) -> None:
    queue = queue_factory()
    assert order(queue) == [f"t{n}" for n in range(1, 11)]
    assert set(QueueItem.objects.values_list("state", "open_slots", "label_count")) == {("open", 1, 0)}


def test_create__random__is_the_same_for_the_same_seed(queue_factory: Factory) -> None:
    orders = [order(queue_factory(order="random", seed=seed)) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0], key=str) == sorted((f"t{n}" for n in range(1, 11)), key=str)


def test_create__by_priority__greatest_first_and_those_without_last(
    dataset: Dataset, queue_factory: Factory
) -> None:
    rows = text_rows(4)
    rows[1]["metadata"], rows[2]["metadata"], rows[3]["metadata"] = {"p": 2}, {"p": 10.5}, {"p": "high"}
    bulk_upsert(branch=dataset.main, documents=rows, actor=None)
    assert order(queue_factory(order="priority", priority_field="metadata.p"))[:4] == ["t3", "t2", "t1", "t4"]


def test_create__filter_by_tier__reads_the_quality_score(dataset: Dataset, queue_factory: Factory) -> None:
    all_of_them = queue_factory()
    for name, score in (("t1", 95), ("t2", 75), ("t3", 60), ("t4", 10)):
        ExampleQuality.objects.create(
            example_id=item_of(all_of_them, name).example_id, metric_name="quality_score", metric_value=score
        )
    assert order(queue_factory(filters={"tier": ["gold", "silver"]})) == ["t1", "t2"]
    assert order(queue_factory(filters={"tier": ["bronze", "rejected"]})) == ["t3", "t4"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"overlap": 0}, "overlap"),
        ({"overlap": 51}, "overlap"),
        ({"order": "backwards"}, "order"),
        ({"order": "priority"}, "Priority field"),
        ({"field_path": "labell"}, "has no field “labell”"),
        ({"gold_rate": 0.9}, "gold_rate"),
        ({"agreement_threshold": 0}, "threshold"),
        ({"filters": {"status": ["done"]}}, "The filter status"),
        ({"filters": {"text": 3}}, "The filter text"),
        ({"choices": "a"}, "Choices"),
        ({"choices": [1e16]}, "safe integer"),
        ({"lease_s": 1}, "times"),
    ],
)
def test_create__impossible_option__is_told(queue_factory: Factory, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        queue_factory(**wrong)
    assert LabelingQueue.objects.count() == 0


def test_create__name_taken__is_told(queue_factory: Factory) -> None:
    queue_factory("tones")
    with pytest.raises(BadInput, match="has a queue “tones” already"):
        queue_factory("tones")


def test_create__by_a_labeler__is_forbidden(dataset: Dataset, labelers: list[Any]) -> None:
    with pytest.raises(Forbidden):
        create_queue(dataset=dataset, name="q", actor=labelers[0])


def test_create__by_a_curator__is_in_the_audit_log(dataset: Dataset, person: Callable[..., Any]) -> None:
    queue = create_queue(dataset=dataset, name="q", actor=person("curator"), options=QueueOptions(overlap=3))
    event = AuditEvent.objects.get(action="labels.queue_create")
    assert (event.actor_name, event.summary, event.details["added"]) == ("curator", "q", 10)
    assert queue.history.get().history_user.username == "curator"


def test_get_queue__by_id_or_name__or_unknown(dataset: Dataset, queue_factory: Factory) -> None:
    queue = queue_factory("tones")
    assert get_queue(queue.pk) == get_queue("tones", dataset) == queue
    with pytest.raises(UnknownQueue):
        get_queue("other")


def test_ensure_default__first_time__makes_one_then_returns_it(dataset: Dataset) -> None:
    made = ensure_default_queue(dataset=dataset, actor=None)
    assert (made.name, made.items.count()) == ("Labels", 10)
    assert ensure_default_queue(dataset=dataset, actor=None) == made


def test_refresh__rows_come_and_go__items_follow(dataset: Dataset, queue_factory: Factory) -> None:
    queue = queue_factory(filters={"status": ["pending"]})
    uuid = {n: item_of(queue, f"t{n}").example_id for n in range(1, 11)}
    bulk_upsert(branch=dataset.main, documents=text_rows(12), actor=None)
    delete_examples(branch=dataset.main, uuids=[uuid[1]], actor=None)
    set_status(branch=dataset.main, uuids=[uuid[2]], status="validated", actor=None)
    assert refresh_queue(queue=queue).document() == {"added": 2, "gone": 2, "back": 0}
    set_status(branch=dataset.main, uuids=[uuid[2]], status="pending", actor=None)
    assert refresh_queue(queue=queue).document() == {"added": 0, "gone": 0, "back": 1}
    assert refresh_queue(queue=queue).document() == {"added": 0, "gone": 0, "back": 0}


def test_refresh__adopted_and_out_of_the_filters_by_that__stays(
    dataset: Dataset, queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(filters={"status": ["pending"]})
    done = answer(queue, labelers[0])
    set_status(branch=dataset.main, uuids=[done.example], status="validated", actor=None)
    refresh_queue(queue=queue)
    assert item_of(queue, "t1").state == "adopted"
    delete_examples(branch=dataset.main, uuids=[done.example], actor=None)
    refresh_queue(queue=queue)
    assert item_of(queue, "t1").state == "gone"


def test_refresh__big_queue__is_a_job(queue_factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = queue_factory()
    monkeypatch.setattr(refreshing, "ROWS_REFRESHED_AT_ONCE", 5)
    job = refresh_or_start(queue=queue, actor=None)
    assert isinstance(job, JobRun) and job.kind == "label_refresh"
    assert kind_of(job.kind).work(job, lambda *told: None) == {"added": 0, "gone": 0, "back": 0}


def test_update__overlap_raised__opens_slots_of_what_is_not_settled(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(adopts="never")
    take(queue, labelers[0])
    update_queue(queue=queue, actor=None, overlap=2)
    assert item_of(queue, "t1").open_slots == 1
    assert ids(take(queue, labelers[1])) == ["t1"]


def test_update__overlap_lowered__settles_what_has_enough(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=3)
    for labeler in labelers[:2]:
        answer(queue, labeler)
    (held,) = take(queue, labelers[2])
    update_queue(queue=queue, actor=None, overlap=2)
    assert (item_of(queue, "t1").state, item_of(queue, "t1").open_slots) == ("adopted", 0)
    assert held.shown.external_id == "t1"
    update_queue(queue=queue, actor=None, overlap=1)
    assert item_of(queue, "t1").label_count == 2


def test_update__what_labels_were_given_for__is_refused(queue_factory: Factory) -> None:
    with pytest.raises(BadInput, match="field_path of a queue cannot be changed"):
        update_queue(queue=queue_factory(), actor=None, field_path="label")


def test_update__filters__refresh_the_queue(queue_factory: Factory) -> None:
    queue = queue_factory()
    update_queue(queue=queue, actor=None, filters={"text": "question 3"})
    assert QueueItem.objects.filter(queue=queue, state="open").count() == 1


def test_progress__counts_items_and_labels(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory(overlap=2)
    for labeler in labelers[:2]:
        answer(queue, labeler)
    answer(queue, labelers[0])
    assert progress_of(queue, fresh=True).document() == {
        "items": 10,
        "open": 9,
        "labeled": 0,
        "review": 0,
        "adopted": 1,
        "rejected": 0,
        "gone": 0,
        "labels": 3,
        "labels_wanted": 20,
    }


def test_progress__counting_took_long__the_figures_of_before_are_given_while_a_thread_counts(
    queue_factory: Factory, labelers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = queue_factory()
    started: list[Any] = []
    monkeypatch.setattr(queue_progress, "_SLOW_S", -1.0)
    monkeypatch.setattr(queue_progress, "KEPT_S", -1000.0)
    monkeypatch.setattr(
        queue_progress.threading, "Thread", lambda **said: started.append(said) or Unstarted()
    )
    assert progress_of(queue).labels == 0
    answer(queue, labelers[0])
    assert [progress_of(queue).labels, progress_of(queue).labels] == [0, 0]
    assert [said["args"] for said in started] == [([queue],)]
    assert progress_of(queue, fresh=True).labels == 1


def test_recount__answered_lease_without_a_label__no_slot_is_open_that_no_lease_could_take(
    queue_factory: Factory, labelers: list[Any]
) -> None:
    queue = queue_factory()
    done = answer(queue, labelers[0])
    Label.objects.filter(pk=done.label).delete()  # past the services
    recount(queue=queue)
    recount(queue=queue, item_ids=[item_of(queue, "t1").pk])
    assert (item_of(queue, "t1").label_count, item_of(queue, "t1").open_slots) == (0, 0)
    assert ids(take(queue, labelers[1])) == ["t2"]


class Unstarted:
    def start(self) -> None:
        """Leave the counting to the test."""


def test_recount__wrong_counts__are_put_right(queue_factory: Factory, labelers: list[Any]) -> None:
    queue = queue_factory(overlap=3)
    answer(queue, labelers[0])
    take(queue, labelers[0])
    QueueItem.objects.filter(queue=queue).update(label_count=7, open_slots=0)
    recount(queue=queue)
    counts = [(item.label_count, item.open_slots) for item in (item_of(queue, f"t{n}") for n in (1, 2, 3))]
    assert counts == [(1, 2), (0, 2), (0, 3)]
    assert Decimal(queue.gold_rate) == 0
