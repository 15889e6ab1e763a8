"""Branches and tags."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import GoldenView, operation
from datasets_app.api.paging import PageQuery, paged
from datasets_app.domain.roles import Action
from datasets_app.errors import UnknownRef
from datasets_app.models import Branch, Tag
from datasets_app.services.versioning.refs import create_branch, create_tag, delete_tag
from datasets_app.services.versioning.worktrees import close_worktree, open_worktree


class BranchOut(serializers.Serializer):
    """A name for a commit that moves. Examples can be edited where `worktree` is open."""

    name = serializers.CharField()
    commit = serializers.CharField(source="commit.commit_hash", default=None, allow_null=True)
    is_default = serializers.BooleanField()
    worktree = serializers.ChoiceField(Branch.Worktree.choices)
    is_closed = serializers.BooleanField()
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField()


class BranchCreate(serializers.Serializer):
    """A new branch."""

    name = serializers.CharField(max_length=200)
    start = serializers.CharField(
        required=False, max_length=250, help_text="By default HEAD of the default branch."
    )
    open = serializers.BooleanField(default=False, help_text="Give it a working copy at once.")


class CloseQuery(serializers.Serializer):
    """What becomes of uncommitted changes."""

    discard = serializers.BooleanField(default=False, help_text="Throw uncommitted changes away.")


class BranchesView(GoldenView):
    actions = {"GET": Action.VIEW, "POST": Action.COMMIT}

    @operation("branches_list", "Branches", tag="refs", query=PageQuery, answer=paged(BranchOut))
    def get(self, request: Request, dataset: str) -> Response:
        rows = self.dataset.branches.select_related("commit", "created_by")
        return self.page_of_query(rows, BranchOut, key="name", kind=str)

    @operation(
        "branches_create", "Make a branch", tag="refs", body=BranchCreate, answer=BranchOut, status=201
    )
    def post(self, request: Request, dataset: str) -> Response:
        body = self.body(BranchCreate)
        made = create_branch(
            dataset=self.dataset, name=body["name"], start=body.get("start"), actor=request.user
        )
        if body["open"]:
            made = open_worktree(branch=made, actor=request.user)
        return Response(BranchOut(made).data, status=201)


class BranchView(GoldenView):
    actions = {"GET": Action.VIEW, "DELETE": Action.COMMIT}

    @operation("branches_read", "A branch", tag="refs", answer=BranchOut)
    def get(self, request: Request, dataset: str, branch: str) -> Response:
        return Response(BranchOut(self.branch(branch)).data)

    @operation(
        "branches_close", "Close a branch; its commits stay", tag="refs", query=CloseQuery, answer=BranchOut
    )
    def delete(self, request: Request, dataset: str, branch: str) -> Response:
        discard = self.query(CloseQuery)["discard"]
        closed = close_worktree(
            branch=self.branch(branch), actor=request.user, discard=discard, close_branch=True
        )
        return Response(BranchOut(closed).data)


class WorktreeView(GoldenView):
    actions = {"PUT": Action.COMMIT, "DELETE": Action.COMMIT}

    @operation("worktree_open", "Give a branch its working copy", tag="refs", answer=BranchOut)
    def put(self, request: Request, dataset: str, branch: str) -> Response:
        return Response(BranchOut(open_worktree(branch=self.branch(branch), actor=request.user)).data)

    @operation(
        "worktree_close", "Take a branch's working copy away", tag="refs", query=CloseQuery, answer=BranchOut
    )
    def delete(self, request: Request, dataset: str, branch: str) -> Response:
        discard = self.query(CloseQuery)["discard"]
        closed = close_worktree(branch=self.branch(branch), actor=request.user, discard=discard)
        return Response(BranchOut(closed).data)


class TagOut(serializers.Serializer):
    """A name for a commit that never moves."""

    name = serializers.CharField()
    commit = serializers.CharField(source="commit.commit_hash")
    message = serializers.CharField(allow_blank=True)
    tagged_by = serializers.CharField(source="tagged_by.username", default=None, allow_null=True)
    tagged_at = serializers.DateTimeField()


class TagCreate(serializers.Serializer):
    """A new tag."""

    name = serializers.CharField(max_length=200)
    ref = serializers.CharField(
        required=False, max_length=250, help_text="By default HEAD of the default branch."
    )
    message = serializers.CharField(required=False, allow_blank=True, max_length=100_000)


class TagsView(GoldenView):
    actions = {"GET": Action.VIEW, "POST": Action.TAG}

    @operation("tags_list", "Tags, newest first", tag="refs", query=PageQuery, answer=paged(TagOut))
    def get(self, request: Request, dataset: str) -> Response:
        rows = self.dataset.version_tags.select_related("commit", "tagged_by")
        return self.page_of_query(rows, TagOut, key="id", kind=int, newest_first=True)

    @operation(
        "tags_create", "Name a version for ever", tag="refs", body=TagCreate, answer=TagOut, status=201
    )
    def post(self, request: Request, dataset: str) -> Response:
        body = self.body(TagCreate)
        made = create_tag(
            dataset=self.dataset,
            name=body["name"],
            ref=body.get("ref"),
            message=body.get("message", ""),
            actor=request.user,
        )
        return Response(TagOut(made).data, status=201)


class TagView(GoldenView):
    actions = {"GET": Action.VIEW, "DELETE": Action.TAG}

    @operation("tags_read", "A tag", tag="refs", answer=TagOut)
    def get(self, request: Request, dataset: str, tag: str) -> Response:
        return Response(TagOut(self._tag(tag)).data)

    @operation("tags_delete", "Delete a tag; its commit stays", tag="refs", status=204)
    def delete(self, request: Request, dataset: str, tag: str) -> Response:
        delete_tag(dataset=self.dataset, name=tag, actor=request.user)
        return Response(status=204)

    def _tag(self, name: str) -> Tag:
        found = self.dataset.version_tags.filter(name=name).select_related("commit", "tagged_by").first()
        if found is None:
            raise UnknownRef(f"Dataset “{self.dataset}” has no tag “{name}”.")
        return found
