"""Lifting the guards of the immutable tables inside the one transaction of a restore, and putting them back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from exports_app.backup.tables import saved_tables, unsaved_tables
from exports_app.errors import RestoreFailed
from goldenproject.kit.guards import all_guards, guarded_tables, missing_guards

_LOCK_WAIT = "60s"
_LEFT_ALONE = ("JobRun", "ApiToken", "EmbeddingModel", "Embedding")


def golden_tables() -> list[str]:
    """Return every table that a restore writes, in a fixed order."""
    return sorted({*saved_tables(), *guarded_tables(), *unsaved_tables(but=_LEFT_ALONE)})


@contextmanager
def lifted_guards() -> Iterator[None]:
    """Hold all golden tables alone and without triggers; both end with the block, whose transaction must be open.

    Whoever reads or writes meanwhile waits and sees the restored data; a failure rolls all back, the guards too.
    Raises RestoreFailed when a guard does not stand afterwards.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
        cursor.execute("LOCK TABLE " + ", ".join(golden_tables()) + " IN ACCESS EXCLUSIVE MODE")
        for table in guarded_tables():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield
    with connection.cursor() as cursor:
        cursor.execute(
            "SET CONSTRAINTS ALL IMMEDIATE"
        )  # else the tables have pending events and refuse ALTER
        for guard in all_guards():
            cursor.execute(f"ALTER TABLE {guard.table} ENABLE ALWAYS TRIGGER {guard.name}")
    if missing := missing_guards():
        raise RestoreFailed(
            f"The guard {missing[0]} does not stand ({len(missing)} missing); nothing was changed.",
            hint="Run: manage.py migrate",
        )
