"""The fields of answers, how each is measured, and which decide whether two answers agree."""

from __future__ import annotations

from typing import Any

import pytest

from labeling_app.domain.answer_fields import (
    AnswerField,
    Kind,
    answer_fields,
    deciding_fields,
    deciding_text,
)


def one(schema: dict[str, Any], **options: Any) -> AnswerField:
    (found,) = answer_fields(schema, **options)
    return found


@pytest.mark.parametrize(
    ("schema", "kind", "level"),
    [
        ({"enum": ["A", "B"]}, Kind.CLASS, "nominal"),
        ({"type": "boolean"}, Kind.CLASS, "nominal"),
        ({"type": ["boolean", "null"]}, Kind.CLASS, "nominal"),
        ({"enum": [1, 2, 3, 4, 5]}, Kind.CLASS, "ordinal"),
        ({"enum": ["low", "high"], "x-scale": "ordinal"}, Kind.CLASS, "ordinal"),
        ({"type": "number"}, Kind.NUMBER, "interval"),
        ({"type": "integer", "x-scale": "ratio"}, Kind.NUMBER, "ratio"),
        ({"type": "integer", "x-scale": "nominal"}, Kind.CLASS, "nominal"),
        ({"type": "number", "x-scale": "unheard of"}, Kind.NUMBER, "interval"),
        ({"type": "string"}, Kind.TEXT, "nominal"),
        ({"type": "array", "items": {"enum": ["a"]}}, Kind.CLASS, "nominal"),
        ({"type": "array", "items": {"type": "string"}}, Kind.OTHER, "nominal"),
        ({}, Kind.OTHER, "nominal"),
    ],
)
def test_answer_fields__one_leaf__is_measured_as_its_schema_says(
    schema: dict[str, Any], kind: Kind, level: str
) -> None:
    found = one(schema)

    assert (found.name, found.kind, found.level) == ("answer", kind, level)


def test_answer_fields__an_object__has_its_leaves_in_the_order_of_forms() -> None:
    schema = {
        "properties": {
            "why": {"type": "string"},
            "tier": {"enum": ["A", "B"], "title": "Tier"},
            "score": {"properties": {"value": {"type": "integer", "minimum": 0, "maximum": 10}}},
        },
        "x-order": ["tier", "score", "why"],
    }
    found = answer_fields(schema)

    assert [(field.name, field.title) for field in found] == [
        ("tier", "Tier"),
        ("score.value", "score.value"),
        ("why", "why"),
    ]
    assert (found[1].span, found[1].is_whole_number) == (10.0, True)
    assert found[0].values == ("A", "B")


def test_answer_fields__the_class_has_a_free_set__is_a_class_with_the_choices_of_the_queue() -> None:
    schema = {"properties": {"label": {"type": "string"}, "note": {"type": "string"}}}
    found = answer_fields(schema, class_path=("label",), choices=["a", "b"])

    assert [(field.name, field.kind, field.values) for field in found] == [
        ("label", Kind.CLASS, ("a", "b")),
        ("note", Kind.TEXT, ()),
    ]


def test_answer_fields__local_references__are_followed() -> None:
    root = {"$defs": {"tier": {"enum": ["A", "B"]}}}

    assert one({"$ref": "#/$defs/tier"}, root=root).kind == Kind.CLASS
    assert one({"$ref": "#/$defs/nothing"}, root=root).kind == Kind.OTHER
    assert one({"$ref": "#"}, root=root).kind == Kind.OTHER


def test_answer_fields__a_schema_within_itself__ends() -> None:
    node = {"properties": {"value": {"enum": ["a"]}, "next": {"$ref": "#/$defs/node"}}}

    assert len(answer_fields({"$ref": "#/$defs/node"}, root={"$defs": {"node": node}})) > 1


def test_deciding_fields__classes_and_words__are_the_classes() -> None:
    fields = answer_fields({"properties": {"tier": {"enum": ["A"]}, "sure": {"type": "number"}}})

    assert [field.name for field in deciding_fields(fields)] == ["tier"]
    assert deciding_text(deciding_fields(fields), {"tier": "A", "sure": 0.5}) == '"A"'


def test_deciding_fields__no_class__are_all() -> None:
    fields = answer_fields({"properties": {"low": {"type": "number"}, "high": {"type": "number"}}})

    assert len(deciding_fields(fields)) == 2
    assert deciding_text(fields, {"low": 1.0}) == "[null,1]"


def test_of__a_missing_field__is_nothing() -> None:
    (field,) = answer_fields({"properties": {"a": {"properties": {"b": {"type": "number"}}}}})

    assert (field.of({"a": {"b": 2}}), field.of({"a": 3}), field.of(None)) == (2, None, None)
    assert (field.number_of({"a": {"b": 2}}), field.number_of({"a": {"b": True}})) == (2.0, None)


def test_number_of__an_ordered_word__is_its_place() -> None:
    field = one({"enum": ["low", "mid", "high"], "x-scale": "ordinal"})

    assert [field.number_of(value) for value in ("low", "high", "other")] == [0.0, 2.0, None]


def test_of__a_choice_of_several__is_the_same_in_any_order() -> None:
    field = one({"type": "array", "items": {"enum": ["urgent", "refund", "card"]}})

    assert field.of(["card", "urgent", "card"]) == ["urgent", "card"]
    assert deciding_text([field], ["card", "urgent"]) == deciding_text([field], ["urgent", "card"])
    assert field.of("no list") == "no list"


def test_of__a_list_in_which_order_counts__stays_as_it_is() -> None:
    field = one({"type": "array", "items": {"type": "string"}})

    assert field.of(["b", "a"]) == ["b", "a"]
    assert one({"type": "array", "items": {"type": "string"}, "uniqueItems": True}).of(["b", "a"]) == [
        "a",
        "b",
    ]
