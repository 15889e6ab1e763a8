"""Labels that were given: one's own, to look at, take back and flag; all of a queue, and its history, for reviewers."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import AnyJson, operation
from datasets_app.api.paging import PageQuery, cut, decode_cursor, paged
from datasets_app.domain.roles import Action
from labeling_app.api.base import IDEMPOTENCY_KEY, QueueView
from labeling_app.api.shapes import FlagBody, TaskAnswer
from labeling_app.models import Label, LabelHistory, Source
from labeling_app.services.annotators import annotated_by
from labeling_app.services.submitting import flag
from labeling_app.services.tasks import tells_names
from labeling_app.services.undoing import own_labels, undo_label

LARGEST_ID = 2**63 - 1


class UndoView(QueueView):
    actions = {"POST": Action.LABEL}

    @operation(
        "labeling_labels_undo",
        "Take your label back, and get the example again to correct it",
        tag="labeling",
        answer=TaskAnswer,
        headers=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request, label: int) -> Response:
        task = undo_label(label_id=label, labeler=request.user, key=self.idempotency_key())
        return Response({"task": task.document()})


class FlagLabelView(QueueView):
    actions = {"POST": Action.LABEL}

    @operation(
        "labeling_labels_flag",
        "Tell a reviewer something about an example that you labeled",
        tag="labeling",
        body=FlagBody,
        status=204,
        headers=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request, label: int) -> Response:
        comment = self.body(FlagBody)["comment"]
        flag(label_id=label, labeler=request.user, comment=comment, key=self.idempotency_key())
        return Response(status=204)


class MyLabelOut(serializers.Serializer):
    """A label of yours."""

    label = serializers.IntegerField(source="pk")  # type: ignore[assignment]
    example = serializers.UUIDField(source="example_id")
    external_id = serializers.CharField(source="example.external_id", allow_null=True)
    value = AnyJson()
    confidence = serializers.FloatField(allow_null=True)
    notes = serializers.CharField(allow_blank=True)
    source = serializers.ChoiceField(Source.choices)  # type: ignore[assignment]
    labeled_at = serializers.DateTimeField()


class MyLabelsQuery(serializers.Serializer):
    """Which of your labels: those before one of them, newest first."""

    limit = serializers.IntegerField(min_value=1, max_value=500, default=50)
    before = serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False, default=None)


class MyLabelsOut(serializers.Serializer):
    """Your labels, newest first. `before` leads to older ones; null at the end."""

    results = MyLabelOut(many=True)
    before = serializers.IntegerField(allow_null=True)


class MyLabelsView(QueueView):
    actions = {"GET": Action.LABEL}

    @operation(
        "labeling_my_labels",
        "Your own labels in a queue, newest first",
        tag="labeling",
        query=MyLabelsQuery,
        answer=MyLabelsOut,
    )
    def get(self, request: Request, queue: uuid.UUID) -> Response:
        query = self.query(MyLabelsQuery)
        found = own_labels(
            labeler=request.user, queue=self.queue, limit=query["limit"] + 1, before=query["before"]
        )
        page = found[: query["limit"]]
        before = page[-1].pk if len(found) > len(page) else None
        told = list(MyLabelOut(page, many=True).data)
        if not tells_names(self.queue, request.user):
            told = [{**one, "external_id": None} for one in told]
        return Response({"results": told, "before": before})


class LabelOut(serializers.Serializer):
    """What an annotator says of an example now."""

    label = serializers.IntegerField(source="pk")  # type: ignore[assignment]
    example = serializers.UUIDField(source="example_id")
    external_id = serializers.CharField(source="example.external_id", allow_null=True)
    annotator = serializers.CharField()
    value = AnyJson()
    confidence = serializers.FloatField(allow_null=True)
    notes = serializers.CharField(allow_blank=True)
    source = serializers.ChoiceField(Source.choices)  # type: ignore[assignment]
    duration_ms = serializers.IntegerField(allow_null=True)
    gold_correct = serializers.BooleanField(allow_null=True)
    labeled_at = serializers.DateTimeField()


class LabelFilter(PageQuery):
    """Which labels."""

    annotator = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)
    example = serializers.UUIDField(required=False, default=None)


class LabelsView(QueueView):
    actions = {"GET": Action.REVIEW}

    @operation(
        "labeling_labels_list",
        "All labels of a queue, in the order in which they were first given",
        tag="labeling",
        query=LabelFilter,
        answer=paged(LabelOut),
    )
    def get(self, request: Request, queue: uuid.UUID) -> Response:
        query = self.query(LabelFilter)
        rows = Label.objects.filter(queue=self.queue).select_related("example")
        page, cursor = _page(rows, query)
        return self.page(page, LabelOut, cursor)


class HistoryOut(serializers.Serializer):
    """Something that was said or done about an example."""

    id = serializers.IntegerField()
    example = serializers.UUIDField(source="example_id")
    session = serializers.UUIDField(source="session_id", allow_null=True)
    annotator = serializers.CharField()
    event = serializers.ChoiceField(LabelHistory.Event.choices)
    label_type = serializers.CharField()
    label_value = AnyJson()
    previous_value = AnyJson()
    labeled_at = serializers.DateTimeField()
    confidence = serializers.FloatField(allow_null=True)
    notes = serializers.CharField(allow_blank=True)
    source = serializers.ChoiceField(Source.choices)  # type: ignore[assignment]
    duration_ms = serializers.IntegerField(allow_null=True)


class HistoryView(QueueView):
    actions = {"GET": Action.REVIEW}

    @operation(
        "labeling_history",
        "Everything that was ever said in a queue, in order",
        tag="labeling",
        query=LabelFilter,
        answer=paged(HistoryOut),
    )
    def get(self, request: Request, queue: uuid.UUID) -> Response:
        query = self.query(LabelFilter)
        rows = LabelHistory.objects.filter(queue=self.queue)
        page, cursor = _page(rows, query)
        return self.page(page, HistoryOut, cursor)


def _page(rows: Any, query: dict[str, Any]) -> tuple[Any, str | None]:
    """Return a page of rows by id, as the query narrows them."""
    if query["annotator"]:
        rows = rows.filter(annotated_by(query["annotator"]))
    if query["example"]:
        rows = rows.filter(example=query["example"])
    after = decode_cursor(query["cursor"], int)
    if after is not None:
        rows = rows.filter(pk__gt=after)
    return cut(list(rows.order_by("pk")[: query["limit"] + 1]), query["limit"], lambda row: row.pk)
