"""What the console keeps for one person: answers not yet given, and keys."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from datasets_app.models import StoredJsonDecoder
from labeling_app.models.queue import QueueItem


class Draft(models.Model):
    """An answer that somebody has begun. Deleted when it is submitted."""

    item = models.ForeignKey(
        QueueItem, on_delete=models.CASCADE, related_name="drafts", db_constraint=False, db_index=False
    )
    labeler = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    value = models.JSONField(null=True, decoder=StoredJsonDecoder)
    confidence = models.DecimalField(max_digits=5, decimal_places=4, null=True)
    notes = models.TextField(blank=True, default="")
    saved_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "labeler"], name="draft_once")]

    def __str__(self) -> str:
        return f"draft of {self.labeler_id}"


class KeyMap(models.Model):
    """The keys that a person chose instead of the console's own: {action: key}."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="labeling_keys"
    )
    keys = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"keys of {self.user_id}"
