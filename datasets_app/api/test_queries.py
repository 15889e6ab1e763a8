"""Test queries with the chunks that they expect."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.analyses import IF_MATCH, check_if_match, etag_of
from datasets_app.api.base import JsonObject, operation
from datasets_app.api.corpora import CorpusView
from datasets_app.api.paging import PageQuery, newest_first, paged
from datasets_app.domain.roles import Action
from datasets_app.models import TestQuery
from datasets_app.services.corpus.changing import changing
from datasets_app.services.corpus.drafts import QueryDraft
from datasets_app.services.corpus.queries import delete_query, query_warnings, save_query, update_query
from goldenproject.kit.errors import BadInput, NotFound


class ExpectedOut(serializers.Serializer):
    """A judgment: 0 is not relevant, 1 relevant, more is better."""

    chunk = serializers.UUIDField(source="chunk_id")
    relevance = serializers.IntegerField(min_value=0, max_value=32_767, default=1)


class ExpectedIn(serializers.Serializer):
    """A judgment: 0 is not relevant, 1 relevant, more is better."""

    chunk = serializers.UUIDField()
    relevance = serializers.IntegerField(min_value=0, max_value=32_767, default=1)


class QueryOut(serializers.Serializer):
    """A question that retrieval must answer. An empty `pass_rule`: any expected chunk in the top k."""

    id = serializers.UUIDField()
    corpus = serializers.CharField(source="corpus.name")
    external_id = serializers.CharField(allow_blank=True)
    text = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    difficulty = serializers.ChoiceField(TestQuery.Difficulty.choices, allow_blank=True)
    category = serializers.CharField(allow_blank=True)
    pass_rule = JsonObject()
    created_at = serializers.DateTimeField()
    expected = ExpectedOut(source="expectations", many=True)


class QueryAnswerOut(QueryOut):
    """A test query, and what to mind about it."""

    warnings = serializers.ListField(child=serializers.CharField())


class QueryBody(serializers.Serializer):
    """A test query; PATCH changes what is given, `expected` as a whole."""

    text = serializers.CharField(trim_whitespace=False, max_length=100_000)
    expected = ExpectedIn(many=True, required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=60), required=False, max_length=100)
    difficulty = serializers.ChoiceField(TestQuery.Difficulty.choices, required=False, allow_blank=True)
    category = serializers.CharField(required=False, allow_blank=True, max_length=120)
    pass_rule = JsonObject(required=False)
    external_id = serializers.CharField(
        required=False, allow_blank=True, max_length=500, trim_whitespace=False
    )


class QueryFilter(PageQuery):
    """Which test queries."""

    tag = serializers.CharField(required=False, max_length=60)
    difficulty = serializers.ChoiceField(TestQuery.Difficulty.choices, required=False)
    category = serializers.CharField(required=False, max_length=120)


class QueriesView(CorpusView):
    actions = {"GET": Action.VIEW, "POST": Action.EDIT}

    @operation(
        "queries_list",
        "Test queries of a corpus, newest first",
        tag="corpus",
        query=QueryFilter,
        answer=paged(QueryOut),
    )
    def get(self, request: Request, corpus: str) -> Response:
        query = self.query(QueryFilter)
        rows = _rows().filter(corpus=self.corpus)
        if "tag" in query:
            rows = rows.filter(tags__contains=[query["tag"]])
        for name in ("difficulty", "category"):
            if name in query:
                rows = rows.filter(**{name: query[name]})
        page, cursor = newest_first(rows, query)
        return self.page(page, QueryOut, cursor)

    @operation(
        "queries_create", "Add a test query", tag="corpus", body=QueryBody, answer=QueryAnswerOut, status=201
    )
    def post(self, request: Request, corpus: str) -> Response:
        draft = QueryDraft(**_fields(self.body(QueryBody)))
        made = save_query(corpus=self.corpus, draft=draft, actor=request.user)
        return _answer(made.pk, status=201)


class QueryView(CorpusView):
    actions = {"GET": Action.VIEW, "PATCH": Action.EDIT, "DELETE": Action.EDIT}

    @operation("queries_read", "A test query", tag="corpus", answer=QueryAnswerOut)
    def get(self, request: Request, query: uuid.UUID) -> Response:
        return _answer(query)

    @operation(
        "queries_update",
        "Change a test query",
        tag="corpus",
        body=QueryBody,
        answer=QueryAnswerOut,
        headers=(IF_MATCH,),
    )
    def patch(self, request: Request, query: uuid.UUID) -> Response:
        fields = _fields(self.body(QueryBody, partial=True))
        found = _found(query)
        with changing(corpus=found.corpus, actor=request.user, action=Action.EDIT, reason="edit test query"):
            check_if_match(request, etag_of(_document(_found(query))))
            update_query(query=found, actor=request.user, **fields)
        return _answer(query)

    @operation("queries_delete", "Delete a test query", tag="corpus", status=204, headers=(IF_MATCH,))
    def delete(self, request: Request, query: uuid.UUID) -> Response:
        found = _found(query)
        with changing(
            corpus=found.corpus, actor=request.user, action=Action.EDIT, reason="delete test query"
        ):
            check_if_match(request, etag_of(_document(_found(query))))
            delete_query(query=found, actor=request.user)
        return Response(status=204)


def _rows() -> QuerySet[TestQuery]:
    return TestQuery.objects.select_related("corpus").prefetch_related("expectations")


def _found(wanted: uuid.UUID) -> TestQuery:
    found = _rows().filter(pk=wanted).first()
    if found is None:
        raise NotFound(f"There is no test query {wanted}.")
    return found


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    if "expected" in body:
        chunks = [judgment["chunk"] for judgment in body["expected"]]
        if len(set(chunks)) < len(chunks):
            twice = next(chunk for chunk in chunks if chunks.count(chunk) > 1)
            raise BadInput(f"expected: chunk {twice} is named twice; expected each once.")
        body["expected"] = {judgment["chunk"]: judgment["relevance"] for judgment in body["expected"]}
    return body


def _document(query: TestQuery) -> dict[str, Any]:
    return dict(QueryOut(query).data)


def _answer(wanted: uuid.UUID, status: int = 200) -> Response:
    found = _found(wanted)
    document = _document(found)
    expected = {judgment.chunk_id: judgment.relevance for judgment in found.expectations.all()}
    body = {**document, "warnings": query_warnings(expected)}
    return Response(body, status=status, headers={"ETag": etag_of(document)})
