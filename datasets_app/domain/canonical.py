"""Canonical JSON (RFC 8785) and the hashes of it.

Two documents are the same content exactly when their canonical texts are equal: key order and the way a number was
written (75, 75.0, 7.5e1) do not matter.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

import orjson
import rfc8785

from datasets_app.errors import InvalidJson

MAX_SAFE_INTEGER: Final = 2**53 - 1

_OPTIONS: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
)
# A float that orjson writes otherwise than RFC 8785 ends in ".0" or has an exponent. A string may look like that
# too; then the document only takes the slower way, with the same bytes.
_OTHER_FLOAT: Final = re.compile(rb"(?:^|[:\[,])-?[0-9]+(?:\.0(?:[,\]}]|$)|(?:\.[0-9]+)?[eE])")
_LONG_DIGITS: Final = re.compile(rb"[0-9]{16}")
# UTF-16 order (RFC 8785) differs from UTF-8 order (orjson) only between U+E000…U+FFFF and what lies beyond the BMP.
_BEYOND_BMP: Final = re.compile(rb"[\xf0-\xf4]")
_END_OF_BMP: Final = re.compile(rb"[\xee\xef]")


def canonical_bytes(value: Any) -> bytes:
    """The canonical JSON of a value, in UTF-8.

    Raises InvalidJson for what JSON cannot hold: NaN, infinities, integers beyond ±(2^53-1), lone surrogates,
    other types than those of JSON.
    """
    fast = _orjson_bytes(value)
    if fast is None:
        return _rfc8785_bytes(value)
    if _has_other_float(fast):
        # Whole floats are the usual case (75.0 from a typed column): as integers both ways agree again.
        fast = _orjson_bytes(_with_whole_floats_as_integers(value))
        if fast is None or _has_other_float(fast):
            return _rfc8785_bytes(value)
    if not fast.isascii() and _BEYOND_BMP.search(fast) and _END_OF_BMP.search(fast):
        return _rfc8785_bytes(value)
    if b"null" in fast and _has_float_without_json(value):
        return _rfc8785_bytes(value)
    return fast


def canonical_text(value: Any) -> str:
    """The canonical JSON of a value, as text. Raises as canonical_bytes does."""
    return canonical_bytes(value).decode()


def content_hash(canonical: str | bytes) -> bytes:
    """SHA-256 of canonical text: 32 bytes."""
    return hashlib.sha256(canonical.encode() if isinstance(canonical, str) else canonical).digest()


def same_json(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same content: 1 and 1.0 are, 1 and true are not."""
    # Python's equality holds wherever the content is the same, but also between 1 and True.
    return bool(left == right) and canonical_bytes(left) == canonical_bytes(right)


def loads_stored(stored: str | bytes) -> Any:
    """The value of JSON that comes from our own database.

    PostgreSQL's jsonb and canonical text both write the double 1e17 as an integer literal; an integer beyond
    ±(2^53-1) is therefore read as the double it stands for. Not for untrusted input: see strict_json.
    """
    raw = stored.encode() if isinstance(stored, str) else stored
    if _LONG_DIGITS.search(raw) is None:
        return orjson.loads(raw)
    return json.loads(raw, parse_int=_stored_integer)


def _stored_integer(literal: str) -> int | float:
    if len(literal) <= 17 and -MAX_SAFE_INTEGER <= (number := int(literal)) <= MAX_SAFE_INTEGER:
        return number
    return float(literal)


def _orjson_bytes(value: Any) -> bytes | None:
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except orjson.JSONEncodeError:
        return None


def _has_other_float(text: bytes) -> bool:
    # The three substring searches cost a tenth of the regular expression and settle most documents.
    return (b".0" in text or b"e-" in text or b"e+" in text) and _OTHER_FLOAT.search(text) is not None


def _rfc8785_bytes(value: Any) -> bytes:
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, AttributeError, TypeError) as error:
        raise InvalidJson(
            f"A value cannot be written as canonical JSON: {error}.",
            hint="Check it with strict_json.check_value, which names the path.",
        ) from error


def _with_whole_floats_as_integers(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _with_whole_floats_as_integers(item) for key, item in value.items()}
    if kind is list:
        return [_with_whole_floats_as_integers(item) for item in value]
    if kind is float and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER and value.is_integer():
        return int(value)
    return value


def _has_float_without_json(value: Any) -> bool:
    """Whether there is a NaN or an infinity, which orjson writes as null."""
    kind = type(value)
    if kind is dict:
        return any(_has_float_without_json(item) for item in value.values())
    if kind is list or kind is tuple:
        return any(_has_float_without_json(item) for item in value)
    return kind is float and not -1.7976931348623157e308 <= value <= 1.7976931348623157e308
