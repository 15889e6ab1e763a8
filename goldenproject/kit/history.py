"""History tables in the shape of django-simple-history, filled by triggers of the database."""

from __future__ import annotations

from typing import Any

from django.db import models
from simple_history.models import HistoricalRecords


class DatabaseUser(models.Model):
    """Adds to a history row the database role that wrote it: known even where no person is."""

    db_user = models.CharField(max_length=63, default="", editable=False)

    class Meta:
        abstract = True


def audited(**options: Any) -> HistoricalRecords:
    """Return the history of a model. The triggers of `kit.guards` fill it, whatever the write path."""
    return HistoricalRecords(
        bases=[DatabaseUser], history_id_field=models.BigAutoField(), user_db_constraint=False, **options
    )
