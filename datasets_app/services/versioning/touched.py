"""What is not committed, and what one commit changed, page by page.

A page costs the same however large the dataset is: the touched rows or the change log are walked in the order of
import through the index on (dataset, ordinal), or sorted when there are few; PostgreSQL's planner chooses.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from datasets_app.domain import tree
from datasets_app.errors import WorktreeClosed
from datasets_app.models import Branch, DatasetCommit
from datasets_app.services.versioning.comparing import WORKING_COPY, Comparison, ExampleDiff, root_of
from datasets_app.services.versioning.store import NodeStore
from datasets_app.services.versioning.working_rows import working_contents
from goldenproject.kit.database_io import binary_cursor

ADDED, MODIFIED, REMOVED = "added", "modified", "removed"


@dataclass(frozen=True)
class TouchedExample:
    """An uncommitted change, and the user who made it (`touched_by` is 0 when several did, None when unknown)."""

    diff: ExampleDiff
    touched_by: int | None
    touched_at: datetime


@dataclass(frozen=True)
class TouchedPage:
    """Uncommitted changes in the order of import; `after` is the ordinal to go on behind, None at the end."""

    examples: list[TouchedExample]
    after: int | None


_IS_THERE = (
    "(EXISTS (SELECT 1 FROM datasets_app_example e "
    "WHERE e.branch_id = d.branch_id AND e.example_id = d.example_id))"
)
# IS TRUE keeps it a probe per row of the page; as a join it would be made for all touched rows before the first is shown
_KIND_OF_DIRTY = {
    ADDED: f" AND NOT d.in_base AND {_IS_THERE} IS TRUE",
    MODIFIED: f" AND d.in_base AND {_IS_THERE} IS TRUE",
    REMOVED: f" AND d.in_base AND {_IS_THERE} IS FALSE",
}
_TOUCHED = """
    SELECT d.example_id, i.ordinal, d.touched_by, d.touched_at
      FROM datasets_app_dirtyexample d
      JOIN datasets_app_exampleidentity i ON i.id = d.example_id
     WHERE d.branch_id = %s AND i.dataset_id = %s AND i.ordinal > %s{more}
     ORDER BY i.ordinal LIMIT %s
"""


def touched_page(
    branch: Branch, *, after: int = -1, limit: int = 50, kind: str | None = None, mine: Any = None
) -> TouchedPage:
    """Return up to `limit` uncommitted changes behind the ordinal `after`.

    `kind` is "added", "modified" or "removed"; `mine` keeps those that only this user touched. A row that was
    touched and equals its commit again takes a place on the page but is not shown.
    """
    if not branch.is_open:
        raise WorktreeClosed(
            f"Branch “{branch.name}” has no working copy.", hint="Open it for editing first."
        )
    more, parameters = _KIND_OF_DIRTY.get(kind or "", ""), []
    if mine is not None:
        more, parameters = more + " AND d.touched_by = %s", [mine.pk]
    with binary_cursor() as cursor:
        cursor.execute(
            _TOUCHED.format(more=more), [branch.pk, branch.dataset_id, after, *parameters, limit + 1]
        )
        rows = cursor.fetchall()
    page = {row[0]: row for row in rows[:limit]}
    comparison = compare_rows(branch, branch.commit, list(page))
    examples = [TouchedExample(diff, page[diff.uuid][2], page[diff.uuid][3]) for diff in comparison.page()]
    return TouchedPage(examples, rows[limit - 1][1] if len(rows) > limit else None)


def touched_among(branch: Branch, uuids: Iterable[uuid.UUID]) -> list[TouchedExample]:
    """Return the uncommitted changes of some examples, in the order of import; what is not touched is left out."""
    rows = {
        example: (by, at)
        for example, by, at in branch.dirty.filter(example_id__in=list(uuids)).values_list(
            "example_id", "touched_by", "touched_at"
        )
    }
    comparison = compare_rows(branch, branch.commit, list(rows))
    return [TouchedExample(diff, *rows[diff.uuid]) for diff in comparison.page(0, len(rows))]


def compare_rows(branch: Branch, old: DatasetCommit | None, uuids: list[uuid.UUID]) -> Comparison:
    """Compare some rows of a working copy with a version."""
    before = tree.lookup(root_of(old), [u.bytes for u in uuids], NodeStore())
    working = {content.uuid.bytes: content for content in working_contents(branch.pk, uuids)}
    changes = [
        tree.TreeChange(key, before.get(key), working[key].hash if key in working else None)
        for key in (u.bytes for u in uuids)
    ]
    texts = {content.hash: content.text for content in working.values()}
    name = "nothing" if old is None else old.short_hash
    return Comparison(branch.dataset, name, WORKING_COPY, [c for c in changes if c.old != c.new], texts)


@dataclass(frozen=True)
class LoggedPage:
    """Changes of one commit in the order of import; `after` is the ordinal to go on behind, None at the end."""

    changes: list[ExampleDiff]
    after: int | None


_KIND_OF_LOGGED = {
    ADDED: " AND c.old_hash IS NULL",
    MODIFIED: " AND c.old_hash IS NOT NULL AND c.new_hash IS NOT NULL",
    REMOVED: " AND c.new_hash IS NULL",
}
_LOGGED = """
    SELECT c.example_id, i.ordinal, c.old_hash, c.new_hash
      FROM datasets_app_examplechange c
      JOIN datasets_app_exampleidentity i ON i.id = c.example_id
     WHERE c.commit_id = %s AND i.dataset_id = %s AND i.ordinal > %s{more}
     ORDER BY i.ordinal LIMIT %s
"""


def logged_page(
    commit: DatasetCommit, *, after: int = -1, limit: int = 50, kind: str | None = None
) -> LoggedPage:
    """Return up to `limit` changes of a commit against its first parent, behind the ordinal `after`."""
    more = _KIND_OF_LOGGED.get(kind or "", "")
    with binary_cursor() as cursor:
        cursor.execute(_LOGGED.format(more=more), [commit.pk, commit.dataset_id, after, limit + 1])
        rows = cursor.fetchall()
    changes = [tree.TreeChange(row[0].bytes, row[2], row[3]) for row in rows[:limit]]
    parent = commit.parent_commit_hash[:12] or "nothing"
    page = Comparison(commit.dataset, parent, commit.short_hash, changes, {}).page()
    return LoggedPage(page, rows[limit - 1][1] if len(rows) > limit else None)
