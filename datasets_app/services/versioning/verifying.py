"""Prove that what is stored is what was committed: hashes, chains, trees, change logs, refs, history, guards.

The default looks at the commits since the last good run and at what is small; `deep` reads everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from datasets_app.domain import tree
from datasets_app.errors import CorruptData
from datasets_app.models import AuditEvent, Branch, DatasetCommit
from datasets_app.services.versioning.comparing import logged_changes, root_of
from datasets_app.services.versioning.store import NodeStore
from datasets_app.services.versioning.working_rows import CONTENT_COLUMNS, content_hash_of_columns
from goldenproject.kit.database_io import binary_cursor, stream
from goldenproject.kit.guards import missing_guards

MAX_NAMED = 20
VERIFY_ACTION = "verify"


@dataclass
class Verification:
    """The result: valid when there are no errors. `stats` counts what was looked at."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stats: dict[str, int] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        return not self.errors

    def as_dict(self) -> dict[str, Any]:
        return {"valid": self.valid, "errors": self.errors, "warnings": self.warnings, "stats": self.stats}

    def add_errors(self, found: list[str]) -> None:
        """Add errors of one check; of many, the first 20 and how many more there are."""
        self.errors += found[:MAX_NAMED]
        if len(found) > MAX_NAMED:
            self.errors.append(f"… and {len(found) - MAX_NAMED} more of the kind “{found[0].split(':')[0]}”")


Progress = Callable[[str], None]


def verify_database(*, deep: bool = False, progress: Progress | None = None) -> Verification:
    """Check the database; with `deep` every blob, node, commit and row. Writes nothing."""
    tell = progress or (lambda what: None)
    result = Verification()
    with transaction.atomic():
        tell("guards")
        result.add_errors([f"guard missing: {name}" for name in missing_guards()])
        _count(result)
        if deep:
            tell("blobs")
            result.add_errors(_bad_blobs())
            tell("nodes")
            result.add_errors(_bad_nodes())
        tell("commits")
        _verify_commits(result, since=0 if deep else last_verified_commit())
        tell("references")
        result.add_errors(_broken_references())
        if deep:
            tell("history")
            result.add_errors(_unrecorded_rows())
            for branch in Branch.objects.filter(worktree=Branch.Worktree.OPEN).select_related(
                "dataset", "commit"
            ):
                tell(f"working copy of {branch}")
                result.add_errors(_bad_working_copy(branch))
    return result


def last_verified_commit() -> int:
    """Return the id of the newest commit that a good run has covered; 0 when there was none."""
    event = AuditEvent.objects.filter(action=VERIFY_ACTION, succeeded=True).order_by("-id").first()
    return 0 if event is None else int(event.details.get("newest_commit", 0))


_COUNTS = """
    SELECT (SELECT count(*) FROM datasets_app_dataset), (SELECT count(*) FROM datasets_app_datasetcommit),
           (SELECT count(*) FROM datasets_app_branch), (SELECT count(*) FROM datasets_app_tag),
           (SELECT coalesce(sum(delta), 0)::bigint FROM datasets_app_worktreecount),
           (SELECT count(*) FROM datasets_app_redaction)
"""


def _count(result: Verification) -> None:
    with binary_cursor() as cursor:
        cursor.execute(_COUNTS)
        counts = cursor.fetchone()
    names = ("datasets", "commits", "branches", "tags", "working_rows", "redactions")
    result.stats.update(zip(names, counts or (), strict=True))


_BAD_BLOBS = """
    SELECT encode(b.hash, 'hex') FROM datasets_app_blob b
     WHERE sha256(convert_to(b.body, 'UTF8')) <> b.hash
       AND NOT EXISTS (SELECT 1 FROM datasets_app_redaction r WHERE r.blob_hash = b.hash AND r.tombstone = b.body)
"""
# What was never committed has a redaction too, of no blob; that a version's blob is missing is found elsewhere.
_UNREDACTED = """
    SELECT encode(r.blob_hash, 'hex') FROM datasets_app_redaction r
      JOIN datasets_app_blob b ON b.hash = r.blob_hash WHERE b.body <> r.tombstone
"""
_BAD_NODES = "SELECT encode(hash, 'hex') FROM datasets_app_node WHERE sha256(body) <> hash"


def _names(sql: str, parameters: list[Any] | None = None) -> list[str]:
    with binary_cursor() as cursor:
        cursor.execute(sql, parameters or [])
        return [str(row[0]) for row in cursor]


def _bad_blobs() -> list[str]:
    bad = [f"content does not match its hash: {name}" for name in _names(_BAD_BLOBS)]
    return bad + [f"redaction without its tombstone: {name}" for name in _names(_UNREDACTED)]


def _bad_nodes() -> list[str]:
    return [f"tree node does not match its hash: {name}" for name in _names(_BAD_NODES)]


def _verify_commits(result: Verification, *, since: int) -> None:
    known = {c.commit_hash: c for c in DatasetCommit.objects.order_by("pk").iterator()}
    checked = 0
    for commit in known.values():
        result.add_errors(list(_chain_problems(commit, known)))
        if commit.pk > since:
            checked += 1
            result.add_errors(list(_tree_problems(commit, known.get(commit.parent_commit_hash))))
    result.stats["commits_checked"] = checked


def _chain_problems(commit: DatasetCommit, known: dict[str, DatasetCommit]) -> Iterator[str]:
    if commit.facts().hash() != commit.commit_hash:
        yield f"commit does not match its hash: {commit.commit_hash}"
    for parent in commit.parents:
        if parent not in known:
            yield f"commit without its parent: {commit.commit_hash} names {parent}"


def _tree_problems(commit: DatasetCommit, parent: DatasetCommit | None) -> Iterator[str]:
    """Compare the change log with the difference of the trees; reading a node checks its place, not the whole tree."""
    try:
        body = NodeStore().fetch([commit.root])[commit.root]
        differences = sorted(tree.diff(root_of(parent), commit.root, CheckedNodes()))
    except (CorruptData, tree.MalformedNode) as error:
        yield f"tree of a commit is broken: {commit.commit_hash}: {error}"
        return
    if tree.node_count(body) != commit.example_count:
        yield f"commit counts wrongly: {commit.commit_hash} says {commit.example_count}, holds {tree.node_count(body)}"
    logged = sorted(logged_changes(commit))
    if logged != differences:
        yield f"change log differs from the trees: {commit.commit_hash}: {len(logged)} logged, {len(differences)} differ"
    counts = (
        sum(c.old is None for c in differences),
        sum(c.new is None for c in differences),
        sum(c.old is not None and c.new is not None for c in differences),
    )
    if counts != (commit.examples_added, commit.examples_removed, commit.examples_modified):
        yield f"commit counts its changes wrongly: {commit.commit_hash}"


class CheckedNodes(NodeStore):
    """A node source that recomputes the hash of each node it reads."""

    def fetch(self, hashes: Any) -> Any:
        found = super().fetch(hashes)
        for digest, body in found.items():
            if tree.node_hash(body) != digest:
                raise CorruptData(f"Tree node {digest.hex()} does not match its hash.")
        return found


_MISSING_BLOBS = """
    SELECT encode(c.new_hash, 'hex') FROM datasets_app_examplechange c
     WHERE c.new_hash IS NOT NULL AND NOT EXISTS (SELECT 1 FROM datasets_app_blob b WHERE b.hash = c.new_hash) LIMIT 100
"""
_MISSING_IDENTITIES = """
    SELECT c.example_id FROM datasets_app_examplechange c
     WHERE NOT EXISTS (SELECT 1 FROM datasets_app_exampleidentity i WHERE i.id = c.example_id) LIMIT 100
"""
_FOREIGN_REFS = """
    SELECT r.name FROM (SELECT name, dataset_id, commit_id FROM datasets_app_branch WHERE commit_id IS NOT NULL
                        UNION ALL SELECT name, dataset_id, commit_id FROM datasets_app_tag) r
      JOIN datasets_app_datasetcommit c ON c.id = r.commit_id WHERE c.dataset_id <> r.dataset_id
"""
_STRAY_ROWS = """
    SELECT e.example_id FROM datasets_app_example e
      LEFT JOIN datasets_app_branch b ON b.id = e.branch_id
      LEFT JOIN datasets_app_exampleidentity i ON i.id = e.example_id AND i.dataset_id = b.dataset_id
     WHERE i.id IS NULL LIMIT 100
"""


def _broken_references() -> list[str]:
    found = [f"content is missing: {name}" for name in _names(_MISSING_BLOBS)]
    found += [f"identity is missing: {name}" for name in _names(_MISSING_IDENTITIES)]
    found += [f"ref points at another dataset: {name}" for name in _names(_FOREIGN_REFS)]
    return found + [f"row without branch or identity: {name}" for name in _names(_STRAY_ROWS)]


# The last history row of every working row has the same content: whoever wrote, by whatever path.
_UNRECORDED = """
    SELECT e.example_id FROM datasets_app_example e
      LEFT JOIN LATERAL (
           SELECT h.* FROM datasets_app_historicalexample h
            WHERE h.example_id = e.example_id AND h.id = e.id ORDER BY h.history_id DESC LIMIT 1) h ON true
     WHERE h.id IS NULL OR h.history_type = '-' OR
           (e.input_data, e.expected_output, e.labels, e.metadata, e.provenance, e.validation_status, e.example_type_id)
           IS DISTINCT FROM
           (h.input_data, h.expected_output, h.labels, h.metadata, h.provenance, h.validation_status, h.example_type_id)
     LIMIT 1000
"""


def _unrecorded_rows() -> list[str]:
    return [f"row differs from its last history: {name}" for name in _names(_UNRECORDED)]


def _bad_working_copy(branch: Branch) -> list[str]:
    """Rows that are not dirty must equal the branch's commit, and the row count must be right."""
    found = []
    try:
        expected = dict(tree.entries(root_of(branch.commit), NodeStore()))
    except (CorruptData, tree.MalformedNode) as error:
        return [f"tree of a branch cannot be read: {branch}: {error}"]
    dirty = {u.bytes for u in branch.dirty.values_list("example_id", flat=True)}
    rows = 0
    for chunk in stream(
        f"SELECT e.example_id, {CONTENT_COLUMNS} FROM datasets_app_example e "
        "JOIN datasets_app_exampletype t ON t.id = e.example_type_id WHERE e.branch_id = %s",
        [branch.pk],
    ):
        for row in chunk:
            rows += 1
            wanted = expected.pop(row[0].bytes, None)
            if row[0].bytes not in dirty and content_hash_of_columns(row[1:]) != wanted:
                found.append(f"row differs from its commit and is not marked: {row[0]} of {branch}")
    lost = expected.keys() - dirty - redacted_examples(branch)
    found += [f"row of the commit is missing: {key.hex()} of {branch}" for key in lost]
    counted = sum(branch.row_counts.values_list("delta", flat=True))
    if counted != rows:
        found.append(f"row count is wrong: {branch} has {rows} rows, {counted} are counted")
    return found


def redacted_examples(branch: Branch) -> set[bytes]:
    """Return the UUIDs of the dataset's redacted examples."""
    return {u.bytes for u in branch.dataset.redactions.values_list("example_id", flat=True)}
