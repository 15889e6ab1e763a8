"""What is to be labeled and by whom: queues, their items, and the leases that hold an example for one labeler."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models.functions import Now

from datasets_app.models import Branch, Dataset, ExampleIdentity, ExampleType
from datasets_app.models.access import user_or_group
from goldenproject.kit.clock import random_uuid
from goldenproject.kit.history import audited


class LabelingQueue(models.Model):
    """A task for labelers: which examples of a branch, which part of the output, how many labelers each, in what order."""

    class Order(models.TextChoices):
        SEQUENCE = "sequence", "in sequence"
        RANDOM = "random", "random"
        PRIORITY = "priority", "by a priority field"
        LEAST_CONFIDENT = "least_confident", "least confident first"
        MOST_DISAGREEING = "most_disagreeing", "most disagreeing first"
        MOST_DIVERSE = "most_diverse", "most diverse first"

    class Method(models.TextChoices):
        MAJORITY = "majority", "majority"
        WEIGHTED = "weighted", "weighted vote"
        DAWID_SKENE = "dawid_skene", "Dawid–Skene"
        CROWDLAB = "crowdlab", "CROWDLAB"
        MEAN = "mean", "mean"
        MEDIAN = "median", "median"
        TRIMMED_MEAN = "trimmed_mean", "trimmed mean"

    class Adopts(models.TextChoices):
        NEVER = "never", "never: a reviewer decides each"
        UNANIMOUS = "unanimous", "when all labelers agree"
        CONSENSUS = "consensus", "when enough of them agree"

    class State(models.TextChoices):
        OPEN = "open"
        PAUSED = "paused"
        CLOSED = "closed"

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="labeling_queues")
    branch = models.ForeignKey(Branch, on_delete=models.PROTECT, related_name="labeling_queues")
    example_type = models.ForeignKey(ExampleType, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=200)
    instructions = models.TextField(
        blank=True, default="", help_text="Markdown; labelers open it with a key."
    )
    field_path = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="Dotted path of the part of the output that is asked for, such as tier; empty: the whole output.",
    )
    choices = models.JSONField(
        default=list,
        blank=True,
        help_text="Answers offered for the class where its schema lists none, in order.",
    )
    overlap = models.PositiveSmallIntegerField(default=1, help_text="How many labelers each example gets.")
    order = models.CharField(max_length=16, choices=Order.choices, default=Order.SEQUENCE)
    seed = models.IntegerField(default=0, help_text="Of the random order and of the gold checks.")
    priority_field = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="Dotted path such as metadata.priority; greatest first.",
    )
    filters = models.JSONField(
        default=dict, blank=True, help_text='{"status": [], "tags": [], "tier": [], "text": ""}; empty: all.'
    )
    gold_rate = models.DecimalField(max_digits=4, decimal_places=3, default=0)
    gold_pause_below = models.DecimalField(max_digits=4, decimal_places=3, null=True, blank=True)
    gold_pause_after = models.PositiveIntegerField(
        default=10, help_text="Gold checks before a pause is thought of."
    )
    lease_s = models.PositiveIntegerField(default=900)
    idle_s = models.PositiveIntegerField(
        default=1800, help_text="A session without a sign of life ends after this."
    )
    consensus_method = models.CharField(max_length=12, choices=Method.choices, default=Method.MAJORITY)
    adopts = models.CharField(max_length=9, choices=Adopts.choices, default=Adopts.UNANIMOUS)
    agreement_threshold = models.DecimalField(
        max_digits=4,
        decimal_places=3,
        default=1,
        help_text="Share of labelers behind the consensus that adopts it.",
    )
    validates_adopted = models.BooleanField(
        default=False, help_text="What is adopted by two or more is validated too."
    )
    state = models.CharField(max_length=6, choices=State.choices, default=State.OPEN)
    refreshed_at = models.DateTimeField(null=True, editable=False)
    ordered_at = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    history = audited()

    class Meta:
        ordering = ["dataset", "name"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "name"], name="queue_name_unique"),
            models.CheckConstraint(
                condition=models.Q(overlap__gte=1, overlap__lte=50), name="queue_overlap_1_50"
            ),
            models.CheckConstraint(
                condition=models.Q(gold_rate__gte=0, gold_rate__lte=0.5), name="queue_gold_rate_0_half"
            ),
            models.CheckConstraint(
                condition=models.Q(agreement_threshold__gt=0, agreement_threshold__lte=1),
                name="queue_threshold_0_1",
            ),
            models.CheckConstraint(
                condition=models.Q(lease_s__gte=10, idle_s__gte=60), name="queue_times_possible"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def label_type(self) -> str:
        """What LabelHistory calls the labels of this queue: "output", or "output.tier" for a part."""
        return f"output.{self.field_path}" if self.field_path else "output"


class QueueMember(models.Model):
    """A person or a group that a queue is assigned to. A queue without any is open to all labelers of its dataset."""

    queue = models.ForeignKey(LabelingQueue, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    group = models.ForeignKey(Group, on_delete=models.CASCADE, null=True, blank=True, related_name="+")

    history = audited()

    class Meta:
        constraints = [
            user_or_group("queue_member_user_or_group"),
            models.UniqueConstraint(fields=["queue", "user"], name="queue_member_user_once"),
            models.UniqueConstraint(fields=["queue", "group"], name="queue_member_group_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.group}"


class QueueItem(models.Model):
    """An example in a queue. `open_slots` = overlap − labels − leases that run; a gold item's are never used up.

    Narrow, because every lease and every label updates it: what is worked out from its labels lies in Consensus.
    """

    class State(models.TextChoices):
        OPEN = "open"  # wants labels
        LABELED = "labeled"  # has them all; nothing was adopted and nothing is to be reviewed
        REVIEW = "review"  # a reviewer is to decide
        ADOPTED = "adopted"  # the labels agreed, or a reviewer decided: the answer is in the working copy
        REJECTED = "rejected"  # a reviewer rejected the example
        GONE = "gone"  # left the working copy, or the filters of the queue

    queue = models.ForeignKey(
        LabelingQueue, on_delete=models.PROTECT, related_name="items", db_constraint=False, db_index=False
    )
    example = models.ForeignKey(
        ExampleIdentity,
        on_delete=models.PROTECT,
        related_name="queue_items",
        db_constraint=False,
        db_index=False,
    )
    position = models.FloatField()
    open_slots = models.SmallIntegerField()
    label_count = models.SmallIntegerField(default=0)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    is_gold = models.BooleanField(default=False)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    assigned_group = models.ForeignKey(
        Group, on_delete=models.SET_NULL, null=True, related_name="+", db_constraint=False, db_index=False
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["example", "queue"], name="queue_item_once"),
            models.CheckConstraint(
                condition=models.Q(open_slots__gte=0), name="queue_item_slots_not_negative"
            ),
            models.CheckConstraint(
                condition=models.Q(label_count__gte=0), name="queue_item_labels_not_negative"
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "position", "id"],
                name="queue_item_next",
                condition=models.Q(open_slots__gt=0, state="open", is_gold=False),
            ),
            models.Index(fields=["queue", "id"], name="queue_item_gold", condition=models.Q(is_gold=True)),
            models.Index(fields=["queue", "state", "id"], name="queue_item_state"),
        ]

    def __str__(self) -> str:
        return str(self.example_id)


class Lease(models.Model):
    """An example held for one labeler until a moment; then what became of it. Slots 1 … overlap; a gold check has slot 0."""

    class State(models.TextChoices):
        HELD = "held"
        SUBMITTED = "submitted"
        SKIPPED = "skipped"
        RELEASED = "released"
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    queue = models.ForeignKey(
        LabelingQueue, on_delete=models.PROTECT, related_name="leases", db_constraint=False, db_index=False
    )
    item = models.ForeignKey(
        QueueItem, on_delete=models.PROTECT, related_name="leases", db_constraint=False, db_index=False
    )
    labeler = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    session = models.ForeignKey(
        "LabelingSession", on_delete=models.PROTECT, related_name="leases", db_constraint=False
    )
    slot = models.SmallIntegerField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.HELD)
    leased_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    content_hash = models.BinaryField(help_text="SHA-256 of the canonical input as it was shown.")
    is_gold_check = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "slot"],
                condition=models.Q(state__in=("held", "submitted"), slot__gt=0),
                name="lease_slot_once",
            ),
            models.UniqueConstraint(
                fields=["item", "labeler"],
                condition=models.Q(state__in=("held", "submitted", "skipped")),
                name="lease_never_twice_to_one",
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "expires_at"], name="lease_running_out", condition=models.Q(state="held")
            ),
            models.Index(
                fields=["labeler", "queue"], name="lease_of_labeler", condition=models.Q(state="held")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item_id} {self.state}"


class LabelerStanding(models.Model):
    """Whether a labeler may go on in a queue: paused by too many missed gold checks, or by a person."""

    queue = models.ForeignKey(LabelingQueue, on_delete=models.CASCADE, related_name="standings")
    labeler = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    paused_at = models.DateTimeField(null=True)
    pause_reason = models.TextField(blank=True, default="")
    checks_from = models.DateTimeField(
        null=True, help_text="Gold checks before this do not count any more: somebody let the labeler go on."
    )

    history = audited()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["queue", "labeler"], name="standing_once")]

    def __str__(self) -> str:
        return f"{self.labeler}: {'paused' if self.paused_at else 'working'}"
