"""Prelabels of a queue, by models and rules."""

from __future__ import annotations

import uuid

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import AnyJson, operation
from datasets_app.domain.roles import Action
from labeling_app.api.base import QueueView
from labeling_app.api.queues import CountOut
from labeling_app.services.suggestions import (
    MAX_SOURCE,
    MOST_AT_ONCE,
    Suggested,
    remove_suggestions,
    set_suggestions,
)


class SuggestedBody(serializers.Serializer):
    """What is suggested for an example."""

    example = serializers.UUIDField()
    value = AnyJson(allow_null=True)
    confidence = serializers.FloatField(
        min_value=0, max_value=1, required=False, allow_null=True, default=None
    )


class SuggestionsBody(serializers.Serializer):
    """Suggestions of one model or rule. They replace those that it made for the same examples before."""

    source = serializers.CharField(max_length=MAX_SOURCE)  # type: ignore[assignment]
    suggestions = SuggestedBody(many=True, max_length=MOST_AT_ONCE)  # type: ignore[call-arg]


class SourceQuery(serializers.Serializer):
    """Whose suggestions."""

    source = serializers.CharField(max_length=MAX_SOURCE)  # type: ignore[assignment]


class SuggestionsView(QueueView):
    actions = {"PUT": Action.IMPORT, "DELETE": Action.IMPORT}
    throttle_scope = "bulk"

    @operation(
        "labeling_suggestions_write",
        "Suggest answers to labelers",
        tag="labeling",
        body=SuggestionsBody,
        answer=CountOut,
    )
    def put(self, request: Request, queue: uuid.UUID) -> Response:
        body = self.body(SuggestionsBody)
        count = set_suggestions(
            queue=self.queue,
            source=body["source"],
            suggestions=[Suggested(**one) for one in body["suggestions"]],
            actor=request.user,
        )
        return Response({"examples": count})

    @operation(
        "labeling_suggestions_delete",
        "Take away the suggestions of a model or rule",
        tag="labeling",
        query=SourceQuery,
        answer=CountOut,
    )
    def delete(self, request: Request, queue: uuid.UUID) -> Response:
        source = self.query(SourceQuery)["source"]
        count = remove_suggestions(queue=self.queue, source=source, actor=request.user)
        return Response({"examples": count})
