"""Hybrid search over a corpus, and the embedding models that it may use."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import JsonObject, operation
from datasets_app.api.corpora import CorpusView
from datasets_app.api.paging import PageQuery, paged
from datasets_app.api.site import JobOut
from datasets_app.domain.roles import Action
from datasets_app.models import EmbeddingModel
from datasets_app.services.jobs import start_job
from datasets_app.services.retrieval.embedding_models import (
    coverage,
    delete_model,
    get_model,
    register_model,
    switch_current,
)
from datasets_app.services.retrieval.searching import (
    FUSIONS,
    LEGS,
    SearchOptions,
    ShownHit,
    search,
    with_chunks,
)

MAX_QUERY_CHARACTERS = 20_000


class BoostsIn(serializers.Serializer):
    """Factors from a chunk's metadata; 0, and no content types, boost nothing."""

    title = serializers.FloatField(required=False)
    path = serializers.FloatField(required=False)
    content_types = JsonObject(required=False, help_text="{content type: factor}")


class SearchBody(serializers.Serializer):
    """A search, and how to do it. What is left out is as by default: both legs, fused by reciprocal rank."""

    query = serializers.CharField(max_length=MAX_QUERY_CHARACTERS, trim_whitespace=False)
    limit = serializers.IntegerField(required=False, help_text="How many hits; 10.")
    candidates = serializers.IntegerField(
        required=False, help_text="How many each leg brings to the fusion; 100."
    )
    legs = serializers.ListField(child=serializers.ChoiceField(LEGS), required=False, max_length=2)
    fusion = serializers.ChoiceField(FUSIONS, required=False)
    rrf_k = serializers.IntegerField(required=False)
    weights = JsonObject(required=False, help_text='{"lexical": 1, "vector": 1}')
    boosts = BoostsIn(required=False)
    model = serializers.CharField(
        required=False, allow_null=True, max_length=80, help_text="By default the current one."
    )
    exact = serializers.BooleanField(required=False, help_text="Compare with every vector; slower.")


class HitOut(serializers.Serializer):
    """A chunk that was found, and why: rank (from 1) and score of each leg that found it, factors of boosts."""

    chunk = serializers.UUIDField(source="hit.chunk_id")
    score = serializers.FloatField(source="hit.score")
    lexical_rank = serializers.IntegerField(source="hit.lexical_rank", allow_null=True)
    lexical_score = serializers.FloatField(source="hit.lexical_score", allow_null=True)
    vector_rank = serializers.IntegerField(source="hit.vector_rank", allow_null=True)
    vector_score = serializers.FloatField(source="hit.vector_score", allow_null=True)
    boosts = JsonObject(source="hit.boosts")
    section_title = serializers.CharField(source="chunk.section_title", allow_blank=True)
    section_path = serializers.CharField(source="chunk.section_path", allow_blank=True)
    content = serializers.CharField(source="chunk.content")
    analysis = serializers.UUIDField(source="chunk.analysis_id")
    url = serializers.CharField(source="chunk.analysis.url")

    def to_representation(self, instance: ShownHit) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(instance)
        shown["boosts"] = dict(instance.hit.boosts)
        return shown


class SearchOut(serializers.Serializer):
    """What was found, best first. `timings` are milliseconds of each part."""

    hits = HitOut(many=True)
    warnings = serializers.ListField(child=serializers.CharField())
    timings = JsonObject()


class SearchView(CorpusView):
    actions = {"POST": Action.VIEW}

    @operation("corpora_search", "Search a corpus", tag="retrieval", body=SearchBody, answer=SearchOut)
    def post(self, request: Request, corpus: str) -> Response:
        body = self.body(SearchBody)
        text = body.pop("query")
        answer = search(corpus=self.corpus, text=text, options=SearchOptions.from_document(body))
        return Response(
            {
                "hits": HitOut(with_chunks(answer.hits), many=True).data,
                "warnings": answer.warnings,
                "timings": answer.timings,
            }
        )


class EmbeddingModelOut(serializers.Serializer):
    """A model that turns text into vectors. A key is named in the options (`api_key_env`), never kept."""

    name = serializers.CharField()
    provider = serializers.ChoiceField(EmbeddingModel.Provider.choices)
    options = JsonObject()
    dimension = serializers.IntegerField()
    is_current = serializers.BooleanField()


class EmbeddingModelDetailOut(EmbeddingModelOut):
    """A model, and how many texts of golden chunks there are and have its vector."""

    texts = serializers.IntegerField()
    embedded = serializers.IntegerField()
    missing = serializers.IntegerField()


class EmbeddingModelCreate(serializers.Serializer):
    """A model to add; it is asked for its dimension, so it must answer."""

    name = serializers.SlugField(max_length=80)
    provider = serializers.ChoiceField(EmbeddingModel.Provider.choices)
    options = JsonObject(required=False)


class EmbeddingModelsView(CorpusView):
    actions = {"GET": Action.VIEW, "POST": Action.MANAGE}

    @operation(
        "embedding_models_list",
        "Embedding models",
        tag="retrieval",
        query=PageQuery,
        answer=paged(EmbeddingModelOut),
    )
    def get(self, request: Request) -> Response:
        return self.page_of_query(EmbeddingModel.objects.all(), EmbeddingModelOut, key="name", kind=str)

    @operation(
        "embedding_models_create",
        "Add an embedding model",
        tag="retrieval",
        body=EmbeddingModelCreate,
        answer=EmbeddingModelOut,
        status=201,
    )
    def post(self, request: Request) -> Response:
        fields = {"options": {}, **self.body(EmbeddingModelCreate)}
        return Response(EmbeddingModelOut(register_model(actor=request.user, **fields)).data, status=201)


class EmbeddingModelView(CorpusView):
    actions = {"GET": Action.VIEW, "DELETE": Action.MANAGE}

    @operation(
        "embedding_models_read",
        "An embedding model and how much it has embedded",
        tag="retrieval",
        answer=EmbeddingModelDetailOut,
    )
    def get(self, request: Request, model: str) -> Response:
        found = get_model(model)
        covered = coverage(found)
        counts = {"texts": covered.texts, "embedded": covered.embedded, "missing": covered.missing}
        return Response({**EmbeddingModelOut(found).data, **counts})

    @operation(
        "embedding_models_delete", "Delete an embedding model and its vectors", tag="retrieval", status=204
    )
    def delete(self, request: Request, model: str) -> Response:
        delete_model(model=get_model(model), actor=request.user)
        return Response(status=204)


class CurrentModelView(CorpusView):
    actions = {"POST": Action.MANAGE}

    @operation(
        "embedding_models_switch",
        "Search with this model from now on",
        tag="retrieval",
        answer=EmbeddingModelOut,
    )
    def post(self, request: Request, model: str) -> Response:
        return Response(EmbeddingModelOut(switch_current(model=get_model(model), actor=request.user)).data)


class EmbedView(CorpusView):
    actions = {"POST": Action.EDIT}
    throttle_scope = "bulk"

    @operation(
        "embedding_models_embed",
        "Start the job that makes the vectors that are missing",
        tag="retrieval",
        answer=JobOut,
        status=202,
    )
    def post(self, request: Request, model: str) -> Response:
        found = get_model(model)
        job = start_job(kind="embed", dataset=None, actor=request.user, arguments={"model": found.name})
        return Response(JobOut(job).data, status=202)
