"""Reviewers and labelers at the same moment: one decision counts, the other is told; nothing waits for ever."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.contrib.auth.models import Group

from datasets_app.models import Example
from labeling_app.errors import AlreadyDecided, LabeledSince, LeaseLost, ReviewClaimed
from labeling_app.models import LabelHistory, LabelingQueue, Review, ReviewClaim
from labeling_app.services.review_claims import claim_next, claim_review
from labeling_app.services.reviewing import decide, undo_decision
from labeling_app.services.settling import settle, unadopt
from labeling_app.services.submitting import submit_label
from labeling_app.services.verifying import verify_labels
from tests.integration.labeling.labeling_data import answer, take
from tests.integration.labeling.settling_data import person
from tests.integration.labeling.test_at_once import made_queue, people
from tests.integration.threads import at_once

pytestmark = pytest.mark.usefixtures("committed_db")


def _disputed(rows: int) -> tuple[LabelingQueue, list[Review]]:
    queue = made_queue(rows, overlap=2)
    first, second = people(2)
    for _ in range(rows):
        answer(queue, first, "fees")
        answer(queue, second, "refund")
    return queue, list(Review.objects.order_by("pk"))


def _reviewers(count: int) -> list[Any]:
    made = [person(f"reviewer-{number}") for number in range(1, count + 1)]
    for one in made:
        one.groups.add(Group.objects.get(name="reviewer"))
    return made


def test_decide__six_reviewers_at_once__one_decides_and_the_others_are_told() -> None:
    _, (review,) = _disputed(1)
    answers = ["fees", "refund"] * 3
    found = at_once(
        *(
            lambda one=one, value=value: decide(
                review_id=review.pk, actor=one, outcome="adopted", value={"label": value}
            )
            for one, value in zip(_reviewers(6), answers, strict=True)
        )
    )
    kinds = Counter(type(one).__name__ for one in found)
    assert kinds == {"Review": 1, "AlreadyDecided": 5}
    assert {type(one) for one in found if isinstance(one, Exception)} == {AlreadyDecided}
    review.refresh_from_db()
    assert Example.objects.get().expected_output == review.value
    assert LabelHistory.objects.filter(event="adopted").count() == 1
    assert verify_labels(deep=True).errors == []


def test_decide__while_all_is_settled_and_taken_back__nobody_waits_for_ever() -> None:
    queue, reviews = _disputed(8)
    ids = [review.item_id for review in reviews]
    (reviewer,) = _reviewers(1)

    def decide_all() -> None:
        for review in reversed(reviews):
            decide(review_id=review.pk, actor=reviewer, outcome="adopted", value={"label": "fees"})

    found = at_once(
        decide_all,
        lambda: [settle(queue=queue, item_ids=reversed(ids), actor=None) for _ in range(4)],
        lambda: [unadopt(queue=queue, item_ids=ids, actor=None) for _ in range(4)],
    )
    assert [one for one in found if isinstance(one, Exception)] == []
    adopted = Example.objects.exclude(expected_output=None).count()
    assert adopted == Review.objects.filter(outcome="adopted").count()
    assert verify_labels(deep=True).errors == []


def test_claim_next__six_reviewers_at_once__no_case_goes_to_two() -> None:
    queue, reviews = _disputed(9)
    found = at_once(*(lambda one=one: claim_next(queue, one, count=2) for one in _reviewers(6)))
    assert [one for one in found if isinstance(one, Exception)] == []
    given = [review.pk for part in found for review in part]
    assert sorted(given) == [review.pk for review in reviews], "nine cases for six who want two each"
    assert ReviewClaim.objects.count() == 9


def test_claim_review__taken_over_while_its_holder_decides__one_of_both_counts() -> None:
    _, reviews = _disputed(4)
    holder, other = _reviewers(2)
    for review in reviews:
        claim_review(review_id=review.pk, actor=holder)
        decided, taken = at_once(
            lambda pk=review.pk: decide(review_id=pk, actor=holder, outcome="kept"),
            lambda pk=review.pk: claim_review(review_id=pk, actor=other, take_over=True),
        )
        review.refresh_from_db()
        if review.outcome:
            assert isinstance(taken, AlreadyDecided), taken
            assert not ReviewClaim.objects.filter(review=review).exists()
        else:
            assert isinstance(decided, ReviewClaimed), decided
            assert taken.reviewer == other


def test_undo_decision__sent_back_while_a_labeler_answers__one_of_both_counts() -> None:
    queue, reviews = _disputed(3)
    (reviewer,) = _reviewers(1)
    labeler = person("labeler-1")
    for review in reviews:
        decide(review_id=review.pk, actor=reviewer, outcome="sent_back", comment="Read the rules.")
        (task,) = take(queue, labeler)
        undone, given = at_once(
            lambda pk=review.pk: undo_decision(review_id=pk, actor=reviewer),
            lambda lease=task.lease: submit_label(lease_id=lease, labeler=labeler, value={"label": "other"}),
        )
        review.refresh_from_db()
        if review.outcome:
            assert isinstance(undone, LabeledSince), undone
            assert review.item.label_count <= 1
        else:
            assert isinstance(given, LeaseLost) or given.label is not None, given
    assert verify_labels(deep=True).errors == []
