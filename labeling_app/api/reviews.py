"""Reviews: the disagreements, flags and doubts that a reviewer decides."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import AnyJson, JsonObject, operation
from datasets_app.api.errors import InvalidCursor
from datasets_app.api.paging import PageQuery, cut, decode_cursor, paged
from datasets_app.domain.roles import Action
from datasets_app.services import access
from labeling_app.api.base import QueueView
from labeling_app.api.labels import LARGEST_ID
from labeling_app.api.shapes import MAX_NOTES
from labeling_app.models import Review
from labeling_app.services.review_claims import claim_review, live_claims, release_claims
from labeling_app.services.reviewing import (
    UnknownReview,
    case_of,
    decide,
    get_review,
    next_reviews,
    undo_decision,
)

DECISIONS = [choice for choice in Review.Outcome.choices if choice[0] not in ("", Review.Outcome.SETTLED)]


class ReviewQuery(PageQuery):
    """Which open reviews: of one queue, for one reason."""

    queue = serializers.UUIDField(required=False, default=None)
    reason = serializers.ChoiceField(Review.Reason.choices, required=False, default="")
    free = serializers.BooleanField(
        required=False, default=False, help_text="Without those that another reviewer has open now."
    )


class ReviewOut(serializers.Serializer):
    """A question to a reviewer. The lowest score comes first. `claimed_by` has it open now, until `claimed_until`."""

    review = serializers.IntegerField(source="pk")
    queue = serializers.UUIDField(source="queue_id")
    example = serializers.UUIDField(source="item.example_id")
    external_id = serializers.CharField(source="item.example.external_id", allow_null=True)
    reason = serializers.ChoiceField(Review.Reason.choices)
    detail = serializers.CharField(allow_blank=True)
    score = serializers.FloatField()
    opened_at = serializers.DateTimeField()
    claimed_by = serializers.CharField(source="live.reviewer.username", default=None, allow_null=True)
    claimed_until = serializers.DateTimeField(source="live.until", default=None, allow_null=True)


class CaseOut(serializers.Serializer):
    """A review with the example, its labels side by side, and what they say together.

    `fingerprint` changes when the example or a label does; sent back as `seen` it guards a decision.
    """

    review = serializers.IntegerField()
    queue = serializers.UUIDField()
    example = serializers.UUIDField()
    external_id = serializers.CharField(allow_null=True)
    reason = serializers.ChoiceField(Review.Reason.choices)
    detail = serializers.CharField(allow_blank=True)
    score = serializers.FloatField()
    outcome = serializers.ChoiceField(Review.Outcome.choices, allow_blank=True)
    input = JsonObject(allow_null=True)
    status = serializers.CharField(allow_null=True)
    current = AnyJson()
    labels = serializers.ListField(child=JsonObject())
    consensus = JsonObject(allow_null=True)
    suggestion = AnyJson()
    suggestions = serializers.ListField(child=JsonObject())
    fingerprint = serializers.CharField()
    claimed_by = serializers.CharField(allow_null=True)
    claimed_until = serializers.DateTimeField(allow_null=True)


class ClaimBody(serializers.Serializer):
    """Whether the review is taken from whoever has it open now."""

    take_over = serializers.BooleanField(required=False, default=False)


class ClaimOut(serializers.Serializer):
    """Who has a review open, and until when; claim it again before that to keep it."""

    review = serializers.IntegerField(source="review_id")
    claimed_by = serializers.CharField(source="reviewer.username")
    claimed_until = serializers.DateTimeField(source="until")


class DecisionBody(serializers.Serializer):
    """A decision. `value` is for `adopted` and `third_answer`; `rejected` and `sent_back` need a comment."""

    outcome = serializers.ChoiceField(DECISIONS)
    value = AnyJson(required=False, allow_null=True, default=None)
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=MAX_NOTES)
    seen = serializers.CharField(required=False, allow_null=True, default=None, max_length=200)


class UndoBody(serializers.Serializer):
    """Why a decision is taken back."""

    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=MAX_NOTES)


class DecidedOut(serializers.Serializer):
    """A review and how it stands."""

    review = serializers.IntegerField(source="pk")
    outcome = serializers.ChoiceField(Review.Outcome.choices, allow_blank=True)
    value = AnyJson()
    comment = serializers.CharField(allow_blank=True)
    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)


class ReviewsView(QueueView):
    actions = {"GET": Action.REVIEW}

    @operation(
        "labeling_reviews_list",
        "Open reviews, lowest agreement first",
        tag="labeling",
        query=ReviewQuery,
        answer=paged(ReviewOut),
    )
    def get(self, request: Request) -> Response:
        query = self.query(ReviewQuery)
        queue = None if query["queue"] is None else self.visible_queue(query["queue"])
        rows = next_reviews(queue, request.user, reason=query["reason"], free=query["free"])
        after = decode_cursor(query["cursor"], list)
        if after is not None:
            score, key = _place(after)
            rows = rows.filter(Q(score__gt=score) | Q(score=score, pk__gt=key))
        found = list(rows[: query["limit"] + 1])
        page, cursor = cut(found, query["limit"], lambda row: [row.score, row.pk])
        claims = live_claims(row.pk for row in page)
        for row in page:
            row.live = claims.get(row.pk)
        return self.page(page, ReviewOut, cursor)


class ReviewView(QueueView):
    actions = {"GET": Action.REVIEW}

    @operation("labeling_reviews_read", "A review with its labels", tag="labeling", answer=CaseOut)
    def get(self, request: Request, review: int) -> Response:
        return Response(case_of(visible_review(self, review)).document())


class ClaimView(QueueView):
    actions = {"POST": Action.REVIEW}

    @operation(
        "labeling_reviews_claim",
        "Claim a review for some minutes",
        tag="labeling",
        body=ClaimBody,
        answer=ClaimOut,
    )
    def post(self, request: Request, review: int) -> Response:
        found = visible_review(self, review)
        claim = claim_review(
            review_id=found.pk, actor=request.user, take_over=self.body(ClaimBody)["take_over"]
        )
        return Response(ClaimOut(claim).data)


class ReleaseReviewView(QueueView):
    actions = {"POST": Action.REVIEW}

    @operation("labeling_reviews_release", "Give a claim back", tag="labeling", status=204)
    def post(self, request: Request, review: int) -> Response:
        found = visible_review(self, review)
        release_claims(review_ids=[found.pk], actor=request.user)
        return Response(status=204)


class DecideView(QueueView):
    actions = {"POST": Action.REVIEW}

    @operation(
        "labeling_reviews_decide",
        "Decide a review",
        tag="labeling",
        body=DecisionBody,
        answer=DecidedOut,
    )
    def post(self, request: Request, review: int) -> Response:
        body = self.body(DecisionBody)
        found = visible_review(self, review)
        return Response(DecidedOut(decide(review_id=found.pk, actor=request.user, **body)).data)


class UndoDecisionView(QueueView):
    actions = {"POST": Action.REVIEW}

    @operation(
        "labeling_reviews_undo", "Take a decision back", tag="labeling", body=UndoBody, answer=DecidedOut
    )
    def post(self, request: Request, review: int) -> Response:
        comment = self.body(UndoBody)["comment"]
        found = visible_review(self, review)
        done = undo_decision(review_id=found.pk, actor=request.user, comment=comment)
        return Response(DecidedOut(done).data)


def visible_review(view: QueueView, key: int) -> Review:
    """Return a review that the caller may decide. Raises UnknownReview, the same for absent and hidden ones."""
    if key <= LARGEST_ID:
        try:
            review = get_review(key)
        except UnknownReview:
            review = None
        if review is not None and access.may(view.request.user, Action.REVIEW, review.queue.dataset):
            return review
    raise UnknownReview(f"There is no review {key} that you may decide.")


def _place(cursor: list[Any]) -> tuple[float, int]:
    if len(cursor) == 2 and isinstance(cursor[0], int | float) and type(cursor[1]) is int:
        return float(cursor[0]), min(max(cursor[1], 0), LARGEST_ID)
    raise InvalidCursor(hint="Give `next_cursor` of the page before, unchanged.")
