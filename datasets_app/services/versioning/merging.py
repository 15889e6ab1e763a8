"""Three-way merge and revert: what both sides changed is merged field by field, what clashes waits for a person.

A merge only reads the difference of each side from the base. The merge commit is made of committed states; rows of
the working copy that were edited and not committed count as ours: the incoming change is merged into them field by
field, an uncommitted edit of the same field stays, and they stay uncommitted.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from datasets_app.domain import tree
from datasets_app.domain.canonical import loads_stored
from datasets_app.domain.field_merge import Custom
from datasets_app.domain.json_path import MISSING
from datasets_app.errors import MergeConflicts, MergeState, RefMoved
from datasets_app.models import Branch, DatasetCommit, Merge, MergeConflict
from datasets_app.services.access import record
from datasets_app.services.versioning.commits import CommitText, author_of, lock_branch, write_commit
from datasets_app.services.versioning.comparing import root_of, tree_changes
from datasets_app.services.versioning.merge_planning import (
    MergePlan,
    MergeSides,
    check_resolved,
    common_ancestor,
    plan_merge,
    settle,
)
from datasets_app.services.versioning.rebasing import bring_into_rows
from datasets_app.services.versioning.refs import move_branch, resolve
from datasets_app.services.versioning.store import NodeStore, put_blobs
from goldenproject.kit.audit import acting, known_person
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
            branch, ours_branch, MergeSides(Merge.Kind.MERGE, source, base, ours, theirs), options, actor
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
        sides = MergeSides(Merge.Kind.REVERT, ref, undone, locked.commit, parent)
        return _three_way(
            branch,
            locked,
            sides,
            MergeOptions(message, options.author, options.favor, fast_forward=False),
            actor,
        )


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
    kept = bring_into_rows(locked, incoming)
    move_branch(locked, locked.commit, theirs)
    branch.commit = theirs
    record(
        actor, "merge", locked.dataset, f"{source} into {locked.name}: fast-forward to {theirs.short_hash}"
    )
    return MergeOutcome(theirs, None, fast_forward=True, kept_uncommitted=kept)


def _three_way(
    branch: Branch, locked: Branch, sides: MergeSides, options: MergeOptions, actor: Any
) -> MergeOutcome:
    plan = plan_merge(sides.base, sides.ours, sides.theirs)
    if plan.conflicts and options.favor:
        settle(
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
        started_by=known_person(actor),
    )
    if plan.conflicts:
        return MergeOutcome(sides.ours, _open_merge(waiting, plan))
    made, kept = _write(locked, waiting, plan, options.author or author_of(actor), actor)
    branch.commit = made
    return MergeOutcome(made, None, kept_uncommitted=kept)


def _side(value: Any) -> dict[str, Any]:
    return {} if value is MISSING else {"value": value}


def _open_merge(waiting: Merge, plan: MergePlan) -> Merge:
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


def _write(
    locked: Branch, merging: Merge, plan: MergePlan, author: str, actor: Any
) -> tuple[DatasetCommit, int]:
    """Write the merge commit and bring its changes into the working copy."""
    put_blobs(plan.texts)
    written = tree.update(root_of(locked.commit), plan.changes, NodeStore())
    is_merge = merging.kind == Merge.Kind.MERGE
    kept = bring_into_rows(locked, {c.uuid: c.new for c in written.changes})
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
        conflict.resolved_by = known_person(actor)
        conflict.resolved_at = now()
        conflict.save()
    return conflict


@retried()
def resolve_all(*, merging: Merge, resolution: str, actor: Any) -> int:
    """Settle every conflict that is still open with "ours", "theirs" or "base"; return how many."""
    with acting(actor, f"resolve all: {resolution}"):
        _require_open(Merge.objects.select_for_update().get(pk=merging.pk))
        return merging.conflicts.filter(resolution="").update(
            resolution=resolution, resolved_by=known_person(actor), resolved_at=now()
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
        sides = MergeSides(current.kind, current.source_ref, current.base, current.ours, current.theirs)
        plan = plan_merge(sides.base, sides.ours, sides.theirs)
        settle(plan, _resolutions(conflicts), sides)
        check_resolved(plan, conflicts)
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
