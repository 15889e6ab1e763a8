"""Three-way merge and revert: what both sides changed is merged field by field, what clashes waits for a person.

A merge only reads the difference of each side from the base. The merge commit is made of committed states; rows of
the working copy that were edited and not committed count as ours: the incoming change is merged into them field by
field, an uncommitted edit of the same field stays, and they stay uncommitted.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction

from datasets_app.domain import tree
from datasets_app.domain.canonical import canonical_text, content_hash, loads_stored
from datasets_app.domain.commits import GraphCommit, merge_base
from datasets_app.domain.field_merge import Custom, FieldConflict, Merged, merge_fields
from datasets_app.domain.field_merge import resolve as resolve_fields
from datasets_app.domain.json_path import MISSING
from datasets_app.errors import MergeConflicts, MergeState, NoCommonHistory, RefMoved
from datasets_app.models import Branch, Dataset, DatasetCommit, Merge, MergeConflict
from datasets_app.services.access import record
from datasets_app.services.versioning.commits import CommitText, author_of, lock_branch, write_commit
from datasets_app.services.versioning.comparing import root_of, tree_changes
from datasets_app.services.versioning.refs import move_branch, resolve
from datasets_app.services.versioning.store import NodeStore, blob_texts, put_blobs
from datasets_app.services.versioning.working_rows import working_contents
from datasets_app.services.versioning.worktrees import apply_to_rows
from goldenproject.kit.audit import acting
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput
from goldenproject.kit.retries import retried

WHOLE = "$"


@dataclass(frozen=True)
class MergeOptions:
    """How a merge is made. `favor` ("ours" or "theirs") settles every conflict at once; `fast_forward` may move the branch without a commit of its own."""

    message: str = ""
    author: str | None = None
    favor: str | None = None
    fast_forward: bool = True


@dataclass
class _Plan:
    """The outcome of a three-way merge of trees: which content each example gets, and what clashes."""

    changes: dict[bytes, bytes | None] = field(default_factory=dict)
    texts: dict[bytes, str] = field(default_factory=dict)
    conflicts: dict[bytes, tuple[FieldConflict, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class MergeOutcome:
    """`commit` is the branch's commit afterwards; `merge` waits for a person when there are conflicts."""

    commit: DatasetCommit | None
    merge: Merge | None
    fast_forward: bool = False
    up_to_date: bool = False
    kept_uncommitted: int = 0

    @property
    def has_conflicts(self) -> bool:
        return self.merge is not None and self.merge.state == Merge.State.OPEN


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


@retried()
def merge(*, branch: Branch, source: str, actor: Any, options: MergeOptions | None = None) -> MergeOutcome:
    """Merge the version `source` into `branch`. Conflicts open a merge that a person resolves, and nothing is written yet."""
    options = options or MergeOptions()
    with acting(actor, f"merge {source}"):
        ours_branch = _lock_for_merge(branch)
        theirs = resolve(ours_branch.dataset, source, head=ours_branch)
        ours = ours_branch.commit
        if ours is None:
            return _fast_forward(branch, ours_branch, theirs, source, actor)
        base = common_ancestor(ours_branch.dataset, ours, theirs)
        if base.pk == theirs.pk:
            return MergeOutcome(ours, None, up_to_date=True)
        if base.pk == ours.pk and options.fast_forward:
            return _fast_forward(branch, ours_branch, theirs, source, actor)
        return _three_way(
            branch, ours_branch, _Sides(Merge.Kind.MERGE, source, base, ours, theirs), options, actor
        )


@retried()
def revert(*, branch: Branch, ref: str, actor: Any, options: MergeOptions | None = None) -> MergeOutcome:
    """Undo what the commit `ref` did, by a new commit: a merge of its first parent over it as base."""
    options = options or MergeOptions()
    with acting(actor, f"revert {ref}"):
        locked = _lock_for_merge(branch)
        undone = resolve(locked.dataset, ref, head=locked)
        parent = DatasetCommit.objects.filter(commit_hash=undone.parent_commit_hash).first()
        if locked.commit is None:
            raise MergeState(f"Branch “{locked.name}” has no commit to revert.")
        message = options.message or (
            f"Revert “{undone.message.splitlines()[0]}”\n\nThis undoes commit {undone.commit_hash}."
        )
        sides = _Sides(Merge.Kind.REVERT, ref, undone, locked.commit, parent)
        return _three_way(
            branch,
            locked,
            sides,
            MergeOptions(message, options.author, options.favor, fast_forward=False),
            actor,
        )


@dataclass(frozen=True)
class _Sides:
    kind: str
    source: str
    base: DatasetCommit | None
    ours: DatasetCommit | None
    theirs: DatasetCommit | None


def _lock_for_merge(branch: Branch) -> Branch:
    locked = lock_branch(branch)
    open_merge = locked.merges.filter(state=Merge.State.OPEN).first()
    if open_merge is not None:
        raise MergeState(
            f"A merge of “{open_merge.source_ref}” into “{locked.name}” is not finished.",
            hint="Resolve its conflicts and complete it, or abort it.",
            merge=open_merge.pk,
        )
    return locked


def _fast_forward(
    branch: Branch, locked: Branch, theirs: DatasetCommit, source: str, actor: Any
) -> MergeOutcome:
    incoming = {c.uuid: c.new for c in tree_changes(locked.commit, theirs)}
    kept = _bring_into_rows(locked, incoming)
    move_branch(locked, locked.commit, theirs)
    branch.commit = theirs
    record(
        actor, "merge", locked.dataset, f"{source} into {locked.name}: fast-forward to {theirs.short_hash}"
    )
    return MergeOutcome(theirs, None, fast_forward=True, kept_uncommitted=kept)


def _three_way(
    branch: Branch, locked: Branch, sides: _Sides, options: MergeOptions, actor: Any
) -> MergeOutcome:
    plan = plan_merge(sides.base, sides.ours, sides.theirs)
    if plan.conflicts and options.favor:
        _settle(
            plan,
            {
                key: dict.fromkeys((c.path for c in found), options.favor)
                for key, found in plan.conflicts.items()
            },
            sides,
        )
    waiting = Merge(
        kind=sides.kind,
        branch=locked,
        source_ref=sides.source,
        base=sides.base,
        ours=sides.ours,
        theirs=sides.theirs,
        message=options.message or f"Merge {sides.source} into {locked.name}",
        started_by=_user(actor),
    )
    if plan.conflicts:
        return MergeOutcome(sides.ours, _open_merge(waiting, plan))
    made, kept = _write(locked, waiting, plan, options.author or author_of(actor), actor)
    branch.commit = made
    return MergeOutcome(made, None, kept_uncommitted=kept)


def plan_merge(base: DatasetCommit | None, ours: DatasetCommit | None, theirs: DatasetCommit | None) -> _Plan:
    """Merge three versions: differences of each side from the base, example by example, then field by field."""
    mine = {c.uuid: c for c in tree_changes(base, ours)}
    yours = {c.uuid: c for c in tree_changes(base, theirs)}
    plan = _Plan()
    both = []
    for key, change in yours.items():
        own = mine.get(key)
        if own is None:
            plan.changes[key] = change.new
        elif own.new != change.new:
            both.append((own, change))
    texts = blob_texts({h for pair in both for c in pair for h in (c.old, c.new) if h is not None})
    for own, change in both:
        merged = _merge_contents(texts, own.old, own.new, change.new)
        if merged.conflicts:
            plan.conflicts[own.uuid] = merged.conflicts
        else:
            _take(plan, own.uuid, merged.value)
    return plan


def _merge_contents(
    texts: Mapping[bytes, str], base: bytes | None, ours: bytes | None, theirs: bytes | None
) -> Merged:
    documents = [MISSING if h is None else loads_stored(texts[h]) for h in (base, ours, theirs)]
    return merge_fields(*documents)


def _take(plan: _Plan, key: bytes, document: Any) -> None:
    if document is MISSING:
        plan.changes[key] = None
        return
    text = canonical_text(document)
    digest = content_hash(text)
    plan.texts[digest] = text
    plan.changes[key] = digest


def _settle(plan: _Plan, resolutions: Mapping[bytes, Mapping[str, Any]], sides: _Sides) -> None:
    """Resolve all conflicts of a plan; `resolutions` gives for each example path → "ours", "theirs", "base" or a Custom value."""
    keys = list(plan.conflicts)
    roots = [root_of(commit) for commit in (sides.base, sides.ours, sides.theirs)]
    hashes = [tree.lookup(root, keys, NodeStore()) for root in roots]
    texts = blob_texts(h for side in hashes for h in side.values())
    for key in keys:
        merged = _merge_contents(texts, *(side.get(key) for side in hashes))
        _take(plan, key, resolve_fields(merged, resolutions[key]).value)
    plan.conflicts.clear()


def _open_merge(waiting: Merge, plan: _Plan) -> Merge:
    try:
        with transaction.atomic():
            waiting.save()
    except IntegrityError as error:
        raise MergeState(f"Another merge into “{waiting.branch.name}” has just begun.") from error
    MergeConflict.objects.bulk_create(
        MergeConflict(
            merge=waiting,
            example_id=uuid.UUID(bytes=key),
            path=conflict.path,
            base=_side(conflict.base),
            ours=_side(conflict.ours),
            theirs=_side(conflict.theirs),
        )
        for key, conflicts in plan.conflicts.items()
        for conflict in conflicts
    )
    return waiting


def _side(value: Any) -> dict[str, Any]:
    return {} if value is MISSING else {"value": value}


def _write(locked: Branch, merging: Merge, plan: _Plan, author: str, actor: Any) -> tuple[DatasetCommit, int]:
    """Write the merge commit and bring its changes into the working copy."""
    put_blobs(plan.texts)
    written = tree.update(root_of(locked.commit), plan.changes, NodeStore())
    is_merge = merging.kind == Merge.Kind.MERGE
    kept = _bring_into_rows(locked, {c.uuid: c.new for c in written.changes})
    made = write_commit(
        branch=locked,
        written=written,
        text=CommitText(merging.message, author).checked(),
        actor=actor,
        second_parent=merging.theirs if is_merge else None,
        metadata={} if is_merge else {"reverts": merging.base.commit_hash if merging.base else None},
    )
    record(actor, merging.kind, locked.dataset, f"{merging.source_ref} into {locked.name}: {made.short_hash}")
    return made, kept


def _bring_into_rows(branch: Branch, incoming: dict[bytes, bytes | None]) -> int:
    """Apply incoming contents to the working copy; return how many uncommitted edits stayed over an incoming one.

    Must run while the branch still points at the commit that the rows are based on.
    """
    uuids = [uuid.UUID(bytes=key) for key in incoming]
    dirty = set(
        branch.dirty.select_for_update().filter(example_id__in=uuids).values_list("example_id", flat=True)
    )
    clean = {key: content for key, content in incoming.items() if uuid.UUID(bytes=key) not in dirty}
    apply_to_rows(branch, clean)
    branch.dirty.filter(example_id__in=[uuid.UUID(bytes=key) for key in clean]).delete()
    return _merge_into_dirty(branch, {key: incoming[key] for key in (u.bytes for u in dirty)})


def _merge_into_dirty(branch: Branch, incoming: dict[bytes, bytes | None]) -> int:
    """Merge incoming contents into rows with uncommitted edits: fields edited here stay, all others are taken."""
    if not incoming:
        return 0
    base = tree.lookup(root_of(branch.commit), list(incoming), NodeStore())
    texts = blob_texts({h for h in (*base.values(), *incoming.values()) if h is not None})
    rows = {c.uuid.bytes: c for c in working_contents(branch.pk, (uuid.UUID(bytes=k) for k in incoming))}
    targets: dict[bytes, bytes | None] = {}
    new_texts: dict[bytes, str] = {}
    kept = 0
    for key, theirs in incoming.items():
        sides = (base.get(key), rows[key].hash if key in rows else None, theirs)
        known = {**texts, **({rows[key].hash: rows[key].text} if key in rows else {})}
        merged = _merge_contents(known, *sides)
        kept += bool(merged.conflicts)
        if merged.value is MISSING:
            targets[key] = None
        else:
            text = canonical_text(merged.value)
            targets[key] = content_hash(text)
            new_texts[content_hash(text)] = text
    put_blobs(new_texts)
    apply_to_rows(branch, targets)
    for present in (True, False):
        changed = [
            uuid.UUID(bytes=key) for key, theirs in incoming.items() if (theirs is not None) is present
        ]
        branch.dirty.filter(example_id__in=changed).update(in_base=present)
    same = [uuid.UUID(bytes=key) for key, target in targets.items() if target == incoming[key]]
    branch.dirty.filter(example_id__in=same).delete()
    return kept


@retried()
def resolve_conflict(
    *, conflict: MergeConflict, resolution: str, actor: Any, value: Any = MISSING
) -> MergeConflict:
    """Settle one conflict: "ours", "theirs", "base", or "value" with the value itself."""
    if resolution not in MergeConflict.Resolution.values:
        raise BadInput(f"“{resolution}” is no resolution; use ours, theirs, base or value.")
    if (resolution == MergeConflict.Resolution.VALUE) != (value is not MISSING):
        raise BadInput("A value goes with the resolution “value”, and only with it.")
    with acting(actor, "resolve conflict"):
        merging = Merge.objects.select_for_update().get(pk=conflict.merge_id)
        _require_open(merging)
        conflict.resolution = resolution
        conflict.value = _side(value)
        conflict.resolved_by = _user(actor)
        conflict.resolved_at = now()
        conflict.save()
    return conflict


@retried()
def resolve_all(*, merging: Merge, resolution: str, actor: Any) -> int:
    """Settle every conflict that is still open with "ours", "theirs" or "base"; return how many."""
    with acting(actor, f"resolve all: {resolution}"):
        _require_open(Merge.objects.select_for_update().get(pk=merging.pk))
        return merging.conflicts.filter(resolution="").update(
            resolution=resolution, resolved_by=_user(actor), resolved_at=now()
        )


@retried()
def complete_merge(
    *, merging: Merge, actor: Any, message: str | None = None, author: str | None = None
) -> DatasetCommit:
    """Write the merge commit of an open merge. Raises MergeConflicts while a conflict is unresolved.

    If somebody committed to the branch since the merge began, it is refused (RefMoved): the merge must begin anew.
    """
    with acting(actor, f"merge {merging.source_ref}"):
        locked = lock_branch(Branch.objects.get(pk=merging.branch_id))
        current = Merge.objects.select_for_update().get(pk=merging.pk)
        _require_open(current)
        if locked.commit_id != current.ours_id:
            raise RefMoved(
                f"Somebody committed to “{locked.name}” since this merge began.",
                hint="Abort it and merge again.",
            )
        conflicts = list(current.conflicts.all())
        unresolved = [c for c in conflicts if not c.resolution]
        if unresolved:
            raise MergeConflicts(
                f"{len(unresolved)} of {len(conflicts)} conflicts are not resolved yet.",
                hint="Choose ours, theirs or a value of your own for each.",
                merge=current.pk,
                unresolved=len(unresolved),
            )
        sides = _Sides(current.kind, current.source_ref, current.base, current.ours, current.theirs)
        plan = plan_merge(sides.base, sides.ours, sides.theirs)
        _settle(plan, _resolutions(conflicts), sides)
        current.message = message or current.message
        made, _ = _write(locked, current, plan, author or author_of(actor), actor)
        current.state = Merge.State.DONE
        current.result = made
        current.finished_at = now()
        current.save()
    merging.refresh_from_db()
    return made


def _resolutions(conflicts: Sequence[MergeConflict]) -> dict[bytes, dict[str, Any]]:
    found: dict[bytes, dict[str, Any]] = {}
    for conflict in conflicts:
        choice: Any = conflict.resolution
        if choice == MergeConflict.Resolution.VALUE:
            choice = Custom(loads_stored(json.dumps(conflict.value["value"])))
        found.setdefault(conflict.example_id.bytes, {})[conflict.path] = choice
    return found


@retried()
def abort_merge(*, merging: Merge, actor: Any) -> Merge:
    """Give an open merge up; nothing of it was written."""
    with acting(actor, "abort merge"):
        current = Merge.objects.select_for_update().get(pk=merging.pk)
        _require_open(current)
        current.state = Merge.State.ABORTED
        current.finished_at = now()
        current.save()
    merging.refresh_from_db()
    return merging


def _require_open(merging: Merge) -> None:
    if merging.state != Merge.State.OPEN:
        raise MergeState(f"This merge is {merging.state}; there is nothing left to do on it.")


def _user(actor: Any) -> Any:
    return actor if getattr(actor, "pk", None) is not None else None
