"""The page of one commit: its facts, its changes, and what can be made from it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages

from datasets_app.admin.versioning.page import PAGE_SIZE, VersioningPage, number
from datasets_app.admin.versioning.presentation import show_diff
from datasets_app.domain.roles import Action
from datasets_app.models import DatasetCommit
from datasets_app.services.versioning.log import refs_by_commit
from datasets_app.services.versioning.merging import MergeOptions, revert
from datasets_app.services.versioning.refs import create_branch, create_tag, resolve
from datasets_app.services.versioning.touched import ADDED, MODIFIED, REMOVED, logged_page


class CommitPage(VersioningPage):
    """One commit. `commit_hash` in the address is the hash or a unique prefix of it, or any other ref."""

    tab = "log"
    title = "Commit"
    template_name = "datasets_app/versioning/commit.html"
    posts: ClassVar[dict[str, Action]] = {"revert": Action.MERGE, "tag": Action.TAG, "branch": Action.COMMIT}

    def prepare(self, **kwargs: Any) -> None:
        super().prepare(**kwargs)
        self.commit: DatasetCommit = resolve(self.dataset, kwargs["commit_hash"], head=self.branch)
        self.commit.dataset = self.dataset

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        kind = self.request.GET.get("kind", "")
        kind = kind if kind in (ADDED, MODIFIED, REMOVED) else ""
        after = number(self.request.GET.get("after"), -1)
        page = logged_page(self.commit, after=after, limit=PAGE_SIZE, kind=kind or None)
        branches, tags = refs_by_commit(self.dataset)
        counts = {
            ADDED: self.commit.examples_added,
            MODIFIED: self.commit.examples_modified,
            REMOVED: self.commit.examples_removed,
        }
        return {
            **super().get_context_data(**kwargs),
            "commit": self.commit,
            "subject": self.commit.message.splitlines()[0],
            "body": "\n".join(self.commit.message.splitlines()[1:]).strip(),
            "parents": [(digest[:12], self.url("commit", digest)) for digest in self.commit.parents],
            "commit_branches": branches.get(self.commit.pk, []),
            "commit_tags": tags.get(self.commit.pk, []),
            "changes": [show_diff(change) for change in page.changes],
            "total": sum(counts.values()),
            "kind": kind,
            "kinds": [
                (name, name.capitalize() if name else "All", count, self._address(kind=name))
                for name, count in [("", sum(counts.values())), *counts.items()]
            ],
            "next": self._address(kind=kind, after=str(page.after)) if page.after is not None else "",
            "first": after < 0,
        }

    def _address(self, **query: Any) -> str:
        return self.url("commit", self.commit.commit_hash, **query)

    def post_revert(self) -> str:
        outcome = revert(
            branch=self.branch,
            ref=self.commit.commit_hash,
            actor=self.person,
            options=MergeOptions(message=self.request.POST.get("message", "").strip()),
        )
        if outcome.has_conflicts and outcome.merge is not None:
            messages.warning(self.request, "Later commits changed the same fields: choose what shall stay.")
            return self.url("conflicts", outcome.merge.pk)
        assert outcome.commit is not None
        messages.success(self.request, f"Reverted by {outcome.commit.short_hash} on {self.branch.name}.")
        return self.url("commit", outcome.commit.commit_hash)

    def post_tag(self) -> str:
        tag = create_tag(
            dataset=self.dataset,
            name=self.request.POST.get("name", "").strip(),
            ref=self.commit.commit_hash,
            message=self.request.POST.get("tag_message", "").strip(),
            actor=self.person,
        )
        messages.success(self.request, f"Tag {tag.name} names this version now.")
        return self._address()

    def post_branch(self) -> str:
        branch = create_branch(
            dataset=self.dataset,
            name=self.request.POST.get("name", "").strip(),
            start=self.commit.commit_hash,
            actor=self.person,
        )
        messages.success(self.request, f"Branch {branch.name} starts here. Open it to edit.")
        return self.url("branches")
