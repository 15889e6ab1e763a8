"""JSON from outside: the exact messages, and that the fast path accepts nothing that the exact parser refuses."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain import strict_json
from datasets_app.domain.canonical import MAX_SAFE_INTEGER
from datasets_app.domain.strict_json import check_value, loads_strict
from datasets_app.errors import InvalidJson

NESTED_100 = "[" * 100 + "]" * 100
NESTED_101 = "[" * 101 + "]" * 101
# Pieces that, put together at random, are often nearly JSON.
PIECES = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"a"',
    '"b"',
    '"a":',
    '"":',
    '"\\u0000"',
    '"\\ud800"',
    '"\\ud83d\\ude00"',
]
PIECES += [
    "1",
    "-0",
    "1.5",
    "1e400",
    "1E5",
    "9007199254740991",
    "9007199254740992",
    "0" * 20,
    "NaN",
    "-Infinity",
]
PIECES += ["true", "null", " ", "\n", "\ufeff", "\x01", '"', "\\", "😀", '":"', "é"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**54), 2**54)
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(["\ud800", "\x00", ":", '":', 2**53, -(2**53)]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)


def outcome(parse: Any, data: Any) -> Any:
    try:
        return repr(parse(data)).replace("-0.0", "0").replace("-0", "0")
    except InvalidJson as error:
        return error.code


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_loads_strict__pieces_of_json__fast_and_exact_agree(text: str) -> None:
    exact = outcome(strict_json._parse_exactly, text.encode())
    assert outcome(loads_strict, text.encode()) == exact
    assert outcome(loads_strict, text) == exact


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_loads_strict__any_python_value__agrees_with_exact_and_with_check_value(
    value: Any, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    exact = outcome(strict_json._parse_exactly, text)
    assert outcome(loads_strict, text) == exact
    assert (outcome(check_value, value) == "invalid_json") == (exact == "invalid_json")


@given(st.binary(max_size=12).map(lambda middle: b'{"a":"' + middle + b'"}'))
def test_loads_strict__any_bytes__fast_and_exact_agree(data: bytes) -> None:
    assert outcome(loads_strict, data) == outcome(strict_json._parse_exactly, data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"input": {"a b": [1, NaN]}}', '$.input["a b"][1]: found NaN, expected a finite number.'),
        ('{"a": -Infinity}', "$.a: found -Infinity, expected a finite number."),
        (
            '{"id": 9007199254740992}',
            "$.id: found 9007199254740992, expected an integer within ±(2^53-1), or a string.",
        ),
        ("[1e400]", "$[0]: found 1e400, expected a number within the range of a double (±1.8e308)."),
        ('{"a": "x\\u0000"}', "$.a: found a string with NUL (U+0000), expected text without NUL."),
        ('{"a": {"x\\u0000": 1}}', "$.a: found a key with NUL (U+0000), expected text without NUL."),
        (
            '["\\ud800"]',
            "$[0]: found a string with the lone surrogate U+D800, expected whole Unicode characters.",
        ),
        ('{"a": {"b": 1, "b": 1}}', "$.a.b: found this key a second time, expected each key once."),
        (
            NESTED_101,
            "$" + "[0]" * 100 + ": found nesting deeper than 100 levels, expected at most 100 levels.",
        ),
        (b'{"a": "x\xff"}', "$.a: found the byte 0xff, which is not UTF-8, at character 9, expected UTF-8."),
        (b"\xff", "$: found the byte 0xff, which is not UTF-8, at character 1, expected a JSON value."),
        ("\ufeff{}", "$: found U+FEFF at character 1, expected a JSON value."),
        ('{"a": 1} x', "$: found x at character 10, expected the end of the document."),
        ("", "$: found the end of the text at character 1, expected a JSON value."),
        ('{"a": 1,}', "$: found } at character 9, expected a key in double quotes."),
        ('{"a" 1}', '$.a: found 1 at character 6, expected ":".'),
        ("[1 2]", '$: found 2 at character 4, expected "," or "]".'),
        ("[01]", '$: found 1 at character 3, expected "," or "]".'),
        ('{"a": "x', '$.a: found a string from character 7 without end, expected a closing ".'),
        ('{"a": "x\n"}', "$.a: found U+000A at character 9, expected control characters escaped."),
    ],
)
def test_loads_strict__bad_document__says_path_found_and_expected(data: bytes | str, message: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        loads_strict(data)
    assert caught.value.message == message
    assert message.startswith(caught.value.details["path"] + ":")


def test_loads_strict__good_documents__keep_every_value() -> None:
    assert loads_strict(b' {"a": [1, 1.5, "\\ud83d\\ude00", null, true], "b": ":"} ') == {
        "a": [1, 1.5, "😀", None, True],
        "b": ":",
    }
    assert loads_strict("9007199254740991") == MAX_SAFE_INTEGER
    assert loads_strict('"1234567890123456789"') == "1234567890123456789"
    assert json.dumps(loads_strict(NESTED_100)) == NESTED_100


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [math.nan]}, "$.a[0]: found NaN, expected a finite number."),
        (-math.inf, "$: found -Infinity, expected a finite number."),
        ({"a": 2**53}, "$.a: found 9007199254740992, expected an integer within ±(2^53-1), or a string."),
        ({"a": {1: 2}}, "$.a: found a key of type int, expected string keys only."),
        (
            {"a": datetime.date(2024, 1, 2)},
            "$.a: found a value of type date, expected an object, array, string, number, true, false or null.",
        ),
        (
            [(1, 2)],
            "$[0]: found a value of type tuple, expected an object, array, string, number, true, false or null.",
        ),
        (
            ["\udc00"],
            "$[0]: found a string with the lone surrogate U+DC00, expected whole Unicode characters.",
        ),
        ({"\x00": 1}, "$: found a key with NUL (U+0000), expected text without NUL."),
    ],
)
def test_check_value__not_golden_json__says_path_found_and_expected(value: Any, message: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        check_value(value)
    assert caught.value.message == message


def test_check_value__value_that_holds_itself__is_refused_as_too_deep() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidJson, match="found nesting deeper than 100 levels"):
        check_value(value)
