"""Examples of a branch's working copy: what people edit, committed or not."""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import AnyJson, GoldenView, JsonObject, operation
from datasets_app.api.errors import BodyTooLarge, PreconditionFailed
from datasets_app.api.imports import ImportResultOut
from datasets_app.api.paging import PageQuery, cut, decode_cursor, paged
from datasets_app.domain.roles import Action
from datasets_app.errors import EditConflict, UnknownExample, WorktreeClosed
from datasets_app.models import Branch, Example, ExampleType, ValidationStatus
from datasets_app.services.curation import examples as editing
from datasets_app.services.curation.importing import ImportOptions
from datasets_app.services.curation.types import get_type
from datasets_app.services.versioning import log
from goldenproject.kit.errors import BadInput, Conflict

MAX_BULK = 5000


class ExampleOut(serializers.Serializer):
    """An example of a working copy. Its ETag is made from `updated_at`."""

    id = serializers.UUIDField(source="identity_id")
    external_id = serializers.CharField(source="identity.external_id", allow_null=True)
    type = serializers.CharField(source="example_type.name")
    input = AnyJson(source="input_data", allow_null=True)
    output = AnyJson(source="expected_output", allow_null=True)
    labels = JsonObject()
    metadata = JsonObject()
    provenance = JsonObject()
    source_decision_id = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(ValidationStatus.choices, source="validation_status")
    validated_by = serializers.CharField(source="validated_by.username", default=None, allow_null=True)
    validated_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class BranchQuery(serializers.Serializer):
    """Which working copy."""

    branch = serializers.CharField(required=False, max_length=200, help_text="By default the default branch.")


class ExampleFilter(PageQuery, BranchQuery):
    """Which examples of a working copy."""

    type = serializers.CharField(required=False, max_length=80)
    status = serializers.ChoiceField(ValidationStatus.choices, required=False)
    # `class` is a word of Python; get_fields gives the parameter its name
    class_ = serializers.CharField(
        required=False, max_length=1000, help_text="Value of the type's class field."
    )
    tag = serializers.CharField(required=False, max_length=100, help_text="Name of a mark in the labels.")
    search = serializers.CharField(
        required=False,
        max_length=1000,
        trim_whitespace=False,
        help_text="Part of any value, whatever the case.",
    )

    def get_fields(self) -> dict[str, Any]:
        return {name.rstrip("_"): field for name, field in super().get_fields().items()}


class ExamplePatch(serializers.Serializer):
    """What is to change of an example."""

    type = serializers.CharField(required=False, max_length=80)
    input = AnyJson(required=False)
    output = AnyJson(required=False, allow_null=True)
    labels = JsonObject(required=False)
    metadata = JsonObject(required=False)
    source_decision_id = serializers.CharField(required=False, allow_null=True, max_length=1000)
    status = serializers.ChoiceField(ValidationStatus.choices, required=False)
    expected_updated_at = serializers.DateTimeField(
        required=False, default_timezone=UTC, help_text="Refuse (409) if it was saved since then."
    )


class ExampleCreate(serializers.Serializer):
    """A new example. Without `type` it has the dataset's own."""

    type = serializers.CharField(required=False, max_length=80)
    external_id = serializers.CharField(
        required=False, allow_null=True, max_length=500, trim_whitespace=False
    )
    input = AnyJson()
    output = AnyJson(required=False, allow_null=True)
    labels = JsonObject(required=False)
    metadata = JsonObject(required=False)
    source_decision_id = serializers.CharField(required=False, allow_null=True, max_length=1000)


class BulkBody(serializers.Serializer):
    """Examples to add or, by id, to update: lines of an import. `on_error` says what a refused one does to the others."""

    branch = serializers.CharField(required=False, max_length=200)
    type = serializers.CharField(required=False, max_length=80)
    on_error = serializers.ChoiceField(
        ["stop", "report"], default="stop", help_text="stop: nothing is written; report: the others are."
    )
    examples = serializers.ListField(
        child=JsonObject(),
        allow_empty=False,
        help_text='{"id", "input", "output", "labels", "metadata", "type"}',
    )


_FIELDS = {"input": "input_data", "output": "expected_output", "status": "validation_status"}
_IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="ETag that you read; else 412."
)


def rows_of(branch: Branch) -> QuerySet[Example]:
    if not branch.is_open:
        raise WorktreeClosed(
            f"Branch “{branch.name}” has no working copy.",
            hint="Open it (PUT …/worktrees/BRANCH), or read its commit under versions/.",
        )
    return Example.objects.filter(branch=branch).select_related(
        "identity", "example_type", "validated_by", "branch"
    )


class ExamplesView(GoldenView):
    actions = {"GET": Action.VIEW, "POST": Action.EDIT}

    @operation(
        "examples_list",
        "Examples of a working copy",
        tag="examples",
        query=ExampleFilter,
        answer=paged(ExampleOut),
    )
    def get(self, request: Request, dataset: str) -> Response:
        query = self.query(ExampleFilter)
        rows = _filtered(rows_of(self.branch(query.get("branch"))), query)
        after = decode_cursor(query["cursor"], int)
        if after is not None:
            rows = rows.filter(ordinal__gt=after)
        found = list(rows.defer("search_text").order_by("ordinal")[: query["limit"] + 1])
        page, cursor = cut(found, query["limit"], lambda row: row.ordinal)
        return self.page(page, ExampleOut, cursor)

    @operation(
        "examples_create",
        "Add an example to a working copy",
        tag="examples",
        query=BranchQuery,
        body=ExampleCreate,
        answer=ExampleOut,
        status=201,
    )
    def post(self, request: Request, dataset: str) -> Response:
        branch = self.branch(self.query(BranchQuery).get("branch"))
        body = _renamed(self.body(ExampleCreate))
        example_type = body.pop("example_type", None) or self.dataset.default_type
        if example_type is None:
            raise BadInput(f"Dataset “{self.dataset}” has no type of its own.", hint="Say it: “type”.")
        made = editing.add_example(branch=branch, example_type=example_type, actor=request.user, **body)
        return _example_answer(made, status=201)


class ExampleView(GoldenView):
    actions = {"GET": Action.VIEW, "PATCH": Action.REVIEW, "DELETE": Action.EDIT}

    @operation(
        "examples_read",
        "An example by UUID or external id",
        tag="examples",
        query=BranchQuery,
        answer=ExampleOut,
    )
    def get(self, request: Request, dataset: str, example: str) -> Response:
        found = self._example(example)
        if etag_of(found) in _etags(request.headers.get("If-None-Match", "")):
            return Response(status=304, headers={"ETag": etag_of(found)})
        return _example_answer(found)

    @operation(
        "examples_update",
        "Change an example",
        tag="examples",
        query=BranchQuery,
        body=ExamplePatch,
        answer=ExampleOut,
        headers=(_IF_MATCH,),
    )
    def patch(self, request: Request, dataset: str, example: str) -> Response:
        body = self.body(ExamplePatch, partial=True)
        if set(body) - {"status", "expected_updated_at"}:
            self.require(Action.EDIT, self.dataset)
        found = self._example(example)
        if_match = self._checked_if_match(found)
        expected = found.updated_at if if_match else body.pop("expected_updated_at", None)
        body.pop("expected_updated_at", None)
        try:
            saved = editing.update_example(
                example=found, actor=request.user, expected_updated_at=expected, **_renamed(body)
            )
        except EditConflict as error:
            if if_match:
                raise PreconditionFailed() from error
            raise
        return _example_answer(_fresh(saved))

    @operation(
        "examples_delete",
        "Remove an example from a working copy; versions keep it",
        tag="examples",
        query=BranchQuery,
        status=204,
        headers=(_IF_MATCH,),
    )
    def delete(self, request: Request, dataset: str, example: str) -> Response:
        found = self._example(example)
        self._checked_if_match(found)
        editing.delete_examples(branch=found.branch, uuids=[found.identity_id], actor=request.user)
        return Response(status=204)

    def _example(self, name: str) -> Example:
        branch = self.branch(self.query(BranchQuery).get("branch"))
        identity = log.find_example(self.dataset, name)
        found = rows_of(branch).filter(identity=identity).first()
        if found is None:
            raise UnknownExample(f"The working copy of “{branch.name}” does not hold example “{name}”.")
        return found

    def _checked_if_match(self, found: Example) -> bool:
        """Tell whether the caller made a condition. Raises PreconditionFailed when it does not hold."""
        given = self.request.headers.get("If-Match", "")
        if given and given.strip() != "*" and etag_of(found) not in _etags(given):
            raise PreconditionFailed(
                hint="Read it again, and send your change with its new ETag.",
                found=etag_of(found),
                expected=given,
            )
        return bool(given)


class BulkOut(ImportResultOut):
    """What became of the examples, and why each refused one was (its `line` is its place in the list, from 1)."""

    errors = serializers.ListField(child=JsonObject())  # type: ignore[assignment]


class BulkView(GoldenView):
    actions = {"POST": Action.IMPORT}
    throttle_scope = "bulk"

    @operation("examples_bulk", "Add or update many examples", tag="examples", body=BulkBody, answer=BulkOut)
    def post(self, request: Request, dataset: str) -> Response:
        body = self.body(BulkBody)
        if len(body["examples"]) > MAX_BULK:
            raise BodyTooLarge(
                f"{len(body['examples']):,} examples in one request; {MAX_BULK:,} are allowed.",
                hint="Send them in several requests, or upload a file to imports.",
                limit=MAX_BULK,
            )
        # the service writes refused rows to a file, whose lines become the answer
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "refused.jsonl"
            result = editing.bulk_upsert(
                branch=self.branch(body.get("branch")),
                documents=body["examples"],
                actor=request.user,
                options=ImportOptions(
                    type_name=body.get("type"),
                    on_error=body["on_error"],
                    report_path=report if body["on_error"] == "report" else None,
                ),
            )
            lines = report.read_bytes().splitlines() if report.exists() else []
        errors = [{"line": row["line"], "errors": row["errors"]} for row in map(orjson.loads, lines)]
        return Response({**ImportResultOut(result).data, "errors": errors})


def _filtered(rows: QuerySet[Example], query: dict[str, Any]) -> QuerySet[Example]:
    if "type" in query:
        rows = rows.filter(example_type=get_type(query["type"]))
    if "status" in query:
        rows = rows.filter(validation_status=query["status"])
    if "class" in query:
        rows = rows.filter(_of_class(query["class"], query.get("type")))
    if "tag" in query:
        rows = rows.filter(labels__has_key=query["tag"])
    if "search" in query:
        rows = rows.containing(query["search"])  # type: ignore[attr-defined]
    return rows


def _of_class(value: str, type_name: str | None) -> Q:
    """Match the class field of each type that has one; a containment, which the index on the output answers."""
    types = ExampleType.objects.exclude(class_field="")
    if type_name is not None:
        types = types.filter(name=type_name)
    found = Q(pk__in=[])
    for type_id, field in types.values_list("pk", "class_field"):
        document: Any = value
        for part in reversed(field.split(".")):
            document = {part: document}
        found |= Q(example_type=type_id, expected_output__contains=document)
    return found


def _renamed(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body under the names that the services use."""
    fields = {_FIELDS.get(name, name): value for name, value in body.items()}
    if "type" in fields:
        fields["example_type"] = get_type(fields.pop("type"))
    return fields


def _fresh(example: Example) -> Example:
    found = rows_of(example.branch).filter(pk=example.pk).first()
    if found is None:
        raise Conflict("This example was removed from the working copy meanwhile.")
    return found


def _example_answer(example: Example, status: int = 200) -> Response:
    example = _fresh(example) if status == 201 else example
    return Response(ExampleOut(example).data, status=status, headers={"ETag": etag_of(example)})


def etag_of(example: Example) -> str:
    """Return the strong ETag of a row: who it is and when it was saved."""
    return f'"{example.pk}-{_microseconds(example.updated_at)}"'


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def _etags(header: str) -> list[str]:
    return re.findall(r'"[^"]*"', header)
