"""What a type's presentation may say, as rows to fill in."""

from __future__ import annotations

from labeling_app.domain.keys import type_clashes
from labeling_app.domain.presentation import (
    KeyGroup,
    KeyRow,
    TextField,
    key_groups,
    key_troubles,
    text_fields,
    without_gone,
)

OUTPUT = {
    "type": "object",
    "properties": {
        "tier": {"enum": ["A", "B"]},
        "who": {"type": "object", "properties": {"role": {"enum": ["x"]}}},
        "tags": {"type": "array", "items": {"enum": ["new", "old"]}},
        "reason": {"type": "string"},
        "score": {"type": "number"},
    },
}


def test_key_groups__of_an_output__has_every_choice_with_its_keys() -> None:
    presentation = {"keys": {"tier": {"B": "b"}}}
    assert key_groups(OUTPUT, presentation) == [
        KeyGroup("tier", "Tier", False, (KeyRow("A", "", "1"), KeyRow("B", "b", "2"))),
        KeyGroup("who.role", "Role", False, (KeyRow("x", "", "1"),)),
        KeyGroup("tags", "Tags", False, (KeyRow("new", "", "1"), KeyRow("old", "", "2"))),
    ]


def test_key_groups__text_whose_answers_queues_list__has_those_with_a_key() -> None:
    assert key_groups({"type": "string"}, {"keys": {"": {"spam": "s"}}}) == [
        KeyGroup("", "Answer", True, (KeyRow("spam", "s", ""),))
    ]
    assert [group.name for group in key_groups(OUTPUT, None, "reason") if group.is_free] == ["reason"]


def test_text_fields__in_lists_and_groups__are_found_by_their_dotted_paths() -> None:
    schema = {
        "properties": {
            "body": {"type": "string"},
            "count": {"type": "integer"},
            "words": {"type": "array", "items": {"type": "string"}},
            "parts": {
                "type": "array",
                "items": {"properties": {"code": {"type": "string", "title": "Code"}}},
            },
            "from": {"properties": {"name": {"type": "string"}}},
        },
        "x-order": ["body", "count", "words", "parts", "from"],
    }
    assert text_fields(schema, {"shown_as": {"parts.code": "code", "body": ["no word"]}}) == [
        TextField("body", "Body", ""),
        TextField("words", "Words", ""),
        TextField("parts.code", "Parts › Code", "code"),
        TextField("from.name", "From › Name", ""),
    ]


def test_key_troubles__each_key_that_is_refused__is_told_beside_its_row() -> None:
    for key in ("a", "k", "/", "?", "Enter", "Escape", "Tab", "Delete", "é", "5", "ab", " "):
        fixed = {"tier": {"A": key}}
        assert bool(key_troubles(fixed)) == bool(type_clashes(OUTPUT, {"keys": fixed}, "t")), key
    assert key_troubles({"tier": {"A": "x"}, "who.role": {"x": "X"}}).keys() == {
        ("tier", "A"),
        ("who.role", "x"),
    }


def test_without_gone__fields_and_choices_that_the_schema_lacks__are_named() -> None:
    keys = {"tier": {"A": "x", "Z": "z"}, "old": {"a": "1"}, "reason": {"any": "y"}}
    assert without_gone(keys, OUTPUT) == (
        {"tier": {"A": "x"}, "reason": {"any": "y"}},
        ["the key z of “Z”", "the key 1 of “a”"],
    )
