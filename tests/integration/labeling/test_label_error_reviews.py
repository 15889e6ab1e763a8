"""Likely label errors are put to a reviewer, with the reason, and never twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datasets_app.models import Dataset, EmbeddingModel, Example
from goldenproject.kit.errors import Forbidden
from labeling_app.models import LabelingQueue, QueueItem, Review
from labeling_app.services.label_errors import LabelErrorReport, find_label_errors
from labeling_app.services.reviewing import decide
from tests.integration.labeling.vector_data import add_groups, current_model, give_vectors

Make = Callable[..., Any]
Groups = dict[str, list[Any]]


@pytest.fixture
def groups(dataset: Dataset) -> Groups:
    """Answers that are those of the groups, but two cards are said to be rates."""
    made = add_groups(dataset, {"card": 20, "rate": 20})
    for group, examples in made.items():
        Example.objects.filter(identity__in=examples).update(expected_output={"label": group})
    Example.objects.filter(identity__in=made["card"][3:5]).update(expected_output={"label": "rate"})
    return made


@pytest.fixture
def model(groups: Groups) -> EmbeddingModel:
    model = current_model()
    give_vectors(model, groups)
    return model


@pytest.fixture
def queue(queue_factory: Make, groups: Groups) -> LabelingQueue:
    return queue_factory()


def wrong_ones(queue: LabelingQueue) -> set[str]:
    return set(Review.objects.filter(queue=queue).values_list("item__example__external_id", flat=True))


def test_find_label_errors__wrong_answers__become_reviews_with_the_reason(
    queue: LabelingQueue, model: EmbeddingModel, person: Make
) -> None:
    outputs = list(Example.objects.order_by("pk").values_list("expected_output", flat=True))
    report = find_label_errors(queue=queue, actor=person("reviewer"))
    assert report == LabelErrorReport(looked_at=40, suspects=2, opened=2)
    assert wrong_ones(queue) == {"card3", "card4"}
    review = Review.objects.filter(queue=queue).first()
    assert (review.reason, review.outcome, review.suggestion) == ("label_error", "", {"label": "card"})
    assert review.detail.startswith("The answer is rate; 1")
    assert 0 <= review.score < 0.5
    # nothing but the question was written
    assert list(Example.objects.order_by("pk").values_list("expected_output", flat=True)) == outputs


def test_find_label_errors__again__opens_nothing_twice(
    queue: LabelingQueue, model: EmbeddingModel, person: Make
) -> None:
    reviewer = person("reviewer")
    assert find_label_errors(queue=queue, actor=reviewer, limit=1).opened == 1
    assert find_label_errors(queue=queue, actor=reviewer, limit=1).opened == 1
    assert find_label_errors(queue=queue, actor=reviewer).opened == 0 and len(wrong_ones(queue)) == 2
    review = Review.objects.filter(queue=queue).first()
    decide(review_id=review.pk, actor=reviewer, outcome="kept")
    report = find_label_errors(queue=queue, actor=reviewer)
    assert (report.suspects, report.opened) == (2, 0)


def test_find_label_errors__hidden_checks_and_rejected__are_left_alone(
    queue: LabelingQueue, model: EmbeddingModel, groups: Groups
) -> None:
    QueueItem.objects.filter(example=groups["card"][3]).update(is_gold=True)
    QueueItem.objects.filter(example=groups["card"][4]).update(state="rejected")
    report = find_label_errors(queue=queue, actor=None)
    assert (report.looked_at, report.opened) == (38, 0)


def test_find_label_errors__nothing_to_go_by__says_what_is_missing(
    queue: LabelingQueue, queue_factory: Make, groups: Groups, person: Make
) -> None:
    EmbeddingModel.objects.update(is_current=False)
    assert find_label_errors(queue=queue, actor=None).told == (
        "There is no embedding model, so examples cannot be compared."
    )
    model = current_model()
    assert find_label_errors(queue=queue, actor=None).told == "The examples have no vectors yet."
    give_vectors(model, groups)
    Example.objects.update(expected_output={"label": "same"})
    assert find_label_errors(queue=queue, actor=None).told == (
        "Two classes need 5 answers each before likely errors can be told."
    )
    Example.objects.update(expected_output=None)
    assert find_label_errors(queue=queue, actor=None).told == "There are no answers with a class yet."
    with pytest.raises(Forbidden):
        find_label_errors(queue=queue, actor=person("labeler"))
