"""Find similar examples, label them at once, take the batch back."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import AnyJson, JsonObject, operation
from datasets_app.api.paging import PageQuery, newest_first, paged
from datasets_app.domain.roles import Action
from datasets_app.services import access
from goldenproject.kit.errors import BadInput
from labeling_app.api.base import QueueView
from labeling_app.api.queues import MAX_EXAMPLES
from labeling_app.models import QueueItem
from labeling_app.services.bulk import UnknownBulk, bulks_of, get_bulk, label_in_bulk, undo_bulk
from labeling_app.services.similar import ItemFilter, filtered_examples, similar_examples


class SimilarQuery(serializers.Serializer):
    """Like which example or text, and what else must hold. Without either, what fits the filters in the queue's order."""

    example = serializers.UUIDField(required=False, default=None)
    like = serializers.CharField(required=False, allow_blank=True, default="", max_length=10_000)
    limit = serializers.IntegerField(min_value=1, max_value=500, default=100)
    text = serializers.CharField(required=False, allow_blank=True, default="", max_length=1000)
    status = serializers.CharField(required=False, allow_blank=True, default="", max_length=40)
    answer = serializers.CharField(required=False, allow_blank=True, default="", max_length=1000)
    suggested = serializers.CharField(required=False, allow_blank=True, default="", max_length=1000)
    at_least = serializers.FloatField(
        min_value=0, max_value=1, required=False, default=None, help_text="Confidence of what is suggested."
    )
    unlabeled_only = serializers.BooleanField(required=False, default=True)


class SimilarOut(serializers.Serializer):
    """An example that was found; `similarity` is null where only filters were asked for."""

    item = serializers.IntegerField()
    example = serializers.UUIDField()
    external_id = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(QueueItem.State.choices)
    labels = serializers.IntegerField()
    input = JsonObject()
    answer = serializers.CharField(allow_null=True)
    status = serializers.CharField()
    similarity = serializers.FloatField(allow_null=True)
    suggestion = JsonObject(allow_null=True)


class SimilarListOut(serializers.Serializer):
    """What was found, most similar first."""

    results = SimilarOut(many=True)


class SimilarView(QueueView):
    actions = {"GET": Action.REVIEW}

    @operation(
        "labeling_similar",
        "Examples of a queue that are like one, or that fit filters",
        tag="labeling",
        query=SimilarQuery,
        answer=SimilarListOut,
    )
    def get(self, request: Request, queue: uuid.UUID) -> Response:
        query = self.query(SimilarQuery)
        example, like, limit = query.pop("example"), query.pop("like"), query.pop("limit")
        which = ItemFilter(**query)
        if example is not None and like:
            raise BadInput("Found both `example` and `like`, expected one of them.")
        if example is None and not like:
            found, _ = filtered_examples(queue=self.queue, actor=request.user, which=which, limit=limit)
        else:
            found = similar_examples(
                queue=self.queue,
                actor=request.user,
                example_id=example,
                text=like,
                limit=limit,
                unlabeled_only=which.unlabeled_only,
                also=which,
            )
        return Response({"results": [one.document() for one in found]})


class LabelBulkBody(serializers.Serializer):
    """One answer for many examples. `rule` says how they were found, and is kept."""

    examples = serializers.ListField(
        child=serializers.UUIDField(), allow_empty=False, max_length=MAX_EXAMPLES
    )
    value = AnyJson(allow_null=True)
    rule = JsonObject(required=False, default=dict)


class LabelBulkOut(serializers.Serializer):
    """One answer that was given to many examples. `rule.left_out` counts what could not be labeled, by reason."""

    bulk = serializers.UUIDField(source="pk")
    value = AnyJson()
    rule = JsonObject()
    examples = serializers.IntegerField(source="example_count")
    made_by = serializers.CharField(source="made_by.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField()
    undone_at = serializers.DateTimeField(allow_null=True)


class LabelBulkView(QueueView):
    actions = {"GET": Action.REVIEW, "POST": Action.REVIEW}

    @operation(
        "labeling_bulk_list",
        "Bulk labelings of a queue, newest first",
        tag="labeling",
        query=PageQuery,
        answer=paged(LabelBulkOut),
    )
    def get(self, request: Request, queue: uuid.UUID) -> Response:
        page, cursor = newest_first(bulks_of(self.queue), self.query(PageQuery))
        return self.page(page, LabelBulkOut, cursor)

    @operation(
        "labeling_bulk_create",
        "Label many examples with one answer",
        tag="labeling",
        body=LabelBulkBody,
        answer=LabelBulkOut,
        status=201,
    )
    def post(self, request: Request, queue: uuid.UUID) -> Response:
        body = self.body(LabelBulkBody)
        bulk = label_in_bulk(
            queue=self.queue,
            example_ids=body["examples"],
            value=body["value"],
            actor=request.user,
            rule=body["rule"],
        )
        bulk.refresh_from_db(fields=["created_at"])
        return Response(LabelBulkOut(bulk).data, status=201)


class BulkUndoneOut(serializers.Serializer):
    """How many labels were taken back; those that were changed or decided since stay."""

    taken_back = serializers.IntegerField()
    changed = serializers.IntegerField()
    decided = serializers.IntegerField()


class UndoBulkView(QueueView):
    actions = {"POST": Action.REVIEW}

    @operation("labeling_bulk_undo", "Take a bulk labeling back", tag="labeling", answer=BulkUndoneOut)
    def post(self, request: Request, bulk: uuid.UUID) -> Response:
        found: Any = get_bulk(bulk)
        if not access.may(request.user, Action.REVIEW, found.queue.dataset):
            raise UnknownBulk
        return Response(undo_bulk(bulk=found, actor=request.user).document())
