"""Parts of outputs: found, replaced, checked with the schema of the part, and the class in them."""

from __future__ import annotations

from typing import Any

import pytest

from goldenproject.kit.errors import BadInput
from labeling_app.domain.answers import AnswerType, class_of, part_of, same, schema_at, with_part

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tier": {"enum": ["A", "B"]},
        "who": {"$ref": "#/$defs/person"},
        "parent": {"type": "array", "items": {"$ref": "#"}},
    },
    "required": ["tier"],
    "$defs": {
        "person": {
            "type": "object",
            "properties": {"name": {"$ref": "#/$defs/name"}, "age": {"type": "integer"}},
            "required": ["name"],
        },
        "name": {"type": "string", "minLength": 2},
    },
}


@pytest.mark.parametrize(
    ("document", "path", "expected"),
    [
        ({"a": {"b": 1}}, "", {"a": {"b": 1}}),
        ({"a": {"b": 1}}, "a.b", 1),
        ({"a": {"b": 1}}, "a.c", None),
        (None, "a", None),
        ({"a": [1]}, "a.0", None),
    ],
)
def test_part_of__path__value_or_none(document: Any, path: str, expected: Any) -> None:
    assert part_of(document, path) == expected


@pytest.mark.parametrize(
    ("document", "path", "expected"),
    [
        ({"a": 1}, "", 9),
        (None, "a.b", {"a": {"b": 9}}),
        ({"a": {"c": 1}, "d": 2}, "a.b", {"a": {"c": 1, "b": 9}, "d": 2}),
    ],
)
def test_with_part__path__is_set_in_a_copy(document: Any, path: str, expected: Any) -> None:
    assert with_part(document, path, 9) == expected


def test_same__numbers__are_compared_as_json() -> None:
    assert same({"a": 75}, {"a": 75.0})
    assert not same({"a": 1}, {"a": True})


def test_schema_at__referenced_field__is_resolved_and_keeps_the_definitions() -> None:
    found = schema_at(SCHEMA, "who")
    assert found["properties"]["age"] == {"type": "integer"}
    assert found["$defs"] == SCHEMA["$defs"]
    assert schema_at(SCHEMA, "who.name")["minLength"] == 2
    assert schema_at(SCHEMA, "") == SCHEMA


def test_schema_at__no_such_field__names_the_step() -> None:
    with pytest.raises(BadInput) as caught:
        schema_at(SCHEMA, "who.shoe")
    assert str(caught.value) == (
        "“who.shoe”: $.output.who has no field “shoe” in its schema. Fields there: name, age."
    )


def test_schema_at__reference_out_of_the_part__is_refused() -> None:
    with pytest.raises(BadInput, match="refers to #, which is outside of it"):
        schema_at(SCHEMA, "parent")


def test_schema_at__references_in_a_circle__are_refused() -> None:
    circle = {"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"$ref": "#/$defs/b"}}}
    with pytest.raises(BadInput, match="go round in a circle"):
        schema_at(circle, "a")


@pytest.mark.parametrize(
    ("value", "class_field", "field_path", "expected"),
    [
        ({"tier": "A", "why": "…"}, "tier", "", "A"),
        ({"tier": None}, "tier", "", None),
        ({"a": {"b": 2.0}}, "a.b", "a", None),
        ({"b": 2.0}, "a.b", "a", "2"),
        ("A", "tier", "tier", "A"),
        (True, "tier", "verified", "true"),
        ({"x": 1}, "tier", "other", None),
        ({"x": 1}, "", "", None),
        ("free", "", "", "free"),
    ],
)
def test_class_of__answer__class_as_text(
    value: Any, class_field: str, field_path: str, expected: Any
) -> None:
    assert class_of(value, class_field, field_path) == expected


def test_violations__of_a_part__name_the_path_in_the_whole_output() -> None:
    kind = AnswerType("t", SCHEMA, "who", ("input.x", "output.who", "output.tier"))
    assert kind.violations({"name": "ab"}) == []
    (violation,) = kind.violations({"name": "a"})
    assert (violation.path, violation.message) == (
        "$.output.who.name",
        '$.output.who.name: found "a", expected at least 2 characters.',
    )


def test_violations__required_part__may_not_be_empty() -> None:
    kind = AnswerType("t", {"properties": {"note": {"type": "string"}}}, "note", ("output.note",))
    assert [violation.message for violation in kind.violations("")] == [
        "$.output.note: found nothing, expected a value, because the type requires this field."
    ]
    assert kind.violations("x") == []


def test_digest__other_schema_or_required_fields__differs() -> None:
    def digest(schema: Any, *required: str, path: str = "a") -> str:
        return AnswerType("t", schema, path, required).digest

    text, number = ({"properties": {"a": {"type": kind}}} for kind in ("string", "number"))
    assert digest(text) != digest(number)
    assert digest(text) != digest(text, "output.a")
    assert digest(text) == digest({**text, "title": "another title"})  # outside of the part
    assert len(digest(text)) == 12
