"""The keys of the labeling console: which action has which, which options get which, and what clashes."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from labeling_app.domain.controls import KEYED, Control, controls, fixed_keys, option_text, walk

# action → key. Digits pick options, so no action has one; most letters are left for options too.
DEFAULT_KEYS: Final[dict[str, str]] = {
    "submit": "Enter",
    "accept": "a",
    "skip": "k",
    "flag": "f",
    "undo": "u",
    "recent": "r",
    "find": "/",
    "instructions": "i",
    "notes": "m",
    "confidence": "c",
    "pick": "p",
    "help": "?",
}
ACTION_TITLES: Final[dict[str, str]] = {
    "submit": "Submit the answer",
    "accept": "Accept the first suggestion",
    "skip": "Skip, with a reason",
    "flag": "Flag, with a comment",
    "undo": "Undo the last answer",
    "recent": "Show my latest answers",
    "find": "Search in the example",
    "instructions": "Show or hide the instructions",
    "notes": "Write a note",
    "confidence": "Say how sure you are",
    "pick": "Turn on or off that picking submits",
    "help": "Show the keys",
}
# key → what it does whatever anybody wishes
RESERVED: Final[dict[str, str]] = {
    **dict.fromkeys("1234567890", "picks an option"),
    "Tab": "goes to the next control",
    "Escape": "leaves a box, closes a panel",
    "Space": "presses the button that has the focus",
    "ArrowUp": "moves or scrolls",
    "ArrowDown": "moves or scrolls",
    "ArrowLeft": "moves or scrolls",
    "ArrowRight": "moves or scrolls",
    "PageUp": "scrolls",
    "PageDown": "scrolls",
    "Home": "scrolls",
    "End": "scrolls",
}
NAMED: Final = ("Enter", "Backspace", "Delete", "Insert")  # keys with a name that an action may have
YES_NO: Final = {True: "y", False: "n"}
_DIGITS: Final = "1234567890"


def normal_key(key: str) -> str:
    """Return a key as keys are compared: letters small, because Shift and Caps Lock make no other key of them."""
    key = key.strip() if key != " " else "Space"
    return key.lower() if len(key) == 1 and key.isalpha() else key


def effective_keys(chosen: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the key of every action: the console's own, and in their place what a person chose."""
    own = {
        action: normal_key(key)
        for action, key in (chosen or {}).items()
        if action in DEFAULT_KEYS and isinstance(key, str)
    }
    return {**DEFAULT_KEYS, **own}


def assign_keys(made: Sequence[Control], taken: Iterable[str] = DEFAULT_KEYS.values()) -> list[Control]:
    """Return the controls with a key for each option that can have one.

    Keys that the type fixed stay. Otherwise the options of a control get 1 … 9, 0, then the letters that are free, in
    order; yes and no get y and n. Options beyond that have none. Digits and letters of a control pick in it when it is
    the one being answered, so two controls may have the same.
    """
    occupied = set(taken)
    keyed = [control for control in walk(made) if control.kind in KEYED]
    fixed = {option.key for control in keyed for option in control.options if option.key}
    return [_assigned(control, occupied | fixed) for control in made]


def _assigned(control: Control, occupied: set[str]) -> Control:
    children = tuple(_assigned(child, occupied) for child in control.children)
    if control.kind not in KEYED:
        return replace(control, children=children)
    letters = [letter for letter in string.ascii_lowercase if letter not in occupied]
    pool = iter([digit for digit in _DIGITS if digit not in occupied] + letters)
    options = []
    for option in control.options:
        key = option.key
        if not key and control.kind == "boolean" and YES_NO.get(option.value, "") not in occupied:
            key = YES_NO.get(option.value, "")
        options.append(replace(option, key=key or next(pool, "")))
    return replace(control, options=tuple(options), children=children)


def clashes(
    keys: Mapping[str, str], fixed: Mapping[str, Mapping[str, str]] | None = None, where: str = ""
) -> list[str]:
    """Return what is wrong with the keys of actions beside those that a type fixes for options; [] if nothing is.

    `keys` is {action: key}, `fixed` {control: {option: key}} as `controls.fixed_keys` gives it, `where` names the type.
    Fixed keys may be digits; keys of actions may not. Two controls may not fix the same key.
    """
    found: list[str] = []
    holders: dict[str, str] = {}
    for action, raw in keys.items():
        if action not in DEFAULT_KEYS:
            found.append(f"“{action}” is no action of the console; actions: {', '.join(DEFAULT_KEYS)}.")
            continue
        key = normal_key(raw)
        found += _unusable(key, f"“{ACTION_TITLES[action]}”", RESERVED)
        found += _held(holders, key, f"“{ACTION_TITLES[action]}”")
    reserved = {key: use for key, use in RESERVED.items() if key not in _DIGITS}
    for control, options in (fixed or {}).items():
        for option, raw in options.items():
            key = normal_key(raw)
            told = f"the option “{option}” of {control or 'the answer'}" + (f" in {where}" if where else "")
            found += _unusable(key, told, {**reserved, **dict.fromkeys(NAMED, "does not pick an option")})
            found += _held(holders, key, told)
    return found


def _unusable(key: str, holder: str, reserved: Mapping[str, str]) -> list[str]:
    if key in reserved:
        return [f"{holder} cannot have the key {key}: it {reserved[key]}."]
    if key not in NAMED and not (len(key) == 1 and key.isprintable() and not key.isspace()):
        return [
            f"{holder} cannot have the key {key!r}: expected one visible character or one of {', '.join(NAMED)}."
        ]
    return []


def _held(holders: dict[str, str], key: str, holder: str) -> list[str]:
    if key in holders:
        return [f"The key {key} is wanted by {holders[key]} and by {holder}."]
    holders[key] = holder
    return []


def type_clashes(
    output_schema: Mapping[str, Any], presentation: Mapping[str, Any] | None, where: str
) -> list[str]:
    """Return what is wrong with the keys that a type fixes: unknown controls or options, and clashes with the console."""
    keys = (presentation or {}).get("keys")
    if keys is None:
        return []
    if not isinstance(keys, Mapping) or not all(
        isinstance(options, Mapping) and all(isinstance(key, str) for key in options.values())
        for options in keys.values()
    ):
        return [f'The keys of {where} must look like {{"label": {{"spam": "s"}}}}.']
    found: list[str] = []
    known = {control.name: control for control in walk(controls(output_schema))}
    for name, options in keys.items():
        control = known.get(name)
        if control is None or control.kind not in (*KEYED, "text"):
            named = ", ".join(one for one, c in known.items() if c.kind in (*KEYED, "text")) or "none"
            found.append(
                f"{where} has no options at “{name}” that keys could be fixed for; it has some at: {named}."
            )
            continue
        titles = [option_text(option.value) for option in control.options]
        for option in options:
            if control.kind != "text" and option not in titles:
                found.append(f"{where}: “{option}” is no option of “{name}”; options: {', '.join(titles)}.")
    return found + clashes(DEFAULT_KEYS, fixed_keys(presentation), where)
