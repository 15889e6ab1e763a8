"""Refs: resolve a name to a commit, make and move branches and tags."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from datasets_app.domain import refs as ref_names
from datasets_app.errors import (
    AmbiguousRef,
    InvalidRefName,
    RefExists,
    RefMoved,
    UnknownDataset,
    UnknownRef,
)
from datasets_app.models import Branch, Dataset, DatasetCommit, Tag
from datasets_app.services.access import record
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.retries import retried


@dataclass(frozen=True)
class DatasetRef:
    """DATASET@REF as written on a command line."""

    dataset: Dataset
    ref: str | None


def get_dataset(name_or_id: str | uuid.UUID) -> Dataset:
    """Return a dataset by name or UUID."""
    found = Dataset.objects.filter(name=str(name_or_id)).first()
    if found is None:
        try:
            found = Dataset.objects.filter(pk=uuid.UUID(str(name_or_id))).first()
        except ValueError:
            found = None
    if found is None:
        names = list(Dataset.objects.values_list("name", flat=True)[:10])
        raise UnknownDataset(
            f"There is no dataset “{name_or_id}”.",
            hint=f"Datasets: {', '.join(names)}." if names else "There is no dataset yet.",
        )
    return found


def parse_dataset_ref(text: str) -> DatasetRef:
    """Read DATASET or DATASET@REF; a dataset whose name holds an @ wins over the split."""
    if Dataset.objects.filter(name=text).exists() or "@" not in text:
        return DatasetRef(get_dataset(text), None)
    name, _, ref = text.rpartition("@")
    return DatasetRef(get_dataset(name), ref)


def get_branch(dataset: Dataset, name: str | None = None) -> Branch:
    """Return the branch `name`, or the default branch."""
    wanted = dataset.branches.filter(is_default=True) if name is None else dataset.branches.filter(name=name)
    branch = wanted.select_related("dataset", "commit").first()
    if branch is None:
        names = ", ".join(dataset.branches.values_list("name", flat=True)[:10])
        raise UnknownRef(f"Dataset “{dataset}” has no branch “{name}”.", hint=f"Branches: {names}.")
    return branch


def resolve(dataset: Dataset, ref: str | None = None, *, head: Branch | None = None) -> DatasetCommit:
    """Return the commit that `ref` names: a branch, a tag, HEAD, a hash or a unique prefix of one, each with ~n.

    HEAD is the commit of `head`, by default of the default branch. Raises UnknownRef, AmbiguousRef.
    """
    expression = ref_names.parse_ref(ref or ref_names.HEAD)
    if expression is None:
        raise UnknownRef(
            f"“{ref}” is not a version.",
            hint="Write a branch, a tag, a commit hash or HEAD, each with ~n if need be.",
        )
    commit = _named(dataset, expression.name, head)
    for step in range(expression.steps):
        if not commit.parent_commit_hash:
            raise UnknownRef(
                f"“{ref}” goes back further than the first commit: “{expression.name}” has {step} ancestor(s)."
            )
        commit = DatasetCommit.objects.get(commit_hash=commit.parent_commit_hash)
    return commit


def _named(dataset: Dataset, name: str, head: Branch | None) -> DatasetCommit:
    if name.upper() == ref_names.HEAD:
        return _commit_of(head or get_branch(dataset))
    branch = dataset.branches.filter(name=name).select_related("commit").first()
    if branch is not None:
        return _commit_of(branch)
    tag = dataset.version_tags.filter(name=name).select_related("commit").first()
    if tag is not None:
        return tag.commit
    return _by_hash(dataset, name)


def _commit_of(branch: Branch) -> DatasetCommit:
    if branch.commit is None:
        raise UnknownRef(
            f"Branch “{branch.name}” of “{branch.dataset}” has no commit yet.", hint="Commit first."
        )
    return branch.commit


def _by_hash(dataset: Dataset, name: str) -> DatasetCommit:
    if not ref_names.is_hash_prefix(name.lower()):
        raise UnknownRef(f"Dataset “{dataset}” has no branch, tag or commit “{name}”.")
    matches = list(dataset.commits.filter(commit_hash__startswith=name.lower())[:5])
    if not matches:
        raise UnknownRef(f"Dataset “{dataset}” has no branch, tag or commit “{name}”.")
    if len(matches) > 1:
        listed = ", ".join(commit.short_hash for commit in matches)
        raise AmbiguousRef(
            f"“{name}” is the beginning of several commits: {listed}.", hint="Write more digits."
        )
    return matches[0]


def _checked_name(name: str) -> str:
    problem = ref_names.name_problem(name)
    if problem is not None:
        raise InvalidRefName(f"“{name}” cannot be a branch or tag: {problem}.")
    return name


@retried()
def create_branch(*, dataset: Dataset, name: str, start: str | None = None, actor: Any) -> Branch:
    """Make a branch at the version `start` (default: the default branch). It gets no working copy yet."""
    _checked_name(name)
    with acting(actor, f"branch {name}"):
        if dataset.version_tags.filter(name=name).exists():
            raise RefExists(f"Dataset “{dataset}” has a tag “{name}” already.")
        commit = resolve(dataset, start)
        try:
            with transaction.atomic():
                branch = Branch.objects.create(
                    dataset=dataset, name=name, commit=commit, created_by=known_person(actor)
                )
        except IntegrityError as error:
            raise RefExists(f"Dataset “{dataset}” has a branch “{name}” already.") from error
        record(actor, "branch.create", dataset, f"{name} at {commit.short_hash}")
    return branch


@retried()
def create_tag(
    *,
    dataset: Dataset,
    name: str,
    ref: str | None = None,
    message: str = "",
    actor: Any,
    head: Branch | None = None,
) -> Tag:
    """Name a version for ever; the dataset's `version` becomes the tag's name."""
    _checked_name(name)
    with acting(actor, f"tag {name}"):
        if dataset.branches.filter(name=name).exists():
            raise RefExists(f"Dataset “{dataset}” has a branch “{name}” already.")
        commit = resolve(dataset, ref, head=head)
        try:
            with transaction.atomic():
                tag = Tag.objects.create(
                    dataset=dataset, name=name, commit=commit, message=message, tagged_by=known_person(actor)
                )
        except IntegrityError as error:
            there = dataset.version_tags.get(name=name).commit.short_hash
            raise RefExists(
                f"Dataset “{dataset}” has a tag “{name}” already, at {there}.",
                hint="Tags do not move; delete it or choose another name.",
            ) from error
        Dataset.objects.filter(pk=dataset.pk).update(version=name)
        record(actor, "tag.create", dataset, f"{name} at {commit.short_hash}")
    return tag


@retried()
def delete_tag(*, dataset: Dataset, name: str, actor: Any) -> None:
    """Delete a tag; its commit stays."""
    with acting(actor, f"delete tag {name}"):
        tag = dataset.version_tags.filter(name=name).first()
        if tag is None:
            raise UnknownRef(f"Dataset “{dataset}” has no tag “{name}”.")
        tag.delete()
        newest = dataset.version_tags.order_by("-id").values_list("name", flat=True).first()
        Dataset.objects.filter(pk=dataset.pk, version=name).update(version=newest or "")
        record(actor, "tag.delete", dataset, f"{name} at {tag.commit.short_hash}")


def move_branch(branch: Branch, expected: DatasetCommit | None, target: DatasetCommit) -> None:
    """Point a branch at `target` if it still points at `expected`. Raises RefMoved otherwise."""
    moved = Branch.objects.filter(pk=branch.pk, commit=expected).update(commit=target)
    if not moved:
        raise RefMoved(
            f"Branch “{branch.name}” moved while you worked: somebody committed to it.",
            hint="Look at the newest log and try again.",
        )
    branch.commit = target
