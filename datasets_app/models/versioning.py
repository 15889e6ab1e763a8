"""Versions: content-addressed blobs and nodes, commits, refs, what is dirty, merges and redactions.

Blob, Node, DatasetCommit and ExampleChange refuse UPDATE, DELETE and TRUNCATE in the database (see sql/guards.sql).
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from datasets_app.domain.commits import CommitRecord
from datasets_app.models.dataset import Dataset
from goldenproject.kit.history import audited


class Blob(models.Model):
    """The canonical text of an example's content under its SHA-256 (32 bytes)."""

    hash = models.BinaryField(primary_key=True)
    body = models.TextField()


class Node(models.Model):
    """A node of a version's tree under the SHA-256 of its body; `domain.tree` gives the format."""

    hash = models.BinaryField(primary_key=True)
    body = models.BinaryField()


class DatasetCommit(models.Model):
    """A state of a dataset with its history. Immutable."""

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="commits")
    commit_hash = models.CharField(max_length=64, unique=True)
    parent_commit_hash = models.CharField(max_length=64, blank=True, default="")
    merge_parent_hash = models.CharField(max_length=64, blank=True, default="")
    root_hash = models.CharField(max_length=64)
    generation = models.PositiveIntegerField(help_text="1 + the greatest generation of the parents.")
    message = models.TextField()
    author = models.CharField(max_length=200)
    committed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    committed_at = models.DateTimeField()
    examples_added = models.PositiveBigIntegerField(default=0)
    examples_removed = models.PositiveBigIntegerField(default=0)
    examples_modified = models.PositiveBigIntegerField(default=0)
    example_count = models.PositiveBigIntegerField(default=0)
    metadata = models.JSONField(default=dict, blank=True)

    history = audited()

    class Meta:
        verbose_name = "commit"
        ordering = ["-id"]
        indexes = [models.Index(fields=["dataset", "-id"], name="commit_dataset_newest")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(commit_hash__regex=r"^[0-9a-f]{64}$"), name="commit_hash_is_sha256"
            ),
            models.CheckConstraint(condition=~models.Q(message=""), name="commit_has_message"),
        ]

    def __str__(self) -> str:
        return f"{self.short_hash} {self.message.splitlines()[0][:60]}"

    @property
    def short_hash(self) -> str:
        return self.commit_hash[:12]

    @property
    def root(self) -> bytes:
        return bytes.fromhex(self.root_hash)

    @property
    def parents(self) -> tuple[str, ...]:
        return tuple(h for h in (self.parent_commit_hash, self.merge_parent_hash) if h)

    def facts(self) -> CommitRecord:
        """Return all that the commit's hash covers."""
        return CommitRecord(
            parents=self.parents,
            root=self.root_hash,
            added=self.examples_added,
            removed=self.examples_removed,
            modified=self.examples_modified,
            author=self.author,
            message=self.message,
            committed_at=self.committed_at,
        )


class ExampleChange(models.Model):
    """What a commit did to one example, against its first parent. Immutable."""

    pk = models.CompositePrimaryKey("commit_id", "example_id")
    commit = models.ForeignKey(
        DatasetCommit, on_delete=models.PROTECT, related_name="changes", db_constraint=False, db_index=False
    )
    example_id = models.UUIDField()
    old_hash = models.BinaryField(null=True)
    new_hash = models.BinaryField(null=True)

    class Meta:
        indexes = [models.Index(fields=["example_id", "commit"], name="change_of_example")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(old_hash__isnull=False) | models.Q(new_hash__isnull=False),
                name="change_changes_something",
            )
        ]

    @property
    def change_type(self) -> str:
        """ "added", "removed" or "modified"."""
        if self.old_hash is None:
            return "added"
        return "removed" if self.new_hash is None else "modified"

    @property
    def changed_at(self) -> Any:
        return self.commit.committed_at

    @property
    def before_data(self) -> Any:
        return _content(self.old_hash)

    @property
    def after_data(self) -> Any:
        return _content(self.new_hash)


def _content(blob_hash: bytes | memoryview | None) -> Any:
    from datasets_app.domain.canonical import loads_stored

    return None if blob_hash is None else loads_stored(Blob.objects.get(pk=bytes(blob_hash)).body)


class Branch(models.Model):
    """A name for a commit that moves, and the owner of a working copy."""

    class Worktree(models.TextChoices):
        CLOSED = "closed"
        OPENING = "opening"
        OPEN = "open"

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="branches")
    name = models.CharField(max_length=200)
    commit = models.ForeignKey(DatasetCommit, on_delete=models.PROTECT, null=True, related_name="+")
    is_default = models.BooleanField(default=False)
    worktree = models.CharField(max_length=8, choices=Worktree.choices, default=Worktree.CLOSED)
    is_closed = models.BooleanField(default=False, help_text="Merged or given up; its commits stay.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    history = audited()

    class Meta:
        verbose_name_plural = "branches"
        ordering = ["dataset", "-is_default", "name"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "name"], name="branch_name_unique"),
            models.UniqueConstraint(
                fields=["dataset"], condition=models.Q(is_default=True), name="branch_one_default"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dataset.name}@{self.name}"

    @property
    def is_open(self) -> bool:
        return self.worktree == self.Worktree.OPEN


class Tag(models.Model):
    """A name for a commit that never moves; it may be deleted."""

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="version_tags")
    name = models.CharField(max_length=200)
    commit = models.ForeignKey(DatasetCommit, on_delete=models.PROTECT, related_name="tags")
    message = models.TextField(blank=True, default="")
    tagged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    tagged_at = models.DateTimeField(db_default=Now(), editable=False)

    history = audited()

    class Meta:
        ordering = ["dataset", "-id"]
        constraints = [models.UniqueConstraint(fields=["dataset", "name"], name="tag_name_unique")]

    def __str__(self) -> str:
        return f"{self.dataset.name}@{self.name}"


class DirtyExample(models.Model):
    """An example of a working copy that was touched since the last commit. Triggers write it, commits clear it.

    `in_base` tells whether the branch's commit holds the example: set by the first touch, whose kind tells it.
    `touched_by` is the user who touched it, 0 when several did, null when it is not known.
    """

    pk = models.CompositePrimaryKey("branch_id", "example_id")
    branch = models.ForeignKey(
        Branch, on_delete=models.PROTECT, related_name="dirty", db_index=False, db_constraint=False
    )
    example_id = models.UUIDField()
    in_base = models.BooleanField()
    touched_by = models.IntegerField(null=True)
    touched_at = models.DateTimeField(db_default=Now())


class WorktreeCount(models.Model):
    """Deltas whose sum is the number of rows in a working copy: exact, without a scan and without a hot row."""

    branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="row_counts")
    delta = models.BigIntegerField()


class Merge(models.Model):
    """A merge (or revert) under way or done; what could not be merged waits in its conflicts."""

    class State(models.TextChoices):
        OPEN = "open"
        DONE = "done"
        ABORTED = "aborted"

    class Kind(models.TextChoices):
        MERGE = "merge"
        REVERT = "revert"

    kind = models.CharField(max_length=6, choices=Kind.choices, default=Kind.MERGE)
    branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="merges")
    source_ref = models.CharField(max_length=200)
    base = models.ForeignKey(DatasetCommit, on_delete=models.PROTECT, null=True, related_name="+")
    ours = models.ForeignKey(DatasetCommit, on_delete=models.PROTECT, null=True, related_name="+")
    theirs = models.ForeignKey(DatasetCommit, on_delete=models.PROTECT, null=True, related_name="+")
    message = models.TextField(blank=True, default="")
    state = models.CharField(max_length=7, choices=State.choices, default=State.OPEN)
    result = models.ForeignKey(DatasetCommit, on_delete=models.PROTECT, null=True, related_name="+")
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)

    history = audited()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["branch"], condition=models.Q(state="open"), name="merge_one_open_per_branch"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.source_ref} into {self.branch}"


class MergeConflict(models.Model):
    """One field of one example that both sides changed. A side is {"value": …}, or {} where the field is missing."""

    class Resolution(models.TextChoices):
        OURS = "ours"
        THEIRS = "theirs"
        BASE = "base"
        VALUE = "value"

    merge = models.ForeignKey(Merge, on_delete=models.CASCADE, related_name="conflicts")
    example_id = models.UUIDField()
    path = models.TextField()
    base = models.JSONField(default=dict)
    ours = models.JSONField(default=dict)
    theirs = models.JSONField(default=dict)
    resolution = models.CharField(max_length=6, choices=Resolution.choices, blank=True, default="")
    value = models.JSONField(default=dict, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    resolved_at = models.DateTimeField(null=True)

    history = audited()

    class Meta:
        ordering = ["merge", "example_id", "path"]
        constraints = [
            models.UniqueConstraint(fields=["merge", "example_id", "path"], name="conflict_once_per_field")
        ]


class Redaction(models.Model):
    """A text that was erased by law or by mistake; the blob keeps its hash and holds the tombstone. Immutable."""

    blob_hash = models.BinaryField(unique=True)
    tombstone = models.TextField()
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="redactions")
    example_id = models.UUIDField()
    reason = models.TextField()
    redacted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    redacted_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [models.Index(fields=["example_id"], name="redaction_of_example")]
