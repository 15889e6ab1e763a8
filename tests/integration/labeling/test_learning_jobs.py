"""The jobs that learn: vectors, order, likely label errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datasets_app.models import Dataset, EmbeddingModel, Example, ExampleVector, JobRun
from datasets_app.services.jobs import kind_of, run_job, start_job
from goldenproject.kit.errors import Forbidden
from labeling_app import jobs
from labeling_app.models import LabelingQueue

Make = Callable[..., Any]


def run(kind: str, queue: LabelingQueue, actor: Any = None) -> JobRun:
    job = start_job(kind=kind, dataset=queue.dataset, actor=actor, arguments={"queue": str(queue.pk)})
    run_job(job_id=job.pk)
    job.refresh_from_db()
    return job


@pytest.fixture(autouse=True)
def built_in_model(db: None) -> None:
    """The built-in embedding model is the current one."""
    assert EmbeddingModel.objects.get(is_current=True).name == "minilm"


def facts(job: JobRun) -> list[tuple[str, str]]:
    made = kind_of(job.kind).facts
    assert made is not None
    return made(job)


def test_label_embed__queue__its_examples_get_vectors(queue_factory: Make, person: Make) -> None:
    queue, reviewer = queue_factory(), person("reviewer")
    job = run("label_embed", queue, reviewer)
    assert job.state == "done" and ExampleVector.objects.count() == 10
    assert facts(job)[0] == ("Vectors made", "10 with minilm")
    assert kind_of("label_embed").links(job)[0][1] == f"/admin/label/{queue.pk}/bulk/"
    with pytest.raises(Forbidden):
        start_job(kind="label_embed", dataset=queue.dataset, actor=person("labeler"))


def test_label_reorder__learning_order__makes_the_vectors_it_needs(queue_factory: Make) -> None:
    queue = queue_factory(order="least_confident")
    job = run("label_reorder", queue)
    assert (job.state, job.result["used"], ExampleVector.objects.count()) == ("done", "most_diverse", 10)
    assert facts(job) == [
        ("Open examples", "10"),
        ("Order", "most diverse first"),
        (
            "Why not “least confident first”",
            "2 classes need 5 answers each before anything can be learned; found 0 such classes.",
        ),
    ]


def test_label_errors__answers_of_one_class__says_why_there_are_none(
    queue_factory: Make, dataset: Dataset
) -> None:
    Example.objects.update(expected_output={"label": "same"})
    job = run("label_errors", queue_factory())
    assert facts(job) == [
        ("Answers looked at", "10"),
        ("Likely errors", "0"),
        ("New reviews", "0"),
        ("Why none", "Two classes need 5 answers each before likely errors can be told."),
    ]


def test_reorder_queues__queue_never_ordered__starts_one_job(queue_factory: Make) -> None:
    queue = queue_factory(order="most_diverse")
    JobRun.objects.all().delete()
    jobs.reorder_queues(0)
    jobs.reorder_queues(0)
    assert JobRun.objects.get(kind="label_reorder").arguments == {"queue": str(queue.pk)}
