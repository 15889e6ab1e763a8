"""The one source of time and of random ids, so that tests can fix both."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_frozen: ContextVar[datetime | None] = ContextVar("golden_frozen_time", default=None)


def now() -> datetime:
    """Return the present moment, in UTC, with microseconds."""
    return _frozen.get() or datetime.now(UTC)


@contextmanager
def frozen(moment: datetime) -> Iterator[None]:
    """Make `now()` return `moment` inside the block; for tests and for replaying."""
    token = _frozen.set(moment)
    try:
        yield
    finally:
        _frozen.reset(token)


def random_uuid() -> uuid.UUID:
    return uuid.uuid4()


def random_secret(length_bytes: int = 24) -> str:
    """Return a URL-safe random secret of `length_bytes` bytes of entropy."""
    return secrets.token_urlsafe(length_bytes)
