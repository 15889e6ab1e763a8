"""Canonical JSON: the fast path must give the very bytes of RFC 8785."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain.canonical import (
    MAX_SAFE_INTEGER,
    canonical_bytes,
    canonical_text,
    content_hash,
    loads_stored,
    same_json,
)
from datasets_app.errors import InvalidJson

ODD_FLOATS = [-0.0, 0.0, 75.0, 1e15, 1e16, 1e17, 1e20, 1e21, 5e-324, 1e-5, 1e-6, 1e-7, 1.5e300, 0.1, 2.0**53]
KEYS = st.text(max_size=4) | st.sampled_from(
    ["😀", "\uff21", "\ufeff", "\ue000", "a", "é", "\x00", '"', ":1.0,"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(ODD_FLOATS)
    | KEYS
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def decimal_expansion(value: Any) -> str:
    """The text that jsonb gives back: numbers written out, never with an exponent."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{canonical_text(k)}: {decimal_expansion(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(decimal_expansion(item) for item in value) + "]"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return canonical_text(value)


@given(DOCUMENTS)
def test_canonical_bytes__any_document__are_those_of_rfc8785(value: Any) -> None:
    assert canonical_bytes(value) == rfc8785.dumps(value)


@given(DOCUMENTS)
def test_loads_stored__decimal_expansion__keeps_the_canonical_text(value: Any) -> None:
    assert canonical_text(loads_stored(decimal_expansion(value))) == canonical_text(value)


@given(DOCUMENTS)
def test_loads_stored__canonical_text__keeps_the_canonical_text(value: Any) -> None:
    assert canonical_text(loads_stored(canonical_bytes(value))) == canonical_text(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "é"]}, '{"a":[true,null,"é"],"b":1}'),
        ([-0.0, 75.0, 1e16, 1e21, 5e-324], "[0,75,10000000000000000,1e+21,5e-324]"),
        ({"\uff21": 1, "😀": 2}, '{"😀":2,"\uff21":1}'),
        ("\x00\x1f\n\x7f", '"\\u0000\\u001f\\n\x7f"'),
    ],
)
def test_canonical_text__odd_values__are_written_as_the_rfc_says(value: Any, text: str) -> None:
    assert canonical_text(value) == text


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        [None, math.inf],
        {"a": -math.inf},
        2**53,
        -(2**64),
        "\ud800",
        {"\udc00": 1},
        {1: 2},
        object(),
    ],
)
def test_canonical_bytes__not_json__raises_invalid_json(value: Any) -> None:
    with pytest.raises(InvalidJson, match="cannot be written as canonical JSON"):
        canonical_bytes(value)


def test_content_hash__known_document__has_the_known_digest() -> None:
    assert content_hash("{}").hex() == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert content_hash(b"{}") == content_hash("{}")


@pytest.mark.parametrize(
    ("literal", "value"),
    [("9007199254740991", 2**53 - 1), ("-9007199254740992", -(2.0**53)), ("100000000000000000", 1e17)],
)
def test_loads_stored__long_integer__is_a_float_beyond_the_safe_range(literal: str, value: float) -> None:
    loaded = loads_stored(literal)
    assert (loaded, type(loaded)) == (value, type(value))


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        ([0], [False], False),
        (None, False, False),
        ({"a": 1}, {"a": 1.0}, True),
    ],
)
def test_same_json__scalars_of_other_types__compare_as_content(left: Any, right: Any, same: bool) -> None:
    assert same_json(left, right) is same
