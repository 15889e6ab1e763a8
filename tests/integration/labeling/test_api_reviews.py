"""The API of reviewers: agreement, consensus, reviews, find similar, label in bulk."""

from __future__ import annotations

from typing import Any

import pytest

from datasets_app.domain.roles import Role
from datasets_app.models import Dataset, Example, JobRun, Membership
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from labeling_app.models import Label, LabelingQueue, Review
from labeling_app.python_api import LabelingSession
from labeling_app.services.queues import QueueOptions, create_queue
from tests.integration.api.conftest import Api, api_of, person, text_row, texts

__all__ = ["api_of", "person", "texts"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(texts: Dataset) -> LabelingQueue:
    """t1 … t4, two labelers each."""
    rows = [{**text_row(n), "output": None} for n in (1, 2, 3, 4)]
    bulk_upsert(branch=texts.main, documents=rows, actor=None)
    options = QueueOptions(overlap=2, choices=["a", "b"])
    return create_queue(dataset=texts, name="topics", actor=None, options=options)


@pytest.fixture
def labeled(queue: LabelingQueue, person: Any) -> LabelingQueue:
    """Two labelers agree on t1 and disagree on t2 and t3."""
    for name, answers in (("labeler", "aaa"), ("second-labeler", "abb")):
        with LabelingSession.start(person(name, "labeler"), queue=queue) as session:
            for answer in answers:
                example = session.get_next_example()
                assert example is not None
                session.submit_label(example, {"label": answer})
    return queue


@pytest.fixture
def reviewer(api_of: Any) -> Api:
    return api_of("reviewer", name="reviewer")


def test_agreement__of_a_queue__has_coefficients_with_intervals(
    reviewer: Api, labeled: LabelingQueue
) -> None:
    report = reviewer.get(f"labeling/queues/{labeled.pk}/agreement").json()
    assert (report["labels"], report["items"], report["compared"], report["labelers"]) == (6, 3, 3, 2)
    (field,) = report["fields"]
    assert field["percent"]["value"] == pytest.approx(1 / 3)
    assert set(field["alpha"]) >= {"value", "low", "high", "units", "raters", "why_none"}
    alone = reviewer.get(f"labeling/queues/{labeled.pk}/agreement?labelers=labeler").json()
    assert (alone["labels"], alone["compared"]) == (3, 0)
    assert reviewer.get(f"labeling/queues/{labeled.pk}/agreement?since=yesterday").status_code == 400


def test_consensus_and_method__tell_what_the_labels_say_together(
    reviewer: Api, labeled: LabelingQueue
) -> None:
    page = reviewer.get(f"labeling/queues/{labeled.pk}/consensus?limit=2").json()
    first = page["results"][0]
    assert (first["value"], first["agreement"], first["origin"]) == ({"label": "a"}, 1.0, "unanimous")
    rest = reviewer.get(f"labeling/queues/{labeled.pk}/consensus?cursor={page['next_cursor']}").json()
    assert len(rest["results"]) == 1 and rest["next_cursor"] is None
    method = reviewer.get(f"labeling/queues/{labeled.pk}/method").json()
    assert method["method"] and method["why"]
    for end in ("consensus", "label-errors", "reorder"):
        job = reviewer.post(f"labeling/queues/{labeled.pk}/{end}")
        assert (job.status_code, job.json()["state"]) == (202, "queued"), end
    assert JobRun.objects.filter(started_by__username="reviewer").count() == 3


def test_reviews__listed_read_decided_and_undone(reviewer: Api, labeled: LabelingQueue) -> None:
    page = reviewer.get("labeling/reviews?limit=1").json()
    (first,) = page["results"]
    assert (first["external_id"], first["reason"]) == ("t2", "disagreement")
    (second,) = reviewer.get(f"labeling/reviews?cursor={page['next_cursor']}").json()["results"]
    assert second["external_id"] == "t3"
    assert reviewer.get(f"labeling/reviews?queue={labeled.pk}&reason=flagged").json()["results"] == []
    case = reviewer.get(f"labeling/reviews/{first['review']}").json()
    assert [label["value"]["label"] for label in case["labels"]] == ["a", "b"]
    body = {"outcome": "adopted", "value": {"label": "b"}, "seen": case["fingerprint"], "comment": "clear"}
    decided = reviewer.post(f"labeling/reviews/{first['review']}/decide", body).json()
    assert (decided["outcome"], decided["decided_by"]) == ("adopted", "reviewer")
    example = Example.objects.get(branch=labeled.branch, identity__external_id="t2")
    assert example.expected_output == {"label": "b"}
    again = reviewer.post(f"labeling/reviews/{first['review']}/decide", body)
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")
    undone = reviewer.post(f"labeling/reviews/{first['review']}/undo", {"comment": "a slip"}).json()
    assert undone["outcome"] == ""
    example.refresh_from_db()
    assert example.expected_output is None
    stale = reviewer.post(f"labeling/reviews/{second['review']}/decide", {**body, "seen": "x"})
    assert (stale.status_code, stale.json()["code"]) == (409, "example_changed")
    reasonless = reviewer.post(f"labeling/reviews/{second['review']}/decide", {"outcome": "rejected"})
    assert (reasonless.status_code, reasonless.json()["code"]) == (400, "bad_input")
    for bad in ("Imhlbdoi", "WzEsMiwzXQ", "W251bGwsMV0"):
        assert reviewer.get(f"labeling/reviews?cursor={bad}").json()["code"] == "invalid_cursor"


def test_reviews__claimed_and_given_back__others_are_told_until_then(
    reviewer: Api, api_of: Any, labeled: LabelingQueue
) -> None:
    other: Api = api_of("reviewer", name="second-reviewer")
    first, second = (row["review"] for row in reviewer.get("labeling/reviews").json()["results"])
    claim = reviewer.post(f"labeling/reviews/{first}/claim").json()
    assert (claim["review"], claim["claimed_by"]) == (first, "reviewer")
    for end, body in (("claim", {}), ("decide", {"outcome": "kept"})):
        answer = other.post(f"labeling/reviews/{first}/{end}", body)
        assert (answer.status_code, answer.json()["code"]) == (409, "review_claimed"), end
        assert answer.json()["details"]["claimed_by"] == "reviewer"
    listed = other.get(f"labeling/reviews?queue={labeled.pk}").json()["results"]
    assert [row["claimed_by"] for row in listed] == ["reviewer", None]
    assert listed[0]["claimed_until"] == claim["claimed_until"]
    free = other.get(f"labeling/reviews?queue={labeled.pk}&free=true").json()["results"]
    assert [row["review"] for row in free] == [second]
    assert other.post(f"labeling/reviews/{first}/release").status_code == 204
    case = other.get(f"labeling/reviews/{first}").json()
    assert case["claimed_by"] == "reviewer", "nobody gives back what another has"
    taken = other.post(f"labeling/reviews/{first}/claim", {"take_over": True}).json()
    assert taken["claimed_by"] == "second-reviewer"
    told = reviewer.post(f"labeling/reviews/{first}/decide", {"outcome": "kept"}).json()
    assert "took this review over from you" in told["message"]
    assert other.post(f"labeling/reviews/{first}/release").status_code == 204
    assert reviewer.post(f"labeling/reviews/{first}/decide", {"outcome": "kept"}).status_code == 200
    again = other.post(f"labeling/reviews/{first}/claim")
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")


def test_reviews__sent_back__can_be_undone_until_somebody_labels(
    reviewer: Api, person: Any, labeled: LabelingQueue
) -> None:
    (first, _) = (row["review"] for row in reviewer.get("labeling/reviews").json()["results"])
    before = reviewer.get(f"labeling/reviews/{first}").json()["labels"]
    body = {"outcome": "sent_back", "comment": "Read the rules."}
    for _ in range(2):
        assert reviewer.post(f"labeling/reviews/{first}/decide", body).json()["outcome"] == "sent_back"
        assert reviewer.post(f"labeling/reviews/{first}/undo").json()["outcome"] == ""
        assert reviewer.get(f"labeling/reviews/{first}").json()["labels"] == before
    reviewer.post(f"labeling/reviews/{first}/decide", body)
    with LabelingSession.start(person("labeler", "labeler"), queue=labeled) as session:
        example = session.get_next_example()
        assert example is not None
        session.submit_label(example, {"label": "b"})
    refused = reviewer.post(f"labeling/reviews/{first}/undo")
    assert (refused.status_code, refused.json()["code"]) == (409, "labeled_since")


def test_reviews__of_another_dataset__are_not_there(api_of: Any, person: Any, labeled: LabelingQueue) -> None:
    other = create_dataset(name="other", actor=None, default_type=labeled.example_type)
    stranger = api_of(None, name="stranger")
    Membership.objects.create(dataset=other, user=person("stranger"), role=Role.REVIEWER)
    assert stranger.get("labeling/reviews").json()["results"] == []
    review = Review.objects.first()
    assert review is not None
    for method, end in (("GET", ""), *(("POST", f"/{do}") for do in ("decide", "undo", "claim", "release"))):
        body = {"outcome": "kept"} if end == "/decide" else {} if method == "POST" else None
        answer = stranger.call(method, f"labeling/reviews/{review.pk}{end}", body)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_review")
    assert stranger.get(f"labeling/reviews/{2**70}").json()["code"] == "unknown_review"
    assert stranger.get(f"labeling/reviews?queue={labeled.pk}").json()["code"] == "unknown_queue"


def test_bulk__found_by_a_filter__is_labeled_at_once_and_taken_back(
    reviewer: Api, api_of: Any, person: Any, queue: LabelingQueue
) -> None:
    found = reviewer.get(f"labeling/queues/{queue.pk}/similar?text=text").json()["results"]
    assert [one["external_id"] for one in found] == ["t1", "t2", "t3", "t4"]
    assert found[0]["similarity"] is None
    body = {
        "examples": [one["example"] for one in found[:3]],
        "value": {"label": "a"},
        "rule": {"text": "text"},
    }
    made = reviewer.post(f"labeling/queues/{queue.pk}/bulk", body)
    assert made.status_code == 201, made.content
    assert made.json()["examples"] == 3
    assert Label.objects.filter(source="bulk").count() == 3
    (listed,) = reviewer.get(f"labeling/queues/{queue.pk}/bulk").json()["results"]
    assert (listed["bulk"], listed["made_by"]) == (made.json()["bulk"], "reviewer")
    wrong = reviewer.post(f"labeling/queues/{queue.pk}/bulk", {**body, "value": {"label": 1}})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "schema_violation")
    other = create_dataset(name="other", actor=None, default_type=queue.example_type)
    stranger = api_of(None, name="stranger")
    Membership.objects.create(dataset=other, user=person("stranger"), role=Role.REVIEWER)
    hidden = stranger.post(f"labeling/bulk/{made.json()['bulk']}/undo")
    assert (hidden.status_code, hidden.json()["code"]) == (404, "unknown_bulk")
    undone = reviewer.post(f"labeling/bulk/{made.json()['bulk']}/undo").json()
    assert undone == {"taken_back": 3, "changed": 0, "decided": 0}
    assert not Label.objects.exists()
    twice = reviewer.post(f"labeling/bulk/{made.json()['bulk']}/undo")
    assert (twice.status_code, twice.json()["code"]) == (409, "bulk_undone")


def test_similar__example_and_text_at_once__is_refused(reviewer: Api, queue: LabelingQueue) -> None:
    address = f"labeling/queues/{queue.pk}/similar?example={queue.pk}&like=x"
    answer = reviewer.get(address)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_input")
