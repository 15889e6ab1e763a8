"""Example types: what is said about a wrong example or schema, and numbers as the schema types them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain.canonical import same_json
from datasets_app.domain.schema_types import (
    CompiledType,
    check_schema,
    restore_number_types,
    with_property_order,
)
from datasets_app.errors import InvalidSchema

TEXT_TYPE = CompiledType(
    name="text",
    input_schema={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    output_schema={
        "type": "object",
        "properties": {"label": {"enum": ["a", "b"]}, "score": {"type": "number", "minimum": 0}},
        "additionalProperties": False,
    },
    required_fields=("input.text", "output.label"),
    class_field="label",
)


def messages(input: Any, output: Any, *, require_output: bool = True) -> list[str]:
    found = TEXT_TYPE.validate(input, output, require_output=require_output)
    assert all(violation.message.startswith(f"{violation.path}: ") for violation in found)
    return [violation.message for violation in found]


def test_validate__good_example__finds_nothing() -> None:
    assert messages({"text": "x"}, {"label": "a", "score": 1}) == []
    assert messages({"text": "x"}, None, require_output=False) == []


@pytest.mark.parametrize(
    ("input", "output", "expected"),
    [
        (
            {},
            {"label": "a"},
            ["$.input.text: found nothing, expected a value, because the schema requires it."],
        ),
        (
            {"text": ""},
            {"label": "c", "score": -1, "odd name": [1]},
            [
                '$.output["odd name"]: found [1], expected no field of this name.',
                '$.output.label: found "c", expected one of "a", "b".',
                "$.output.score: found -1, expected a number of at least 0.",
                '$.input.text: found "", expected a value, because the type requires this field.',
            ],
        ),
        (
            {"text": 5},
            {},
            [
                "$.input.text: found 5, expected a string.",
                "$.output.label: found nothing, expected a value, because the type requires this field.",
            ],
        ),
        (
            {"text": "x"},
            None,
            [
                "$.output: found null, expected an object.",
                "$.output.label: found nothing, expected a value, because the type requires this field.",
            ],
        ),
    ],
)
def test_validate__bad_example__says_path_found_and_expected(
    input: Any, output: Any, expected: list[str]
) -> None:
    assert sorted(messages(input, output)) == sorted(expected)


def test_validate__output_not_required__still_checks_one_that_is_there() -> None:
    assert messages({"text": "x"}, {"label": "c"}, require_output=False) == [
        '$.output.label: found "c", expected one of "a", "b".'
    ]


def test_validate__long_value__is_shown_shortened() -> None:
    violation = TEXT_TYPE.validate({"text": ["x" * 200]}, None, require_output=False)[0]
    assert violation.found == '["' + "x" * 77 + "…"
    assert len(violation.found) == 80


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": ["integer", "null"]}, "x", "null or an integer"),
        ({"const": 3}, 1, "3"),
        ({"maxLength": 1}, "abc", "at most 1 characters"),
        ({"pattern": "^a"}, "b", "text that matches ^a"),
        ({"format": "date"}, "b", "text in the format date"),
        ({"multipleOf": 2}, 3, "a multiple of 2"),
        ({"uniqueItems": True}, [1, 1], "items that differ from each other"),
        ({"items": False}, [1], "nothing here"),
        ({"anyOf": [{"type": "null"}]}, 1, "a value that matches one of the alternatives of the schema"),
        (
            {"propertyNames": {"maxLength": 1}},
            {"abc": 1},
            'what the schema says under propertyNames ("abc" is longer than 1 character)',
        ),
    ],
)
def test_validate__each_keyword__says_what_was_expected(schema: Any, value: Any, expected: str) -> None:
    compiled = CompiledType(name="t", input_schema=schema, output_schema={})
    assert [item.expected for item in compiled.validate(value, None, require_output=False)] == [expected]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ([], "The schema is not one: found [], expected a JSON object."),
        (
            {"properties": {"a": {"$ref": "https://example.org/x"}}},
            (
                'The schema cannot be used: at $.properties.a["$ref"] found "https://example.org/x", '
                "expected a local reference that begins with #."
            ),
        ),
        ({"minimum": "a"}, 'The schema cannot be used: at $.minimum: "a" is not of type "number".'),
        ({"pattern": "("}, 'The schema cannot be used: at $.pattern: "(" is not a "regex".'),
        ({"$ref": "#/nope"}, "The schema cannot be used: at $: Pointer '/nope' does not exist."),
    ],
)
def test_check_schema__unusable__says_where_and_why(schema: Any, message: str) -> None:
    with pytest.raises(InvalidSchema) as caught:
        check_schema(schema)
    assert caught.value.message == message


def test_check_schema__unknown_draft__is_refused_without_a_request() -> None:
    with pytest.raises(InvalidSchema, match="The schema cannot be used: at \\$: "):
        check_schema({"$schema": "https://example.org/draft"})


def test_check_schema__references_that_are_data_or_names__are_fine() -> None:
    check_schema({"const": {"$ref": "http://x"}, "properties": {"$ref": {"type": "string"}, "enum": {}}})
    check_schema({"$defs": {"n": {"type": "number"}}, "properties": {"a": {"$ref": "#/$defs/n"}}})


@pytest.mark.parametrize("name", ["label", "output", "metadata.x", "output..x"])
def test_compiled_type__required_field_outside_input_and_output__is_refused(name: str) -> None:
    with pytest.raises(InvalidSchema, match="expected a dotted path that begins with input. or output."):
        CompiledType(name="t", input_schema={}, output_schema={}, required_fields=(name,))


NUMBERS = {
    "$defs": {"score": {"type": ["number", "null"]}},
    "properties": {
        "score": {"$ref": "#/$defs/score"},
        "count": {"type": "integer"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "number"}]},
        "optional": {"oneOf": [{"type": "number"}, {"type": "string"}]},
        "list": {"items": {"type": "number"}},
        "pair": {"prefixItems": [{"type": "integer"}, {"type": "number"}]},
        "map": {"additionalProperties": {"type": "number"}},
        "self": {"$ref": "#"},
    },
}


def test_restore_number_types__each_place__follows_the_schema() -> None:
    value = {
        "score": 75,
        "count": 75,
        "either": 75,
        "optional": 1,
        "list": [1, 2, 3],
        "pair": [1, 2, 3],
        "map": {"a": 1, "b": True},
        "self": {"self": {"score": 1}},
        "free": 1,
    }
    assert repr(restore_number_types(value, NUMBERS)) == repr(
        {
            "score": 75.0,
            "count": 75,
            "either": 75,
            "optional": 1.0,
            "list": [1.0, 2.0, 3.0],
            "pair": [1, 2.0, 3],
            "map": {"a": 1.0, "b": True},
            "self": {"self": {"score": 1.0}},
            "free": 1,
        }
    )
    assert value["score"] == 75


def test_restore_number_types__no_number_in_the_schema__gives_the_value_itself() -> None:
    value = {"a": 1}
    assert restore_number_types(value, {"properties": {"a": {"type": "integer"}}}) is value


@given(
    st.recursive(
        st.integers(-9, 9) | st.none() | st.text(max_size=2),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(list(NUMBERS["properties"])), inner),
        max_leaves=10,
    )
)
def test_restore_number_types__any_value__keeps_the_content(value: Any) -> None:
    assert same_json(restore_number_types(value, NUMBERS), value)


def test_restore_output__compiled_type__writes_the_float_again() -> None:
    assert repr(TEXT_TYPE.restore_output({"label": "a", "score": 75})) == "{'label': 'a', 'score': 75.0}"
    assert repr(TEXT_TYPE.restore_input({"text": 1})) == "{'text': 1}"


def test_with_property_order__nested_objects__each_says_its_order_once() -> None:
    inner = {"type": "object", "properties": {"zz": {}, "a": {}}}
    schema = {"type": "object", "properties": {"long_name": inner, "b": {"enum": [1]}}}

    made = with_property_order(schema)

    assert made["x-order"] == ["long_name", "b"]
    assert made["properties"]["long_name"]["x-order"] == ["zz", "a"]
    assert "x-order" not in schema
    assert with_property_order({**made, "x-order": ["b", "long_name"]})["x-order"] == ["b", "long_name"]
