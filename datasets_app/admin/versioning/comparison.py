"""Compare any two versions, or a version with a working copy."""

from __future__ import annotations

from typing import Any

from datasets_app.admin.versioning.page import PAGE_SIZE, VersioningPage, number
from datasets_app.admin.versioning.presentation import show_diff
from datasets_app.admin.versioning.ref_choices import ref_choices
from datasets_app.models import DatasetCommit
from datasets_app.services.versioning.comparing import Comparison, compare
from datasets_app.services.versioning.refs import resolve
from datasets_app.services.versioning.touched import ADDED, MODIFIED, REMOVED
from datasets_app.services.versioning.working_comparison import compare_version_with_working_copy
from goldenproject.kit.admin import tell
from goldenproject.kit.errors import BadInput, GoldenError

WORKING = "working copy"
NOTHING = "nothing"


class ComparisonPage(VersioningPage):
    """Version A beside version B. B may be the working copy of the branch; A may be “nothing”, the empty version."""

    tab = "log"
    title = "Compare versions"
    template_name = "datasets_app/versioning/comparison.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        old, new = self.request.GET.get("a", "").strip(), self.request.GET.get("b", "").strip()
        kind = self.request.GET.get("kind", "")
        kind = kind if kind in (ADDED, MODIFIED, REMOVED) else ""
        start = max(number(self.request.GET.get("start"), 0), 0)
        comparison = None
        if old and new:
            try:
                comparison = self._comparison(old, new)
            except GoldenError as error:
                tell(self.request, error)
        context = {
            **super().get_context_data(**kwargs),
            "a": old or "HEAD~1",
            "b": new or ("HEAD" if not self.branch.is_open else WORKING),
            "working": WORKING,
            "nothing": NOTHING,
            "refs": ref_choices(self.dataset),
            "comparison": comparison,
            "kind": kind,
        }
        return context if comparison is None else {**context, **self._page(comparison, old, new, kind, start)}

    def _comparison(self, old: str, new: str) -> Comparison:
        if old == WORKING:
            raise BadInput("The working copy can only stand on the right.", hint="Swap the two versions.")
        before = self._version(old)
        if new == WORKING and before is None:
            raise BadInput(
                "The working copy is compared with a version.", hint="Choose a branch, a tag or a commit."
            )
        if new == WORKING and before is not None:
            return compare_version_with_working_copy(self.branch, before)
        return compare(self.dataset, before, self._version(new))

    def _version(self, ref: str) -> DatasetCommit | None:
        return None if ref == NOTHING else resolve(self.dataset, ref, head=self.branch)

    def _page(self, comparison: Comparison, old: str, new: str, kind: str, start: int) -> dict[str, Any]:
        counts = {ADDED: comparison.added, MODIFIED: comparison.modified, REMOVED: comparison.removed}
        shown = comparison.only(kind) if kind else comparison
        return {
            "changes": [show_diff(change) for change in shown.page(start, PAGE_SIZE)],
            "total": len(comparison),
            "kinds": [
                (name, name.capitalize() if name else "All", count, self.url("diff", a=old, b=new, kind=name))
                for name, count in [("", len(comparison)), *counts.items()]
            ],
            "first_shown": start + 1,
            "last_shown": min(start + PAGE_SIZE, len(shown)),
            "of": len(shown),
            "next": self.url("diff", a=old, b=new, kind=kind, start=start + PAGE_SIZE)
            if start + PAGE_SIZE < len(shown)
            else "",
            "previous": self.url("diff", a=old, b=new, kind=kind, start=max(start - PAGE_SIZE, 0) or None)
            if start
            else "",
            "swapped": self.url("diff", a=new, b=old) if WORKING not in (old, new) else "",
        }
