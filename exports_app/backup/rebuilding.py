"""Proofs of a restore: trees from change lists, whose root and commit hashes show that nothing is missing or altered."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from datasets_app.domain import tree
from datasets_app.models import DatasetCommit
from datasets_app.services.versioning.store import NodeStore, put_nodes
from exports_app.errors import RestoreFailed
from goldenproject.kit.database_io import stream

_CHANGES = "SELECT uuid_send(example_id), old_hash, new_hash FROM datasets_app_examplechange WHERE commit_id = {commit}"
_CHUNK = 20_000
Progress = Callable[[int, int], None]


def rebuild_trees(datasets: frozenset[uuid.UUID] | None, progress: Progress | None = None) -> int:
    """Rebuild the tree of every commit (of `datasets`, or all), parents first, and return how many there were.

    Raises RestoreFailed when a root, a count or a commit's hash differs from what the commit says.
    """
    commits = DatasetCommit.objects.order_by("generation", "id")
    if datasets is not None:
        commits = commits.filter(dataset__in=datasets)
    roots: dict[str, bytes] = {}
    total = commits.count()
    for number, commit in enumerate(commits.iterator(), start=1):
        roots[commit.commit_hash] = _rebuild(commit, roots)
        if progress is not None:
            progress(number, total)
    return total


def _rebuild(commit: DatasetCommit, roots: dict[str, bytes]) -> bytes:
    parent = tree.EMPTY_ROOT
    if commit.parent_commit_hash:
        if commit.parent_commit_hash not in roots:
            raise _unsound(commit, f"its parent {commit.parent_commit_hash[:12]} is missing")
        parent = roots[commit.parent_commit_hash]
    if parent == tree.EMPTY_ROOT:
        written, counts = _build_first(commit)
    else:
        written, counts = _update(commit, parent)
    if written.root != commit.root:
        raise _unsound(commit, f"found the root {written.root.hex()}, expected {commit.root_hash}")
    recorded = (
        commit.examples_added,
        commit.examples_removed,
        commit.examples_modified,
        commit.example_count,
    )
    if (*counts, written.count) != recorded:
        raise _unsound(commit, f"found the counts {(*counts, written.count)}, expected {recorded}")
    found = commit.facts().hash()
    if found != commit.commit_hash:
        raise _unsound(commit, f"what it says has the hash {found}")
    put_nodes(written.nodes)
    return written.root


def _build_first(commit: DatasetCommit) -> tuple[tree.Written, tuple[int, int, int]]:
    packed = bytearray()
    for rows in _changes(commit):
        for example, old, new in rows:
            if old is not None or new is None:
                raise _unsound(commit, "a first commit only adds")
            packed += example + new
    written = tree.build_packed(bytes(packed))
    return written, (written.count, 0, 0)


def _update(commit: DatasetCommit, parent: bytes) -> tuple[tree.Written, tuple[int, int, int]]:
    changes: dict[bytes, bytes | None] = {}
    before: dict[bytes, bytes | None] = {}
    for rows in _changes(commit):
        for example, old, new in rows:
            changes[example], before[example] = new, old
    written = tree.update(parent, changes, NodeStore())
    if {change.uuid: change.old for change in written.changes} != before:
        raise _unsound(commit, "its changes do not follow from its parent")
    added = sum(old is None for old in before.values())
    removed = sum(new is None for new in changes.values())
    return written, (added, removed, len(changes) - added - removed)


def _changes(commit: DatasetCommit) -> Iterator[list[tuple[Any, ...]]]:
    return stream(_CHANGES.format(commit=int(commit.pk)), chunk_rows=_CHUNK)


def _unsound(commit: DatasetCommit, why: str) -> RestoreFailed:
    return RestoreFailed(
        f"Commit {commit.short_hash} does not prove sound: {why}. Nothing was changed.",
        hint="Use another copy of the backup, or an older one.",
    )


def check_references(cursor: psycopg.Cursor[Any]) -> None:
    """Raise RestoreFailed when a row points at nothing where no foreign key would tell, or a content is not its hash."""
    for what, query in _CHECKS.items():
        cursor.execute(query + " LIMIT 1")
        row = cursor.fetchone()
        if row is not None:
            raise RestoreFailed(
                f"The backup does not prove sound: {what} ({row[0]}). Nothing was changed.",
                hint="Use another copy of the backup, or an older one.",
            )


_CHECKS = {
    "a working row has no identity in the dataset of its branch": (
        "SELECT e.example_id FROM datasets_app_example e LEFT JOIN datasets_app_branch b ON b.id = e.branch_id "
        "LEFT JOIN datasets_app_exampleidentity i ON i.id = e.example_id AND i.dataset_id = b.dataset_id "
        "AND i.ordinal = e.ordinal WHERE i.id IS NULL"
    ),
    "a working row has an unknown type": (
        "SELECT e.example_id FROM datasets_app_example e "
        "LEFT JOIN datasets_app_exampletype t ON t.id = e.example_type_id WHERE t.id IS NULL"
    ),
    "an identity has no dataset": (
        "SELECT i.id FROM datasets_app_exampleidentity i "
        "LEFT JOIN datasets_app_dataset d ON d.id = i.dataset_id WHERE d.id IS NULL"
    ),
    "a change belongs to no commit": (
        "SELECT c.example_id FROM datasets_app_examplechange c "
        "LEFT JOIN datasets_app_datasetcommit k ON k.id = c.commit_id WHERE k.id IS NULL"
    ),
    "a change gives an example a content that is missing": (
        "SELECT c.example_id FROM datasets_app_examplechange c "
        "LEFT JOIN datasets_app_blob b ON b.hash = c.new_hash WHERE c.new_hash IS NOT NULL AND b.hash IS NULL"
    ),
    "a content does not match its hash": (
        "SELECT encode(b.hash, 'hex') FROM datasets_app_blob b "
        "WHERE sha256(convert_to(b.body, 'UTF8')) <> b.hash "
        "AND NOT EXISTS (SELECT 1 FROM datasets_app_redaction r WHERE r.blob_hash = b.hash)"
    ),
}
