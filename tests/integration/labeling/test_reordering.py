"""The orders of a queue, those that learn from the labels included."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from datasets_app.models import Dataset, EmbeddingModel, Example, JobRun
from goldenproject.kit.clock import frozen, now
from goldenproject.kit.errors import Forbidden
from labeling_app.models import Label, LabelingQueue, LabelingSession, QueueItem, Suggestion
from labeling_app.services.bulk import label_in_bulk
from labeling_app.services.reordering import (
    LEARNED_SOURCE,
    queues_to_reorder,
    reorder_or_start,
    reorder_queue,
)
from labeling_app.services.suggestions import Suggested, set_suggestions
from tests.integration.labeling.labeling_data import answer, ids, take
from tests.integration.labeling.vector_data import add_groups, current_model, give_vectors

Make = Callable[..., Any]
Groups = dict[str, list[Any]]


@pytest.fixture
def groups(dataset: Dataset) -> Groups:
    """Three groups; the ten questions of the dataset are without vectors."""
    return add_groups(dataset, {"card": 20, "rate": 20, "limit": 3})


@pytest.fixture
def model(groups: Groups) -> EmbeddingModel:
    model = current_model()
    give_vectors(model, groups)
    return model


def order_of(queue: LabelingQueue, count: int = 60) -> list[str]:
    items = QueueItem.objects.filter(queue=queue, state="open").order_by("position", "pk")
    return list(items.values_list("example__external_id", flat=True)[:count])


def label(queue: LabelingQueue, actor: Any, examples: list[Any], name: str) -> None:
    label_in_bulk(queue=queue, example_ids=examples, value={"label": name}, actor=actor)


def test_reorder_queue__simple_orders__are_those_of_a_new_queue(queue_factory: Make, groups: Groups) -> None:
    Example.objects.filter(identity__in=groups["rate"][:2]).update(metadata={"priority": 5})
    Example.objects.filter(identity__in=groups["rate"][2:3]).update(metadata={"priority": 7.5})
    queue = queue_factory()
    in_sequence = order_of(queue)
    assert in_sequence[:11] == [*(f"t{n}" for n in range(1, 11)), "card0"]
    queue.order, queue.priority_field = "priority", "metadata.priority"
    assert reorder_queue(queue=queue).used == "priority"
    assert order_of(queue, 4) == ["rate2", "rate0", "rate1", "t1"]
    queue.order, queue.seed = "random", 7
    reorder_queue(queue=queue)
    at_random = order_of(queue)
    assert at_random != in_sequence and sorted(at_random) == sorted(in_sequence)
    assert at_random == order_of(queue_factory(order="random", seed=7))
    queue.order = "sequence"
    assert reorder_queue(queue=queue).items == 53 and order_of(queue) == in_sequence


def test_reorder_queue__most_diverse__one_of_each_group_first_and_without_a_vector_last(
    queue_factory: Make, groups: Groups, model: EmbeddingModel
) -> None:
    queue = queue_factory(order="most_diverse")
    report = reorder_queue(queue=queue)
    assert (report.used, report.items, report.told) == ("most_diverse", 53, "")
    order = order_of(queue)
    assert {name.rstrip("0123456789") for name in order[:3]} == {"card", "rate", "limit"}
    assert order[43:] == [f"t{n}" for n in range(1, 11)]
    assert reorder_queue(queue=queue).document() == report.document() and order_of(queue) == order


def test_reorder_queue__least_confident__what_is_doubtful_comes_first(
    queue_factory: Make, groups: Groups, model: EmbeddingModel, person: Make
) -> None:
    queue, reviewer = queue_factory(order="least_confident"), person("reviewer")
    label(queue, reviewer, groups["card"][:6], "card")
    label(queue, reviewer, groups["rate"][:6], "rate")
    report = reorder_queue(queue=queue, actor=reviewer)
    assert (report.used, report.learned_from, report.labels, report.told) == ("least_confident", 12, 12, "")
    order = order_of(queue)
    # nobody has labeled the third group, so the classifier is torn between the two it knows
    assert {"limit0", "limit1", "limit2"} <= {*order[:5]}
    assert order[31:] == [f"t{n}" for n in range(1, 11)]


@pytest.mark.slow
def test_reorder_queue__least_confident__suggests_what_it_is_sure_of(
    queue_factory: Make, groups: Groups, model: EmbeddingModel, person: Make
) -> None:
    queue, reviewer = queue_factory(order="least_confident"), person("reviewer")
    label(queue, reviewer, groups["card"][:6], "card")
    label(queue, reviewer, groups["rate"][:6], "rate")
    count = reorder_queue(queue=queue).suggestions
    suggested = Suggestion.objects.filter(source=LEARNED_SOURCE)
    assert suggested.count() == count >= 28
    one = suggested.get(item__example=groups["card"][10])
    assert one.value == {"label": "card"} and one.confidence > 0.8
    label(queue, reviewer, groups["card"][6:11], "rate")
    reorder_queue(queue=queue)
    assert not suggested.filter(item__example=groups["card"][10]).exists()  # made anew for what is open


def test_reorder_queue__too_few_answers__falls_back_and_says_so(
    queue_factory: Make, groups: Groups, person: Make
) -> None:
    queue = queue_factory(order="least_confident")
    report = reorder_queue(queue=queue)
    assert report.used == "sequence" and report.told
    give_vectors(current_model(), groups)
    report = reorder_queue(queue=queue)
    assert (report.used, report.told) == (
        "most_diverse",
        "2 classes need 5 answers each before anything can be learned; found 0 such classes.",
    )
    EmbeddingModel.objects.update(is_current=False)
    assert reorder_queue(queue=queue).told == "There is no embedding model, so examples cannot be compared."


def test_reorder_queue__most_disagreeing__torn_votes_first(
    queue_factory: Make, groups: Groups, model: EmbeddingModel, labelers: list[Any]
) -> None:
    queue = queue_factory(order="most_disagreeing", overlap=3)
    for name in ("a", "b"):  # of t1 … t3: t2 is torn between two labelers, t1 and t3 are not
        for task_name, labeler in zip(("x", name, "x"), [labelers["ab".index(name)]] * 3, strict=True):
            answer(queue, labeler, task_name)
    three = [
        Suggested(groups["card"][4], {"label": "a"}),
    ]
    for source, value in (("one", "a"), ("two", "b"), ("three", "c")):
        one = Suggested(three[0].example, {"label": value})
        set_suggestions(queue=queue, source=source, suggestions=[one], actor=None)
    report = reorder_queue(queue=queue)
    assert report.used == "most_disagreeing"
    assert order_of(queue, 2) == ["card4", "t2"]  # log2 3 bits, 1 bit


def test_reorder_queue__sessions_that_went_past__look_again(
    queue_factory: Make, groups: Groups, model: EmbeddingModel, person: Make
) -> None:
    queue, labeler = queue_factory(), person()
    assert ids(take(queue, labeler, 2)) == ["t1", "t2"]
    assert LabelingSession.objects.get().seen_position is not None
    LabelingQueue.objects.filter(pk=queue.pk).update(order="most_diverse")
    queue.refresh_from_db()
    reorder_queue(queue=queue)
    assert LabelingSession.objects.get().seen_position is None
    assert ids(take(queue, labeler, 3))[2] == order_of(queue, 1)[0]


def test_reorder_queue__person__needs_the_right(queue_factory: Make, person: Make) -> None:
    with pytest.raises(Forbidden):
        reorder_queue(queue=queue_factory(), actor=person("labeler"))


def test_reorder_or_start__learning_order__becomes_a_job(queue_factory: Make, person: Make) -> None:
    queue, reviewer = queue_factory(order="most_diverse"), person("reviewer")
    job = reorder_or_start(queue=queue, actor=reviewer)
    assert (job.kind, job.arguments) == ("label_reorder", {"queue": str(queue.pk)})
    simple = queue_factory(order="random")
    assert reorder_or_start(queue=simple, actor=reviewer).used == "random"


def test_queues_to_reorder__new_or_grown__are_found(
    queue_factory: Make, groups: Groups, person: Make
) -> None:
    queue, reviewer = queue_factory(order="least_confident"), person("reviewer")
    queue_factory(order="random")
    assert queues_to_reorder() == [queue]
    reorder_queue(queue=queue)
    assert queues_to_reorder() == []
    with frozen(now() + timedelta(minutes=1)):
        label(queue, reviewer, groups["card"][:9], "card")
        assert queues_to_reorder() == []
        label(queue, reviewer, groups["rate"][:1], "rate")
        assert queues_to_reorder() == [queue] and Label.objects.count() == 10
    LabelingQueue.objects.filter(pk=queue.pk).update(state="closed")
    assert queues_to_reorder() == []


def test_create_queue__learning_order__is_ordered_by_a_job_at_once(queue_factory: Make) -> None:
    queue = queue_factory(order="least_confident")
    assert JobRun.objects.get(kind="label_reorder").arguments == {"queue": str(queue.pk)}
