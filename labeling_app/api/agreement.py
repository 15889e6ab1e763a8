"""How far labelers agree, what their labels say together, and the jobs that work it out anew."""

from __future__ import annotations

import uuid
from dataclasses import asdict

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import AnyJson, JsonObject, operation
from datasets_app.api.paging import PageQuery, cut, decode_cursor, paged
from datasets_app.api.site import JobOut
from datasets_app.domain.roles import Action
from datasets_app.services.jobs import start_job
from labeling_app.api.base import QueueView
from labeling_app.models import Consensus, LabelingQueue
from labeling_app.services.agreement import agreement_report
from labeling_app.services.method_advice import trusted_method
from labeling_app.services.recomputing import start_recompute


class AgreementQuery(serializers.Serializer):
    """Of which labels: from `since` to before `until`, of these labelers (names divided by commas)."""

    since = serializers.DateTimeField(required=False, default=None)
    until = serializers.DateTimeField(required=False, default=None)
    labelers = serializers.CharField(required=False, allow_blank=True, default="", max_length=10_000)


class AgreementOut(serializers.Serializer):
    """Agreement by field. A coefficient is {"value", "low", "high", "units", "raters", "why_none"}."""

    labels = serializers.IntegerField()
    items = serializers.IntegerField()
    compared = serializers.IntegerField(help_text="Items with labels of two labelers or more.")
    labelers = serializers.IntegerField()
    fields = serializers.ListField(child=JsonObject())  # type: ignore[assignment]
    computed_at = serializers.DateTimeField(allow_null=True)
    seconds = serializers.FloatField()


class AgreementView(QueueView):
    actions = {"GET": Action.REVIEW}

    @operation(
        "labeling_agreement",
        "Agreement of the labelers of a queue",
        tag="labeling",
        query=AgreementQuery,
        answer=AgreementOut,
    )
    def get(self, request: Request, queue: uuid.UUID) -> Response:
        query = self.query(AgreementQuery)
        names = [name.strip() for name in query["labelers"].split(",") if name.strip()]
        report = agreement_report(
            self.queue,
            actor=request.user,
            since=query["since"],
            until=query["until"],
            labelers=names or None,
        )
        return Response(report.document())


class MethodOut(serializers.Serializer):
    """The method of consensus to trust, why, and what was tried."""

    method = serializers.CharField()
    why = serializers.CharField()
    rests_on = serializers.CharField(help_text="gold, prediction, or nothing")
    evidence = serializers.ListField(child=JsonObject())


class MethodView(QueueView):
    actions = {"GET": Action.REVIEW}

    @operation(
        "labeling_method", "Which method of consensus to trust, and why", tag="labeling", answer=MethodOut
    )
    def get(self, request: Request, queue: uuid.UUID) -> Response:
        return Response(asdict(trusted_method(self.queue)))


class ConsensusOut(serializers.Serializer):
    """What the labels of an example say together, and what of it was adopted."""

    example = serializers.UUIDField(source="item.example_id")
    value = AnyJson()
    method = serializers.ChoiceField(LabelingQueue.Method.choices)
    confidence = serializers.FloatField(allow_null=True)
    agreement = serializers.FloatField(allow_null=True)
    labels = serializers.IntegerField(source="label_count")
    origin = serializers.ChoiceField(Consensus.Origin.choices, allow_blank=True)
    adopted_value = AnyJson()
    adopted_at = serializers.DateTimeField(allow_null=True)
    computed_at = serializers.DateTimeField()


class ConsensusView(QueueView):
    actions = {"GET": Action.REVIEW, "POST": Action.REVIEW}

    @operation(
        "labeling_consensus_list",
        "What the labels of each example say together",
        tag="labeling",
        query=PageQuery,
        answer=paged(ConsensusOut),
    )
    def get(self, request: Request, queue: uuid.UUID) -> Response:
        query = self.query(PageQuery)
        rows = Consensus.objects.filter(queue=self.queue).select_related("item")
        after = decode_cursor(query["cursor"], int)
        if after is not None:
            rows = rows.filter(pk__gt=after)
        found = list(rows.order_by("pk")[: query["limit"] + 1])
        page, cursor = cut(found, query["limit"], lambda row: row.pk)
        return self.page(page, ConsensusOut, cursor)

    @operation(
        "labeling_consensus_compute",
        "Work the consensus of the whole queue out anew",
        tag="labeling",
        answer=JobOut,
        status=202,
    )
    def post(self, request: Request, queue: uuid.UUID) -> Response:
        return Response(JobOut(start_recompute(queue=self.queue, actor=request.user)).data, status=202)


class LabelErrorsView(QueueView):
    actions = {"POST": Action.REVIEW}

    @operation(
        "labeling_label_errors",
        "Look for likely label errors; each opens a review",
        tag="labeling",
        answer=JobOut,
        status=202,
    )
    def post(self, request: Request, queue: uuid.UUID) -> Response:
        return _started(self, "label_errors")


class ReorderView(QueueView):
    actions = {"POST": Action.REVIEW}

    @operation(
        "labeling_queues_reorder",
        "Work out anew what comes next in a queue that learns from its labels",
        tag="labeling",
        answer=JobOut,
        status=202,
    )
    def post(self, request: Request, queue: uuid.UUID) -> Response:
        return _started(self, "label_reorder")


def _started(view: QueueView, kind: str) -> Response:
    queue = view.queue
    job = start_job(
        kind=kind, dataset=queue.dataset, actor=view.request.user, arguments={"queue": str(queue.pk)}
    )
    return Response(JobOut(job).data, status=202)
