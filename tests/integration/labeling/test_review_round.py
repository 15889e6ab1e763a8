"""Examples on their way through labelers and reviewers, by the services that the console calls; verify finds no fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from datasets_app.models import Example
from datasets_app.services.curation.examples import update_example
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.comparing import compare
from datasets_app.services.versioning.log import blame
from labeling_app.models import Label, LabelingQueue, Review
from labeling_app.services.reviewing import decide, undo_decision
from labeling_app.services.submitting import submit_label
from labeling_app.services.undoing import undo_label
from labeling_app.services.verifying import verify_labels
from tests.integration.labeling.labeling_data import answer, item_of, take

pytestmark = pytest.mark.django_db


def _row(queue: LabelingQueue, name: str) -> Example:
    return Example.objects.get(branch=queue.branch, identity__external_id=name)


def _label(queue: LabelingQueue, labeler: Any) -> Label:
    return Label.objects.filter(queue=queue, labeler=labeler).latest("labeled_at")


def test_labelers_agree__one_takes_it_back_and_says_otherwise__adoption_becomes_a_review(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=2)
    for labeler in labelers[:2]:
        answer(queue, labeler, "refund")
    assert _row(queue, "t1").expected_output == {"label": "refund"}
    task = undo_label(label_id=_label(queue, labelers[0]).pk, labeler=labelers[0])
    assert (_row(queue, "t1").expected_output, item_of(queue, "t1").state) == (None, "open")
    assert verify_labels(deep=True).errors == []
    submit_label(lease_id=task.lease, labeler=labelers[0], value={"label": "fees"})
    assert (item_of(queue, "t1").state, Review.objects.get().reason) == ("review", "disagreement")
    assert verify_labels(deep=True).errors == []


def test_adjudicated__one_labeler_takes_it_back_and_agrees__review_settles_itself(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue = queue_factory(overlap=2)
    answer(queue, labelers[0], "refund")
    answer(queue, labelers[1], "fees")
    review = Review.objects.get()
    decide(review_id=review.pk, actor=person("reviewer"), outcome="adopted", value={"label": "refund"})
    task = undo_label(label_id=_label(queue, labelers[1]).pk, labeler=labelers[1])
    review.refresh_from_db()
    assert (review.outcome, _row(queue, "t1").expected_output) == ("", None)
    assert verify_labels(deep=True).errors == []
    submit_label(lease_id=task.lease, labeler=labelers[1], value={"label": "refund"})
    review.refresh_from_db()
    assert (review.outcome, item_of(queue, "t1").state) == ("settled", "adopted")
    assert _row(queue, "t1").provenance["label"]["origin"] == "unanimous"
    assert verify_labels(deep=True).errors == []


def test_sent_back__the_same_labelers_get_it_again_with_slots_for_both(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue = queue_factory(overlap=2)
    answer(queue, labelers[0], "refund")
    answer(queue, labelers[1], "fees")
    decide(review_id=Review.objects.get().pk, actor=person("reviewer"), outcome="sent_back", comment="Again.")
    assert verify_labels(deep=True).errors == []
    for labeler in labelers[:2]:
        (task,) = take(queue, labeler)
        assert (task.shown.external_id, task.document()["note"]) == ("t1", "Again.")
        submit_label(lease_id=task.lease, labeler=labeler, value={"label": "fees"})
    assert (item_of(queue, "t1").state, _row(queue, "t1").expected_output) == ("adopted", {"label": "fees"})
    assert verify_labels(deep=True).errors == []


def test_decisions__each_kind_and_its_undoing__verify_finds_no_fault(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue = queue_factory(overlap=2)
    for _ in range(4):
        answer(queue, labelers[0], "refund")
        answer(queue, labelers[1], "fees")
    reviewer = person("reviewer")
    wanted = (
        ("adopted", {"label": "fees"}),
        ("third_answer", {"label": "other"}),
        ("rejected", None),
        ("kept", None),
    )
    for review, (outcome, value) in zip(Review.objects.order_by("pk"), wanted, strict=True):
        decide(review_id=review.pk, actor=reviewer, outcome=outcome, value=value, comment="as it is")
        assert verify_labels(deep=True).errors == []
    for review in Review.objects.order_by("pk"):
        undo_decision(review_id=review.pk, actor=reviewer)
        assert verify_labels(deep=True).errors == []
    assert list(Example.objects.exclude(expected_output=None)) == []
    assert list(Example.objects.exclude(validation_status="pending")) == []


def test_provenance__of_the_final_label__is_content_of_the_commit(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue = queue_factory("topics", overlap=2)
    before = commit(branch=queue.branch, message="Unlabeled", actor=None)
    answer(queue, labelers[0], "refund")
    answer(queue, labelers[1], "refund")
    after = commit(branch=queue.branch, message="Labeled", actor=None)
    (change,) = compare(queue.dataset, before, after).page()
    assert change.new is not None
    assert change.new["provenance"] == {
        "label": {"origin": "unanimous", "labels": 2, "agreement": 1, "method": "majority", "queue": "topics"}
    }


def test_blame__an_adopted_answer__names_the_commit_and_whose_label_it_is(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue = queue_factory("topics", overlap=2)
    answer(queue, labelers[0], "refund")
    answer(queue, labelers[1], "refund")
    answer(queue, labelers[0], "refund")
    answer(queue, labelers[1], "fees")
    decide(
        review_id=Review.objects.get().pk,
        actor=person("reviewer"),
        outcome="adopted",
        value={"label": "fees"},
        comment="see text",
    )
    version = commit(branch=queue.branch, message="Labeled", actor=None)
    found = {}
    for name in ("t1", "t2", "t3"):
        lines = blame(queue.dataset, item_of(queue, name).example_id, at=version)
        found[name] = {line.path: line.label and (line.label.who, line.label.said) for line in lines}
    assert found["t1"]["$.output.label"] == (("labeler", "second-labeler"), "unanimous, 2 labels")
    assert found["t2"]["$.output.label"] == (("reviewer",), "adjudicated: see text")
    assert found["t1"]["$.input.text"] is None
    assert set(found["t3"].values()) == {None}
    client = Client()
    client.force_login(person("reviewer"))
    told = client.get(f"/api/v1/datasets/{queue.dataset.name}/examples/t2/blame").json()["lines"]
    labels = {line["path"]: line["label"] for line in told}
    assert labels["$.input.text"] is None
    assert (labels["$.output.label"]["who"], labels["$.output.label"]["said"]) == (
        ["reviewer"],
        "adjudicated: see text",
    )
    edited = update_example(
        example=_row(queue, "t1"), actor=person("curator"), expected_output={"label": "other"}
    )
    later = commit(branch=queue.branch, message="Edited", actor=person("curator"))
    (line,) = [
        line for line in blame(queue.dataset, edited.identity_id, at=later) if line.path == "$.output.label"
    ]
    assert (line.commit, line.label) == (later, None)
