"""Merge and revert, and the conflicts that a person resolves."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import AnyJson, GoldenView, operation
from datasets_app.api.paging import PageQuery, paged
from datasets_app.api.shapes import CommitOut, ConflictOut, MergeOut, MergeOutcomeOut
from datasets_app.domain.json_path import MISSING
from datasets_app.domain.roles import Action
from datasets_app.models import Merge, MergeConflict
from datasets_app.services.versioning.merging import (
    MergeOptions,
    abort_merge,
    complete_merge,
    merge,
    resolve_all,
    resolve_conflict,
    revert,
)
from goldenproject.kit.errors import NotFound


class _Options(serializers.Serializer):
    branch = serializers.CharField(required=False, max_length=200, help_text="Into which branch.")
    message = serializers.CharField(required=False, max_length=100_000)
    author = serializers.CharField(required=False, max_length=200)
    favor = serializers.ChoiceField(
        ["ours", "theirs"], required=False, help_text="Settles every conflict at once."
    )


class MergeBody(_Options):
    """What to merge."""

    source = serializers.CharField(max_length=200, help_text="A branch, tag or commit.")  # type: ignore[assignment]
    fast_forward = serializers.BooleanField(default=True)


class RevertBody(_Options):
    """Which commit to undo by a new one."""

    ref = serializers.CharField(max_length=200)


class ResolutionBody(serializers.Serializer):
    """How one conflict is settled; `value` goes with the resolution “value”, and only with it."""

    resolution = serializers.ChoiceField(MergeConflict.Resolution.choices)
    value = AnyJson(required=False, allow_null=True)


class ResolveAllBody(serializers.Serializer):
    """How every conflict that is still open is settled."""

    resolution = serializers.ChoiceField(["ours", "theirs", "base"])


class CompleteBody(serializers.Serializer):
    """What to say of the merge commit."""

    message = serializers.CharField(required=False, max_length=100_000)
    author = serializers.CharField(required=False, max_length=200)


class ResolvedOut(serializers.Serializer):
    """How many conflicts were settled."""

    resolved = serializers.IntegerField()


def _options(body: dict[str, Any]) -> MergeOptions:
    return MergeOptions(
        message=body.get("message", ""),
        author=body.get("author"),
        favor=body.get("favor"),
        fast_forward=body.get("fast_forward", True),
    )


class MergesView(GoldenView):
    actions = {"GET": Action.VIEW, "POST": Action.MERGE}

    @operation(
        "merges_list",
        "Merges and reverts that had conflicts",
        tag="merges",
        query=PageQuery,
        answer=paged(MergeOut),
    )
    def get(self, request: Request, dataset: str) -> Response:
        return self.page_of_query(_merges(self.dataset), MergeOut, key="id", kind=int, newest_first=True)

    @operation(
        "merges_create", "Merge a version into a branch", tag="merges", body=MergeBody, answer=MergeOutcomeOut
    )
    def post(self, request: Request, dataset: str) -> Response:
        body = self.body(MergeBody)
        outcome = merge(
            branch=self.branch(body.get("branch")),
            source=body["source"],
            actor=request.user,
            options=_options(body),
        )
        return Response(MergeOutcomeOut(outcome).data)


class RevertView(GoldenView):
    actions = {"POST": Action.MERGE}

    @operation(
        "revert_create", "Undo a commit by a new one", tag="merges", body=RevertBody, answer=MergeOutcomeOut
    )
    def post(self, request: Request, dataset: str) -> Response:
        body = self.body(RevertBody)
        outcome = revert(
            branch=self.branch(body.get("branch")),
            ref=body["ref"],
            actor=request.user,
            options=_options(body),
        )
        return Response(MergeOutcomeOut(outcome).data)


class MergeView(GoldenView):
    actions = {"GET": Action.VIEW}

    @operation("merges_read", "A merge", tag="merges", answer=MergeOut)
    def get(self, request: Request, dataset: str, merge: int) -> Response:
        return Response(MergeOut(_merge(self.dataset, merge)).data)


class ConflictsView(GoldenView):
    actions = {"GET": Action.VIEW, "POST": Action.MERGE}

    @operation(
        "conflicts_list", "The conflicts of a merge", tag="merges", query=PageQuery, answer=paged(ConflictOut)
    )
    def get(self, request: Request, dataset: str, merge: int) -> Response:
        rows = _merge(self.dataset, merge).conflicts.all()
        return self.page_of_query(rows, ConflictOut, key="id", kind=int)

    @operation(
        "conflicts_resolve_all",
        "Settle all open conflicts",
        tag="merges",
        body=ResolveAllBody,
        answer=ResolvedOut,
    )
    def post(self, request: Request, dataset: str, merge: int) -> Response:
        resolution = self.body(ResolveAllBody)["resolution"]
        resolved = resolve_all(merging=_merge(self.dataset, merge), resolution=resolution, actor=request.user)
        return Response({"resolved": resolved})


class ConflictView(GoldenView):
    actions = {"PUT": Action.MERGE}

    @operation(
        "conflicts_resolve", "Settle a conflict", tag="merges", body=ResolutionBody, answer=ConflictOut
    )
    def put(self, request: Request, dataset: str, merge: int, conflict: int) -> Response:
        found = _merge(self.dataset, merge).conflicts.filter(pk=conflict).first()
        if found is None:
            raise NotFound(f"Merge {merge} has no conflict {conflict}.")
        body = self.body(ResolutionBody)
        settled = resolve_conflict(
            conflict=found,
            resolution=body["resolution"],
            value=body.get("value", MISSING),
            actor=request.user,
        )
        return Response(ConflictOut(settled).data)


class CompleteView(GoldenView):
    actions = {"POST": Action.MERGE}

    @operation("merges_complete", "Write the merge commit", tag="merges", body=CompleteBody, answer=CommitOut)
    def post(self, request: Request, dataset: str, merge: int) -> Response:
        body = self.body(CompleteBody)
        made = complete_merge(merging=_merge(self.dataset, merge), actor=request.user, **body)
        return Response(CommitOut(made).data)


class AbortView(GoldenView):
    actions = {"POST": Action.MERGE}

    @operation("merges_abort", "Give a merge up", tag="merges", answer=MergeOut)
    def post(self, request: Request, dataset: str, merge: int) -> Response:
        return Response(MergeOut(abort_merge(merging=_merge(self.dataset, merge), actor=request.user)).data)


def _merges(dataset: Any) -> Any:
    rows = Merge.objects.filter(branch__dataset=dataset)
    return rows.select_related("branch", "base", "ours", "theirs", "result")


def _merge(dataset: Any, merge: int) -> Merge:
    found: Merge | None = _merges(dataset).filter(pk=merge).first()
    if found is None:
        raise NotFound(f"Dataset “{dataset}” has no merge {merge}.")
    return found
