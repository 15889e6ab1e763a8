"""The Python API of labeling: start, next, submit, undo, with a type, a status, one queue or all."""

from __future__ import annotations

from typing import Any

import pytest

from datasets_app.models import Dataset, ExampleType
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert, update_example
from goldenproject.kit.errors import Forbidden, NotFound
from labeling_app.errors import SessionEnded
from labeling_app.models import Label, LabelingQueue, Lease
from labeling_app.python_api import LabelingSession
from labeling_app.services.queues import QueueOptions, create_queue
from tests.integration.api.conftest import person, text_row, texts

__all__ = ["person", "texts"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(texts: Dataset) -> LabelingQueue:
    bulk_upsert(branch=texts.main, documents=[text_row(n) for n in (1, 2, 3)], actor=None)
    return create_queue(dataset=texts, name="topics", actor=None)


@pytest.fixture
def labeler(person: Any) -> Any:
    return person("labeler", "labeler")


def test_session__next_without_an_answer__is_the_same_example(labeler: Any, queue: LabelingQueue) -> None:
    with LabelingSession.start("labeler", "initial_labeling") as session:
        first, again = session.get_next_example(), session.get_next_example()
        assert first is not None and again is not None
        assert (first.lease, first.input) == (again.lease, {"text": "text 1"})
        session.skip(first, "unclear")
        following = session.get_next_example()
        assert following is not None and following.input == {"text": "text 2"}
    assert not Lease.objects.filter(state="held").exists()
    with pytest.raises(SessionEnded):
        session.get_next_example()


def test_session__whole_queue__ends_with_none(labeler: Any, queue: LabelingQueue) -> None:
    session = LabelingSession.start(labeler, queue=queue.pk)
    seen = []
    while (example := session.get_next_example()) is not None:
        seen.append(example.shown.external_id)
        session.submit_label(example, {"label": "a"}, 0.5, "note")
    assert seen == ["t1", "t2", "t3"]
    assert {(label.annotator, label.notes) for label in Label.objects.all()} == {("labeler", "note")}


def test_session__with_a_type_or_a_status__gets_such_examples_alone(
    person: Any, queue: LabelingQueue
) -> None:
    tiers = create_dataset(
        name="tiers", actor=None, default_type=ExampleType.objects.get(name="contact_tier")
    )
    row = {"id": "c1", "input": {"title": "CTO"}, "output": {"tier": "A"}}
    bulk_upsert(branch=tiers.main, documents=[row], actor=None)
    create_queue(dataset=tiers, name="tiers", actor=None)
    session = LabelingSession.start(person("reviewer", "reviewer"))
    first = session.get_next_example()
    assert first is not None
    of_type = session.get_next_example(example_type="text_classification")
    assert of_type is not None and of_type.input == {"text": "text 1"}
    contact = session.get_next_example(example_type="contact_tier")
    assert contact is not None and contact.input == {"title": "CTO"}
    assert Lease.objects.filter(state="held").count() == 1
    assert session.get_next_example(validation_status="validated") is None
    example = queue.branch.examples.get(identity__external_id="t2")
    update_example(example=example, actor=person("curator", "curator"), validation_status="validated")
    validated = session.get_next_example(validation_status="validated")
    assert validated is not None and validated.input == {"text": "text 2"}


def test_session__labeler_asks_for_a_status__pending_or_where_the_queue_says_it_anyway(
    labeler: Any, queue: LabelingQueue
) -> None:
    session = LabelingSession.start("labeler")
    with pytest.raises(Forbidden, match="The filter status would tell what labelers are not shown"):
        session.get_next_example("text_classification", "validated")
    example = session.get_next_example("text_classification", "pending")
    assert example is not None and example.input == {"text": "text 1"}
    row = queue.branch.examples.get(identity__external_id="t2")
    update_example(example=row, actor=None, validation_status="validated")
    create_queue(
        dataset=queue.dataset, name="old", actor=None, options=QueueOptions(filters={"status": "validated"})
    )
    again = session.get_next_example("text_classification", "validated")
    assert again is not None and again.input == {"text": "text 2"}


def test_session__correction__shows_the_answer_that_is_there(person: Any, queue: LabelingQueue) -> None:
    reviewer = person("reviewer", "reviewer")
    example = LabelingSession.start(reviewer, "correction", queue="topics").get_next_example()
    assert example is not None and example.current == {"label": "a"}


def test_start__of_nobody_or_of_who_may_not_label__is_refused(person: Any, queue: LabelingQueue) -> None:
    with pytest.raises(NotFound, match="There is no user “nobody”"):
        LabelingSession.start("nobody", "initial_labeling")
    with pytest.raises(Forbidden):
        LabelingSession.start(person("viewer", "viewer"))
