"""Pages by key, not by number: a page costs the same wherever it is, and rows that come or go shift nothing."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import orjson
from django.db.models import Q, QuerySet
from rest_framework import serializers

from datasets_app.api.errors import InvalidCursor

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
_LARGEST_KEY = 2**63 - 1


class PageQuery(serializers.Serializer):
    """The query parameters of every paged list."""

    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="Results on a page."
    )
    cursor = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=2000,
        help_text="`next_cursor` of the page before.",
    )


def paged(item: type[serializers.Serializer]) -> type[serializers.Serializer]:
    """Return the shape of a page of `item`."""
    return type(
        f"{item.__name__}Page",
        (serializers.Serializer,),
        {
            "__doc__": "A page; `next_cursor` leads to the next one and is null on the last.",
            "results": item(many=True),
            "next_cursor": serializers.CharField(allow_null=True),
        },
    )


def cut(rows: Sequence[Any], limit: int, key: Callable[[Any], Any]) -> tuple[Sequence[Any], str | None]:
    """Split `limit` + 1 fetched rows into a page and the cursor behind it (None when there is no more)."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], encode_cursor(key(rows[limit - 1]))


def encode_cursor(key: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def decode_cursor(cursor: str, kind: type) -> Any:
    """Return the key in a cursor, None for an empty one. Raises InvalidCursor when it is not a `kind`."""
    if not cursor:
        return None
    try:
        key = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error) as error:
        raise InvalidCursor(hint="Give `next_cursor` of the page before, unchanged.") from error
    if type(key) is not kind or not _may_be_a_key(key):
        raise InvalidCursor(hint="Give `next_cursor` of the page before, unchanged.")
    return key


def decode_uuid_cursor(cursor: str) -> uuid.UUID | None:
    """Return the UUID in a cursor, None for an empty one. Raises InvalidCursor."""
    after = decode_cursor(cursor, str)
    try:
        return None if after is None else uuid.UUID(after)
    except ValueError as error:
        raise InvalidCursor(hint="Give `next_cursor` of the page before, unchanged.") from error


def _may_be_a_key(key: Any) -> bool:
    if isinstance(key, int):
        return 0 <= key <= _LARGEST_KEY
    return not isinstance(key, str) or "\x00" not in key


def newest_first(rows: QuerySet[Any], query: dict[str, Any]) -> tuple[Sequence[Any], str | None]:
    """Return a page of `rows`, the newest `created_at` first (then by `id`), and the cursor behind it."""
    after = decode_cursor(query["cursor"], str)
    if after is not None:
        moment, key = _split(after)
        rows = rows.filter(Q(created_at__lt=moment) | Q(created_at=moment, pk__lt=key))
    found = list(rows.order_by("-created_at", "-pk")[: query["limit"] + 1])
    return cut(found, query["limit"], lambda row: f"{row.created_at.isoformat()} {row.pk}")


def _split(after: str) -> tuple[datetime, uuid.UUID]:
    moment, _, key = after.partition(" ")
    try:
        return datetime.fromisoformat(moment), uuid.UUID(key)
    except ValueError as error:
        raise InvalidCursor(hint="Give `next_cursor` of the page before, unchanged.") from error
