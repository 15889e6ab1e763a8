"""Examples of any version: a page, one, or all of them as a stream. No working copy is needed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson
from django.db import transaction
from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import GoldenView, operation
from datasets_app.api.paging import PageQuery, cut, decode_cursor, paged
from datasets_app.api.renderers import NdjsonRenderer
from datasets_app.api.shapes import VersionedExampleOut
from datasets_app.domain.canonical import loads_stored
from datasets_app.domain.roles import Action
from datasets_app.models import DatasetCommit, ExampleType, Redaction
from datasets_app.services.versioning.compiled_types import compiled
from datasets_app.services.versioning.log import find_example
from datasets_app.services.versioning.reading import StreamedRow, example_at, page_at, stream_at
from datasets_app.services.versioning.refs import resolve

_FULL_HASH = re.compile(r"[0-9a-f]{64}")
_ANY = "*"
_IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="ETag that you have; the answer is 304 if it is still so.",
)
_UNCHANGED = {304: None}


class _VersionView(GoldenView):
    """Answers from an immutable version carry a strong ETag; under a full commit hash they may be kept for good."""

    actions = {"GET": Action.VIEW}

    def commit(self, ref: str) -> DatasetCommit:
        return resolve(self.dataset, ref)

    def headers_for(self, commit: DatasetCommit, ref: str, form: str) -> dict[str, str]:
        is_fixed = _FULL_HASH.fullmatch(ref) is not None
        return {
            "ETag": f'"{commit.root_hash}.{form}{_what_else_shapes(commit)}"',
            "Cache-Control": f"private, {'max-age=31536000, immutable' if is_fixed else 'no-cache'}",
            "Vary": "Authorization, Cookie",
            "X-Golden-Commit": commit.commit_hash,
            "X-Golden-Count": str(commit.example_count),
        }

    def has(self, etag: str) -> bool:
        """Tell whether the caller has what `etag` names."""
        given = self.request.headers.get("If-None-Match", "")
        return given.strip() == _ANY or etag in re.findall(r'"[^"]*"', given)


class VersionExamplesView(_VersionView):
    @operation(
        "version_examples_list",
        "Examples of a version, in the order of import",
        tag="versions",
        query=PageQuery,
        answer=paged(VersionedExampleOut),
        headers=(_IF_NONE_MATCH,),
        also=_UNCHANGED,
    )
    def get(self, request: Request, dataset: str, ref: str) -> Response:
        query = self.query(PageQuery)
        after = decode_cursor(query["cursor"], int)
        commit = self.commit(ref)
        headers = self.headers_for(commit, ref, f"page-{after}-{query['limit']}")
        if self.has(headers["ETag"]):
            return Response(status=304, headers=headers)
        found = page_at(commit, after_ordinal=after, limit=query["limit"] + 1)
        page, cursor = cut(found, query["limit"], lambda row: row.ordinal)
        return self.page(page, VersionedExampleOut, cursor, headers)


class VersionExampleView(_VersionView):
    @operation(
        "version_examples_read",
        "An example as a version holds it",
        tag="versions",
        answer=VersionedExampleOut,
        headers=(_IF_NONE_MATCH,),
        also=_UNCHANGED,
    )
    def get(self, request: Request, dataset: str, ref: str, example: str) -> Response:
        commit = self.commit(ref)
        identity = find_example(self.dataset, example)
        headers = self.headers_for(commit, ref, f"example-{identity.pk}")
        if self.has(headers["ETag"]):
            return Response(status=304, headers=headers)
        return Response(VersionedExampleOut(example_at(commit, identity.pk)).data, headers=headers)


class VersionStreamView(_VersionView):
    throttle_scope = "stream"

    @operation(
        "version_stream",
        "All examples of a version, a JSON document a line",
        tag="versions",
        answer=OpenApiTypes.STR,
        status=(200, NdjsonRenderer.media_type),
        headers=(_IF_NONE_MATCH,),
        also=_UNCHANGED,
    )
    def get(self, request: Request, dataset: str, ref: str) -> Any:
        commit = self.commit(ref)
        headers = self.headers_for(commit, ref, "ndjson")
        if self.has(headers["ETag"]):
            return Response(status=304, headers=headers)
        if request.method == "HEAD":
            return HttpResponse(content_type=NdjsonRenderer.media_type, headers=headers)
        # a proxy that waits for the whole answer would undo the streaming
        headers["X-Accel-Buffering"] = "no"
        return StreamingHttpResponse(
            lines_of(commit), content_type=NdjsonRenderer.media_type, headers=headers
        )


def lines_of(commit: DatasetCommit) -> Iterator[bytes]:
    """Yield a version as NDJSON, some thousand lines at a time, from one snapshot. Redacted examples are left out.

    A line is {"id", "input", "labels", "metadata", "output", "provenance", "source", "status", "type"}; what holds
    its default is left out. `id` is the id from outside, else the UUID.
    """
    restorers = {t.name: _restorer(t) for t in _types_with_numbers()}
    with transaction.atomic():
        for rows in stream_at(commit):
            yield b"".join(_line(row, restorers) for row in rows)


_CONTENT_BEGINS = (
    '{"input":'  # the first key of every content in canonical order; a tombstone begins otherwise
)
_TYPE_KEY = '"type":"'  # and the last one, whose value is a slug


def _line(row: StreamedRow, restorers: dict[str, Callable[[Any], Any]]) -> bytes:
    """Write a line: the canonical text as it is stored, with the id before it; parsed only where numbers need it."""
    if not row.text.startswith(_CONTENT_BEGINS):
        return b""
    name = orjson.dumps(row.external_id if row.external_id is not None else str(row.uuid))
    restore = restorers.get(row.text.rpartition(_TYPE_KEY)[2][:-2]) if restorers else None
    text = row.text.encode() if restore is None else orjson.dumps(restore(loads_stored(row.text)))
    return b'{"id":' + name + b"," + text[1:] + b"\n"


def _restorer(example_type: ExampleType) -> Callable[[Any], Any]:
    checked = compiled(example_type)

    def restore(document: dict[str, Any]) -> dict[str, Any]:
        document["input"] = checked.restore_input(document["input"])
        if "output" in document:
            document["output"] = checked.restore_output(document["output"])
        return document

    return restore


def _types_with_numbers() -> list[ExampleType]:
    """Return the types whose whole numbers may have to be written as 75.0: those that say number at all."""
    types = ExampleType.objects.order_by("name")
    return [t for t in types if b'"number"' in orjson.dumps([t.input_schema, t.output_schema])]


def _what_else_shapes(commit: DatasetCommit) -> str:
    """Return what changes an answer beside the version: redactions, and schemas that type numbers."""
    redactions = Redaction.objects.filter(dataset_id=commit.dataset_id).count()
    schemas = [[t.name, t.input_schema, t.output_schema] for t in _types_with_numbers()]
    if not redactions and not schemas:
        return ""
    text = orjson.dumps([redactions, schemas], option=orjson.OPT_SORT_KEYS)
    return f".{hashlib.sha256(text).hexdigest()[:16]}"
