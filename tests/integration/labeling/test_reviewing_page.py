"""The pages of reviewers: what they show, what they take in, and whom they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from datasets_app.models import JobRun, Membership
from datasets_app.services.jobs.kinds import kind_of
from labeling_app.models import LabelingQueue, Review
from labeling_app.services.settling import settle
from tests.integration.labeling.settling_data import contacts, give, person, queue_of, row_of

pytestmark = pytest.mark.django_db


def _client(queue: LabelingQueue | None, role: str, name: str = "reviewer") -> Client:
    user = person(name)
    user.is_staff = True
    user.save()
    if queue is None:
        user.groups.add(Group.objects.get(name=role))
    else:
        Membership.objects.create(dataset=queue.dataset, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


def _disputed(queue: LabelingQueue, external_id: str = "c1") -> Review:
    item = give(queue, external_id, "B", "A", notes="I know it.")
    settle(queue=queue, item_ids=[item.pk], actor=None)
    return Review.objects.get(item=item)


def _config(response: Any) -> dict[str, Any]:
    return response.context["config"]


def test_one__lowest_agreement_first__is_given_with_the_next_and_its_form() -> None:
    queue = queue_of(contacts(count=3))
    reviews = [_disputed(queue, name) for name in ("c1", "c2", "c3")]
    client = _client(queue, "reviewer")
    config = _config(client.get(reverse("label_review", args=[queue.pk])))
    assert [case["name"] for case in config["cases"]] == ["c1", "c2"]
    assert (config["counts"]["open"], config["all_queues"]) == (3, False)
    case = config["cases"][0]
    assert case["input"] == {"title": "Engineer 1"}
    assert [(one["annotator"], one["value"], one["notes"]) for one in case["labels"]] == [
        ("labeler-1", "B", "I know it."),
        ("labeler-2", "A", "I know it."),
    ]
    form = config["forms"][case["queue"]]
    assert [control["kind"] for control in form["controls"]] == ["choice"]
    asked = client.get(reverse("label_reviews"), {"review": reviews[2].pk})
    assert [case["name"] for case in _config(asked)["cases"]] == ["c3", "c1"]


def test_answer__decide__does_it_and_brings_what_comes_next() -> None:
    queue = queue_of(contacts(count=3))
    reviews = [_disputed(queue, name) for name in ("c1", "c2", "c3")]
    client = _client(queue, "reviewer")
    address = reverse("label_review", args=[queue.pk])
    body = {
        "do": "decide",
        "review": reviews[0].pk,
        "outcome": "adopted",
        "value": "A",
        "but": [reviews[1].pk],
    }
    told = client.post(address, body, content_type="application/json").json()
    assert told["done"] == {
        "review": reviews[0].pk,
        "name": "c1",
        "outcome": "adopted",
        "said": "a label was adopted",
    }
    assert ([case["name"] for case in told["cases"]], told["counts"]["open"]) == (["c3"], 2)
    assert row_of(reviews[0].item).expected_output == {"tier": "A"}
    again = client.post(address, body, content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")
    undone = client.post(
        address,
        {"do": "undo", "review": reviews[0].pk, "open": reviews[0].pk},
        content_type="application/json",
    ).json()
    assert [case["name"] for case in undone["cases"]] == ["c1", "c2"]
    assert row_of(reviews[0].item).expected_output is None


@pytest.mark.parametrize(
    "body",
    ["[]", "{", '{"do": "nothing"}', '{"do": "decide", "review": "x"}', '{"do": "decide", "review": 1e400}'],
)
def test_answer__nonsense__is_told_as_json(body: str) -> None:
    queue = queue_of(contacts())
    client = _client(queue, "reviewer")
    response = client.post(reverse("label_review", args=[queue.pk]), body, content_type="application/json")
    assert (response.status_code, "message" in response.json()) == (400, True)


def test_answer__review_of_another_dataset__is_refused() -> None:
    mine, other = queue_of(contacts()), queue_of(contacts(name="others"), name="others")
    foreign = _disputed(other)
    client = _client(mine, "reviewer")
    address = reverse("label_review", args=[mine.pk])
    for body in (
        {"do": "decide", "review": foreign.pk, "outcome": "adopted", "value": "A"},
        {"do": "undo", "review": foreign.pk},
        {"do": "look", "open": foreign.pk},
    ):
        assert client.post(address, body, content_type="application/json").status_code == 403
    assert client.get(address, {"review": foreign.pk}).status_code == 403
    foreign.refresh_from_db()
    assert foreign.outcome == ""


@pytest.mark.parametrize(("role", "status"), [("labeler", 403), ("viewer", 403), ("reviewer", 200)])
def test_pages__by_role__only_reviewers_see_labels(role: str, status: int) -> None:
    queue = queue_of(contacts())
    _disputed(queue)
    client = _client(queue, role, name=role)
    for view in ("one", "list", "decided"):
        for address in (reverse("label_reviews"), reverse("label_review", args=[queue.pk])):
            assert client.get(address, {"view": view}).status_code == status, (view, address)


def test_list__of_all_queues__shows_answers_and_filters_by_reason() -> None:
    queue = queue_of(contacts(count=2))
    _disputed(queue)
    other = queue_of(contacts(name="others"), name="others", adopts="never")
    item = give(other, "c1", "C", "C")
    settle(queue=other, item_ids=[item.pk], actor=None)
    client = _client(None, "reviewer")
    response = client.get(reverse("label_reviews"), {"view": "list"})
    rows = response.context["rows"]
    assert [(row.name, row.agreement, [(a[0], a[2]) for a in row.answers]) for row in rows] == [
        ("c1", "0 %", [("B", 1), ("A", 1)]),
        ("c1", "100 %", [("C", 2)]),
    ]
    assert [name for name, _, _ in response.context["queues"]] == ["tiers · contacts", "others · others"]
    found = client.get(reverse("label_reviews"), {"view": "list", "reason": "check"}).context["rows"]
    assert [row.review.queue for row in found] == [other]


def test_decided__undo__opens_the_review_again() -> None:
    queue = queue_of(contacts())
    review = _disputed(queue)
    client = _client(queue, "reviewer")
    address = reverse("label_review", args=[queue.pk])
    body = {
        "do": "decide",
        "review": review.pk,
        "outcome": "third_answer",
        "value": "D",
        "comment": "see title",
    }
    assert client.post(address, body, content_type="application/json").status_code == 200
    page = client.get(address, {"view": "decided"})
    (row,) = page.context["rows"]
    assert (row.decision, row.answers[0][0], row.is_undoable) == ("Another answer", "D", True)
    assert "see title" in page.content.decode()
    client.post(address, {"do": "undo", "review": review.pk})
    review.refresh_from_db()
    assert review.outcome == ""


def test_recompute__pressed__starts_the_job() -> None:
    queue = queue_of(contacts())
    client = _client(queue, "reviewer")
    client.post(reverse("label_review", args=[queue.pk]), {"do": "recompute"})
    job = JobRun.objects.get(kind="label_consensus")
    assert job.arguments == {"queue": str(queue.pk)}
    kind = kind_of("label_consensus")
    assert kind.work(job, lambda *told: None) == {"items": 0, "adopted": 0, "in_review": 0}  # type: ignore[arg-type]
    assert kind.links(job) == [("Review", f"/admin/label/{queue.pk}/review/")]


def test_pages__many_reviews__as_many_queries_as_for_few() -> None:
    queue = queue_of(contacts(count=12))
    _disputed(queue)
    client = _client(queue, "reviewer")
    address = reverse("label_review", args=[queue.pk])
    counts = []
    for names in (["c2"], [f"c{n}" for n in range(3, 13)]):
        for name in names:
            _disputed(queue, name)
        with CaptureQueriesContext(connection) as found:
            client.get(address, {"view": "list"})
        counts.append(len(found))
    assert counts[0] == counts[1] <= 20
