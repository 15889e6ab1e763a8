"""The Python API: a dataset as an object, for notebooks and scripts.

    from datasets_app.services.curation.manager import DatasetManager

    tiers = DatasetManager.create("contact tiers", "Tiers of contacts", type="contact_tier")
    tiers.add_examples([{"id": "c1", "input": {"title": "CTO"}, "output": {"tier": "A"}}])
    tiers.commit("First contact", author="Data team")
    tiers.tag("v1.0")

Every call is one of the services and one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from datasets_app.domain.content import Content
from datasets_app.models import Branch, Dataset, DatasetCommit, Tag
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.importing import ImportOptions, ImportResult
from datasets_app.services.curation.types import get_type
from datasets_app.services.curation.validation import ValidationReport, validate_working_copy
from datasets_app.services.versioning import commits, comparing, log, merging, reading, refs, worktrees


class DatasetManager:
    """One dataset, worked on at one of its branches."""

    def __init__(self, name: str | Dataset, *, branch: str | None = None, actor: Any = None) -> None:
        """Open the dataset `name` at `branch` (default: main). Raises UnknownDataset, UnknownRef."""
        self.dataset = name if isinstance(name, Dataset) else refs.get_dataset(name)
        self._branch_name = branch
        self.actor = actor

    @classmethod
    def create(
        cls,
        name: str,
        description: str = "",
        parent_version: str = "",
        *,
        type: str | None = None,
        actor: Any = None,
    ) -> DatasetManager:
        """Make a dataset; `parent_version` (DATASET@REF) makes it start from that version. Raises Conflict."""
        dataset = create_dataset(
            name=name,
            description=description,
            parent_version=parent_version,
            default_type=get_type(type) if type else None,
            actor=actor,
        )
        return cls(dataset, actor=actor)

    @property
    def branch(self) -> Branch:
        """The branch as it is now."""
        return refs.get_branch(self.dataset, self._branch_name)

    def add_examples(self, examples: Iterable[dict[str, Any]], *, type: str | None = None) -> ImportResult:
        """Add or update examples ({"id", "input", "output", "labels", "metadata"}); equal ones change nothing.

        All or nothing. Raises MalformedRow naming the first bad one and its JSON path.
        """
        return bulk_upsert(
            branch=self.branch,
            documents=list(examples),
            actor=self.actor,
            options=ImportOptions(type_name=type),
        )

    def validate(self) -> ValidationReport:
        """Check every example of the working copy against its type as it is now."""
        return validate_working_copy(self.branch)

    def status(self) -> worktrees.Status:
        return worktrees.status(self.branch)

    def commit(self, message: str, author: str | None = None) -> DatasetCommit:
        """Commit what changed. Raises NothingToCommit, RefMoved."""
        return commits.commit(branch=self.branch, message=message, author=author, actor=self.actor)

    def checkout(self, ref: str, *, discard: bool = False, stash: bool = False) -> worktrees.CheckoutResult:
        """Set the working copy to a version. Raises UncommittedChanges unless told otherwise."""
        return worktrees.checkout(branch=self.branch, ref=ref, actor=self.actor, discard=discard, stash=stash)

    def diff(self, a: str = "HEAD", b: str | None = None) -> comparing.Comparison:
        """Compare version `a` with version `b`, or with the working copy."""
        branch = self.branch
        if b is None and a == "HEAD":
            return comparing.compare_working_copy(branch)
        old = refs.resolve(self.dataset, a, head=branch)
        new = refs.resolve(self.dataset, b or "HEAD", head=branch)
        return comparing.compare(self.dataset, old, new)

    def log(self, ref: str = "HEAD", *, limit: int = 50) -> list[DatasetCommit]:
        """Return the commits from `ref` back, newest first."""
        return log.log(self.dataset, refs.resolve(self.dataset, ref, head=self.branch), limit=limit)

    def tag(self, name: str, ref: str | None = None, message: str = "") -> Tag:
        """Name a version for ever. Raises RefExists, InvalidRefName."""
        return refs.create_tag(
            dataset=self.dataset, name=name, ref=ref, message=message, actor=self.actor, head=self.branch
        )

    def create_branch(self, name: str, start: str | None = None) -> DatasetManager:
        """Make a branch, open it for editing, and return the dataset at that branch."""
        made = refs.create_branch(
            dataset=self.dataset, name=name, start=start or self.branch.name, actor=self.actor
        )
        worktrees.open_worktree(branch=made, actor=self.actor)
        return DatasetManager(self.dataset, branch=name, actor=self.actor)

    def merge(self, source: str, **options: Any) -> merging.MergeOutcome:
        """Merge a version into this branch; look at `has_conflicts` of the outcome."""
        return merging.merge(
            branch=self.branch, source=source, actor=self.actor, options=merging.MergeOptions(**options)
        )

    def examples(self, ref: str = "HEAD") -> Iterator[Content]:
        """Yield the contents of a version in the order of import; redacted ones are left out.

        Stop when you like, and call what you like meanwhile: no transaction is open between two examples.
        """
        commit = refs.resolve(self.dataset, ref, head=self.branch)
        for row in reading.rows_at(commit):
            content = reading.content_of(row.text)
            if content is not None:
                yield content
