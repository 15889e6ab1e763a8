"""Answers of a queue as controls of an annotation tool, and back: which control is which field, and in what form.

A field is a leaf of the output schema (see labeling_app.domain.answer_fields). Tools know choices, numbers and texts;
what is none of these travels as JSON in a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from datasets_app.domain.canonical import canonical_text, same_json
from datasets_app.domain.json_path import MISSING, get_path, set_path
from labeling_app.domain.answer_fields import WHOLE_ANSWER, AnswerField
from labeling_app.domain.answers import schema_at

CHOICE, CHOICES, NUMBER, BOOLEAN, TEXT, JSON = "choice", "choices", "number", "boolean", "text", "json"
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")


class NoSuchField(ValueError):
    """A control is none of the fields that the queue asks for; the message says which there are."""


@dataclass(frozen=True, slots=True)
class Part:
    """A field as a control: `name` is what files call it, `choices` its values where these are fixed."""

    name: str
    path: tuple[str, ...]
    title: str
    kind: str
    choices: tuple[Any, ...] = ()
    whole_number: bool = False
    is_main: bool = False


class AnswerShape:
    """The parts of an answer of one queue."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        self._named: dict[str, Part] = {}
        for part in self.parts:
            for name in (part.name, part.path[-1] if part.path else part.name, part.title):
                self._named.setdefault(name.casefold(), part)
        mains = [part for part in self.parts if part.is_main]
        self.main = mains[0] if mains else self.parts[0] if len(self.parts) == 1 else None

    def split(self, value: Any) -> dict[str, Any]:
        """Return what each control shows of an answer; {"answer": …} when the parts together do not tell all of it."""
        found = {}
        for part in self.parts:
            inner = get_path(value, part.path)
            if inner is not MISSING and inner is not None:
                found[part.name] = inner
        try:
            if same_json(self.compose(found), value):
                return found
        except ValueError:
            pass
        return {WHOLE_ANSWER: value}

    def compose(self, answers: Mapping[str, Any], *, loose: bool = False) -> Any:
        """Return the answer that controls tell. Raises NoSuchField; with `loose` such controls are passed over.

        Whether the type allows it is for the type to say.
        """
        if set(answers) == {WHOLE_ANSWER} and WHOLE_ANSWER not in {part.name for part in self.parts}:
            whole = answers[WHOLE_ANSWER]
            return _from_json(_one(whole))
        taken: dict[Part, Any] = {}
        unknown = []
        for name, raw in answers.items():
            part = self._named.get(name.casefold())
            if part is None or part in taken:
                unknown.append(name)
            else:
                taken[part] = raw
        if len(unknown) == 1 and not loose and self.main is not None and self.main not in taken:
            taken[self.main] = answers[unknown.pop()]
        if unknown and not loose:
            known = ", ".join(part.name for part in self.parts)
            raise NoSuchField(f"“{unknown[0]}” is no field of the answer; there are: {known}.")
        if not taken:
            known = ", ".join(part.name for part in self.parts)
            raise NoSuchField(f"None of the fields of the answer is there; they are: {known}.")
        document: Any = {}
        for part, raw in taken.items():
            value = formed(part, raw)
            if not part.path:
                return value
            document = set_path(document, part.path, value)
        return document

    def texts(self, value: Any) -> dict[str, tuple[Part | None, Any]]:
        """Return name → (part, what the control shows) with JSON as text, in the order of the parts."""
        shown: dict[str, tuple[Part | None, Any]] = {}
        by_name = {part.name: part for part in self.parts}
        for name, inner in self.split(value).items():
            part = by_name.get(name)
            shown[name] = (part, inner if part is not None and part.kind != JSON else canonical_text(inner))
        return shown


def shape_of(
    fields: Sequence[AnswerField], schema: Mapping[str, Any], *, class_path: tuple[str, ...] | None, root: str
) -> AnswerShape:
    """Return the shape of answers with these fields. `root` names the control of an answer that is one single value."""
    return AnswerShape([_part(field, schema, class_path, root) for field in fields])


def _part(
    field: AnswerField, schema: Mapping[str, Any], class_path: tuple[str, ...] | None, root: str
) -> Part:
    leaf = schema_at(schema, ".".join(field.path))
    kinds = leaf.get("type", [])
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    kinds -= {"null"}
    values = tuple(v for v in leaf.get("enum", ()) if v is not None)
    kind, choices = JSON, values
    if values or "const" in leaf:
        kind, choices = CHOICE, values or (leaf["const"],)
    elif kinds == {"boolean"}:
        kind = BOOLEAN
    elif kinds and kinds <= {"number", "integer"}:
        kind = NUMBER
    elif kinds == {"string"}:
        kind = CHOICE if field.path == class_path else TEXT
    elif kinds == {"array"} and isinstance(leaf.get("items"), Mapping):
        items = leaf["items"]
        if items.get("type") == "string" or items.get("enum"):
            kind, choices = CHOICES, tuple(items.get("enum", ()))
    name = ".".join(field.path) or root
    title = field.title if field.title != "Answer" else name
    return Part(name, field.path, title, kind, choices, kinds == {"integer"}, field.path == class_path)


def formed(part: Part, raw: Any) -> Any:
    """Return what a control says as the field holds it: 3 for "3", one value for a list of one, and so on.

    What cannot be turned is left as it is, for the type to refuse.
    """
    if part.kind == CHOICES:
        several = raw if isinstance(raw, list) else [raw]
        return [_chosen(part, one) for one in several]
    if part.kind == JSON:
        return _from_json(raw if not _is_text_list(raw) else _one(raw))
    one = _one(raw)
    if part.kind == CHOICE:
        return _chosen(part, one)
    if part.kind == NUMBER:
        return _number(one, whole=part.whole_number)
    if part.kind == BOOLEAN and isinstance(one, str):
        word = one.strip().casefold()
        return True if word in _YES else False if word in _NO else one
    if part.kind == TEXT and _is_text_list(one):
        return "\n".join(one)
    return one


def _one(raw: Any) -> Any:
    return raw[0] if isinstance(raw, list) and len(raw) == 1 else raw


def _is_text_list(raw: Any) -> bool:
    return isinstance(raw, list) and bool(raw) and all(isinstance(one, str) for one in raw)


def _chosen(part: Part, raw: Any) -> Any:
    """Return the value that is meant; a path through a taxonomy is its end, or all of it joined."""
    ways = [raw]
    if _is_text_list(raw):
        ways = [raw[-1], " > ".join(raw), "/".join(raw), ".".join(raw)]
    for way in ways:
        for value in part.choices:
            if same_json(way, value) or (isinstance(way, str) and way == _shown(value)):
                return value
    return ways[1] if _is_text_list(raw) and len(raw) > 1 else ways[0]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else canonical_text(value)


def shown_choice(value: Any) -> str:
    """Return a choice as tools write it: text as it is, any other value as JSON."""
    return _shown(value)


def _number(raw: Any, *, whole: bool) -> Any:
    if isinstance(raw, str):
        try:
            raw = float(raw.strip())
        except ValueError:
            return raw
    if isinstance(raw, float) and raw.is_integer() and (whole or abs(raw) < 2**53):
        return int(raw)
    return raw


def _from_json(raw: Any) -> Any:
    if not isinstance(raw, str):
        return raw
    try:
        return orjson.loads(raw)
    except ValueError:
        return raw
