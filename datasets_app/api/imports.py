"""Import of files: upload, look at what it would do, then apply or discard it."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import AnyJson, GoldenView, JsonObject, operation
from datasets_app.api.paging import PageQuery, cut, decode_cursor, newest_first, paged
from datasets_app.api.parsers import UploadParser, refuse_larger
from datasets_app.domain.roles import Action
from datasets_app.domain.strict_json import loads_strict
from datasets_app.models import ImportBatch, StagedRow
from datasets_app.services.curation.importing import ImportOptions
from datasets_app.services.curation.staging import apply_batch, discard_batch, stage_file
from goldenproject.kit.errors import BadInput, NotFound

FORMATS = ["jsonl", "json", "csv", "tsv", "parquet"]


class ImportResultOut(serializers.Serializer):
    """How many rows were read, and what became of them."""

    read = serializers.IntegerField()
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    refused = serializers.IntegerField()


class UploadBody(serializers.Serializer):
    """A file to import. Nothing of it reaches the dataset before it is applied."""

    file = serializers.FileField(allow_empty_file=True, max_length=255)
    branch = serializers.CharField(required=False, max_length=200)
    type = serializers.CharField(
        required=False, max_length=80, help_text="By default the dataset's own type."
    )
    format = serializers.ChoiceField(FORMATS, required=False, help_text="By default by the file's ending.")
    mapping = serializers.CharField(
        required=False,
        max_length=100_000,
        help_text='JSON object: {"column": "input.text", …}; guessed otherwise.',
    )


class BatchOut(serializers.Serializer):
    """A staged file and how many of its rows are of which kind."""

    id = serializers.UUIDField()
    branch = serializers.CharField(source="branch.name")
    type = serializers.CharField(source="example_type.name")
    file_name = serializers.CharField()
    options = JsonObject()
    state = serializers.ChoiceField(ImportBatch.State.choices)
    read = serializers.IntegerField(source="rows_read")
    new = serializers.IntegerField(source="rows_new")
    changed = serializers.IntegerField(source="rows_changed")
    unchanged = serializers.IntegerField(source="rows_unchanged")
    refused = serializers.IntegerField(source="rows_refused")
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField()
    applied_at = serializers.DateTimeField(allow_null=True)


class StagedRowOut(serializers.Serializer):
    """A row of a staged file: what it would do, or why it is refused."""

    line = serializers.IntegerField()
    action = serializers.ChoiceField(StagedRow.Action.choices)
    example_id = serializers.UUIDField(allow_null=True)
    external_id = serializers.CharField(allow_null=True)
    input = AnyJson(source="input_data", allow_null=True)
    output = AnyJson(source="expected_output", allow_null=True)
    labels = JsonObject(allow_null=True)
    metadata = JsonObject(allow_null=True)
    errors = serializers.SerializerMethodField()  # type: ignore[assignment]
    raw = serializers.CharField(allow_blank=True)

    @extend_schema_field(serializers.ListField(child=JsonObject()))
    def get_errors(self, row: StagedRow) -> Any:
        return row.errors


class RowQuery(PageQuery):
    """Which rows of a staged file."""

    action = serializers.ChoiceField(StagedRow.Action.choices, required=False)


class ImportsView(GoldenView):
    actions = {"GET": Action.IMPORT, "POST": Action.IMPORT}
    parser_classes = [UploadParser]
    throttle_scope = None

    @operation("imports_list", "Uploaded files", tag="imports", query=PageQuery, answer=paged(BatchOut))
    def get(self, request: Request, dataset: str) -> Response:
        page, cursor = newest_first(_batches(self.dataset.pk), self.query(PageQuery))
        return self.page(page, BatchOut, cursor)

    @operation(
        "imports_create",
        "Upload a file for import",
        tag="imports",
        body={"multipart/form-data": UploadBody},
        answer=BatchOut,
        status=201,
    )
    def post(self, request: Request, dataset: str) -> Response:
        refuse_larger(request, settings.GOLDEN_MAX_UPLOAD_BYTES)
        body = self.body(UploadBody)
        upload = body["file"]
        batch = stage_file(
            branch=self.branch(body.get("branch")),
            file=upload.file,
            file_name=upload.name,
            options=ImportOptions(
                type_name=body.get("type"),
                format=body.get("format"),
                mapping=_mapping(body.get("mapping", "")),
            ),
            actor=request.user,
        )
        return Response(BatchOut(_batch(self.dataset.pk, batch.pk)).data, status=201)


class ImportView(GoldenView):
    actions = {"GET": Action.IMPORT, "DELETE": Action.IMPORT}

    @operation("imports_read", "An uploaded file", tag="imports", answer=BatchOut)
    def get(self, request: Request, dataset: str, batch: uuid.UUID) -> Response:
        return Response(BatchOut(_batch(self.dataset.pk, batch)).data)

    @operation("imports_discard", "Throw an uploaded file away", tag="imports", status=204)
    def delete(self, request: Request, dataset: str, batch: uuid.UUID) -> Response:
        discard_batch(batch=_batch(self.dataset.pk, batch), actor=request.user)
        return Response(status=204)


class ImportRowsView(GoldenView):
    actions = {"GET": Action.IMPORT}

    @operation(
        "imports_rows", "What each row would do", tag="imports", query=RowQuery, answer=paged(StagedRowOut)
    )
    def get(self, request: Request, dataset: str, batch: uuid.UUID) -> Response:
        query = self.query(RowQuery)
        rows = _batch(self.dataset.pk, batch).rows.defer("search_text")
        if "action" in query:
            rows = rows.filter(action=query["action"])
        after = decode_cursor(query["cursor"], int)
        if after is not None:
            rows = rows.filter(line__gt=after)
        found = list(rows.order_by("line")[: query["limit"] + 1])
        page, cursor = cut(found, query["limit"], lambda row: row.line)
        return self.page(page, StagedRowOut, cursor)


class ImportApplyView(GoldenView):
    actions = {"POST": Action.IMPORT}
    throttle_scope = "bulk"

    @operation(
        "imports_apply", "Write the good rows into the working copy", tag="imports", answer=ImportResultOut
    )
    def post(self, request: Request, dataset: str, batch: uuid.UUID) -> Response:
        result = apply_batch(batch=_batch(self.dataset.pk, batch), actor=request.user)
        return Response(ImportResultOut(result).data)


def _batches(dataset_id: uuid.UUID) -> Any:
    rows = ImportBatch.objects.filter(branch__dataset_id=dataset_id)
    return rows.select_related("branch", "example_type", "created_by")


def _batch(dataset_id: uuid.UUID, batch: uuid.UUID) -> ImportBatch:
    found: ImportBatch | None = _batches(dataset_id).filter(pk=batch).first()
    if found is None:
        raise NotFound(f"This dataset has no import {batch}.")
    return found


def _mapping(text: str) -> dict[str, str]:
    mapping = loads_strict(text) if text else {}
    if not isinstance(mapping, dict) or not all(isinstance(value, str) for value in mapping.values()):
        raise BadInput('mapping: expected a JSON object of column → field, such as {"title": "input.text"}.')
    return mapping
