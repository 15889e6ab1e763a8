from __future__ import annotations

from typing import Any

import pytest

from datasets_app.domain.builtin_types import BUILTIN_TYPES
from labeling_app.domain.controls import Control, controls, fixed_keys, input_view, walk

TYPES: dict[str, dict[str, Any]] = {one["name"]: one for one in BUILTIN_TYPES}


def one(schema: dict[str, Any], **given: Any) -> Control:
    """The one control of an answer that is one value."""
    (made,) = controls(schema, **given)
    return made


def test_controls__built_in_lead_score__are_in_order_and_of_their_kinds() -> None:
    made = controls(TYPES["lead_score"]["output_schema"])
    assert [(c.name, c.kind, c.title, c.required) for c in made] == [
        ("lead_score", "scale", "Lead score", True),
        ("priority", "choice", "Priority", True),
        ("reasoning", "text", "Reasoning", False),
    ]
    assert (made[0].minimum, made[0].maximum) == (0, 100)
    assert [option.value for option in made[1].options] == ["hot", "warm", "cold"]
    assert made[2].long


def test_controls__boolean_of_a_built_in_type__has_two_options() -> None:
    made = controls(TYPES["company_quality"]["output_schema"])
    assert [option.title for option in made[1].options] == ["Yes", "No"]


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"enum": ["a", "b"]}, "choice"),
        ({"const": 3}, "choice"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "number", "minimum": 0, "maximum": 1}, "scale"),
        ({"type": "integer", "exclusiveMinimum": 0, "maximum": 9}, "scale"),
        ({"type": "number", "minimum": 0}, "number"),
        ({"type": "number", "minimum": 1, "maximum": 1}, "number"),
        ({"type": "string"}, "text"),
        ({"type": "array", "items": {"type": "string"}}, "tags"),
        ({"type": "array", "items": {"enum": ["x", "y"]}}, "toggles"),
        ({"type": "array", "items": {"type": "number"}}, "list"),
        ({"type": "array"}, "list"),
        ({"type": "object"}, "json"),
        ({}, "json"),
        ({"type": ["string", "integer"]}, "json"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "json"),
    ],
)
def test_controls__a_schema_of_one_value__has_the_kind_that_fits(schema: dict[str, Any], kind: str) -> None:
    assert one(schema).kind == kind


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["string", "null"]},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"oneOf": [{"type": "null"}, {"$ref": "#/$defs/name"}], "$defs": {"name": {"type": "string"}}},
    ],
)
def test_controls__null_allowed__is_the_same_kind_and_nullable(schema: dict[str, Any]) -> None:
    made = one(schema)
    assert (made.kind, made.nullable) == ("text", True)


def test_controls__enum_with_null__offers_none_last() -> None:
    made = one({"enum": ["a", None, "b"]})
    assert [(o.value, o.title) for o in made.options] == [("a", "a"), ("b", "b"), (None, "None")]


def test_controls__nested_object__is_a_group_whose_parts_know_their_paths() -> None:
    schema = {
        "type": "object",
        "properties": {
            "who": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
                "required": ["name"],
                "x-order": ["name", "age"],
            }
        },
    }
    (group,) = controls(schema)
    assert [(c.name, c.kind, c.required) for c in walk([group])] == [
        ("who", "group", False),
        ("who.name", "text", True),
        ("who.age", "number", False),
    ]


def test_controls__a_schema_that_contains_itself__ends() -> None:
    schema = {
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        "$ref": "#/$defs/node",
    }
    deepest = list(walk(controls(schema)))[-1]
    assert (deepest.kind, len(deepest.path)) == ("json", 9)


def test_controls__a_reference_to_itself__is_a_box_for_json() -> None:
    assert one({"$ref": "#"}).kind == "json"


def test_controls__choices__are_offered_for_the_class() -> None:
    made = controls(TYPES["text_classification"]["output_schema"], None, ["spam", "ham", "spam"], "label")
    assert [(c.kind, [o.value for o in c.options]) for c in made] == [("class", ["spam", "ham"])]


def test_controls__choices_without_a_class_field__go_to_the_first_required_text() -> None:
    schema = {
        "type": "object",
        "properties": {"note": {"type": "string"}, "label": {"type": "string"}},
        "required": ["label"],
        "x-order": ["note", "label"],
    }
    assert [c.kind for c in controls(schema, None, ["a"])] == ["text", "class"]


def test_controls__choices_where_the_schema_lists_them__change_nothing() -> None:
    schema = TYPES["contact_tier"]["output_schema"]
    assert controls(schema, None, ["x"], "tier") == controls(schema)


def test_controls__fixed_keys__are_filled_in() -> None:
    presentation = {"keys": {"label": {"spam": "s"}}}
    (made,) = controls(TYPES["text_classification"]["output_schema"], presentation, ["ham", "spam"], "label")
    assert [o.key for o in made.options] == ["", "s"]


def test_fixed_keys__of_anything_else__is_nothing() -> None:
    assert fixed_keys({"keys": ["s"]}) == fixed_keys({"keys": {"label": "s"}}) == fixed_keys(None) == {}


def test_document__of_a_control__leaves_out_what_is_not_set() -> None:
    schema = {"type": "number", "minimum": 0, "maximum": 1, "title": "Share"}
    assert one(schema).document() == {
        "name": "",
        "path": [],
        "kind": "scale",
        "title": "Share",
        "required": True,
        "minimum": 0,
        "maximum": 1,
    }


def test_input_view__nested_fields__have_titles_and_order() -> None:
    schema = {
        "type": "object",
        "properties": {
            "turns": {
                "type": "array",
                "items": {"type": "object", "properties": {"who": {"title": "Speaker"}, "said": {}}},
            },
            "source_code": {"type": "string"},
        },
        "x-order": ["source_code", "turns"],
    }
    made = [view.document() for view in input_view(schema, {"shown_as": {"source_code": "code"}})]
    assert made == [
        {"name": "source_code", "title": "Source code", "shown_as": "code"},
        {
            "name": "turns",
            "title": "Turns",
            "item": {
                "name": "",
                "title": "",
                "children": [{"name": "who", "title": "Speaker"}, {"name": "said", "title": "Said"}],
            },
        },
    ]


def test_controls__choice_listed_twice_in_a_type_of_old__has_one_button() -> None:
    (made,) = controls({"enum": ["b", "a", "b", 1, 1.0, True]})
    assert [option.value for option in made.options] == ["b", "a", 1, True]
