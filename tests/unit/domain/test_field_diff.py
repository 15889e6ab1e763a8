"""Differences by field: what is shown, and that they lead from one document to the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain.canonical import same_json
from datasets_app.domain.field_diff import FieldChange, TextSpan, apply_fields, diff_fields, text_spans
from datasets_app.domain.json_path import MISSING

SCALARS = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0, 0.5, "a", "b"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("abc é"), inner, max_size=4),
    max_leaves=15,
)


@given(VALUES, VALUES)
def test_apply_fields__difference_of_any_two_documents__gives_the_new_one(old: Any, new: Any) -> None:
    assert same_json(apply_fields(old, diff_fields(old, new)), new)


@given(st.lists(VALUES, max_size=8), st.lists(VALUES, max_size=8))
def test_apply_fields__difference_of_any_two_arrays__gives_the_new_one(
    old: list[Any], new: list[Any]
) -> None:
    assert same_json(apply_fields(old, diff_fields(old, new)), new)


@given(VALUES)
def test_diff_fields__equal_documents__is_empty(value: Any) -> None:
    assert diff_fields(value, value) == []


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        (
            {"input": {"t": "x", "n": 1}, "gone": None},
            {"input": {"t": "y", "n": 1.0}, "new": None},
            [
                FieldChange("$.gone", "removed", None, MISSING),
                FieldChange("$.input.t", "changed", "x", "y"),
                FieldChange("$.new", "added", MISSING, None),
            ],
        ),
        ({"a": 1}, {"a": True}, [FieldChange("$.a", "changed", 1, True)]),
        ({"a": [1, 2]}, {"a": [1, 3]}, [FieldChange("$.a[1]", "changed", 2, 3)]),
        (
            {"a": [1, 2, 3, 4]},
            {"a": [1, 3, 4, 5, 6]},
            [
                FieldChange("$.a[1]", "removed", 2, MISSING),
                FieldChange("$.a[3]", "added", MISSING, 5),
                FieldChange("$.a[4]", "added", MISSING, 6),
            ],
        ),
        (
            [{"x": 1, "y": 1}, 2],
            [{"x": 1, "y": 5}, 2, 3],
            [FieldChange("$[2]", "added", MISSING, 3), FieldChange("$[0].y", "changed", 1, 5)],
        ),
        ({"a": 1}, [1], [FieldChange("$", "changed", {"a": 1}, [1])]),
    ],
)
def test_diff_fields__known_documents__gives_the_known_changes(
    old: Any, new: Any, changes: list[FieldChange]
) -> None:
    assert diff_fields(old, new) == changes


def test_diff_fields__long_array_of_another_length__is_one_change() -> None:
    old, new = list(range(201)), list(range(202))
    assert diff_fields(old, new) == [FieldChange("$", "changed", old, new)]


def test_text_spans__changed_word__is_a_deletion_and_an_insertion() -> None:
    assert text_spans("my card is late.", "my new card is lost.") == [
        TextSpan("equal", "my "),
        TextSpan("insert", "new "),
        TextSpan("equal", "card is "),
        TextSpan("delete", "late"),
        TextSpan("insert", "lost"),
        TextSpan("equal", "."),
    ]


def test_text_spans__many_words__are_compared_as_a_whole() -> None:
    old, new = "a " * 600 + "x", "b " * 600 + "x"
    assert text_spans(old, new) == [
        TextSpan("delete", ("a " * 600).rstrip()),
        TextSpan("insert", ("b " * 600).rstrip()),
        TextSpan("equal", " x"),
    ]


@given(st.text(st.sampled_from("ab \n.é"), max_size=30), st.text(st.sampled_from("ab \n.é"), max_size=30))
def test_text_spans__any_two_texts__hold_both(old: str, new: str) -> None:
    spans = text_spans(old, new)
    assert "".join(span.text for span in spans if span.kind != "insert") == old
    assert "".join(span.text for span in spans if span.kind != "delete") == new
