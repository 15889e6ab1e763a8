"""What a type's presentation may say, as rows to fill in: keys of choices, and what the texts of an example are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from labeling_app.domain.controls import KEYED, Control, controls, fixed_keys, option_text, walk
from labeling_app.domain.keys import ACTION_TITLES, DEFAULT_KEYS, RESERVED, assign_keys, normal_key

SHOWN_AS: Final = {
    "": "what it looks like",
    "text": "plain text",
    "markdown": "Markdown",
    "code": "code",
}


@dataclass(frozen=True)
class KeyRow:
    """A choice with the key that the type fixes ("": none) and the one that the console gives it by itself."""

    option: str
    key: str
    own: str


@dataclass(frozen=True)
class KeyGroup:
    """The choices of a field of the output, `name` its dotted path. `is_free`: the choices are those of the queues."""

    name: str
    title: str
    is_free: bool
    rows: tuple[KeyRow, ...]


@dataclass(frozen=True)
class TextField:
    """A text of the input, by its dotted path, and what it is shown as."""

    path: str
    title: str
    shown_as: str


def key_groups(
    output_schema: Mapping[str, Any], presentation: Mapping[str, Any] | None, class_field: str = ""
) -> list[KeyGroup]:
    """Return the fields of the output whose choices can have keys, with all choices that are known.

    Of a text, whose answers a queue lists, only those are known that have a key already; it is there when it is the
    class or has one.
    """
    fixed = fixed_keys(presentation)
    made = assign_keys(controls(output_schema, presentation))
    plain = {
        (control.name, option_text(option.value)): option.key
        for control in walk(assign_keys(controls(output_schema)))
        for option in control.options
    }
    texts = [control for control in walk(made) if control.kind == "text"]
    free = class_field or next((control.name for control in texts if control.required), "")
    groups = []
    for control in walk(made):
        given = fixed.get(control.name, {})
        if control.kind == "text" and (given or control.name == free):
            rows = [KeyRow(option, key, "") for option, key in given.items()]
            groups.append(KeyGroup(control.name, control.title, True, tuple(rows)))
        elif control.kind in KEYED:
            options = [(option_text(option.value), option.key) for option in control.options]
            rows = [
                KeyRow(
                    text, given.get(text, ""), plain.get((control.name, text), "") if text in given else key
                )
                for text, key in options
            ]
            groups.append(KeyGroup(control.name, control.title, False, tuple(rows)))
    return groups


def text_fields(
    input_schema: Mapping[str, Any], presentation: Mapping[str, Any] | None = None
) -> list[TextField]:
    """Return the texts of an example, those in entries of lists too, in the order in which they are shown."""
    said = (presentation or {}).get("shown_as")
    chosen = said if isinstance(said, Mapping) else {}
    return [
        TextField(path, title, _word(chosen.get(path)))
        for path, title in _texts(controls(input_schema), ())
        if path
    ]


def _word(said: Any) -> str:
    return said if isinstance(said, str) and said in SHOWN_AS else ""


def _texts(found: Sequence[Control], above: tuple[str, ...], title: str = "") -> Iterator[tuple[str, str]]:
    for control in found:
        path = (*above, *control.path)
        name = f"{title} › {control.title}" if title else control.title
        if control.kind in ("text", "tags"):
            yield ".".join(path), name
        if control.item is not None:
            entry = control.item
            yield from _texts(entry.children, path, name) if entry.children else _texts([entry], path, name)
        yield from _texts(control.children, above, name)


def key_troubles(fixed: Mapping[str, Mapping[str, str]]) -> dict[tuple[str, str], str]:
    """Return what is wrong with fixed keys beside the rows that have them: {(field, choice): sentence}; {} if nothing is.

    The same as `keys.type_clashes` refuses, said for one row; of two choices with the same key both are told.
    """
    actions = {key: ACTION_TITLES[action] for action, key in DEFAULT_KEYS.items()}
    holders: dict[str, list[tuple[str, str]]] = {}
    for name, options in fixed.items():
        for option, key in options.items():
            holders.setdefault(normal_key(key), []).append((name, option))
    found = {}
    for key, rows in holders.items():
        for row in rows:
            others = [option for name, option in rows if (name, option) != row]
            if key in actions:
                found[row] = f"{key} is the console’s own key for “{actions[key]}”: choose another."
            elif key in RESERVED and not key.isdigit():
                found[row] = f"{key} {RESERVED[key]}: choose another."
            elif len(key) != 1 or not key.isprintable() or key.isspace():
                found[row] = "Expected one character: a letter, a digit or a sign."
            elif others:
                found[row] = f"“{others[0]}” has the key {key} too: choose another for one of them."
    return found


def without_gone(
    keys: Mapping[str, Mapping[str, str]], output_schema: Mapping[str, Any]
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return fixed keys without those of fields and choices that the schema does not have, and what was left out."""
    known = {control.name: control for control in walk(controls(output_schema))}
    kept: dict[str, dict[str, str]] = {}
    gone: list[str] = []
    for name, options in keys.items():
        control = known.get(name)
        titles = {option_text(option.value) for option in control.options} if control else set()
        for option, key in options.items():
            if control is not None and (
                control.kind == "text" or (control.kind in KEYED and option in titles)
            ):
                kept.setdefault(name, {})[option] = key
            else:
                gone.append(f"the key {key} of “{option}”")
    return kept, gone


def shown_as_troubles(presentation: Mapping[str, Any] | None) -> list[str]:
    """Return what is wrong with what a presentation says of the texts of an example; [] if nothing is."""
    said = (presentation or {}).get("shown_as")
    if said is None:
        return []
    words = ", ".join(word for word in SHOWN_AS if word)
    if not isinstance(said, Mapping):
        return [f'“shown_as” must look like {{"snippet": "code"}}; words: {words}.']
    return [
        f"“{path}” cannot be shown as {word!r}: expected one of {words}."
        for path, word in said.items()
        if not isinstance(word, str) or not word or word not in SHOWN_AS
    ]
