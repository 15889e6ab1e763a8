"""Commit: turn what is dirty in a working copy into the next version of its branch.

Isolation: READ COMMITTED. The branch is locked first, then the dirty rows of the selection. An editor who touches one
of them meanwhile waits at the end of the statement and marks the row dirty anew after the commit; an editor of any
other row adds a dirty row that this commit never saw. So no edit is ever lost or taken half.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets_app.domain import tree
from datasets_app.domain.canonical import content_hash
from datasets_app.domain.commits import CommitRecord
from datasets_app.errors import NothingToCommit, RefMoved, WorktreeClosed
from datasets_app.models import Branch, DatasetCommit
from datasets_app.services.access import record
from datasets_app.services.versioning.refs import move_branch
from datasets_app.services.versioning.store import NodeStore, put_blobs, put_nodes
from datasets_app.services.versioning.working_rows import CONTENT_COLUMNS, text_of_columns, working_contents
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.clock import now
from goldenproject.kit.database_io import binary_cursor, copy_rows, stream
from goldenproject.kit.errors import BadInput
from goldenproject.kit.retries import retried

MEMORY_ROWS = 20_000
_STREAM_ROWS = 20_000


@dataclass(frozen=True)
class Selection:
    """Which dirty examples to commit: only those that nobody but `mine` (a user) touched, and only `example_ids`."""

    mine: Any = None
    example_ids: frozenset[uuid.UUID] | None = None

    def where(self) -> tuple[str, list[Any]]:
        clauses, parameters = "", []
        if self.mine is not None:
            clauses += " AND touched_by = %s"
            parameters.append(self.mine.pk)
        if self.example_ids is not None:
            clauses += " AND example_id = ANY(%s)"
            parameters.append(list(self.example_ids))
        return clauses, parameters


EVERYTHING = Selection()


@dataclass(frozen=True)
class _Parents:
    first: DatasetCommit | None
    second: DatasetCommit | None = None

    @property
    def root(self) -> bytes:
        return tree.EMPTY_ROOT if self.first is None else self.first.root


@dataclass(frozen=True)
class CommitText:
    """What a person says of a commit."""

    message: str
    author: str

    def checked(self) -> CommitText:
        if not self.message.strip():
            raise BadInput("A commit needs a message.", hint="Say in a line what changed and why.")
        if "\x00" in self.message + self.author:
            raise BadInput("The message or the author holds a NUL character.")
        if len(self.author) > 200:
            raise BadInput(f"The author has {len(self.author)} characters; 200 are allowed.")
        return CommitText(self.message.strip(), self.author.strip())


def author_of(actor: Any) -> str:
    """Return the literal author for a commit of `actor`: full name, else user name, else “system”."""
    if getattr(actor, "pk", None) is None:
        return "system"
    return str(actor.get_full_name() or actor.get_username())[:200]


@retried()
def commit(
    *, branch: Branch, message: str, actor: Any, author: str | None = None, selection: Selection = EVERYTHING
) -> DatasetCommit:
    """Commit what is dirty in the working copy of `branch` and return the new commit.

    Raises NothingToCommit when the selection equals the last commit, RefMoved when somebody committed since `branch`
    was read, WorktreeClosed when the branch has no working copy.
    """
    text = CommitText(message, author or author_of(actor)).checked()
    with acting(actor, f"commit: {text.message}"):
        locked = lock_branch(branch)
        dirty = _lock_dirty(locked, selection)
        if dirty == 0:
            raise NothingToCommit(
                f"There is nothing to commit on “{locked.name}”"
                + (" in this selection." if selection != EVERYTHING else "."),
            )
        parents = _Parents(locked.commit)
        write = _commit_in_memory if dirty <= MEMORY_ROWS else _commit_in_bulk
        made = write(locked, parents, text, actor)
        _clear_dirty(locked)
        branch.commit = made
        record(
            actor,
            "commit",
            locked.dataset,
            f"{made.short_hash} on {locked.name}: {text.message.splitlines()[0]}",
        )
    return made


def lock_branch(branch: Branch) -> Branch:
    """Lock a branch for a change of its commit, and check that it is where the caller last saw it."""
    locked = (
        Branch.objects.select_for_update(no_key=True, of=("self",))
        .select_related("dataset", "commit")
        .get(pk=branch.pk)
    )
    if locked.commit_id != branch.commit_id:
        raise RefMoved(
            f"Branch “{branch.name}” moved while you worked: somebody committed to it.",
            hint="Look at the newest log and try again.",
        )
    if not locked.is_open:
        raise WorktreeClosed(
            f"Branch “{branch.name}” has no working copy, so there is nothing to work on.",
            hint="Open it for editing first.",
        )
    return locked


def _lock_dirty(branch: Branch, selection: Selection) -> int:
    """Lock the dirty rows of the selection, keep their ids in a temporary table, and return how many there are."""
    clauses, parameters = selection.where()
    with binary_cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS golden_locked")
        cursor.execute("CREATE TEMP TABLE golden_locked (example_id uuid, in_base boolean) ON COMMIT DROP")
        cursor.execute(
            "INSERT INTO golden_locked SELECT example_id, in_base FROM datasets_app_dirtyexample "
            f"WHERE branch_id = %s{clauses} ORDER BY example_id FOR UPDATE",
            [branch.pk, *parameters],
        )
        return cursor.rowcount


def _clear_dirty(branch: Branch) -> None:
    """Forget the locked dirty rows and fold the row counts."""
    with binary_cursor() as cursor:
        cursor.execute(
            "DELETE FROM datasets_app_dirtyexample d USING golden_locked l "
            "WHERE d.branch_id = %s AND d.example_id = l.example_id",
            [branch.pk],
        )
        cursor.execute("DROP TABLE golden_locked")
    fold_row_count(branch)


def fold_row_count(branch: Branch) -> None:
    """Replace the row-count deltas of a branch by their sum."""
    with binary_cursor() as cursor:
        cursor.execute(
            "WITH gone AS (DELETE FROM datasets_app_worktreecount WHERE branch_id = %s RETURNING delta) "
            "INSERT INTO datasets_app_worktreecount (branch_id, delta) "
            "SELECT %s, sum(delta) FROM gone HAVING count(*) > 0",
            [branch.pk, branch.pk],
        )


def _commit_in_memory(branch: Branch, parents: _Parents, text: CommitText, actor: Any) -> DatasetCommit:
    with binary_cursor() as cursor:
        cursor.execute("SELECT example_id FROM golden_locked")
        uuids = [row[0] for row in cursor]
    contents = {content.uuid.bytes: content for content in working_contents(branch.pk, uuids)}
    changes: dict[bytes, bytes | None] = {u.bytes: None for u in uuids}
    changes.update({key: content.hash for key, content in contents.items()})
    written = tree.update(parents.root, changes, NodeStore())
    put_blobs({c.new: contents[c.uuid].text for c in written.changes if c.new is not None})
    return write_commit(branch=branch, written=written, text=text, actor=actor, second_parent=None)


def write_commit(
    *,
    branch: Branch,
    written: tree.Written,
    text: CommitText,
    actor: Any,
    second_parent: DatasetCommit | None,
    metadata: Mapping[str, Any] | None = None,
) -> DatasetCommit:
    """Store nodes, commit and change log, and move the branch. The blobs must be stored already.

    A commit with one parent that changes nothing is refused; a merge may change nothing.
    """
    if not written.changes and second_parent is None:
        raise NothingToCommit(f"The working copy of “{branch.name}” equals its last commit.")
    put_nodes(written.nodes)
    counts = _count_changes(written.changes)
    made = _insert_commit(
        branch, _Parents(branch.commit, second_parent), written, counts, text, actor, dict(metadata or {})
    )
    _insert_changes(made, written.changes)
    move_branch(branch, branch.commit, made)
    return made


def _commit_in_bulk(branch: Branch, parents: _Parents, text: CommitText, actor: Any) -> DatasetCommit:
    """As `_commit_in_memory`, for many rows: contents go through a temporary table and are never all in memory."""
    packed = bytearray()
    with binary_cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE golden_content (example_id uuid, hash bytea, body text) ON COMMIT DROP"
        )
    rows = stream(
        f"SELECT e.example_id, {CONTENT_COLUMNS} FROM golden_locked l "
        "JOIN datasets_app_example e ON e.branch_id = %s AND e.example_id = l.example_id "
        "JOIN datasets_app_exampletype t ON t.id = e.example_type_id",
        [branch.pk],
        chunk_rows=_STREAM_ROWS,
    )
    for chunk in rows:
        contents = []
        for row in chunk:
            body = text_of_columns(row[1:])
            digest = content_hash(body)
            contents.append((row[0], digest, body))
            packed += row[0].bytes + digest
        copy_rows("COPY golden_content FROM STDIN (FORMAT BINARY)", contents, ["uuid", "bytea", "text"])
    if parents.root == tree.EMPTY_ROOT:
        written = tree.build_packed(bytes(packed))
        added_only = True
    else:
        changes = _changes_of(packed)
        written = tree.update(parents.root, changes, NodeStore())
        added_only = False
    with binary_cursor() as cursor:
        cursor.execute(
            "INSERT INTO datasets_app_blob (hash, body) SELECT DISTINCT ON (c.hash) c.hash, c.body FROM golden_content c "
            "WHERE NOT EXISTS (SELECT 1 FROM datasets_app_blob b WHERE b.hash = c.hash) "
            "ORDER BY c.hash ON CONFLICT DO NOTHING"
        )
    if not added_only:
        made = write_commit(branch=branch, written=written, text=text, actor=actor, second_parent=None)
    else:
        made = _first_bulk_commit(branch, parents, written, text, actor)
    with binary_cursor() as cursor:
        cursor.execute("DROP TABLE golden_content")
    return made


def _first_bulk_commit(
    branch: Branch, parents: _Parents, written: tree.Written, text: CommitText, actor: Any
) -> DatasetCommit:
    if not written.count:
        raise NothingToCommit(f"The working copy of “{branch.name}” equals its last commit.")
    put_nodes(written.nodes)
    made = _insert_commit(branch, parents, written, (written.count, 0, 0), text, actor, {})
    with binary_cursor() as cursor:
        cursor.execute(
            "INSERT INTO datasets_app_examplechange (commit_id, example_id, old_hash, new_hash) "
            "SELECT %s, example_id, NULL, hash FROM golden_content ORDER BY example_id",
            [made.pk],
        )
    move_branch(branch, branch.commit, made)
    return made


def _changes_of(packed: bytearray) -> dict[bytes, bytes | None]:
    view = bytes(packed)
    changes: dict[bytes, bytes | None] = {}
    with binary_cursor() as cursor:
        cursor.execute("SELECT example_id FROM golden_locked")
        for (example_id,) in cursor:
            changes[example_id.bytes] = None
    for at in range(0, len(view), tree.ENTRY_BYTES):
        changes[view[at : at + 16]] = view[at + 16 : at + 48]
    return changes


def _count_changes(changes: Iterable[tree.TreeChange]) -> tuple[int, int, int]:
    added = removed = modified = 0
    for change in changes:
        if change.old is None:
            added += 1
        elif change.new is None:
            removed += 1
        else:
            modified += 1
    return added, removed, modified


def _insert_commit(
    branch: Branch,
    parents: _Parents,
    written: tree.Written,
    counts: tuple[int, int, int],
    text: CommitText,
    actor: Any,
    metadata: dict[str, Any],
) -> DatasetCommit:
    both = [parent for parent in (parents.first, parents.second) if parent is not None]
    facts = CommitRecord(
        parents=tuple(parent.commit_hash for parent in both),
        root=written.root.hex(),
        added=counts[0],
        removed=counts[1],
        modified=counts[2],
        author=text.author,
        message=text.message,
        committed_at=now(),
    )
    return DatasetCommit.objects.create(
        dataset=branch.dataset,
        commit_hash=facts.hash(),
        parent_commit_hash=parents.first.commit_hash if parents.first else "",
        merge_parent_hash=parents.second.commit_hash if parents.second else "",
        root_hash=facts.root,
        generation=1 + max((parent.generation for parent in both), default=0),
        message=facts.message,
        author=facts.author,
        committed_by=known_person(actor),
        committed_at=facts.committed_at,
        examples_added=facts.added,
        examples_removed=facts.removed,
        examples_modified=facts.modified,
        example_count=written.count,
        metadata=metadata,
    )


def _insert_changes(made: DatasetCommit, changes: Sequence[tree.TreeChange]) -> None:
    ordered = sorted(changes)
    rows = ((made.pk, uuid.UUID(bytes=c.uuid), c.old, c.new) for c in ordered)
    copy_rows(
        "COPY datasets_app_examplechange (commit_id, example_id, old_hash, new_hash) FROM STDIN (FORMAT BINARY)",
        rows,
        ["int8", "uuid", "bytea", "bytea"],
    )
