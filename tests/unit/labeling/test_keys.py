from __future__ import annotations

import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from labeling_app.domain.controls import controls
from labeling_app.domain.keys import (
    ACTION_TITLES,
    DEFAULT_KEYS,
    RESERVED,
    assign_keys,
    clashes,
    effective_keys,
    normal_key,
    type_clashes,
)

LABEL = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}
TIER = {"type": "object", "properties": {"tier": {"enum": ["A", "B"]}}, "required": ["tier"]}


def keys_in(schema: dict[str, Any], **more: Any) -> list[list[str]]:
    return [[o.key for o in control.options] for control in assign_keys(controls(schema, **more))]


def test_default_keys__clash_with_nothing_and_have_titles() -> None:
    assert clashes(DEFAULT_KEYS) == []
    assert set(ACTION_TITLES) == set(DEFAULT_KEYS)


def test_assign_keys__many_options__get_digits_then_free_letters_then_none() -> None:
    (keys,) = keys_in({"enum": [f"option {n}" for n in range(40)]})
    free = [letter for letter in string.ascii_lowercase if letter not in DEFAULT_KEYS.values()]
    assert keys == [*"1234567890", *free, *[""] * (30 - len(free))]


def test_assign_keys__boolean__has_y_and_n() -> None:
    assert keys_in({"type": "boolean"}) == [["y", "n"]]
    assert keys_in({"type": ["boolean", "null"]}) == [["y", "n", "1"]]


def test_assign_keys__fixed__stays_and_is_given_to_no_other() -> None:
    presentation = {"keys": {"": {"c": "1"}}}
    assert keys_in({"enum": ["a", "b", "c"]}, presentation=presentation) == [["2", "3", "1"]]


def test_assign_keys__two_controls__each_begins_at_one() -> None:
    schema = {"properties": {"a": {"enum": [1, 2]}, "b": {"enum": [3, 4, 5]}}}
    assert keys_in(schema) == [["1", "2"], ["1", "2", "3"]]


@given(
    st.integers(0, 60),
    st.lists(st.sampled_from(string.ascii_lowercase), unique=True, max_size=12),
)
def test_assign_keys__whatever_is_taken__no_key_twice_and_none_that_is_taken(
    count: int, taken: list[str]
) -> None:
    made = assign_keys(controls({"enum": [str(n) for n in range(count + 1)]}), taken)
    keys = [option.key for option in made[0].options if option.key]
    assert len(keys) == len(set(keys))
    assert not set(keys) & set(taken)


def test_normal_key__letters__are_small_and_the_space_has_a_name() -> None:
    assert [normal_key(key) for key in ("A", "ß", " ", "Enter", "?")] == ["a", "ß", "Space", "Enter", "?"]


def test_effective_keys__of_a_person__replace_the_consoles_own() -> None:
    found = effective_keys({"skip": "X", "no such action": "q", "flag": 3})
    assert found == {**DEFAULT_KEYS, "skip": "x"}


def test_clashes__two_actions_with_one_key__are_both_named() -> None:
    assert clashes({**DEFAULT_KEYS, "skip": "U"}) == [
        "The key u is wanted by “Skip, with a reason” and by “Undo the last answer”."
    ]


def test_clashes__a_reserved_key__says_what_it_does() -> None:
    assert clashes({"skip": "1"}) == ["“Skip, with a reason” cannot have the key 1: it picks an option."]
    assert clashes({"skip": "Escape"})[0].endswith(f"it {RESERVED['Escape']}.")


def test_clashes__no_key_at_all__is_told() -> None:
    for key in ("", "ab", "\x07", "F5"):
        assert clashes({"skip": key}) == [
            f"“Skip, with a reason” cannot have the key {key!r}: "
            "expected one visible character or one of Enter, Backspace, Delete, Insert."
        ]


def test_clashes__unknown_action__is_told_with_the_actions_there_are() -> None:
    assert clashes({"fly": "x"})[0].startswith("“fly” is no action of the console; actions: submit, ")


def test_type_clashes__a_free_key__is_none() -> None:
    assert type_clashes(LABEL, {"keys": {"label": {"spam": "s", "ham": "1"}}}, "the type “sms”") == []
    assert type_clashes(LABEL, {}, "the type “sms”") == []


def test_type_clashes__the_key_of_an_action__is_told() -> None:
    assert type_clashes(LABEL, {"keys": {"label": {"spam": "u"}}}, "the type “sms”") == [
        "The key u is wanted by “Undo the last answer” and by the option “spam” of label in the type “sms”."
    ]


def test_type_clashes__two_options_with_one_key__are_told() -> None:
    assert type_clashes(TIER, {"keys": {"tier": {"A": "x", "B": "X"}}}, "the type “t”") == [
        "The key x is wanted by the option “A” of tier in the type “t” and by the option “B” of tier in the type “t”."
    ]


def test_type_clashes__unknown_control_or_option_or_shape__is_told() -> None:
    assert type_clashes(TIER, {"keys": {"tire": {"A": "x"}}}, "the type “t”") == [
        "the type “t” has no options at “tire” that keys could be fixed for; it has some at: tier."
    ]
    assert type_clashes(TIER, {"keys": {"tier": {"C": "x"}}}, "the type “t”") == [
        "the type “t”: “C” is no option of “tier”; options: A, B."
    ]
    assert type_clashes(TIER, {"keys": {"tier": "x"}}, "the type “t”") == [
        'The keys of the type “t” must look like {"label": {"spam": "s"}}.'
    ]
