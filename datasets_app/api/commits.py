"""Versions: what is not committed, commits, their differences, checkout."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import GoldenView, operation
from datasets_app.api.examples import BranchQuery
from datasets_app.api.paging import PageQuery, cut, decode_cursor, encode_cursor, paged
from datasets_app.api.shapes import CommitOut, ExampleDiffOut
from datasets_app.domain.roles import Action
from datasets_app.models import DatasetCommit
from datasets_app.services.versioning.commits import Selection, commit
from datasets_app.services.versioning.comparing import Comparison, compare, compare_working_copy
from datasets_app.services.versioning.log import log
from datasets_app.services.versioning.refs import resolve
from datasets_app.services.versioning.worktrees import checkout, status
from goldenproject.kit.errors import BadInput

WORKING_COPY = "WORKING"


class StatusOut(serializers.Serializer):
    """What the working copy of a branch has that its commit has not."""

    branch = serializers.CharField(source="branch.name")
    commit = serializers.CharField(source="branch.commit.commit_hash", default=None, allow_null=True)
    worktree = serializers.CharField(source="branch.worktree")
    rows = serializers.IntegerField()
    added = serializers.IntegerField()
    modified = serializers.IntegerField()
    removed = serializers.IntegerField()
    exact = serializers.BooleanField(
        help_text="False where so much was touched that equal rows were not sorted out."
    )
    is_clean = serializers.BooleanField()


class StatusView(GoldenView):
    actions = {"GET": Action.VIEW}

    @operation("status_read", "What is not committed", tag="versions", query=BranchQuery, answer=StatusOut)
    def get(self, request: Request, dataset: str) -> Response:
        return Response(StatusOut(status(self.branch(self.query(BranchQuery).get("branch")))).data)


class LogQuery(PageQuery):
    """Where the log starts."""

    ref = serializers.CharField(
        required=False, max_length=250, help_text="By default HEAD of the default branch."
    )


class CommitBody(serializers.Serializer):
    """What to commit: everything, only what you alone touched, or only these examples."""

    branch = serializers.CharField(required=False, max_length=200)
    message = serializers.CharField(max_length=100_000)
    author = serializers.CharField(required=False, max_length=200, help_text="By default your name.")
    mine = serializers.BooleanField(default=False)
    example_ids = serializers.ListField(child=serializers.UUIDField(), required=False, allow_empty=False)


class CommitsView(GoldenView):
    actions = {"GET": Action.VIEW, "POST": Action.COMMIT}

    @operation(
        "commits_list",
        "The log: a version and its ancestors",
        tag="versions",
        query=LogQuery,
        answer=paged(CommitOut),
    )
    def get(self, request: Request, dataset: str) -> Response:
        query = self.query(LogQuery)
        if "ref" not in query and self.branch().commit is None:
            return self.page([], CommitOut, None)
        start = resolve(self.dataset, query.get("ref"))
        after = decode_cursor(query["cursor"], str)
        found = log(self.dataset, start, limit=query["limit"] + 1, after=after)
        page, cursor = cut(found, query["limit"], lambda row: row.commit_hash)
        return self.page(page, CommitOut, cursor)

    @operation(
        "commits_create",
        "Commit the working copy",
        tag="versions",
        body=CommitBody,
        answer=CommitOut,
        status=201,
    )
    def post(self, request: Request, dataset: str) -> Response:
        body = self.body(CommitBody)
        ids = body.get("example_ids")
        made = commit(
            branch=self.branch(body.get("branch")),
            message=body["message"],
            author=body.get("author"),
            actor=request.user,
            selection=Selection(
                mine=request.user if body["mine"] else None,
                example_ids=None if ids is None else frozenset(ids),
            ),
        )
        return Response(CommitOut(made).data, status=201)


class CommitView(GoldenView):
    actions = {"GET": Action.VIEW}

    @operation(
        "commits_read", "A commit by hash, prefix, branch, tag or HEAD~n", tag="versions", answer=CommitOut
    )
    def get(self, request: Request, dataset: str, ref: str) -> Response:
        return Response(CommitOut(resolve(self.dataset, ref)).data)


class DiffQuery(PageQuery):
    """Two versions. Without `b` it is the working copy of `branch` against its commit, or `a` against its parent."""

    a = serializers.CharField(required=False, max_length=250, help_text="The old version.")
    b = serializers.CharField(required=False, max_length=250, help_text="The new version, or WORKING.")
    branch = serializers.CharField(required=False, max_length=200, help_text="Whose working copy WORKING is.")


class DiffOut(paged(ExampleDiffOut)):  # type: ignore[misc]
    """The difference of two versions: how many changes of each kind, and a page of them in the order of import."""

    a = serializers.CharField(source="old_name")
    b = serializers.CharField(source="new_name")
    added = serializers.IntegerField()
    removed = serializers.IntegerField()
    modified = serializers.IntegerField()


class DiffView(GoldenView):
    actions = {"GET": Action.VIEW}

    @operation(
        "diff_read",
        "The difference of two versions, field by field",
        tag="versions",
        query=DiffQuery,
        answer=DiffOut,
    )
    def get(self, request: Request, dataset: str) -> Response:
        query = self.query(DiffQuery)
        found = self._comparison(query)
        start = decode_cursor(query["cursor"], int) or 0
        end = start + query["limit"]
        return Response(
            {
                "a": found.old_name,
                "b": found.new_name,
                "added": found.added,
                "removed": found.removed,
                "modified": found.modified,
                "results": ExampleDiffOut(found.page(start, query["limit"]), many=True).data,
                "next_cursor": encode_cursor(end) if end < len(found) else None,
            }
        )

    def _comparison(self, query: dict[str, Any]) -> Comparison:
        a, b = query.get("a"), query.get("b")
        if b == WORKING_COPY or (a is None and b is None):
            branch = self.branch(query.get("branch"))
            if a is not None and resolve(self.dataset, a, head=branch) != branch.commit:
                raise BadInput(
                    "WORKING is compared with its own branch's commit only.",
                    hint="Commit first, or leave “a” out.",
                )
            return compare_working_copy(branch)
        if b is None:
            new = resolve(self.dataset, a)
            return compare(self.dataset, _parent(new), new)
        new = resolve(self.dataset, b)
        return compare(self.dataset, _parent(new) if a is None else resolve(self.dataset, a), new)


def _parent(commit: DatasetCommit) -> DatasetCommit | None:
    return DatasetCommit.objects.filter(commit_hash=commit.parent_commit_hash).first()


class CheckoutBody(serializers.Serializer):
    """Which version the working copy shall hold. Uncommitted work is refused, thrown away or kept on a branch."""

    branch = serializers.CharField(required=False, max_length=200)
    ref = serializers.CharField(max_length=250)
    uncommitted = serializers.ChoiceField(["refuse", "discard", "stash"], default="refuse")


class CheckoutOut(serializers.Serializer):
    """What a checkout did."""

    commit = CommitOut()
    changed = serializers.IntegerField()
    stash = serializers.CharField(source="stash.name", default=None, allow_null=True)


class CheckoutView(GoldenView):
    actions = {"POST": Action.EDIT}

    @operation(
        "checkout_create",
        "Set a working copy to a version",
        tag="versions",
        body=CheckoutBody,
        answer=CheckoutOut,
    )
    def post(self, request: Request, dataset: str) -> Response:
        body = self.body(CheckoutBody)
        result = checkout(
            branch=self.branch(body.get("branch")),
            ref=body["ref"],
            actor=request.user,
            discard=body["uncommitted"] == "discard",
            stash=body["uncommitted"] == "stash",
        )
        return Response(CheckoutOut(result).data)
