"""What becomes of labels: the consensus of an item, reviews of what is not agreed, and gold answers."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from datasets_app.models import StoredJsonDecoder
from goldenproject.kit.history import audited
from labeling_app.models.queue import LabelingQueue, QueueItem


class Consensus(models.Model):
    """What the labels of an item say together, and what of it went into the working copy."""

    class Origin(models.TextChoices):
        NONE = "", "nothing adopted"
        SINGLE = "single", "one labeler"
        UNANIMOUS = "unanimous"
        CONSENSUS = "consensus"
        ADJUDICATED = "adjudicated"

    item = models.OneToOneField(
        QueueItem, on_delete=models.PROTECT, primary_key=True, related_name="consensus", db_constraint=False
    )
    queue = models.ForeignKey(
        LabelingQueue, on_delete=models.PROTECT, related_name="consensuses", db_constraint=False
    )
    value = models.JSONField(null=True, decoder=StoredJsonDecoder)
    method = models.CharField(max_length=12, choices=LabelingQueue.Method.choices)
    confidence = models.DecimalField(
        max_digits=5, decimal_places=4, null=True, help_text="Of the value, by the method."
    )
    agreement = models.DecimalField(
        max_digits=5,
        decimal_places=4,
        null=True,
        help_text="Share of pairs of labelers who agree; null below two.",
    )
    label_count = models.PositiveSmallIntegerField(default=0)
    origin = models.CharField(max_length=11, choices=Origin.choices, blank=True, default="")
    adopted_value = models.JSONField(null=True, decoder=StoredJsonDecoder)
    before = models.JSONField(
        default=dict,
        decoder=StoredJsonDecoder,
        help_text="What adopting replaced, so that it can be put back.",
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    adopted_at = models.DateTimeField(null=True)
    computed_at = models.DateTimeField(db_default=Now())

    history = audited()

    class Meta:
        verbose_name_plural = "consensus"

    def __str__(self) -> str:
        return f"{self.item_id}: {self.value}"


class Review(models.Model):
    """A question to a reviewer about one item, and the answer."""

    class Reason(models.TextChoices):
        DISAGREEMENT = "disagreement", "labelers disagree"
        FLAGGED = "flagged", "a labeler raised a flag"
        LABEL_ERROR = "label_error", "likely label error"
        CHANGED = "changed", "changed while it was labeled"
        CHECK = "check", "to be checked before it is adopted"

    class Outcome(models.TextChoices):
        OPEN = "", "open"
        ADOPTED = "adopted", "a label was adopted"
        THIRD_ANSWER = "third_answer", "the reviewer gave another answer"
        REJECTED = "rejected", "the example was rejected"
        SENT_BACK = "sent_back", "sent back to the labelers"
        KEPT = "kept", "the answer that is there stays"
        SETTLED = "settled", "settled by itself: the labels agree now"
        REDACTED = "redacted", "closed: the example was redacted"

    queue = models.ForeignKey(LabelingQueue, on_delete=models.PROTECT, related_name="reviews")
    item = models.ForeignKey(QueueItem, on_delete=models.PROTECT, related_name="reviews")
    reason = models.CharField(max_length=12, choices=Reason.choices)
    detail = models.TextField(blank=True, default="", help_text="In words, why it is here.")
    score = models.FloatField(default=0, help_text="Lowest first: the agreement, or how well the label fits.")
    suggestion = models.JSONField(null=True, decoder=StoredJsonDecoder)
    opened_at = models.DateTimeField(db_default=Now(), editable=False)
    outcome = models.CharField(max_length=12, choices=Outcome.choices, blank=True, default="")
    value = models.JSONField(null=True, decoder=StoredJsonDecoder)
    comment = models.TextField(blank=True, default="")
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)

    history = audited()

    class Meta:
        ordering = ["score", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["item"], condition=models.Q(outcome=""), name="review_one_open_per_item"
            )
        ]
        indexes = [
            models.Index(fields=["queue", "score", "id"], name="review_open", condition=models.Q(outcome=""))
        ]

    def __str__(self) -> str:
        return f"{self.reason} {self.outcome or 'open'}"


class ReviewClaim(models.Model):
    """A review that one reviewer looks at until a moment, so that others get the next. Of the moment, like a lease that runs."""

    review = models.OneToOneField(Review, on_delete=models.CASCADE, primary_key=True, related_name="claim")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    until = models.DateTimeField()
    taken_from = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="Who had it when the reviewer took it over.",
    )

    def __str__(self) -> str:
        return f"{self.review_id}: {self.reviewer}"


class GoldAnswer(models.Model):
    """The known right answer of an item that is shown as a hidden check."""

    class Origin(models.TextChoices):
        CHOSEN = "chosen", "chosen by a person"
        PROMOTED = "promoted", "promoted from unanimous labels"

    item = models.OneToOneField(
        QueueItem, on_delete=models.PROTECT, primary_key=True, related_name="gold", db_constraint=False
    )
    queue = models.ForeignKey(
        LabelingQueue, on_delete=models.PROTECT, related_name="gold_answers", db_constraint=False
    )
    value = models.JSONField(decoder=StoredJsonDecoder)
    origin = models.CharField(max_length=8, choices=Origin.choices, default=Origin.CHOSEN)
    explanation = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    history = audited()

    def __str__(self) -> str:
        return f"{self.item_id}: {self.value}"


class Suggestion(models.Model):
    """A prelabel: what a model or a rule would answer. Shown as such, never counted as a label."""

    item = models.ForeignKey(
        QueueItem, on_delete=models.CASCADE, related_name="suggestions", db_constraint=False, db_index=False
    )
    source = models.CharField(max_length=120, help_text="Name of the model or rule.")
    value = models.JSONField(decoder=StoredJsonDecoder)
    confidence = models.DecimalField(max_digits=5, decimal_places=4, null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "source"], name="suggestion_once_per_source")]

    def __str__(self) -> str:
        return f"{self.source}: {self.value}"
