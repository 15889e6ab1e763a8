"""What the console keeps for people: saved views, staged imports, long jobs."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from datasets_app.models.dataset import Dataset, ExampleType, StoredJsonDecoder
from datasets_app.models.versioning import Branch
from goldenproject.kit.clock import random_uuid


class SavedView(models.Model):
    """A named set of filters over the examples of a dataset, for oneself or for everybody."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="saved_views")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=80)
    query = models.TextField(help_text="The query string of the list.")
    is_shared = models.BooleanField(default=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "owner", "name"], name="saved_view_name_unique")
        ]

    def __str__(self) -> str:
        return self.name


class ImportBatch(models.Model):
    """A file that was read, validated and staged; nothing of it is in the dataset until it is applied."""

    class State(models.TextChoices):
        STAGED = "staged"
        APPLIED = "applied"
        DISCARDED = "discarded"

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="imports")
    example_type = models.ForeignKey(ExampleType, on_delete=models.PROTECT, related_name="+")
    file_name = models.CharField(max_length=255)
    options = models.JSONField(default=dict)
    state = models.CharField(max_length=9, choices=State.choices, default=State.STAGED)
    rows_read = models.PositiveBigIntegerField(default=0)
    rows_new = models.PositiveBigIntegerField(default=0)
    rows_changed = models.PositiveBigIntegerField(default=0)
    rows_unchanged = models.PositiveBigIntegerField(default=0)
    rows_refused = models.PositiveBigIntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    applied_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "import"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.file_name


class StagedRow(models.Model):
    """A row of a staged import: what it would do, or why it is refused. Cleared when the batch is applied or discarded."""

    class Action(models.TextChoices):
        NEW = "new"
        CHANGED = "changed"
        UNCHANGED = "unchanged"
        REFUSED = "refused"

    pk = models.CompositePrimaryKey("batch_id", "line")
    batch = models.ForeignKey(
        ImportBatch, on_delete=models.CASCADE, related_name="rows", db_constraint=False, db_index=False
    )
    line = models.BigIntegerField(help_text="1-based line of the file where the row begins.")
    action = models.CharField(max_length=9, choices=Action.choices)
    example_id = models.UUIDField(null=True)
    external_id = models.TextField(null=True)
    input_data = models.JSONField(null=True, decoder=StoredJsonDecoder)
    expected_output = models.JSONField(null=True, decoder=StoredJsonDecoder)
    labels = models.JSONField(null=True, decoder=StoredJsonDecoder)
    metadata = models.JSONField(null=True, decoder=StoredJsonDecoder)
    search_text = models.TextField(default="")
    errors = models.JSONField(default=list, help_text='[{"path", "message", "found", "expected"}]')
    raw = models.TextField(default="", help_text="The refused row as it stood in the file.")

    class Meta:
        indexes = [models.Index(fields=["batch", "action", "line"], name="staged_by_action")]


class JobRun(models.Model):
    """A long piece of work with its progress; a worker of the queue executes it."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    kind = models.CharField(max_length=60)
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, null=True, related_name="jobs")
    arguments = models.JSONField(default=dict)
    state = models.CharField(max_length=7, choices=State.choices, default=State.QUEUED)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(null=True)
    message = models.TextField(blank=True, default="")
    result = models.JSONField(default=dict)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "job"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.kind} {self.state}"
