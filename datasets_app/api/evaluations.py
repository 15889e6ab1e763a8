"""Evaluation runs of retrieval: started, read, compared."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import JsonObject, operation
from datasets_app.api.corpora import CorpusView
from datasets_app.api.paging import PageQuery, cut, decode_uuid_cursor, paged
from datasets_app.api.site import JobOut
from datasets_app.domain.roles import Action
from datasets_app.models import RetrievalResult, RetrievalRun
from datasets_app.services.evaluation.comparing import compare_runs
from datasets_app.services.evaluation.failing import shown_results
from datasets_app.services.evaluation.options import EvaluationOptions
from datasets_app.services.evaluation.stored_runs import get_run
from datasets_app.services.jobs import start_job


class RunOut(serializers.Serializer):
    """A run. `metrics` are {"mean", "low", "high", "n"} by name, with 95 % intervals."""

    number = serializers.IntegerField(source="id")
    name = serializers.CharField(allow_blank=True)
    corpus = serializers.CharField(source="corpus.name")
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    embedding_model = serializers.CharField(allow_blank=True)
    k = serializers.IntegerField()
    query_count = serializers.IntegerField()
    skipped_count = serializers.IntegerField()
    passed_count = serializers.IntegerField()
    metrics = JsonObject()
    warnings = serializers.ListField(child=serializers.CharField())
    seconds = serializers.FloatField()


class RunDetailOut(RunOut):
    """A run with its options, its groups, and the hashes that say what it is comparable with."""

    options = JsonObject()
    groups = serializers.ListField(child=JsonObject())
    corpus_hash = serializers.CharField()
    queries_hash = serializers.CharField()


class RunBody(serializers.Serializer):
    """What to evaluate, and how: the document that a run keeps as `options`. All of it may be left out."""

    name = serializers.CharField(required=False, allow_blank=True, max_length=200)
    k = serializers.IntegerField(required=False, help_text="10")
    search = JsonObject(required=False, help_text="As the body of a search, without the query.")
    queries = JsonObject(required=False, help_text='{"tags", "difficulty", "category", "ids"}')
    metrics = serializers.ListField(child=serializers.CharField(max_length=40), required=False, max_length=40)
    seed = serializers.IntegerField(required=False)


class RunsView(CorpusView):
    actions = {"GET": Action.VIEW, "POST": Action.EDIT}

    @operation(
        "runs_list", "Runs of a corpus, newest first", tag="retrieval", query=PageQuery, answer=paged(RunOut)
    )
    def get(self, request: Request, corpus: str) -> Response:
        rows = _rows().filter(corpus=self.corpus)
        return self.page_of_query(rows, RunOut, key="id", kind=int, newest_first=True)

    @operation(
        "runs_create",
        "Start an evaluation; its job's result names the run",
        tag="retrieval",
        body=RunBody,
        answer=JobOut,
        status=202,
    )
    def post(self, request: Request, corpus: str) -> Response:
        options = EvaluationOptions.from_document(self.body(RunBody))
        job = start_job(
            kind="evaluate_retrieval",
            dataset=None,
            actor=request.user,
            arguments={"corpus": self.corpus.name, "options": options.document()},
        )
        return Response(JobOut(job).data, status=202)


class RunView(CorpusView):
    actions = {"GET": Action.VIEW}

    @operation("runs_read", "A run", tag="retrieval", answer=RunDetailOut)
    def get(self, request: Request, run: int) -> Response:
        return Response(RunDetailOut(get_run(run)).data)


class ResultFilter(PageQuery):
    """Which results."""

    passed = serializers.BooleanField(required=False, allow_null=True, default=None)


class ResultOut(serializers.Serializer):
    """What a run found for a query: expected chunks with the rank at which each came, and what was found."""

    query = serializers.UUIDField()
    text = serializers.CharField()
    passed = serializers.BooleanField()
    metrics = JsonObject()
    expected = serializers.ListField(child=JsonObject())
    found = serializers.ListField(child=JsonObject())


class ResultsView(CorpusView):
    actions = {"GET": Action.VIEW}

    @operation(
        "runs_results",
        "Results of a run by query",
        tag="retrieval",
        query=ResultFilter,
        answer=paged(ResultOut),
    )
    def get(self, request: Request, run: int) -> Response:
        query = self.query(ResultFilter)
        rows = RetrievalResult.objects.filter(run=get_run(run))
        if query["passed"] is not None:
            rows = rows.filter(passed=query["passed"])
        after = decode_uuid_cursor(query["cursor"])
        if after is not None:
            rows = rows.filter(query_id__gt=after)
        found = list(rows.order_by("query_id")[: query["limit"] + 1])
        page, cursor = cut(found, query["limit"], lambda row: str(row.query_id))
        documents = [
            {**shown.document(), "passed": row.passed}
            for row, shown in zip(page, shown_results(page), strict=True)
        ]
        return self.page(documents, ResultOut, cursor)


class ComparisonOut(serializers.Serializer):
    """Two runs on the queries that both asked; p without correction for the number of metrics."""

    base = serializers.IntegerField()
    other = serializers.IntegerField()
    common_queries = serializers.IntegerField()
    not_comparable = serializers.ListField(child=serializers.CharField())
    pass_rate = JsonObject()
    metrics = JsonObject()
    lost = serializers.ListField(child=JsonObject())
    won = serializers.ListField(child=JsonObject())


class ComparisonView(CorpusView):
    actions = {"GET": Action.VIEW}

    @operation("runs_compare", "A run against an earlier one", tag="retrieval", answer=ComparisonOut)
    def get(self, request: Request, run: int, base: int) -> Response:
        compared = compare_runs(base=get_run(base), other=get_run(run))
        return Response(ComparisonOut(compared.document()).data)


def _rows() -> QuerySet[RetrievalRun]:
    return RetrievalRun.objects.select_related("corpus", "created_by")
