"""Two reviewers do not work on the same case: whoever opens it has it for a while, and can be asked to let go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets_app.models import AuditEvent
from goldenproject.kit.clock import frozen, now
from goldenproject.kit.errors import Forbidden
from labeling_app.errors import AlreadyDecided, ReviewClaimed
from labeling_app.models import LabelingQueue, Review, ReviewClaim
from labeling_app.services.review_claims import (
    CLAIM_S,
    claim_next,
    claim_review,
    live_claim,
    release_claims,
    renew_claims,
)
from labeling_app.services.reviewing import decide, next_reviews, open_review, undo_decision
from tests.integration.labeling.labeling_data import item_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(queue_factory: Callable[..., LabelingQueue]) -> LabelingQueue:
    """A queue in which t1, t2 … t5 are to be reviewed, in this order."""
    made: LabelingQueue = queue_factory("topics")
    for number in range(1, 6):
        open_review(
            queue=made,
            item_id=item_of(made, f"t{number}").pk,
            reason="flagged",
            detail="x: odd",
            score=number,
        )
    return made


@pytest.fixture
def reviewers(person: Callable[..., Any]) -> tuple[Any, Any]:
    return person("reviewer"), person("reviewer", name="second-reviewer")


def _names(reviews: Any) -> list[str]:
    return [review.item.example.external_id for review in reviews]


def _review(queue: LabelingQueue, name: str = "t1") -> Review:
    return Review.objects.get(queue=queue, item__example__external_id=name)


# --- who has what
def test_claim_next__two_reviewers__each_gets_what_the_other_has_not(
    queue: LabelingQueue, reviewers: tuple[Any, Any]
) -> None:
    first, second = reviewers
    assert _names(claim_next(queue, first, count=2)) == ["t1", "t2"]
    assert _names(claim_next(queue, second, count=2)) == ["t3", "t4"]
    assert _names(claim_next(queue, first, count=2)) == ["t1", "t2"], "one's own come again"
    assert _names(claim_next(None, second, but=[_review(queue, "t3").pk], count=9)) == ["t4", "t5"]
    assert claim_next(queue, second, reason="changed") == []
    assert _names(next_reviews(queue, first, free=True)) == ["t1", "t2"]
    assert len(next_reviews(queue, first)) == 5, "the list has them all"


def test_claim__of_one_who_went_away__ends_by_itself(
    queue: LabelingQueue, reviewers: tuple[Any, Any]
) -> None:
    first, second = reviewers
    (review,) = claim_next(queue, first)
    with frozen(now() + timedelta(seconds=CLAIM_S - 5)):
        assert _names(claim_next(queue, second)) == ["t2"]
        assert renew_claims(review_ids=[review.pk], actor=first) == [review.pk]
    with frozen(now() + timedelta(seconds=CLAIM_S + 5)):
        assert live_claim(review.pk) is not None, "the sign of life counts"
    with frozen(now() + timedelta(seconds=2 * CLAIM_S)):
        assert live_claim(review.pk) is None
        assert _names(claim_next(queue, second)) == ["t1"]
        claim = ReviewClaim.objects.get(review=review)
        assert (claim.reviewer, claim.taken_from) == (second, None), "nothing was taken from anybody"
        assert renew_claims(review_ids=[review.pk], actor=first) == []


def test_claim_review__held_by_another__is_refused_with_who_and_until_when(
    queue: LabelingQueue, reviewers: tuple[Any, Any]
) -> None:
    first, second = reviewers
    review = _review(queue)
    claim = claim_review(review_id=review.pk, actor=first)
    with pytest.raises(ReviewClaimed) as told:
        claim_review(review_id=review.pk, actor=second)
    assert told.value.message == f"reviewer has this review open, until {claim.until:%H:%M} UTC."
    assert told.value.details == {"claimed_by": "reviewer", "claimed_until": claim.until.isoformat()}
    assert claim_review(review_id=review.pk, actor=first).until >= claim.until
    release_claims(review_ids=[review.pk], actor=second)
    assert live_claim(review.pk) is not None, "nobody gives back what another has"
    release_claims(review_ids=[review.pk], actor=first)
    assert claim_review(review_id=review.pk, actor=second).reviewer == second


def test_claim_review__taken_over__the_former_holder_is_told_when_deciding(
    queue: LabelingQueue, reviewers: tuple[Any, Any]
) -> None:
    first, second = reviewers
    review = _review(queue)
    claim_review(review_id=review.pk, actor=first)
    claim = claim_review(review_id=review.pk, actor=second, take_over=True)
    assert (claim.reviewer, claim.taken_from) == (second, first)
    with pytest.raises(ReviewClaimed, match="second-reviewer took this review over from you, and has it"):
        decide(review_id=review.pk, actor=first, outcome="kept")
    review.refresh_from_db()
    assert review.outcome == ""
    (event,) = AuditEvent.objects.filter(action="labels.review_taken_over")
    assert (event.actor, event.summary) == (second, "t1 in topics: reviewer had the review open")
    assert decide(review_id=review.pk, actor=second, outcome="kept").outcome == "kept"
    assert not ReviewClaim.objects.exists(), "deciding gives the claim back"


def test_decide__without_a_claim__works_unless_another_has_it(
    queue: LabelingQueue, reviewers: tuple[Any, Any]
) -> None:
    first, second = reviewers
    review = _review(queue)
    decide(review_id=review.pk, actor=first, outcome="kept")
    undo_decision(review_id=review.pk, actor=second)
    claim_review(review_id=review.pk, actor=second)
    with pytest.raises(ReviewClaimed):
        decide(review_id=review.pk, actor=first, outcome="kept")
    with frozen(now() + timedelta(seconds=CLAIM_S + 1)):
        assert decide(review_id=review.pk, actor=first, outcome="kept").decided_by == first


def test_claim__of_a_decided_review__is_refused(queue: LabelingQueue, reviewers: tuple[Any, Any]) -> None:
    first, second = reviewers
    review = _review(queue)
    decide(review_id=review.pk, actor=first, outcome="kept")
    with pytest.raises(AlreadyDecided):
        claim_review(review_id=review.pk, actor=second, take_over=True)
    assert renew_claims(review_ids=[review.pk], actor=second) == []
    assert not ReviewClaim.objects.exists()


def test_claim__by_who_may_not_review__is_refused(queue: LabelingQueue, person: Callable[..., Any]) -> None:
    review = _review(queue)
    for actor in (person("labeler"), None):
        with pytest.raises(Forbidden):
            claim_review(review_id=review.pk, actor=actor)
    assert renew_claims(review_ids=[review.pk], actor=person("labeler")) == []
    assert not ReviewClaim.objects.exists()


# --- the page
def _page(queue: LabelingQueue, reviewer: Any) -> tuple[Client, str]:
    client = Client()
    client.force_login(reviewer)
    return client, reverse("label_review", args=[queue.pk])


def _ask(client: Client, address: str, **asked: Any) -> dict[str, Any]:
    return client.post(address, asked, content_type="application/json").json()


def test_page__two_reviewers__are_given_different_cases_and_the_list_tells_who_has_which(
    queue: LabelingQueue, reviewers: tuple[Any, Any]
) -> None:
    (one, address), (two, _) = _page(queue, reviewers[0]), _page(queue, reviewers[1])
    first = one.get(address).context["config"]
    second = two.get(address).context["config"]
    assert [case["name"] for case in first["cases"]] == ["t1", "t2"]
    assert [case["name"] for case in second["cases"]] == ["t3", "t4"]
    assert (second["counts"]["open"], second["counts"]["elsewhere"]) == (5, 2)
    rows = one.get(address, {"view": "list"}).context["rows"]
    assert [(row.name, row.open_with) for row in rows] == [
        ("t1", ""),
        ("t2", ""),
        ("t3", "second-reviewer"),
        ("t4", "second-reviewer"),
        ("t5", ""),
    ]
    shown = two.get(address, {"view": "list"}).content.decode()
    assert shown.count("reviewer has it open now") == 2


def test_page__a_case_of_another__is_shown_to_be_read_and_can_be_taken_over(
    queue: LabelingQueue, reviewers: tuple[Any, Any]
) -> None:
    (one, address), (two, _) = _page(queue, reviewers[0]), _page(queue, reviewers[1])
    review = _review(queue)
    one.get(address)
    case = two.get(address, {"review": review.pk}).context["config"]["cases"][0]
    assert (case["name"], case["elsewhere"].partition(",")[0]) == ("t1", "reviewer has this review open")
    refused = _ask(two, address, do="decide", review=review.pk, outcome="kept")
    assert refused["code"] == "review_claimed"
    taken = _ask(two, address, do="take_over", review=review.pk, open=review.pk)
    assert (taken["done"], taken["cases"][0]["name"], taken["cases"][0]["elsewhere"]) == (None, "t1", "")
    held = _ask(one, address, do="hold", hold=[review.pk, _review(queue, "t2").pk])
    assert held == {"held": [_review(queue, "t2").pk], "decided": []}
    shown = _ask(one, address, do="look", open=review.pk)["cases"][0]
    assert shown["elsewhere"].startswith("second-reviewer took this review over from you")
    _ask(two, address, do="decide", review=review.pk, outcome="kept")
    assert _ask(one, address, do="hold", hold=[review.pk]) == {"held": [], "decided": [review.pk]}


def test_page__left__gives_its_cases_back(queue: LabelingQueue, reviewers: tuple[Any, Any]) -> None:
    client, address = _page(queue, reviewers[0])
    cases = client.get(address).context["config"]["cases"]
    passed = _ask(
        client,
        address,
        do="look",
        but=[case["review"] for case in cases],
        leave=[cases[0]["review"]],
        count=1,
    )
    assert [case["name"] for case in passed["cases"]] == ["t3"]
    held = ReviewClaim.objects.order_by("review").values_list("review__item__example__external_id", flat=True)
    assert list(held) == ["t2", "t3"]
    _ask(client, address, do="hold", leave=[review.pk for review in Review.objects.all()])
    assert not ReviewClaim.objects.exists()


@pytest.mark.parametrize("body", [{"do": "hold", "hold": "all"}, {"do": "hold", "hold": ["x", None]}])
def test_page__nonsense__holds_nothing(
    queue: LabelingQueue, reviewers: tuple[Any, Any], body: dict[str, Any]
) -> None:
    client, address = _page(queue, reviewers[0])
    assert _ask(client, address, **body) == {"held": [], "decided": []}
