"""What a merge would do before anybody does it, and how far branches have moved apart. Nothing is written."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from datasets_app.domain import tree
from datasets_app.domain.content import Content
from datasets_app.domain.field_merge import FieldConflict
from datasets_app.models import Branch, Dataset, DatasetCommit
from datasets_app.services.versioning.comparing import Comparison, identities, root_of, tree_changes
from datasets_app.services.versioning.merge_planning import common_ancestor, plan_merge
from datasets_app.services.versioning.reading import content_of
from datasets_app.services.versioning.refs import resolve
from datasets_app.services.versioning.store import NodeStore, blob_texts


@dataclass(frozen=True)
class PreviewedConflict:
    """An example that both sides changed, and the fields that clash."""

    uuid: uuid.UUID
    external_id: str | None
    fields: tuple[FieldConflict, ...]

    @property
    def name(self) -> str:
        return self.external_id if self.external_id is not None else str(self.uuid)


@dataclass(frozen=True)
class MergePreview:
    """What `merge` would do. `changes` is what the branch would get; of `conflicts` a person would decide."""

    kind: Literal["up_to_date", "fast_forward", "clean", "conflicts"]
    base: DatasetCommit | None
    ours: DatasetCommit | None
    theirs: DatasetCommit
    changes: Comparison
    conflicts: list[PreviewedConflict]


def preview_merge(branch: Branch, source: str) -> MergePreview:
    """Tell what merging the version `source` into `branch` would do. Raises UnknownRef, NoCommonHistory."""
    dataset, ours = branch.dataset, branch.commit
    theirs = resolve(dataset, source, head=branch)
    base = None if ours is None else common_ancestor(dataset, ours, theirs)
    if base is not None and base.pk == theirs.pk:
        return MergePreview("up_to_date", base, ours, theirs, _compared(dataset, ours, theirs, [], {}), [])
    if base == ours:
        changes = tree_changes(ours, theirs)
        return MergePreview(
            "fast_forward", base, ours, theirs, _compared(dataset, ours, theirs, changes, {}), []
        )
    plan = plan_merge(base, ours, theirs)
    held = tree.lookup(root_of(ours), list(plan.changes), NodeStore())
    changes = [
        tree.TreeChange(key, held.get(key), new) for key, new in plan.changes.items() if held.get(key) != new
    ]
    known = identities(plan.conflicts)
    conflicts = [
        PreviewedConflict(uuid.UUID(bytes=key), known[key][0], plan.conflicts[key])
        for key in sorted(plan.conflicts, key=lambda key: known[key][1])
    ]
    compared = _compared(dataset, ours, theirs, changes, plan.texts)
    return MergePreview("conflicts" if conflicts else "clean", base, ours, theirs, compared, conflicts)


def _compared(
    dataset: Dataset,
    ours: DatasetCommit | None,
    theirs: DatasetCommit,
    changes: list[tree.TreeChange],
    texts: dict[bytes, str],
) -> Comparison:
    return Comparison(dataset, ours.short_hash if ours else "nothing", theirs.short_hash, changes, texts)


@dataclass(frozen=True)
class Divergence:
    """How many commits a branch has that the other has not, and the other way round."""

    ahead: int
    behind: int


def divergences(
    dataset: Dataset, branches: Iterable[Branch], other: DatasetCommit | None
) -> dict[int, Divergence]:
    """Return branch id → divergence from `other`. Reads the graph of commits once."""
    parents = {
        row[0]: [digest for digest in row[1:] if digest]
        for row in dataset.commits.values_list(
            "commit_hash", "parent_commit_hash", "merge_parent_hash"
        ).iterator()
    }
    theirs = _ancestors(parents, other)
    found: dict[int, Divergence] = {}
    for branch in branches:
        own = _ancestors(parents, branch.commit)
        found[branch.pk] = Divergence(ahead=len(own - theirs), behind=len(theirs - own))
    return found


def _ancestors(parents: dict[str, list[str]], start: DatasetCommit | None) -> set[str]:
    seen: set[str] = set()
    queue = [] if start is None else [start.commit_hash]
    while queue:
        current = queue.pop()
        if current not in seen:
            seen.add(current)
            queue.extend(parents[current])
    return seen


def contents_at(commit: DatasetCommit | None, uuids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Content]:
    """Return the contents of some examples in a version; what it does not hold, or what was redacted, is left out."""
    held = tree.lookup(root_of(commit), [one.bytes for one in uuids], NodeStore())
    texts = blob_texts(held.values())
    contents = {uuid.UUID(bytes=key): content_of(texts[digest]) for key, digest in held.items()}
    return {key: content for key, content in contents.items() if content is not None}
