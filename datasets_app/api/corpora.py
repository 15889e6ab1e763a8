"""Corpora, and many sources or test queries at a time. The rights on a corpus are those that a person has everywhere."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import GoldenView, JsonObject, operation
from datasets_app.api.errors import BodyTooLarge
from datasets_app.api.paging import PageQuery, paged
from datasets_app.domain.roles import Action
from datasets_app.errors import UnknownCorpus
from datasets_app.models import Corpus
from datasets_app.services.corpus.analyses import save_analyses
from datasets_app.services.corpus.corpora import create_corpus, get_corpus, update_corpus
from datasets_app.services.corpus.drafts import RefusedDraft, parse_analysis
from datasets_app.services.corpus.importing import parse_query
from datasets_app.services.corpus.queries import save_queries
from goldenproject.kit.errors import BadInput

MAX_BULK = 5_000


class CorpusView(GoldenView):
    """A view of the corpus. `actions` says for each method which right it takes, everywhere; `corpus` is set from the address."""

    corpus: Corpus

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method not in self.actions:
            return  # it is told that the method is not allowed
        self.require(self.actions[method])
        if "corpus" in kwargs:
            self.corpus = _found(kwargs["corpus"])


def _found(name: str) -> Corpus:
    try:
        return get_corpus(name)
    except UnknownCorpus:
        try:
            return Corpus.objects.get(pk=uuid.UUID(name))
        except (ValueError, Corpus.DoesNotExist):
            pass
        raise


class CorpusOut(serializers.Serializer):
    """A body of sources with its test queries."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()


class CorpusDetailOut(CorpusOut):
    """A corpus with its counts; `analyses` counts the completed ones, which alone are golden."""

    analyses = serializers.IntegerField()
    analyses_not_completed = serializers.IntegerField()
    chunks = serializers.IntegerField()
    queries = serializers.IntegerField()


class CorpusCreate(serializers.Serializer):
    """A new corpus."""

    name = serializers.CharField(max_length=120)
    description = serializers.CharField(required=False, allow_blank=True, max_length=100_000)


class CorpusPatch(serializers.Serializer):
    """What is to change of a corpus."""

    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(required=False, allow_blank=True, max_length=100_000)


class CorporaView(CorpusView):
    actions = {"GET": Action.VIEW, "POST": Action.EDIT}

    @operation("corpora_list", "Corpora", tag="corpus", query=PageQuery, answer=paged(CorpusOut))
    def get(self, request: Request) -> Response:
        return self.page_of_query(Corpus.objects.all(), CorpusOut, key="name", kind=str)

    @operation(
        "corpora_create", "Make a corpus", tag="corpus", body=CorpusCreate, answer=CorpusOut, status=201
    )
    def post(self, request: Request) -> Response:
        made = create_corpus(actor=request.user, **self.body(CorpusCreate))
        made.refresh_from_db()
        return Response(CorpusOut(made).data, status=201)


class OneCorpusView(CorpusView):
    actions = {"GET": Action.VIEW, "PATCH": Action.EDIT}

    @operation("corpora_read", "A corpus by name or UUID, with counts", tag="corpus", answer=CorpusDetailOut)
    def get(self, request: Request, corpus: str) -> Response:
        completed = Q(status="completed")
        counts = self.corpus.analyses.aggregate(
            analyses=Count("id", filter=completed), analyses_not_completed=Count("id", filter=~completed)
        )
        counts["chunks"] = self.corpus.analyses.filter(completed).aggregate(n=Count("chunks"))["n"]
        counts["queries"] = self.corpus.queries.count()
        return Response({**CorpusOut(self.corpus).data, **counts})

    @operation(
        "corpora_update", "Rename or describe a corpus", tag="corpus", body=CorpusPatch, answer=CorpusOut
    )
    def patch(self, request: Request, corpus: str) -> Response:
        fields = self.body(CorpusPatch, partial=True)
        return Response(CorpusOut(update_corpus(corpus=self.corpus, actor=request.user, **fields)).data)


class CorpusBulkBody(serializers.Serializer):
    """Sources in the shape of format 1.0, and test queries; all of them are saved, or none."""

    on_existing = serializers.ChoiceField(
        ["refuse", "skip", "update"],
        default="refuse",
        help_text="What becomes of what is there by id (or by canonical URL, external id).",
    )
    analyses = serializers.ListField(
        child=JsonObject(),
        required=False,
        help_text="Without id, status, created_at or parts they get them as a new source would.",
    )
    queries = serializers.ListField(
        child=JsonObject(),
        required=False,
        help_text='{"id", "text", "expected": [chunk id or {"chunk", "relevance"}], "tags", "difficulty", "category", '
        '"pass_rule", "external_id"}',
    )


class SavedCountsOut(serializers.Serializer):
    """What became of them."""

    added = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    skipped = serializers.IntegerField()


class CorpusBulkOut(serializers.Serializer):
    """What became of the sources and of the queries."""

    analyses = SavedCountsOut()
    queries = SavedCountsOut()


class CorpusBulkView(CorpusView):
    actions = {"POST": Action.IMPORT}
    throttle_scope = "bulk"

    @operation(
        "corpora_bulk",
        "Add or update many sources and queries",
        tag="corpus",
        body=CorpusBulkBody,
        answer=CorpusBulkOut,
    )
    def post(self, request: Request, corpus: str) -> Response:
        body = self.body(CorpusBulkBody)
        analyses, queries = body.get("analyses", []), body.get("queries", [])
        if len(analyses) + len(queries) > MAX_BULK:
            raise BodyTooLarge(
                f"{len(analyses) + len(queries):,} sources and queries in one request; {MAX_BULK:,} are allowed.",
                hint="Send them in several requests, or import a file with golden_corpus.",
                limit=MAX_BULK,
            )
        how = {"corpus": self.corpus, "actor": request.user, "on_existing": body["on_existing"]}
        corpus_id = self.corpus.pk
        with transaction.atomic():
            saved = save_analyses(drafts=_drafts(analyses, "analyses", _analysis), **how)
            asked = save_queries(
                drafts=_drafts(queries, "queries", lambda item, at: parse_query(item, at, corpus_id)), **how
            )
        return Response({"analyses": SavedCountsOut(saved).data, "queries": SavedCountsOut(asked).data})


def _analysis(document: dict[str, Any], place: str) -> Any:
    return parse_analysis(document, place, complete=False)


def _drafts(documents: list[dict[str, Any]], name: str, parse: Any) -> Any:
    for number, document in enumerate(documents):
        place = f"{name}[{number}]"
        try:
            yield parse(document, place)
        except BadInput as error:
            yield RefusedDraft(place, error)
