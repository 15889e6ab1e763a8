"""Merge: choose what to bring in, see what it would do, do it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages

from datasets_app.admin.versioning.page import VersioningPage
from datasets_app.admin.versioning.presentation import excerpt, plain_field_name, show_diff
from datasets_app.admin.versioning.ref_choices import ref_choices
from datasets_app.domain.roles import Action
from datasets_app.services.versioning.merging import MergeOptions, MergeOutcome, merge
from datasets_app.services.versioning.previewing import MergePreview, contents_at, preview_merge
from goldenproject.kit.admin import tell
from goldenproject.kit.errors import BadInput, GoldenError

SHOWN_CHANGES = 20
SHOWN_CONFLICTS = 20
FINISHED = 10


class MergePage(VersioningPage):
    """Bring the changes of another version into this branch; nothing is written before the preview was confirmed."""

    tab = "merge"
    title = "Merge"
    template_name = "datasets_app/versioning/merge.html"
    posts: ClassVar[dict[str, Action]] = {"merge": Action.MERGE}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        source = (self.request.POST.get("source") or self.request.GET.get("source", "")).strip()
        context = super().get_context_data(**kwargs)
        preview = None
        if source and context["open_merge"] is None:
            try:
                preview = preview_merge(self.branch, source)
            except GoldenError as error:
                if self.request.method == "GET":
                    tell(self.request, error)
        conflicts = preview.conflicts if preview else []
        return {
            **context,
            "source": source,
            "refs": ref_choices(self.dataset, without=self.branch),
            "preview": preview,
            "changes": [show_diff(change) for change in preview.changes.page(0, SHOWN_CHANGES)]
            if preview
            else [],
            "more_changes": max(len(preview.changes) - SHOWN_CHANGES, 0) if preview else 0,
            "clashes": self._clashes(preview) if preview else [],
            "more_clashes": max(len(conflicts) - SHOWN_CONFLICTS, 0),
            "clash_count": sum(len(conflict.fields) for conflict in conflicts),
            "finished": list(
                self.branch.merges.exclude(state="open")
                .select_related("result", "started_by")
                .order_by("-id")[:FINISHED]
            ),
        }

    def _clashes(self, preview: MergePreview) -> list[tuple[str, str, str]]:
        """(name, line to know it by, fields) of the first examples that both sides changed."""
        shown = preview.conflicts[:SHOWN_CONFLICTS]
        ours = contents_at(preview.ours, [conflict.uuid for conflict in shown])
        return [
            (
                conflict.name,
                excerpt(ours[conflict.uuid].document()) if conflict.uuid in ours else "deleted on one side",
                ", ".join(plain_field_name(found.path) for found in conflict.fields),
            )
            for conflict in shown
        ]

    def post_merge(self) -> str:
        source = self.request.POST.get("source", "").strip()
        if not source:
            raise BadInput("Nothing to merge was chosen.", hint="Write a branch, a tag or a commit.")
        outcome = merge(
            branch=self.branch,
            source=source,
            actor=self.person,
            options=MergeOptions(
                message=self.request.POST.get("message", "").strip(),
                fast_forward=self.request.POST.get("own_commit") != "yes",
            ),
        )
        if outcome.has_conflicts and outcome.merge is not None:
            return self.url("conflicts", outcome.merge.pk)
        self._say(outcome, source)
        if outcome.commit is None or outcome.up_to_date:
            return self.url("merge")
        return self.url("commit", outcome.commit.commit_hash)

    def _say(self, outcome: MergeOutcome, source: str) -> None:
        name = self.branch.name
        if outcome.up_to_date:
            messages.info(self.request, f"{name} holds all of {source} already.")
        elif outcome.fast_forward and outcome.commit is not None:
            messages.success(
                self.request, f"{name} moved forward to {outcome.commit.short_hash}; no merge commit needed."
            )
        elif outcome.commit is not None:
            messages.success(self.request, f"Merged {source} into {name}: {outcome.commit.short_hash}.")
        if outcome.kept_uncommitted:
            messages.warning(
                self.request,
                f"{outcome.kept_uncommitted} uncommitted edit(s) of the same fields stayed as they are on {name}.",
            )
