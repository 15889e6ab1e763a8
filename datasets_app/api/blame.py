"""Where an example's values come from: the commit of each field, and all commits that changed it."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import GoldenView, operation
from datasets_app.api.paging import PageQuery, cut, decode_cursor, paged
from datasets_app.api.shapes import CHANGE_TYPES, BlameLineOut, CommitOut
from datasets_app.domain.roles import Action
from datasets_app.services.versioning import log
from datasets_app.services.versioning.refs import resolve


class BlameQuery(serializers.Serializer):
    """In which version."""

    ref = serializers.CharField(
        required=False, max_length=250, help_text="By default HEAD of the default branch."
    )


class BlameOut(serializers.Serializer):
    """Who gave each field of an example its value."""

    id = serializers.UUIDField()
    lines = BlameLineOut(many=True)


class BlameView(GoldenView):
    actions = {"GET": Action.VIEW}

    @operation(
        "examples_blame",
        "Which commit gave each field its value",
        tag="examples",
        query=BlameQuery,
        answer=BlameOut,
    )
    def get(self, request: Request, dataset: str, example: str) -> Response:
        commit = resolve(self.dataset, self.query(BlameQuery).get("ref"))
        identity = log.find_example(self.dataset, example)
        lines = log.blame(self.dataset, identity.pk, at=commit)
        return Response(BlameOut({"id": identity.pk, "lines": lines}).data)


class ExampleCommitOut(serializers.Serializer):
    """What a commit did to an example."""

    commit = CommitOut()
    change = serializers.ChoiceField(CHANGE_TYPES, source="change_type")


class ExampleHistoryView(GoldenView):
    actions = {"GET": Action.VIEW}

    @operation(
        "examples_history",
        "The commits that changed an example",
        tag="examples",
        query=PageQuery,
        answer=paged(ExampleCommitOut),
    )
    def get(self, request: Request, dataset: str, example: str) -> Response:
        query = self.query(PageQuery)
        before = decode_cursor(query["cursor"], int)
        changes = log.row_history(self.dataset, log.find_example(self.dataset, example).pk)
        rows = [change for change in changes if before is None or change.commit_id < before]
        page, cursor = cut(rows[: query["limit"] + 1], query["limit"], lambda change: change.commit_id)
        return self.page(page, ExampleCommitOut, cursor)
