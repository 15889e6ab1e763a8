"""Who may do what: roles per dataset, tokens with scopes, and the log of what was done."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from knox.models import AbstractAuthToken

from datasets_app.domain.roles import Role
from datasets_app.models.dataset import Dataset
from goldenproject.kit.history import audited

ROLE_CHOICES = [(role.value, role.title) for role in Role]


def user_or_group(name: str) -> models.CheckConstraint:
    """Return the constraint that either the column `user` or the column `group` is filled."""
    return models.CheckConstraint(
        condition=models.Q(user__isnull=False, group__isnull=True)
        | models.Q(user__isnull=True, group__isnull=False),
        name=name,
    )


class Membership(models.Model):
    """The role of a user or of a group in one dataset."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="memberships"
    )
    group = models.ForeignKey(
        Group, on_delete=models.CASCADE, null=True, blank=True, related_name="memberships"
    )
    role = models.CharField(max_length=20, choices=ROLE_CHOICES)

    history = audited()

    class Meta:
        constraints = [
            user_or_group("membership_of_user_or_group"),
            models.UniqueConstraint(fields=["dataset", "user"], name="membership_user_once"),
            models.UniqueConstraint(fields=["dataset", "group"], name="membership_group_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.group}: {self.role} of {self.dataset}"


class ApiToken(AbstractAuthToken):
    """A hashed API token with an expiry and scopes. A token never allows more than its user may."""

    name = models.CharField(max_length=120, blank=True, default="")
    scopes = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return self.name or self.token_key


class AuditEvent(models.Model):
    """What somebody did as a whole (commit, merge, restore, redact …); the rows' own history has the details. Append-only."""

    at = models.DateTimeField(db_default=Now(), editable=False)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False
    )
    actor_name = models.CharField(max_length=200, blank=True, default="")
    action = models.CharField(max_length=60)
    dataset = models.ForeignKey(
        Dataset, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False
    )
    summary = models.TextField(blank=True, default="")
    details = models.JSONField(default=dict)
    succeeded = models.BooleanField(default=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["dataset", "-id"], name="audit_dataset_newest")]

    def __str__(self) -> str:
        return f"{self.action} {self.summary}".strip()
