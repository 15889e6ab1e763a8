"""Check out: set the working copy of a branch to the state of any version."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages

from datasets_app.admin.versioning.page import VersioningPage
from datasets_app.admin.versioning.ref_choices import ref_choices
from datasets_app.domain.roles import Action
from datasets_app.services.versioning.refs import resolve
from datasets_app.services.versioning.worktrees import checkout, status, target_differences
from goldenproject.kit.admin import tell
from goldenproject.kit.errors import BadInput, GoldenError


class CheckoutPage(VersioningPage):
    """Choose a version, see how many rows it would change, and say what becomes of uncommitted work."""

    tab = "log"
    title = "Check out a version"
    template_name = "datasets_app/versioning/checkout.html"
    posts: ClassVar[dict[str, Action]] = {"checkout": Action.EDIT}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        ref = self.request.POST.get("ref") or self.request.GET.get("ref", "")
        target = None
        if ref:
            try:
                target = resolve(self.dataset, ref, head=self.branch)
            except GoldenError as error:
                if self.request.method == "GET":
                    tell(self.request, error)
        is_open = self.branch.is_open
        return {
            **super().get_context_data(**kwargs),
            "ref": ref,
            "target": target,
            "status": status(self.branch) if is_open else None,
            "changed": len(target_differences(self.branch, target)) if is_open and target else None,
            "refs": ref_choices(self.dataset),
            "keep": self.request.POST.get("keep") or self.request.GET.get("keep", ""),
        }

    def post_checkout(self) -> str:
        ref = self.request.POST.get("ref", "").strip()
        keep = self.request.POST.get("keep", "")
        if not ref:
            raise BadInput("No version was chosen.", hint="Write a branch, a tag or a commit.")
        discard = keep == "discard"
        if discard and self.request.POST.get("confirmed") != "yes":
            raise BadInput(
                "Throwing uncommitted changes away was not confirmed.",
                hint="Tick the box, or keep them on a branch.",
            )
        done = checkout(
            branch=self.branch, ref=ref, actor=self.person, discard=discard, stash=keep == "stash"
        )
        messages.success(
            self.request,
            f"The working copy of {self.branch.name} is at {ref} ({done.commit.short_hash}) now: "
            f"{done.changed:,} row{'' if done.changed == 1 else 's'} changed.",
        )
        if done.stash is not None:
            messages.info(self.request, f"What was not committed is kept on the branch {done.stash.name}.")
        return self.url("changes")
