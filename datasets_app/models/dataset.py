"""Datasets, example types, and the rows that people edit."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from datasets_app.domain.canonical import loads_stored
from goldenproject.kit.clock import random_uuid
from goldenproject.kit.history import audited

if TYPE_CHECKING:
    from datasets_app.models.versioning import Branch


class StoredJsonDecoder(json.JSONDecoder):
    """Reads what jsonb prints: an integer beyond ±(2^53-1) was a double when it came in."""

    def decode(self, s: str, *args: Any) -> Any:
        return loads_stored(s)


class Dataset(models.Model):
    """A curated set of examples with a history of versions."""

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    name = models.CharField(max_length=200, unique=True)
    version = models.CharField(max_length=64, blank=True, default="", help_text="Newest tag or release.")
    description = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    parent_version = models.CharField(
        max_length=300, blank=True, default="", help_text="dataset@ref that this one started from."
    )
    is_active = models.BooleanField(default=True)
    quality_score = models.DecimalField(max_digits=5, decimal_places=2, null=True, blank=True, editable=False)
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    default_type = models.ForeignKey(
        "ExampleType", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    history = audited()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(quality_score__isnull=True)
                | models.Q(quality_score__gte=0, quality_score__lte=100),
                name="dataset_quality_score_0_100",
            ),
            models.CheckConstraint(condition=~models.Q(name=""), name="dataset_has_name"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def main(self) -> Branch:
        """The branch that always has a working copy."""
        return self.branches.get(is_default=True)


class ExampleType(models.Model):
    """The shape of examples: a JSON Schema for what goes in and one for what is expected out."""

    name = models.SlugField(max_length=80, unique=True)
    title = models.CharField(max_length=120)
    description = models.TextField(blank=True, default="")
    input_schema = models.JSONField()
    output_schema = models.JSONField()
    class_field = models.CharField(
        max_length=200, blank=True, default="", help_text="Field of the output that carries the class."
    )
    required_fields = ArrayField(
        models.CharField(max_length=200),
        default=list,
        blank=True,
        help_text="Dotted paths (input.title, output.tier) that may not be empty.",
    )
    presentation = models.JSONField(default=dict, blank=True, help_text="How forms and the console draw it.")
    is_builtin = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    history = audited()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.title or self.name


class ExampleIdentity(models.Model):
    """What an example is for life: its UUID, its id from outside, and its place in the order of import. Immutable."""

    id = models.UUIDField(primary_key=True)
    dataset = models.ForeignKey(
        Dataset, on_delete=models.PROTECT, related_name="identities", db_constraint=False, db_index=False
    )
    external_id = models.TextField(null=True)
    ordinal = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "external_id"], name="identity_external_id_unique"),
            models.UniqueConstraint(fields=["dataset", "ordinal"], name="identity_ordinal_unique"),
        ]

    def __str__(self) -> str:
        return self.external_id if self.external_id is not None else str(self.pk)


class ValidationStatus(models.TextChoices):
    PENDING = "pending"
    VALIDATED = "validated"
    REJECTED = "rejected"


class ExampleQuerySet(models.QuerySet["Example"]):
    def containing(self, text: str) -> ExampleQuerySet:
        """Rows whose values contain `text`, whatever the case: one sequential scan of a narrow lower-cased column."""
        pattern = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return self.filter(RawSQL("search_text LIKE lower(%s)", [f"%{pattern}%"], models.BooleanField()))


class Example(models.Model):
    """A row of a branch's working copy: what one example looks like there now, committed or not."""

    branch = models.ForeignKey(
        "Branch", on_delete=models.PROTECT, related_name="examples", db_constraint=False, db_index=False
    )
    identity = models.ForeignKey(
        ExampleIdentity,
        on_delete=models.PROTECT,
        related_name="rows",
        db_constraint=False,
        db_index=False,
        db_column="example_id",
    )
    ordinal = models.BigIntegerField(editable=False)
    example_type = models.ForeignKey(
        ExampleType, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    input_data = models.JSONField(decoder=StoredJsonDecoder)
    expected_output = models.JSONField(null=True, blank=True, decoder=StoredJsonDecoder)
    labels = models.JSONField(default=dict, blank=True, decoder=StoredJsonDecoder)
    metadata = models.JSONField(default=dict, blank=True, decoder=StoredJsonDecoder)
    provenance = models.JSONField(default=dict, blank=True, decoder=StoredJsonDecoder, editable=False)
    source_decision_id = models.TextField(null=True, blank=True)
    validation_status = models.CharField(
        max_length=9, choices=ValidationStatus.choices, default=ValidationStatus.PENDING
    )
    validated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    validated_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    search_text = models.TextField(editable=False, db_default="", db_collation="C")

    objects = ExampleQuerySet.as_manager()
    history = audited(excluded_fields=["search_text"])

    class Meta:
        ordering = ["branch", "ordinal"]
        constraints = [
            models.UniqueConstraint(fields=["branch", "identity"], name="example_once_per_branch"),
            models.CheckConstraint(
                condition=models.Q(validation_status__in=ValidationStatus.values), name="example_status_known"
            ),
        ]
        indexes = [
            models.Index(fields=["branch", "ordinal"], name="example_branch_ordinal"),
            models.Index(fields=["branch", "validation_status", "ordinal"], name="example_branch_status"),
            models.Index(fields=["branch", "example_type", "ordinal"], name="example_branch_type"),
            GinIndex(fields=["expected_output"], name="example_output_gin", opclasses=["jsonb_path_ops"]),
        ]

    def __str__(self) -> str:
        return str(self.identity)

    @property
    def dataset(self) -> Dataset:
        return self.branch.dataset

    @property
    def uuid(self) -> uuid.UUID:
        return self.identity_id


class ExampleQuality(models.Model):
    """A derived figure about an example; not content, so it never makes a working copy dirty."""

    example = models.ForeignKey(ExampleIdentity, on_delete=models.PROTECT, related_name="quality")
    metric_name = models.CharField(max_length=80)
    metric_value = models.DecimalField(max_digits=14, decimal_places=4)
    computed_at = models.DateTimeField(db_default=Now())
    metadata = models.JSONField(default=dict, blank=True)

    history = audited()

    class Meta:
        verbose_name_plural = "example quality"
        constraints = [
            models.UniqueConstraint(fields=["example", "metric_name"], name="quality_one_value_per_metric")
        ]

    def __str__(self) -> str:
        return f"{self.metric_name} {self.metric_value}"
