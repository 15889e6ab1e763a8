"""Branches: make, open for editing, close; how far each has moved from the default one."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages
from django.db.models import Exists, IntegerField, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.shortcuts import get_object_or_404

from datasets_app.admin.jobs import job_address
from datasets_app.admin.versioning.page import VersioningPage
from datasets_app.domain.roles import Action
from datasets_app.models import Branch, DirtyExample, WorktreeCount
from datasets_app.services.jobs.thresholds import open_or_start
from datasets_app.services.versioning.previewing import divergences
from datasets_app.services.versioning.refs import create_branch
from datasets_app.services.versioning.worktrees import close_worktree
from goldenproject.kit.errors import BadInput


class BranchesPage(VersioningPage):
    """The branches of a dataset with their working copies."""

    tab = "branches"
    title = "Branches"
    template_name = "datasets_app/versioning/branches.html"
    posts: ClassVar[dict[str, Action]] = {
        "create": Action.COMMIT,
        "open": Action.EDIT,
        "close_copy": Action.EDIT,
        "close_branch": Action.COMMIT,
    }

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        branches = list(self._branches())
        default = next(branch for branch in branches if branch.is_default)
        apart = divergences(self.dataset, [b for b in branches if not b.is_closed], default.commit)
        return {
            **super().get_context_data(**kwargs),
            "rows": [(branch, apart.get(branch.pk)) for branch in branches if not branch.is_closed],
            "closed": [branch for branch in branches if branch.is_closed],
            "default_branch": default,
            "preset_ref": self.request.GET.get("ref", ""),
        }

    def _branches(self) -> QuerySet[Branch]:
        counts = WorktreeCount.objects.filter(branch=OuterRef("pk")).order_by().values("branch")
        rows = Subquery(counts.annotate(n=Sum("delta")).values("n"), output_field=IntegerField())
        return (
            self.dataset.branches.select_related("commit", "created_by")
            .annotate(
                is_dirty=Exists(DirtyExample.objects.filter(branch=OuterRef("pk"))),
                row_total=Coalesce(rows, 0),
            )
            .order_by("-is_default", "name")
        )

    def _named(self) -> Branch:
        return get_object_or_404(self.dataset.branches, name=self.request.POST.get("name", ""))

    def post_create(self) -> str:
        branch = create_branch(
            dataset=self.dataset,
            name=self.request.POST.get("name", "").strip(),
            start=self.request.POST.get("start", "").strip() or None,
            actor=self.person,
        )
        if self.request.POST.get("open") == "yes":
            job = open_or_start(branch=branch, actor=self.person)
            if job is not None:
                messages.info(self.request, f"Branch {branch.name} is made and is being opened.")
                return job_address(job)
            messages.success(self.request, f"Branch {branch.name} is made and open for editing.")
            return self.url("branches", branch=branch)
        messages.success(self.request, f"Branch {branch.name} is made. Open it when you want to edit on it.")
        return self.url("branches")

    def post_open(self) -> str:
        branch = self._named()
        job = open_or_start(branch=branch, actor=self.person)
        if job is not None:
            return job_address(job)
        messages.success(self.request, f"Branch {branch.name} is open for editing.")
        return self.url("branches", branch=branch)

    def post_close_copy(self) -> str:
        return self._close(close_branch=False)

    def post_close_branch(self) -> str:
        return self._close(close_branch=True)

    def _close(self, *, close_branch: bool) -> str:
        branch = self._named()
        if close_branch and self.request.POST.get("confirmed") != "yes":
            raise BadInput(
                f"Closing the branch “{branch.name}” was not confirmed.", hint="Tick the box, then close it."
            )
        discard = self.request.POST.get("discard") == "yes"
        close_worktree(branch=branch, actor=self.person, discard=discard, close_branch=close_branch)
        said = "closed; its commits stay" if close_branch else "no longer open for editing"
        messages.success(self.request, f"Branch {branch.name} is {said}.")
        return self.url("branches", branch=branch.dataset.main if branch == self.branch else None)
