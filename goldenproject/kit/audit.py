"""Who acts, and why: told to the database, whose triggers write it into every history row.

The setting is transaction-local, so it leaks neither through a connection pool nor past the end of the work; hence
`acting` opens the transaction itself. A write outside of it is recorded under the database's own session user.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

_SET = "SELECT set_config('golden.actor', %s, true), set_config('golden.reason', %s, true)"
_GET = "SELECT current_setting('golden.actor', true), current_setting('golden.reason', true)"


@contextmanager
def acting(actor: Any, reason: str = "") -> Iterator[None]:
    """Run the block in one transaction in which every write is recorded as `actor`'s, for `reason`.

    `actor` is a user or None (a job of the system). Nests: the inner name holds inside, the outer one after it.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_GET)
            before = [value or "" for value in cursor.fetchone()]
            cursor.execute(_SET, [_actor_id(actor) or before[0], reason or before[1]])
        yield
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute(_SET, before)


def known_person(actor: Any) -> Any:
    """Return `actor` if it is a user of the database, None for the system and for the anonymous."""
    return actor if getattr(actor, "pk", None) is not None else None


def _actor_id(actor: Any) -> str:
    person = known_person(actor)
    return "" if person is None else str(person.pk)
