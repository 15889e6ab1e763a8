"""Choices of a schema that are there twice, or look alike."""

from __future__ import annotations

from typing import Any

import pytest

from datasets_app.domain.choices import ChoiceTroubles, as_drawn, choice_troubles, enums


@pytest.mark.parametrize(
    "choices",
    [["a", "b"], [1, True, "one"], [0, False, None], ["", "a"], [{"a": 1}, {"a": 2}], ["é", "e"]],
)
def test_choice_troubles__choices_that_differ__are_none(choices: list[Any]) -> None:
    assert choice_troubles({"enum": choices}) == ChoiceTroubles([], [])


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        (["a", "b", "a", "a"], 'The output schema lists the choice "a" twice: leave one out.'),
        ([1, 1.0], "The output schema lists the choice 1 twice: leave one out."),
        (["a", "a "], 'The output schema lists "a" and "a ", which look the same on their buttons.'),
        (["a b", "a  b"], 'The output schema lists "a b" and "a  b", which look the same on their buttons.'),
        ([1, "1"], 'The output schema lists 1 and "1", which look the same on their buttons.'),
        (["none", None], 'The output schema lists "none" and null, which look the same on their buttons.'),
        (
            ["\u00e9", "e\u0301"],
            'The output schema lists "\u00e9" and "e\u0301", which look the same on their buttons.',
        ),
        (
            ["a", "a\u200b"],
            'The output schema lists "a" and "a\u200b", which look the same on their buttons.',
        ),
    ],
)
def test_choice_troubles__nobody_can_tell_them_apart__are_refused(choices: list[Any], told: str) -> None:
    assert choice_troubles({"enum": choices}) == ChoiceTroubles([told], [])


@pytest.mark.parametrize("choices", [["Spam", "spam"], ["fi", "ﬁ"], ["Straße", "STRASSE"], ["1", "①"]])
def test_choice_troubles__easily_mistaken__are_told(choices: list[str]) -> None:
    first, second = choices
    told = f'The output schema lists "{first}" and "{second}", which are easily mistaken for one another.'
    assert choice_troubles({"enum": choices}) == ChoiceTroubles([], [told])


def test_choice_troubles__inside_of_a_schema__names_the_place() -> None:
    schema = {
        "type": "object",
        "properties": {
            "enum": {"enum": ["a"]},  # a field that is called so
            "who": {"properties": {"tags": {"type": "array", "items": {"enum": ["x", "x"]}}}},
            "tier": {"anyOf": [{"enum": ["A", "A"]}, {"type": "null"}], "default": {"enum": ["d", "d"]}},
            "shared": {"$ref": "#/$defs/kind"},
        },
        "$defs": {"kind": {"enum": ["k", "k"]}},
    }
    assert choice_troubles(schema).refused == [
        'The output schema lists at “who.tags[]” the choice "x" twice: leave one out.',
        'The output schema lists at “tier” the choice "A" twice: leave one out.',
        'The output schema lists at “$defs.kind” the choice "k" twice: leave one out.',
    ]


def test_enums__of_what_is_no_schema__are_none() -> None:
    assert list(enums(True)) == list(enums({"properties": ["enum"], "anyOf": {}, "enum": "a"})) == []


def test_as_drawn__words_of_json__are_those_of_the_buttons() -> None:
    assert [as_drawn(value) for value in (None, True, False, 2.0, 10, " a\n b ")] == [
        *("none", "yes", "no", "2", "10", "a b")
    ]
