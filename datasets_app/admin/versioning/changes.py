"""The page of what is not committed, and the form that commits it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.http import HttpRequest

from datasets_app.admin.jobs import job_address
from datasets_app.admin.versioning.page import PAGE_SIZE, VersioningPage, number
from datasets_app.admin.versioning.presentation import show_diff
from datasets_app.domain.roles import Action
from datasets_app.services.jobs.thresholds import open_or_start
from datasets_app.services.versioning.commits import EVERYTHING, Selection, author_of, commit
from datasets_app.services.versioning.touched import ADDED, MODIFIED, REMOVED, touched_page
from datasets_app.services.versioning.worktrees import status
from goldenproject.kit.errors import BadInput

KINDS = (ADDED, MODIFIED, REMOVED)
SEVERAL = 0


class ChangesPage(VersioningPage):
    """What the working copy of a branch has that its commit has not."""

    tab = "changes"
    title = "Changes"
    template_name = "datasets_app/versioning/changes.html"
    posts: ClassVar[dict[str, Action]] = {"commit": Action.COMMIT, "open": Action.EDIT}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        if not self.branch.is_open:
            return {**context, "closed": True, "rows_to_open": _rows(self.branch.commit)}
        state = status(self.branch)
        kind = self.request.GET.get("kind", "")
        kind = kind if kind in KINDS else ""
        mine = self.request.GET.get("mine") == "1"
        page = touched_page(
            self.branch,
            after=number(self.request.GET.get("after"), -1),
            limit=PAGE_SIZE,
            kind=kind or None,
            mine=self.person if mine else None,
        )
        total = state.added + state.modified + state.removed
        names = _names({example.touched_by for example in page.examples} | set(state.touched_by))
        return {
            **context,
            "status": state,
            "total": total,
            "kinds": [
                (name, label, count, self._address(name, mine))
                for name, label, count in [
                    ("", "All", total),
                    *((name, name.capitalize(), getattr(state, name)) for name in KINDS),
                ]
            ],
            "kind": kind,
            "mine": mine,
            "changes": [
                show_diff(e.diff, who=who(e.touched_by, names), at=e.touched_at) for e in page.examples
            ],
            "next": self._address(kind, mine, after=page.after) if page.after is not None else "",
            "mine_address": self._address(kind, not mine),
            "people": [
                (who(pk, names), count) for pk, count in sorted(state.touched_by.items(), key=lambda p: -p[1])
            ],
            "my_count": state.touched_by.get(self.person.pk, 0),
            "author": author_of(self.person),
            "chosen": set(context["typed"].getlist("example")) if context["typed"] else set(),
        }

    def _address(self, kind: str, mine: bool, after: int | None = None) -> str:
        return self.url(
            "changes", kind=kind, mine="1" if mine else "", after="" if after is None else str(after)
        )

    def post_commit(self) -> str:
        made = commit(
            branch=self.branch,
            message=self.request.POST.get("message", ""),
            actor=self.person,
            selection=self._selection(),
        )
        messages.success(
            self.request,
            f"Committed {made.short_hash} on {self.branch.name}: {made.examples_added:,} added, "
            f"{made.examples_modified:,} modified, {made.examples_removed:,} removed.",
        )
        return self.url("commit", made.commit_hash)

    def _selection(self) -> Selection:
        scope = self.request.POST.get("scope", "all")
        if scope == "mine":
            return Selection(mine=self.person)
        if scope == "selected":
            chosen = frozenset(chosen_examples(self.request))
            if not chosen:
                raise BadInput(
                    "Nothing is selected.", hint="Tick the examples to commit, or commit everything."
                )
            return Selection(example_ids=chosen)
        return EVERYTHING

    def post_open(self) -> str:
        job = open_or_start(branch=self.branch, actor=self.person)
        if job is not None:
            return job_address(job)
        messages.success(self.request, f"Branch {self.branch.name} can be edited now.")
        return self.url("changes")


def chosen_examples(request: HttpRequest) -> list[UUID]:
    """Return the ticked examples. Raises BadInput."""
    try:
        return [UUID(text) for text in request.POST.getlist("example")]
    except ValueError as error:
        raise BadInput("The selection holds something that is no example.") from error


def _rows(commit: Any) -> int:
    return commit.example_count if commit is not None else 0


def _names(pks: set[int | None]) -> dict[int | None, str]:
    users = get_user_model().objects.filter(pk__in=[pk for pk in pks if pk])
    return {user.pk: author_of(user) for user in users}


def who(pk: int | None, names: Mapping[int | None, str]) -> str:
    """Name the person who touched a row."""
    if pk is None:
        return "unknown"
    return "several people" if pk == SEVERAL else names.get(pk, f"user {pk}")
