"""Gold answers of a queue, which labelers get as hidden checks; how labelers do, and who is paused."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth import get_user_model
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import AnyJson, JsonObject, operation
from datasets_app.api.paging import PageQuery, cut, decode_cursor, paged
from datasets_app.domain.roles import Action
from goldenproject.kit.errors import BadInput, NotFound
from labeling_app.api.base import QueueView
from labeling_app.api.queues import CountOut
from labeling_app.models import GoldAnswer
from labeling_app.services.gold import (
    MOST_AT_ONCE,
    gold_answers,
    let_go_on,
    pause_labeler,
    promote_unanimous,
    remove_gold,
    set_gold,
)
from labeling_app.services.scorecards import scorecards


class GoldOut(serializers.Serializer):
    """An answer that is known, and how often labelers were checked with it."""

    example = serializers.UUIDField(source="item.example_id")
    value = AnyJson()
    origin = serializers.ChoiceField(GoldAnswer.Origin.choices)
    explanation = serializers.CharField(allow_blank=True)
    checks = serializers.IntegerField()
    missed = serializers.IntegerField()
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField()


class GoldAnswerBody(serializers.Serializer):
    """The answer that is right for an example."""

    example = serializers.UUIDField()
    value = AnyJson(allow_null=True)


class GoldBody(serializers.Serializer):
    """Answers that are right."""

    answers = GoldAnswerBody(many=True, max_length=MOST_AT_ONCE)  # type: ignore[call-arg]
    explanation = serializers.CharField(required=False, allow_blank=True, default="", max_length=10_000)


class ExampleQuery(serializers.Serializer):
    """Which example."""

    example = serializers.UUIDField()


class GoldView(QueueView):
    actions = {"GET": Action.REVIEW, "PUT": Action.REVIEW, "DELETE": Action.REVIEW}

    @operation(
        "labeling_gold_list",
        "Gold answers of a queue",
        tag="labeling",
        query=PageQuery,
        answer=paged(GoldOut),
    )
    def get(self, request: Request, queue: uuid.UUID) -> Response:
        query = self.query(PageQuery)
        rows = gold_answers(self.queue).select_related("item", "created_by")
        after = decode_cursor(query["cursor"], int)
        if after is not None:
            rows = rows.filter(pk__gt=after)
        page, cursor = cut(
            list(rows.order_by("pk")[: query["limit"] + 1]), query["limit"], lambda row: row.pk
        )
        return self.page(page, GoldOut, cursor)

    @operation(
        "labeling_gold_write",
        "Make examples hidden checks, or change their answers",
        tag="labeling",
        body=GoldBody,
        answer=CountOut,
    )
    def put(self, request: Request, queue: uuid.UUID) -> Response:
        body = self.body(GoldBody)
        answers = {one["example"]: one["value"] for one in body["answers"]}
        count = set_gold(
            queue=self.queue, answers=answers, actor=request.user, explanation=body["explanation"]
        )
        return Response({"examples": count})

    @operation(
        "labeling_gold_delete",
        "Let a hidden check be an example like all others",
        tag="labeling",
        query=ExampleQuery,
        status=204,
    )
    def delete(self, request: Request, queue: uuid.UUID) -> Response:
        example = self.query(ExampleQuery)["example"]
        if not remove_gold(queue=self.queue, example_ids=[example], actor=request.user):
            raise NotFound(f"The queue has no gold answer for the example {example}.")
        return Response(status=204)


class PromoteBody(serializers.Serializer):
    """How many labelers must all agree for their answer to be gold, and how many examples at the most."""

    at_least = serializers.IntegerField(min_value=2, max_value=50, required=False, default=2)
    limit = serializers.IntegerField(min_value=1, max_value=MOST_AT_ONCE, required=False, default=None)


class PromoteView(QueueView):
    actions = {"POST": Action.REVIEW}

    @operation(
        "labeling_gold_promote",
        "Make gold of what labelers agree on",
        tag="labeling",
        body=PromoteBody,
        answer=CountOut,
    )
    def post(self, request: Request, queue: uuid.UUID) -> Response:
        count = promote_unanimous(queue=self.queue, actor=request.user, **self.body(PromoteBody))
        return Response({"examples": count})


class ScorecardOut(serializers.Serializer):
    """How a labeler does. Shares are {"value", "low", "high", "n"} with 95 % intervals, null where nothing was counted."""

    annotator = serializers.CharField()
    labels = serializers.IntegerField()
    labels_per_hour = serializers.FloatField(allow_null=True)
    median_s = serializers.FloatField(allow_null=True)
    hours = serializers.FloatField()
    gold = JsonObject(allow_null=True)
    agreement = JsonObject(allow_null=True)
    sessions = serializers.IntegerField()
    skipped = serializers.IntegerField()
    flagged = serializers.IntegerField()
    undone = serializers.IntegerField()
    last_at = serializers.DateTimeField(allow_null=True)
    paused_at = serializers.DateTimeField(allow_null=True)
    pause_reason = serializers.CharField(allow_blank=True)
    weeks = serializers.ListField(child=JsonObject())


class ScorecardsOut(serializers.Serializer):
    """All labelers of a queue."""

    results = ScorecardOut(many=True)


class ScorecardQuery(serializers.Serializer):
    """Since when, and of whom."""

    since = serializers.DateTimeField(required=False, default=None)
    annotator = serializers.CharField(required=False, default=None, max_length=200)


class ScorecardsView(QueueView):
    actions = {"GET": Action.REVIEW}

    @operation(
        "labeling_scorecards",
        "How the labelers of a queue do",
        tag="labeling",
        query=ScorecardQuery,
        answer=ScorecardsOut,
    )
    def get(self, request: Request, queue: uuid.UUID) -> Response:
        query = self.query(ScorecardQuery)
        cards = scorecards(self.queue, since=query["since"], annotator=query["annotator"])
        return Response({"results": [card.document() for card in cards]})


class PauseBody(serializers.Serializer):
    """A labeler, and the reason, which the labeler is told."""

    labeler = serializers.CharField(max_length=150)
    reason = serializers.CharField(max_length=2000)


class LabelerBody(serializers.Serializer):
    """A labeler."""

    labeler = serializers.CharField(max_length=150)


class PauseView(QueueView):
    actions = {"POST": Action.REVIEW}

    @operation(
        "labeling_labelers_pause", "Stop a labeler in a queue", tag="labeling", body=PauseBody, status=204
    )
    def post(self, request: Request, queue: uuid.UUID) -> Response:
        body = self.body(PauseBody)
        labeler = _person(body["labeler"])
        pause_labeler(queue=self.queue, labeler=labeler, actor=request.user, reason=body["reason"])
        return Response(status=204)


class GoOnView(QueueView):
    actions = {"POST": Action.REVIEW}

    @operation(
        "labeling_labelers_go_on",
        "Let a paused labeler go on",
        tag="labeling",
        body=LabelerBody,
        status=204,
    )
    def post(self, request: Request, queue: uuid.UUID) -> Response:
        labeler = _person(self.body(LabelerBody)["labeler"])
        let_go_on(queue=self.queue, labeler=labeler, actor=request.user)
        return Response(status=204)


def _person(name: str) -> Any:
    found = get_user_model().objects.filter(username=name).first()
    if found is None:
        raise BadInput(f"There is no user “{name}”.")
    return found
