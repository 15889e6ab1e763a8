"""Sources (analyses) with their findings, chunks and artifact, in the shape of backup format 1.0."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import orjson
from django.db.models import Count
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import AnyJson, JsonObject, operation
from datasets_app.api.corpora import CorpusView
from datasets_app.api.errors import PreconditionFailed
from datasets_app.api.paging import PageQuery, cut, decode_uuid_cursor, newest_first, paged
from datasets_app.domain.roles import Action
from datasets_app.models import Analysis, Chunk, SourceCheck
from datasets_app.services.corpus.analyses import (
    delete_analysis,
    get_analysis,
    replace_chunks,
    replace_findings,
    save_analysis,
    save_artifact,
    update_analysis,
    update_chunk,
)
from datasets_app.services.corpus.changing import changing
from datasets_app.services.corpus.drafts import parse_analysis
from goldenproject.kit.errors import NotFound

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="ETag that you read; else 412."
)
_PARTS = {"findings", "chunks", "artifact"}


class FindingOut(serializers.Serializer):
    """What an agent found in a source; `confidence` is 0 to 1."""

    agent = serializers.CharField()
    category = serializers.CharField(allow_blank=True)
    content = serializers.CharField()
    confidence = serializers.FloatField()


class ChunkOut(serializers.Serializer):
    """A piece of a source that retrieval finds; `chunk_index` is its place there, from 0."""

    id = serializers.UUIDField()
    content = serializers.CharField()
    section_title = serializers.CharField(allow_blank=True)
    section_path = serializers.CharField(allow_blank=True)
    content_type = serializers.CharField(allow_blank=True)
    chunk_index = serializers.IntegerField()


class ChunkDetailOut(ChunkOut):
    """A chunk and where it comes from."""

    analysis = serializers.UUIDField(source="analysis_id")
    url = serializers.CharField(source="analysis.url")
    corpus = serializers.CharField(source="analysis.corpus.name")


class ArtifactOut(serializers.Serializer):
    """What was made of the whole source."""

    id = serializers.UUIDField()
    summary = serializers.CharField(allow_blank=True)
    key_findings = serializers.ListField(child=AnyJson())
    metadata = JsonObject()


class SourceCheckOut(serializers.Serializer):
    """What the last look at the source's URL found."""

    checked_at = serializers.DateTimeField()
    outcome = serializers.ChoiceField(SourceCheck.Outcome.choices)
    http_status = serializers.IntegerField(allow_null=True)
    final_url = serializers.CharField(allow_blank=True)
    changed_at = serializers.DateTimeField(allow_null=True)
    message = serializers.CharField(allow_blank=True)


class AnalysisOut(serializers.Serializer):
    """A source. `url_violation` says why its URL breaks the contract, and is empty when it keeps it."""

    id = serializers.UUIDField()
    corpus = serializers.CharField(source="corpus.name")
    url = serializers.CharField()
    url_violation = serializers.CharField(allow_blank=True)
    content_type = serializers.CharField()
    status = serializers.ChoiceField(Analysis.Status.choices)
    created_at = serializers.DateTimeField()


class AnalysisSummaryOut(AnalysisOut):
    """A source in a list, with the number of its chunks."""

    chunk_count = serializers.IntegerField()


class AnalysisDetailOut(AnalysisOut):
    """A source with all its parts."""

    findings = FindingOut(many=True)
    chunks = ChunkOut(many=True)
    artifact = ArtifactOut(allow_null=True)
    source_check = SourceCheckOut(allow_null=True)


class AnalysisFilter(PageQuery):
    """Which sources."""

    status = serializers.ChoiceField(Analysis.Status.choices, required=False)
    violation = serializers.BooleanField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Only those that break (or keep) the URL contract.",
    )
    url = serializers.CharField(required=False, max_length=2048, help_text="Part of the URL.")


class AnalysisBody(serializers.Serializer):
    """A source in the shape of format 1.0; what is left out is as for a new one (PATCH: stays as it is)."""

    id = serializers.UUIDField(required=False)
    url = serializers.CharField(required=False, trim_whitespace=False)
    content_type = serializers.CharField(required=False)
    status = serializers.ChoiceField(Analysis.Status.choices, required=False)
    created_at = serializers.DateTimeField(required=False)
    findings = serializers.ListField(child=JsonObject(), required=False)
    chunks = serializers.ListField(child=JsonObject(), required=False)
    artifact = JsonObject(required=False, allow_null=True)


class AnalysesView(CorpusView):
    actions = {"GET": Action.VIEW, "POST": Action.EDIT}

    @operation(
        "analyses_list",
        "Sources of a corpus, newest first",
        tag="corpus",
        query=AnalysisFilter,
        answer=paged(AnalysisSummaryOut),
    )
    def get(self, request: Request, corpus: str) -> Response:
        query = self.query(AnalysisFilter)
        rows = self.corpus.analyses.select_related("corpus")
        if "status" in query:
            rows = rows.filter(status=query["status"])
        if query["violation"] is not None:
            rows = rows.exclude(url_violation="") if query["violation"] else rows.filter(url_violation="")
        if "url" in query:
            rows = rows.filter(url__contains=query["url"])
        page, cursor = newest_first(rows, query)
        counted = Chunk.objects.filter(analysis__in=[row.pk for row in page]).order_by().values("analysis")
        counts = dict(counted.annotate(n=Count("id")).values_list("analysis", "n"))
        for row in page:
            row.chunk_count = counts.get(row.pk, 0)
        return self.page(page, AnalysisSummaryOut, cursor)

    @operation(
        "analyses_create",
        "Add a source with all its parts",
        tag="corpus",
        body=AnalysisBody,
        answer=AnalysisDetailOut,
        status=201,
    )
    def post(self, request: Request, corpus: str) -> Response:
        self.body(AnalysisBody)
        draft = parse_analysis(dict(self.request.data), "the body", complete=False)
        made = save_analysis(corpus=self.corpus, draft=draft, actor=request.user)
        return _answer(made, status=201)


class AnalysisView(CorpusView):
    actions = {"GET": Action.VIEW, "PATCH": Action.EDIT, "DELETE": Action.EDIT}

    @operation("analyses_read", "A source with all its parts", tag="corpus", answer=AnalysisDetailOut)
    def get(self, request: Request, analysis: uuid.UUID) -> Response:
        return _answer(get_analysis(analysis))

    @operation(
        "analyses_update",
        "Change a source; a part that is given replaces the whole of that part",
        tag="corpus",
        body=AnalysisBody,
        answer=AnalysisDetailOut,
        headers=(IF_MATCH,),
    )
    def patch(self, request: Request, analysis: uuid.UUID) -> Response:
        body = self.body(AnalysisBody, partial=True)
        found = get_analysis(analysis)
        actor = request.user
        with changing(corpus=found.corpus, actor=actor, action=Action.EDIT, reason="edit analysis"):
            check_if_match(request, etag_of(_detail(found)))
            _update(found, body, dict(self.request.data), actor)
        return _answer(get_analysis(analysis))

    @operation(
        "analyses_delete",
        "Delete a source, unless test queries expect its chunks",
        tag="corpus",
        status=204,
        headers=(IF_MATCH,),
    )
    def delete(self, request: Request, analysis: uuid.UUID) -> Response:
        found = get_analysis(analysis)
        actor = request.user
        with changing(corpus=found.corpus, actor=actor, action=Action.EDIT, reason="delete analysis"):
            check_if_match(request, etag_of(_detail(found)))
            delete_analysis(analysis=found, actor=actor)
        return Response(status=204)


def _update(found: Analysis, body: dict[str, Any], document: dict[str, Any], actor: Any) -> None:
    facts = {name: body[name] for name in ("url", "content_type", "status") if name in body}
    if facts:
        update_analysis(analysis=found, actor=actor, **facts)
    if not _PARTS & body.keys():
        return
    parts = {name: document[name] for name in _PARTS & body.keys()}
    known = {"url": found.url, "content_type": found.content_type}
    draft = parse_analysis({**known, **parts}, "the body", complete=False)
    if "findings" in parts:
        replace_findings(analysis=found, findings=draft.findings, actor=actor)
    if "chunks" in parts:
        replace_chunks(analysis=found, chunks=draft.chunks, actor=actor)
    if "artifact" in parts:
        save_artifact(analysis=found, draft=draft.artifact, actor=actor)


class ChunkFilter(PageQuery):
    """Which chunks."""

    analysis = serializers.UUIDField(required=False)
    content_type = serializers.CharField(required=False, max_length=120)


class ChunksView(CorpusView):
    actions = {"GET": Action.VIEW}

    @operation(
        "chunks_list", "Chunks of a corpus", tag="corpus", query=ChunkFilter, answer=paged(ChunkDetailOut)
    )
    def get(self, request: Request, corpus: str) -> Response:
        query = self.query(ChunkFilter)
        rows = Chunk.objects.filter(analysis__corpus=self.corpus).select_related("analysis__corpus")
        for name in ("analysis", "content_type"):
            if name in query:
                rows = rows.filter(**{name: query[name]})
        after = decode_uuid_cursor(query["cursor"])
        if after is not None:
            rows = rows.filter(pk__gt=after)
        found = list(rows.order_by("pk")[: query["limit"] + 1])
        page, cursor = cut(found, query["limit"], lambda row: str(row.pk))
        return self.page(page, ChunkDetailOut, cursor)


class ChunkPatch(serializers.Serializer):
    """What is to change of a chunk."""

    content = serializers.CharField(required=False, trim_whitespace=False)
    section_title = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    section_path = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    content_type = serializers.CharField(required=False, allow_blank=True)
    chunk_index = serializers.IntegerField(required=False, min_value=0)


class ChunkView(CorpusView):
    actions = {"GET": Action.VIEW, "PATCH": Action.EDIT}

    @operation("chunks_read", "A chunk", tag="corpus", answer=ChunkDetailOut)
    def get(self, request: Request, chunk: uuid.UUID) -> Response:
        document = _chunk_document(_chunk(chunk))
        return Response(document, headers={"ETag": etag_of(document)})

    @operation(
        "chunks_update",
        "Change a chunk",
        tag="corpus",
        body=ChunkPatch,
        answer=ChunkDetailOut,
        headers=(IF_MATCH,),
    )
    def patch(self, request: Request, chunk: uuid.UUID) -> Response:
        fields = self.body(ChunkPatch, partial=True)
        found = _chunk(chunk)
        actor = request.user
        with changing(
            corpus=found.analysis.corpus, actor=actor, action=Action.EDIT, reason=f"edit chunk {chunk}"
        ):
            check_if_match(request, etag_of(_chunk_document(_chunk(chunk))))
            update_chunk(chunk=found, actor=actor, **fields)
        document = _chunk_document(_chunk(chunk))
        return Response(document, headers={"ETag": etag_of(document)})


def _chunk(wanted: uuid.UUID) -> Chunk:
    found = Chunk.objects.select_related("analysis__corpus").filter(pk=wanted).first()
    if found is None:
        raise NotFound(f"There is no chunk {wanted}.")
    return found


def _chunk_document(chunk: Chunk) -> dict[str, Any]:
    return dict(ChunkDetailOut(chunk).data)


def _detail(analysis: Analysis) -> dict[str, Any]:
    rows = Analysis.objects.select_related("corpus", "artifact", "source_check").prefetch_related(
        "findings", "chunks"
    )
    found = rows.filter(pk=analysis.pk).first()
    if found is None:
        raise NotFound(f"There is no analysis {analysis.pk}.")
    return {
        **AnalysisOut(found).data,
        "findings": FindingOut(found.findings.all(), many=True).data,
        "chunks": ChunkOut(found.chunks.all(), many=True).data,
        "artifact": ArtifactOut(found.artifact).data if hasattr(found, "artifact") else None,
        "source_check": SourceCheckOut(found.source_check).data if hasattr(found, "source_check") else None,
    }


def _answer(analysis: Analysis, status: int = 200) -> Response:
    document = _detail(analysis)
    return Response(document, status=status, headers={"ETag": etag_of(document)})


def etag_of(document: dict[str, Any]) -> str:
    """Return the strong ETag of an answer: the hash of what it says (a source check is no part of the content)."""
    content = {name: value for name, value in document.items() if name != "source_check"}
    return f'"{hashlib.sha256(orjson.dumps(content, default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]}"'


def check_if_match(request: Request, found: str) -> None:
    """Raise PreconditionFailed when the caller made a condition that does not hold."""
    given = request.headers.get("If-Match", "").strip()
    if given and given != "*" and found not in [tag.strip() for tag in given.split(",")]:
        raise PreconditionFailed(
            hint="Read it again, and send your change with its new ETag.", found=found, expected=given
        )
