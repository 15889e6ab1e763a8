"""The names that a person may choose a version by."""

from __future__ import annotations

from dataclasses import dataclass

from datasets_app.models import Branch, Dataset

SHOWN_COMMITS = 30
SHOWN_TAGS = 100


@dataclass(frozen=True)
class RefChoice:
    """A ref and what is said beside it."""

    ref: str
    label: str


@dataclass(frozen=True)
class RefChoices:
    """Branches, tags and the newest commits of a dataset; older ones are typed by hash."""

    branches: list[RefChoice]
    tags: list[RefChoice]
    commits: list[RefChoice]


def ref_choices(dataset: Dataset, *, without: Branch | None = None) -> RefChoices:
    """Return what a picker offers."""
    branches = dataset.branches.filter(is_closed=False, commit__isnull=False)
    tags = dataset.version_tags.order_by("-id").values_list("name", "message")[:SHOWN_TAGS]
    return RefChoices(
        branches=[
            RefChoice(branch.name, "default branch" if branch.is_default else "branch")
            for branch in branches
            if branch != without
        ],
        tags=[RefChoice(name, message.partition("\n")[0][:60] or "tag") for name, message in tags],
        commits=[
            RefChoice(commit.short_hash, commit.message.partition("\n")[0][:60])
            for commit in dataset.commits.order_by("-id")[:SHOWN_COMMITS]
        ],
    )
