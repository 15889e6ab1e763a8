"""Paths into JSON documents: text, reading, writing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain.json_path import MISSING, format_path, get_path, parse_path, set_path
from datasets_app.errors import InvalidJson


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), "$"),
        (("input", "a b", 3), '$.input["a b"][3]'),
        (('say "x"', "", "é", "0a"), '$["say \\"x\\""][""]["é"]["0a"]'),
        (("\ud800",), '$["\\ud800"]'),
    ],
)
def test_format_path__odd_keys__are_quoted(path: tuple[str | int, ...], text: str) -> None:
    assert format_path(path) == text
    assert parse_path(text) == path


@given(st.lists(st.text(max_size=5) | st.integers(0, 999), max_size=5).map(tuple))
def test_parse_path__any_formatted_path__gives_it_back(path: tuple[str | int, ...]) -> None:
    assert parse_path(format_path(path)) == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("input", "'input' is not a JSON path: at character 1 found 'input', expected \"$\"."),
        (
            "$.a[-1]",
            "'$.a[-1]' is not a JSON path: at character 4 found '[-1]', expected .name, [\"name\"] or [index].",
        ),
        ("$.", "'$.' is not a JSON path: at character 2 found '.', expected .name, [\"name\"] or [index]."),
    ],
)
def test_parse_path__not_a_path__says_where(text: str, message: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        parse_path(text)
    assert caught.value.message == message


def test_get_path__null_and_nothing__are_told_apart() -> None:
    document = {"a": None, "b": [{"c": 1}]}
    assert get_path(document, "$.a") is None
    assert get_path(document, "$.z") is MISSING
    assert get_path(document, "$.b[0].c") == 1
    assert get_path(document, "$.b[1]", default=5) == 5
    assert get_path(document, "$.b.c") is MISSING


def test_set_path__any_place__leaves_the_given_document_alone() -> None:
    document = {"a": {"b": [1, 2]}}
    assert set_path(document, "$.a.b[1]", 9) == {"a": {"b": [1, 9]}}
    assert set_path(document, "$.a.b[2]", 9) == {"a": {"b": [1, 2, 9]}}
    assert set_path(document, "$.a.b[0]", MISSING) == {"a": {"b": [2]}}
    assert set_path(document, "$.x.y", None) == {"a": {"b": [1, 2]}, "x": {"y": None}}
    assert set_path(document, "$.a", MISSING) == {}
    assert set_path(document, "$", 3) == 3
    assert document == {"a": {"b": [1, 2]}}


def test_set_path__path_that_does_not_fit__says_what_is_there() -> None:
    with pytest.raises(InvalidJson) as caught:
        set_path({"a": [1]}, "$.a[4].b", 1)
    assert caught.value.message == (
        "$.a[4].b cannot be set: at $.a found an array of 1, expected an array of at least 4."
    )
