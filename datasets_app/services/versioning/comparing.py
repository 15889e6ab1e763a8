"""Differences between two versions, or between a version and a working copy."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from datasets_app.domain import tree
from datasets_app.domain.canonical import loads_stored
from datasets_app.domain.field_diff import FieldChange, diff_fields
from datasets_app.errors import WorktreeClosed
from datasets_app.models import Branch, Dataset, DatasetCommit
from datasets_app.services.versioning.store import NodeStore, blob_texts
from datasets_app.services.versioning.working_rows import working_contents
from goldenproject.kit.database_io import binary_cursor

WORKING_COPY = "the working copy"


@dataclass(frozen=True)
class ExampleDiff:
    """One example in which two versions differ. `old` and `new` are content documents, None where it is absent."""

    uuid: uuid.UUID
    external_id: str | None
    ordinal: int
    change_type: str
    old: dict[str, Any] | None
    new: dict[str, Any] | None

    @property
    def name(self) -> str:
        return self.external_id if self.external_id is not None else str(self.uuid)

    @property
    def fields(self) -> list[FieldChange]:
        """What changed, field by field; empty for an example that was added or removed as a whole."""
        if self.old is None or self.new is None:
            return []
        return diff_fields(self.old, self.new)


@dataclass(frozen=True)
class _Placed:
    change: tree.TreeChange
    external_id: str | None
    ordinal: int


class Comparison:
    """The difference of two versions: how many changes of each kind at once, the changes themselves page by page."""

    def __init__(
        self,
        dataset: Dataset,
        old_name: str,
        new_name: str,
        changes: Sequence[tree.TreeChange],
        texts: dict[bytes, str],
    ) -> None:
        self.dataset = dataset
        self.old_name = old_name
        self.new_name = new_name
        self._changes = list(changes)
        self._texts = texts
        self._placed: list[_Placed] | None = None
        self.added = sum(c.old is None for c in self._changes)
        self.removed = sum(c.new is None for c in self._changes)
        self.modified = len(self._changes) - self.added - self.removed

    def __len__(self) -> int:
        return len(self._changes)

    def page(self, start: int = 0, count: int | None = None) -> list[ExampleDiff]:
        """Return changes `start` to `start + count` in the order of import."""
        placed = self._in_order()[start : None if count is None else start + count]
        wanted = {h for p in placed for h in p.change[1:] if h is not None and h not in self._texts}
        texts = {**self._texts, **blob_texts(wanted)}
        return [
            ExampleDiff(
                uuid=uuid.UUID(bytes=p.change.uuid),
                external_id=p.external_id,
                ordinal=p.ordinal,
                change_type=change_type(p.change),
                old=None if p.change.old is None else loads_stored(texts[p.change.old]),
                new=None if p.change.new is None else loads_stored(texts[p.change.new]),
            )
            for p in placed
        ]

    def only(self, kind: str) -> Comparison:
        """Return the same difference with only the changes of one kind: "added", "modified" or "removed"."""
        kept = [change for change in self._changes if change_type(change) == kind]
        return Comparison(self.dataset, self.old_name, self.new_name, kept, self._texts)

    def __iter__(self) -> Iterator[ExampleDiff]:
        for start in range(0, len(self), 500):
            yield from self.page(start, 500)

    def _in_order(self) -> list[_Placed]:
        if self._placed is None:
            known = identities(c.uuid for c in self._changes)
            self._placed = sorted(
                (_Placed(c, *known[c.uuid]) for c in self._changes), key=lambda p: p.ordinal
            )
        return self._placed


def change_type(change: tree.TreeChange) -> str:
    if change.old is None:
        return "added"
    return "removed" if change.new is None else "modified"


def identities(uuids: Iterable[bytes]) -> dict[bytes, tuple[str | None, int]]:
    """Return UUID (16 bytes) → (external id, ordinal)."""
    with binary_cursor() as cursor:
        cursor.execute(
            "SELECT id, external_id, ordinal FROM datasets_app_exampleidentity WHERE id = ANY(%s)",
            [[uuid.UUID(bytes=u) for u in uuids]],
        )
        return {row[0].bytes: (row[1], row[2]) for row in cursor}


def root_of(commit: DatasetCommit | None) -> bytes:
    return tree.EMPTY_ROOT if commit is None else commit.root


def tree_changes(old: DatasetCommit | None, new: DatasetCommit | None) -> list[tree.TreeChange]:
    """Return the changes from one version to another. A commit and its first parent are read from the change log."""
    if new is not None and new.parent_commit_hash == (old.commit_hash if old else ""):
        return logged_changes(new)
    if old is not None and old.parent_commit_hash and new and old.parent_commit_hash == new.commit_hash:
        return [tree.TreeChange(c.uuid, c.new, c.old) for c in logged_changes(old)]
    return list(tree.diff(root_of(old), root_of(new), NodeStore()))


def logged_changes(commit: DatasetCommit) -> list[tree.TreeChange]:
    """Return the change log of a commit."""
    with binary_cursor() as cursor:
        cursor.execute(
            "SELECT example_id, old_hash, new_hash FROM datasets_app_examplechange WHERE commit_id = %s",
            [commit.pk],
        )
        return [tree.TreeChange(row[0].bytes, row[1], row[2]) for row in cursor]


def compare(dataset: Dataset, old: DatasetCommit | None, new: DatasetCommit | None) -> Comparison:
    """Compare two versions; None stands for the empty one."""
    return Comparison(dataset, _name(old), _name(new), tree_changes(old, new), {})


def compare_working_copy(branch: Branch, *, limit: int | None = None) -> Comparison:
    """Compare the working copy of a branch with its commit; reads only the rows that were touched.

    `limit` bounds how many touched rows are read (oldest first), for pages that show a few.
    """
    if not branch.is_open:
        raise WorktreeClosed(
            f"Branch “{branch.name}” has no working copy.", hint="Open it for editing first."
        )
    dirty = branch.dirty.order_by("touched_at", "example_id").values_list("example_id", flat=True)
    uuids = list(dirty if limit is None else dirty[:limit])
    base = tree.lookup(root_of(branch.commit), [u.bytes for u in uuids], NodeStore())
    working = {content.uuid.bytes: content for content in working_contents(branch.pk, uuids)}
    changes = []
    for key in (u.bytes for u in uuids):
        old, row = base.get(key), working.get(key)
        new = row.hash if row else None
        if old != new:
            changes.append(tree.TreeChange(key, old, new))
    texts = {content.hash: content.text for content in working.values()}
    return Comparison(branch.dataset, _name(branch.commit), WORKING_COPY, changes, texts)


def _name(commit: DatasetCommit | None) -> str:
    return "nothing" if commit is None else commit.short_hash
