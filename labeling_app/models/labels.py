"""What labelers said: sessions, the labels that hold now, and the append-only log of all that was ever said."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from datasets_app.models import ExampleIdentity, StoredJsonDecoder
from goldenproject.kit.clock import random_uuid
from goldenproject.kit.history import audited
from labeling_app.models.queue import LabelingQueue, QueueItem

_CONFIDENCE = models.Q(confidence__isnull=True) | models.Q(confidence__gte=0, confidence__lte=1)


class LabelingSession(models.Model):
    """The time in which a person labels without a long break."""

    class Type(models.TextChoices):
        INITIAL_LABELING = "initial_labeling", "labeling: answers are given unseen"
        VALIDATION = "validation", "validation: the answer that is there is checked"
        CORRECTION = "correction", "correction: the answer that is there is mended"

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    labeler = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="labeling_sessions"
    )
    queue = models.ForeignKey(
        LabelingQueue, on_delete=models.PROTECT, null=True, blank=True, related_name="sessions"
    )
    session_type = models.CharField(max_length=16, choices=Type.choices, default=Type.INITIAL_LABELING)
    filters = models.JSONField(
        default=dict, blank=True, help_text="Narrower than the queue's; the same names."
    )
    started_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    examples_labeled = models.PositiveIntegerField(default=0)
    served = models.PositiveIntegerField(
        default=0, help_text="Examples given out; now and then the session looks from the start."
    )
    seen_position = models.FloatField(null=True, help_text="The queue was gone through up to this place.")
    seen_item = models.BigIntegerField(null=True)
    metadata = models.JSONField(default=dict, blank=True)

    history = audited()

    class Meta:
        ordering = ["-started_at"]
        indexes = [
            models.Index(fields=["labeler", "-started_at"], name="session_of_labeler"),
            models.Index(
                fields=["last_seen_at"], name="session_running", condition=models.Q(ended_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.labeler} {self.started_at:%Y-%m-%d %H:%M}"


class BulkLabeling(models.Model):
    """One answer given to many examples at once; undone as a whole."""

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    queue = models.ForeignKey(LabelingQueue, on_delete=models.PROTECT, related_name="bulk_labelings")
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    value = models.JSONField(decoder=StoredJsonDecoder)
    rule = models.JSONField(
        default=dict, help_text='How they were found: {"similar_to": uuid, "at_least": x} or {"filters": …}.'
    )
    example_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )

    history = audited()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.example_count} at once"


class Source(models.TextChoices):
    """How a label came to be."""

    HUMAN = "human", "given"
    ACCEPTED = "accepted", "suggestion accepted as it was"
    BULK = "bulk", "given in bulk"
    IMPORTED = "import", "imported"


class Label(models.Model):
    """What one annotator says of an example now: the newest of what LabelHistory tells, gone when it was taken back.

    `annotator` is the username, or the name in the file that the label came from; `labeler` is the person where there
    is one. `content_hash` is the input that was labeled (SHA-256 of its canonical JSON).
    """

    queue = models.ForeignKey(
        LabelingQueue, on_delete=models.PROTECT, related_name="labels", db_constraint=False, db_index=False
    )
    item = models.ForeignKey(
        QueueItem, on_delete=models.PROTECT, related_name="labels", db_constraint=False, db_index=False
    )
    example = models.ForeignKey(
        ExampleIdentity, on_delete=models.PROTECT, related_name="label_rows", db_constraint=False
    )
    labeler = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    annotator = models.CharField(max_length=200)
    value = models.JSONField(decoder=StoredJsonDecoder)
    confidence = models.DecimalField(max_digits=5, decimal_places=4, null=True)
    notes = models.TextField(blank=True, default="")
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.HUMAN)
    session = models.ForeignKey(
        LabelingSession, on_delete=models.PROTECT, null=True, related_name="labels", db_constraint=False
    )
    lease_id = models.UUIDField(null=True)
    bulk = models.ForeignKey(
        BulkLabeling, on_delete=models.PROTECT, null=True, related_name="labels", db_constraint=False
    )
    content_hash = models.BinaryField()
    duration_ms = models.PositiveIntegerField(null=True, help_text="From shown to submitted, pauses capped.")
    gold_correct = models.BooleanField(null=True, help_text="For a gold check: whether the answer was right.")
    labeled_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "annotator"], name="label_once_per_annotator"),
            models.CheckConstraint(condition=_CONFIDENCE, name="label_confidence_0_1"),
        ]
        indexes = [
            models.Index(fields=["queue", "labeler", "-labeled_at"], name="label_newest_of_labeler"),
            models.Index(fields=["queue", "-labeled_at"], name="label_newest_of_queue"),
        ]

    def __str__(self) -> str:
        return f"{self.annotator}: {self.value}"


class LabelHistory(models.Model):
    """Everything that was ever said about an example, in order. Append-only: an undo is one more row.

    `label_type` names what was labeled: "output", or "output.tier" for a part.
    """

    class Event(models.TextChoices):
        SUBMITTED = "submitted"
        CHANGED = "changed"
        UNDONE = "undone", "taken back"
        SKIPPED = "skipped"
        FLAGGED = "flagged"
        LATE = "late", "submitted too late: kept here, not counted"
        IMPORTED = "imported"
        BULK = "bulk", "given in bulk"
        BULK_UNDONE = "bulk_undone", "bulk taken back"
        ADOPTED = "adopted"
        UNADOPTED = "unadopted", "adoption taken back"
        REJECTED = "rejected"
        SENT_BACK = "sent_back", "sent back to the labelers"
        RESTORED = "restored", "restored: sending it back was undone"
        REDACTED = "redacted", "redacted: what was said before is erased"

    example = models.ForeignKey(
        ExampleIdentity,
        on_delete=models.PROTECT,
        related_name="label_history",
        db_constraint=False,
        db_index=False,
    )
    queue = models.ForeignKey(
        LabelingQueue,
        on_delete=models.PROTECT,
        related_name="label_history",
        db_constraint=False,
        db_index=False,
    )
    session = models.ForeignKey(
        LabelingSession,
        on_delete=models.PROTECT,
        null=True,
        related_name="label_history",
        db_constraint=False,
        db_index=False,
    )
    labeler = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="label_history",
        db_constraint=False,
        db_index=False,
    )
    annotator = models.CharField(max_length=200)
    event = models.CharField(max_length=11, choices=Event.choices)
    label_type = models.CharField(max_length=210)
    label_value = models.JSONField(null=True, decoder=StoredJsonDecoder)
    previous_value = models.JSONField(null=True, decoder=StoredJsonDecoder)
    labeled_at = models.DateTimeField()
    confidence = models.DecimalField(max_digits=5, decimal_places=4, null=True)
    notes = models.TextField(
        blank=True, default="", help_text="Notes of a label; the reason of a skip or of a decision."
    )
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.HUMAN)
    duration_ms = models.PositiveIntegerField(null=True)
    content_hash = models.BinaryField(null=True)
    lease_id = models.UUIDField(null=True)
    bulk = models.ForeignKey(
        BulkLabeling, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False
    )
    key = models.CharField(max_length=64, null=True, help_text="The client's idempotency key.")

    history = audited()

    class Meta:
        verbose_name_plural = "label history"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["labeler", "key"],
                condition=models.Q(key__isnull=False),
                name="label_history_key_once",
            ),
            models.CheckConstraint(condition=_CONFIDENCE, name="label_history_confidence_0_1"),
        ]
        indexes = [
            models.Index(fields=["example", "id"], name="label_history_example"),
            models.Index(fields=["queue", "id"], name="label_history_queue"),
            models.Index(fields=["labeler", "id"], name="label_history_labeler"),
        ]

    def __str__(self) -> str:
        return f"{self.annotator} {self.event} {self.label_value}"
