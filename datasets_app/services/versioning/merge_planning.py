"""What a three-way merge comes to: contents to take, contents merged field by field, and conflicts. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets_app.domain import tree
from datasets_app.domain.canonical import canonical_text, content_hash, loads_stored
from datasets_app.domain.commits import GraphCommit, merge_base
from datasets_app.domain.field_merge import FieldConflict, Merged, merge_fields
from datasets_app.domain.field_merge import resolve as resolve_fields
from datasets_app.domain.json_path import MISSING
from datasets_app.errors import NoCommonHistory, SchemaViolation
from datasets_app.models import Dataset, DatasetCommit, ExampleType, MergeConflict
from datasets_app.services.versioning.comparing import root_of, tree_changes
from datasets_app.services.versioning.compiled_types import compiled
from datasets_app.services.versioning.store import NodeStore, blob_texts


@dataclass
class MergePlan:
    """The outcome of a three-way merge of trees: which content each example gets, and what clashes."""

    changes: dict[bytes, bytes | None] = field(default_factory=dict)
    texts: dict[bytes, str] = field(default_factory=dict)
    conflicts: dict[bytes, tuple[FieldConflict, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class MergeSides:
    kind: str
    source: str
    base: DatasetCommit | None
    ours: DatasetCommit | None
    theirs: DatasetCommit | None


def common_ancestor(dataset: Dataset, a: DatasetCommit, b: DatasetCommit) -> DatasetCommit:
    """Return the merge base of two commits. Raises NoCommonHistory."""
    graph = {
        row[0]: GraphCommit(row[0], tuple(h for h in row[1:3] if h), row[3])
        for row in dataset.commits.values_list(
            "commit_hash", "parent_commit_hash", "merge_parent_hash", "generation"
        ).iterator()
    }
    base = merge_base(a.commit_hash, b.commit_hash, graph.__getitem__)
    if base is None:
        raise NoCommonHistory(f"{a.short_hash} and {b.short_hash} have no commit in common.")
    return DatasetCommit.objects.get(commit_hash=base)


def plan_merge(
    base: DatasetCommit | None, ours: DatasetCommit | None, theirs: DatasetCommit | None
) -> MergePlan:
    """Merge three versions: differences of each side from the base, example by example, then field by field."""
    mine = {c.uuid: c for c in tree_changes(base, ours)}
    yours = {c.uuid: c for c in tree_changes(base, theirs)}
    plan = MergePlan()
    both = []
    for key, change in yours.items():
        own = mine.get(key)
        if own is None:
            plan.changes[key] = change.new
        elif own.new != change.new:
            both.append((own, change))
    texts = blob_texts({h for pair in both for c in pair for h in (c.old, c.new) if h is not None})
    for own, change in both:
        merged = merge_contents(texts, own.old, own.new, change.new)
        if merged.conflicts:
            plan.conflicts[own.uuid] = merged.conflicts
        else:
            _take(plan, own.uuid, merged.value)
    return plan


def merge_contents(
    texts: Mapping[bytes, str], base: bytes | None, ours: bytes | None, theirs: bytes | None
) -> Merged:
    documents = [MISSING if h is None else loads_stored(texts[h]) for h in (base, ours, theirs)]
    return merge_fields(*documents)


def _take(plan: MergePlan, key: bytes, document: Any) -> None:
    if document is MISSING:
        plan.changes[key] = None
        return
    text = canonical_text(document)
    digest = content_hash(text)
    plan.texts[digest] = text
    plan.changes[key] = digest


def settle(plan: MergePlan, resolutions: Mapping[bytes, Mapping[str, Any]], sides: MergeSides) -> None:
    """Resolve all conflicts of a plan; `resolutions` gives for each example path → "ours", "theirs", "base" or a Custom value."""
    keys = list(plan.conflicts)
    roots = [root_of(commit) for commit in (sides.base, sides.ours, sides.theirs)]
    hashes = [tree.lookup(root, keys, NodeStore()) for root in roots]
    texts = blob_texts(h for side in hashes for h in side.values())
    for key in keys:
        merged = merge_contents(texts, *(side.get(key) for side in hashes))
        _take(plan, key, resolve_fields(merged, resolutions[key]).value)
    plan.conflicts.clear()


def check_resolved(plan: MergePlan, conflicts: Sequence[MergeConflict]) -> None:
    """Hold what people decided to the types: a value of one's own, or a mixture, may break a schema."""
    types = {t.name: t for t in ExampleType.objects.all()}
    for example in sorted({c.example_id for c in conflicts}):
        digest = plan.changes[example.bytes]
        document = None if digest is None else loads_stored(plan.texts[digest])
        if document is None or document.get("type") not in types:
            continue
        violations = compiled(types[document["type"]]).validate(
            document["input"], document.get("output"), require_output=False
        )
        if violations:
            raise SchemaViolation(
                f"{violations[0].path} of example {example}, as it was resolved: {violations[0].message}",
                hint="Change the resolution of this example and complete the merge again.",
                example=str(example),
                path=violations[0].path,
            )
