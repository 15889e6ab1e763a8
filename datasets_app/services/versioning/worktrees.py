"""Working copies: what is in them, what is not committed, opening, closing, and setting them to a version."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Sum

from datasets_app.domain import tree
from datasets_app.errors import NothingToCommit, UncommittedChanges
from datasets_app.models import Branch, DatasetCommit
from datasets_app.services.access import record
from datasets_app.services.versioning.commits import commit, fold_row_count, lock_branch
from datasets_app.services.versioning.comparing import compare_working_copy, root_of, tree_changes
from datasets_app.services.versioning.refs import create_branch, resolve
from datasets_app.services.versioning.statistics import refresh_statistics
from datasets_app.services.versioning.store import NodeStore
from goldenproject.kit.audit import acting
from goldenproject.kit.clock import now
from goldenproject.kit.database_io import binary_cursor, copy_rows_in_parts
from goldenproject.kit.errors import Conflict
from goldenproject.kit.retries import retried

EXACT_ROWS = 20_000


@dataclass(frozen=True)
class Status:
    """What is not committed. `exact` is False when so much was touched that equal rows were not sorted out."""

    branch: Branch
    rows: int
    added: int
    modified: int
    removed: int
    exact: bool
    touched_by: dict[int | None, int]

    @property
    def is_clean(self) -> bool:
        return self.added + self.modified + self.removed == 0


def row_count(branch: Branch) -> int:
    """Return the number of rows in the working copy (0 when it has none), without a scan."""
    return branch.row_counts.aggregate(n=Sum("delta"))["n"] or 0


def status(branch: Branch) -> Status:
    """Tell what the working copy of `branch` has that its commit has not."""
    added, modified, removed = _touched_counts(branch)
    exact = True
    if modified or removed or added:
        exact = added + modified + removed <= EXACT_ROWS
        if exact and branch.is_open:
            comparison = compare_working_copy(branch)
            added, modified, removed = comparison.added, comparison.modified, comparison.removed
    return Status(branch, row_count(branch), added, modified, removed, exact, _touchers(branch))


def is_dirty(branch: Branch) -> bool:
    """Tell whether anything was touched since the last commit; the cheap marker for lists."""
    return branch.dirty.exists()


# One probe of an index per touched row, or for many of them one scan of the working copy: right after an import the
# planner still believes in a few rows, and its join of all with all would take minutes.
_MANY_TOUCHED = 2_000
_IS_THERE = "EXISTS (SELECT 1 FROM datasets_app_example e WHERE e.branch_id = d.branch_id AND e.example_id = d.example_id)"
_IS_AMONG_ALL = "d.example_id IN (SELECT e.example_id FROM datasets_app_example e WHERE e.branch_id = %s)"
_TOUCHED_COUNTS = """
    SELECT count(*) FILTER (WHERE there AND NOT in_base), count(*) FILTER (WHERE there AND in_base),
           count(*) FILTER (WHERE NOT there AND in_base)
      FROM (SELECT d.in_base, {there} AS there FROM datasets_app_dirtyexample d WHERE d.branch_id = %s OFFSET 0) t
"""


def _touched_counts(branch: Branch) -> tuple[int, int, int]:
    """Return how many touched rows were added, modified and removed."""
    is_many = branch.dirty.all()[: _MANY_TOUCHED + 1].count() > _MANY_TOUCHED
    with binary_cursor() as cursor:
        cursor.execute(
            _TOUCHED_COUNTS.format(there=_IS_AMONG_ALL if is_many else _IS_THERE),
            [branch.pk, branch.pk] if is_many else [branch.pk],
        )
        return cursor.fetchone()  # type: ignore[return-value]


def _touchers(branch: Branch) -> dict[int | None, int]:
    with binary_cursor() as cursor:
        cursor.execute(
            "SELECT touched_by, count(*) FROM datasets_app_dirtyexample WHERE branch_id = %s GROUP BY 1",
            [branch.pk],
        )
        return dict(cursor.fetchall())


@retried()
def open_worktree(*, branch: Branch, actor: Any) -> Branch:
    """Give a branch its working copy: the rows of its commit. Opening an open one changes nothing."""
    with acting(actor, f"open {branch.name}"):
        locked = (
            Branch.objects.select_for_update(no_key=True, of=("self",))
            .select_related("commit", "dataset")
            .get(pk=branch.pk)
        )
        if locked.is_open:
            return locked
        if locked.is_closed:
            raise Conflict(f"Branch “{branch.name}” is closed.", hint="Make a new branch at the same commit.")
        _put_rows(locked, tree.entries(root_of(locked.commit), NodeStore()))
        _forget_dirty(locked, None)
        locked.worktree = Branch.Worktree.OPEN
        locked.save(update_fields=["worktree"])
        record(actor, "worktree.open", locked.dataset, f"{locked.name}: {row_count(locked)} rows")
    branch.refresh_from_db()
    return branch


@retried()
def close_worktree(
    *, branch: Branch, actor: Any, discard: bool = False, close_branch: bool = False
) -> Branch:
    """Take the working copy of a branch away. Raises UncommittedChanges unless it is clean or `discard` is said."""
    with acting(actor, f"close {branch.name}"):
        locked = (
            Branch.objects.select_for_update(no_key=True, of=("self",))
            .select_related("dataset")
            .get(pk=branch.pk)
        )
        if locked.is_default:
            raise Conflict(f"“{branch.name}” is the default branch and keeps its working copy.")
        if locked.is_open:
            _refuse_dirty(locked, discard)
            with binary_cursor() as cursor:
                cursor.execute("DELETE FROM datasets_app_example WHERE branch_id = %s", [locked.pk])
            _forget_dirty(locked, None)
            fold_row_count(locked)
        locked.worktree = Branch.Worktree.CLOSED
        locked.is_closed = locked.is_closed or close_branch
        locked.save(update_fields=["worktree", "is_closed"])
        record(actor, "worktree.close", locked.dataset, locked.name, discarded=discard)
    branch.refresh_from_db()
    return branch


def _refuse_dirty(branch: Branch, discard: bool) -> None:
    if discard or not is_dirty(branch):
        return
    state = status(branch)
    if state.is_clean:
        return
    raise UncommittedChanges(
        f"“{branch.name}” has uncommitted changes: {state.added} added, {state.modified} modified, {state.removed} removed.",
        hint="Commit them, keep them with --stash, or throw them away with --force.",
        added=state.added,
        modified=state.modified,
        removed=state.removed,
    )


@dataclass(frozen=True)
class CheckoutResult:
    """What a checkout did to the working copy, and the branch that keeps what was uncommitted (with `stash`)."""

    commit: DatasetCommit
    changed: int
    stash: Branch | None


@retried()
def checkout(
    *, branch: Branch, ref: str, actor: Any, discard: bool = False, stash: bool = False
) -> CheckoutResult:
    """Set the working copy of `branch` to the state of `ref`. The branch itself does not move.

    What differs from the branch's commit is then uncommitted. Refused over uncommitted changes unless they are
    thrown away (`discard`) or kept as a commit on a branch of their own (`stash`).
    """
    with acting(actor, f"checkout {ref}"):
        locked = lock_branch(branch)
        target = resolve(locked.dataset, ref, head=locked)
        kept = _stash(locked, actor) if stash else None
        if not stash:
            _refuse_dirty(locked, discard)
        wanted = target_differences(locked, target)
        apply_to_rows(locked, wanted)
        _forget_dirty(locked, tree_changes(locked.commit, target))
        record(
            actor,
            "checkout",
            locked.dataset,
            f"{locked.name} ← {ref} ({target.short_hash})",
            changed=len(wanted),
        )
    return CheckoutResult(target, len(wanted), kept)


def _stash(branch: Branch, actor: Any) -> Branch | None:
    """Keep uncommitted work as a commit on a branch of its own; None when there is none."""
    if status(branch).is_clean:
        return None
    name = f"stash/{branch.name}-{now():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}"
    keeper = create_branch(dataset=branch.dataset, name=name, start=branch.name, actor=actor)
    here = branch.commit
    try:
        made = commit(branch=branch, message=f"Stash of {branch.name}", actor=actor)
    except NothingToCommit:
        return None
    Branch.objects.filter(pk=keeper.pk).update(commit=made)
    Branch.objects.filter(pk=branch.pk).update(commit=here)
    branch.commit = here
    with binary_cursor() as cursor:
        cursor.execute(
            "INSERT INTO datasets_app_dirtyexample (branch_id, example_id, in_base, touched_at) "
            "SELECT %s, example_id, old_hash IS NOT NULL, statement_timestamp() "
            "FROM datasets_app_examplechange WHERE commit_id = %s ON CONFLICT DO NOTHING",
            [branch.pk, made.pk],
        )
    keeper.refresh_from_db()
    return keeper


def target_differences(branch: Branch, target: DatasetCommit | None) -> dict[bytes, bytes | None]:
    """Return which content (None: no row) each row must get so that the working copy equals `target`.

    Reads the difference of two versions and the touched rows, never the whole working copy.
    """
    wanted = {c.uuid: c.new for c in tree_changes(branch.commit, target)}
    touched = [u.bytes for u in branch.dirty.values_list("example_id", flat=True)]
    at_target = tree.lookup(root_of(target), touched, NodeStore())
    wanted.update({key: at_target.get(key) for key in touched})
    return wanted


def apply_to_rows(branch: Branch, wanted: dict[bytes, bytes | None]) -> None:
    """Give rows of a working copy the content of blobs; None deletes the row."""
    gone = [uuid.UUID(bytes=key) for key, content in wanted.items() if content is None]
    if gone:
        with binary_cursor() as cursor:
            cursor.execute(
                "DELETE FROM datasets_app_example WHERE branch_id = %s AND example_id = ANY(%s)",
                [branch.pk, gone],
            )
    present = ((key, content) for key, content in wanted.items() if content is not None)
    _put_rows(branch, present)


_TARGET = "CREATE TEMP TABLE golden_target (example_id uuid, hash bytea) ON COMMIT DROP"
# Missing parts of a content document are its defaults (domain/content.py).
_CONTENT = """
    t.id AS example_type_id, c.doc -> 'input' AS input_data, c.doc -> 'output' AS expected_output,
    coalesce(c.doc -> 'labels', '{}') AS labels, coalesce(c.doc -> 'metadata', '{}') AS metadata,
    coalesce(c.doc -> 'provenance', '{}') AS provenance, c.doc ->> 'source' AS source_decision_id,
    coalesce(c.doc ->> 'status', 'pending') AS validation_status
"""
_FROM_TARGET = """
    FROM golden_target g
    JOIN datasets_app_blob b ON b.hash = g.hash
    CROSS JOIN LATERAL (SELECT b.body::jsonb AS doc) c
    JOIN datasets_app_exampletype t ON t.name = c.doc ->> 'type'
"""
_UPDATE_ROWS = f"""
    UPDATE datasets_app_example e
       SET example_type_id = n.example_type_id, input_data = n.input_data, expected_output = n.expected_output,
           labels = n.labels, metadata = n.metadata, provenance = n.provenance,
           source_decision_id = n.source_decision_id, validation_status = n.validation_status,
           validated_by_id = NULL, validated_at = NULL, updated_at = statement_timestamp()
      FROM (SELECT g.example_id, {_CONTENT} {_FROM_TARGET}) n
     WHERE e.branch_id = %s AND e.example_id = n.example_id
"""
_INSERT_ROWS = f"""
    INSERT INTO datasets_app_example (branch_id, example_id, ordinal, example_type_id, input_data, expected_output,
           labels, metadata, provenance, source_decision_id, validation_status)
    SELECT %s, g.example_id, i.ordinal, {_CONTENT} {_FROM_TARGET}
      JOIN datasets_app_exampleidentity i ON i.id = g.example_id
     WHERE NOT EXISTS (SELECT 1 FROM datasets_app_example e WHERE e.branch_id = %s AND e.example_id = g.example_id)
     ORDER BY i.ordinal
"""


def _put_rows(branch: Branch, entries: Iterable[tuple[bytes, bytes]]) -> None:
    """Update or insert the rows of `entries` (UUID, content hash), as sets."""
    with binary_cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS golden_target")
        cursor.execute(_TARGET)
        copied = copy_rows_in_parts(
            "COPY golden_target FROM STDIN (FORMAT BINARY)",
            ((uuid.UUID(bytes=key), content) for key, content in entries),
            ["uuid", "bytea"],
        )
        if not copied:
            return
        cursor.execute("ANALYZE golden_target")
        _skip_redacted(cursor)
        cursor.execute(_UPDATE_ROWS, [branch.pk])
        cursor.execute(_INSERT_ROWS, [branch.pk, branch.pk])
        refresh_statistics(cursor.rowcount)
        cursor.execute("DROP TABLE golden_target")


def _skip_redacted(cursor: Any) -> None:
    """Leave redacted contents out: there is nothing left of them to edit."""
    cursor.execute("DELETE FROM golden_target g USING datasets_app_redaction r WHERE r.blob_hash = g.hash")


def _forget_dirty(branch: Branch, differences: list[tree.TreeChange] | None) -> None:
    """Make the dirty rows say exactly `differences` from the branch's commit; None says none."""
    keep = [uuid.UUID(bytes=c.uuid) for c in differences or []]
    with binary_cursor() as cursor:
        cursor.execute(
            "DELETE FROM datasets_app_dirtyexample WHERE branch_id = %s AND NOT example_id = ANY(%s)",
            [branch.pk, keep],
        )
