"""Who is told of what happens to labels, and what became of each message."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from datasets_app.models import Dataset
from goldenproject.kit.clock import random_uuid
from goldenproject.kit.history import audited


class Webhook(models.Model):
    """An address that gets signed messages. Its secret is derived from the installation's, so none is stored."""

    class Event(models.TextChoices):
        SUBMITTED = "label.submitted"
        VALIDATED = "example.validated"
        REJECTED = "example.rejected"
        DISAGREEMENT = "label.disagreement"

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    name = models.CharField(max_length=120, unique=True)
    url = models.CharField(max_length=2000)
    events = ArrayField(models.CharField(max_length=20, choices=Event.choices), default=list)
    dataset = models.ForeignKey(
        Dataset, on_delete=models.CASCADE, null=True, blank=True, related_name="webhooks"
    )
    is_active = models.BooleanField(default=True)
    secret_version = models.PositiveIntegerField(default=1, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    history = audited()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class WebhookDelivery(models.Model):
    """A message to a webhook and how its sending went."""

    class State(models.TextChoices):
        WAITING = "waiting"
        DELIVERED = "delivered"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=20, choices=Webhook.Event.choices)
    payload = models.JSONField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField()
    response_status = models.PositiveSmallIntegerField(null=True)
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["next_try_at"], name="delivery_due", condition=models.Q(state="waiting")),
            models.Index(fields=["webhook", "-created_at"], name="delivery_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.state}"
