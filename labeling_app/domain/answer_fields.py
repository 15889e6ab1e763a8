"""The fields of an answer: what each is measured by, and which of them decide whether two answers agree.

An answer is a JSON value that an output schema (or a part of one) describes. A field is a leaf of it: tier, or the
whole answer where that is no object. `x-scale` in the schema of a leaf (nominal, ordinal, interval, ratio) says how
its values are measured; without it an enumeration of numbers is ordinal, a number is interval, and all else is
nominal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from datasets_app.domain.canonical import canonical_text

WHOLE_ANSWER: Final = "answer"
_MAX_DEPTH: Final = 20
_SCALES: Final = ("nominal", "ordinal", "interval", "ratio")


class Kind(StrEnum):
    """What a field holds."""

    CLASS = "class"  # one of some values
    NUMBER = "number"
    TEXT = "text"  # in the labeler's own words
    OTHER = "other"  # a list, or a value of no one type


@dataclass(frozen=True, slots=True)
class AnswerField:
    """A leaf of an answer: where it lies (() is the whole answer), what it holds, and its level of measurement.

    `values` are those that the schema, or the queue, offers for a class, in their order; () when any may be given.
    `order` lists them from least to greatest, for an ordinal one that is not of numbers. `span` is the width of the
    scale of a number whose schema has a minimum and a maximum. `is_set`: a list of some of `members`, in which order and
    repetition say nothing; such a choice of several is a class of its own.
    """

    path: tuple[str, ...]
    title: str
    kind: Kind
    level: str
    order: tuple[Any, ...] = ()
    is_whole_number: bool = False
    span: float | None = None
    values: tuple[Any, ...] = ()
    is_set: bool = False
    members: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        return ".".join(self.path) or WHOLE_ANSWER

    def of(self, answer: Any) -> Any:
        """The value of this field in an answer; None when it is not there. A set is sorted, each of it once."""
        for key in self.path:
            if not isinstance(answer, Mapping) or key not in answer:
                return None
            answer = answer[key]
        return self._sorted(answer) if self.is_set and isinstance(answer, list) else answer

    def _sorted(self, given: list[Any]) -> list[Any]:
        place = {canonical_text(member): number for number, member in enumerate(self.members)}
        texts = {canonical_text(value): value for value in given}
        return [texts[text] for text in sorted(texts, key=lambda text: (place.get(text, len(place)), text))]

    def number_of(self, answer: Any) -> float | None:
        """The value as a number: itself, or its place in `order`; None when it is neither."""
        value = self.of(answer)
        if self.order:
            return float(self.order.index(value)) if value in self.order else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value)


def answer_fields(
    schema: Mapping[str, Any],
    *,
    class_path: tuple[str, ...] | None = None,
    choices: Sequence[Any] = (),
    root: Mapping[str, Any] | None = None,
) -> list[AnswerField]:
    """Return the fields of an answer with this schema, in the order in which forms show them.

    `class_path` leads to the field that carries the class (() when the answer is the class itself): a class even when
    its schema lists no values; `choices` are then its values. `root` is the schema that local references start from.
    """
    return [
        _field(path, leaf, is_class=path == class_path, choices=choices)
        for path, leaf in _leaves(schema, schema if root is None else root, (), 0)
    ]


def deciding_fields(fields: Sequence[AnswerField]) -> list[AnswerField]:
    """Return the fields in which two answers must be equal to agree: the classes; without any, all fields.

    A reason in a labeler's own words, or how sure somebody is, does not make two answers disagree.
    """
    return [field for field in fields if field.kind == Kind.CLASS] or list(fields)


def deciding_text(fields: Sequence[AnswerField], answer: Any) -> str:
    """Return what is compared of an answer: canonical JSON of its deciding fields."""
    if len(fields) == 1:
        return canonical_text(fields[0].of(answer))
    return canonical_text([field.of(answer) for field in fields])


def _leaves(
    schema: Any, root: Mapping[str, Any], path: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    schema = _resolved(schema, root)
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not properties or depth > _MAX_DEPTH:
        yield path, schema
        return
    order = [name for name in schema.get("x-order", ()) if name in properties]
    for name in [*order, *sorted(name for name in properties if name not in order)]:
        yield from _leaves(properties[name], root, (*path, name), depth + 1)


def _resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow local references; what cannot be followed is a schema that allows anything."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return schema
        found: Any = root
        for key in reference[2:].split("/"):
            found = (
                found.get(key.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
            )
        schema = {**found, **{k: v for k, v in schema.items() if k != "$ref"}} if found else {}
    return {}


def _field(
    path: tuple[str, ...], schema: Mapping[str, Any], *, is_class: bool, choices: Sequence[Any]
) -> AnswerField:
    title = str(schema.get("title") or ".".join(path) or "Answer")
    types = schema.get("type", [])
    types = {types} if isinstance(types, str) else set(types)
    values = schema.get("enum") or (list(choices) if is_class and "array" not in types else [])
    scale = schema.get("x-scale") if schema.get("x-scale") in _SCALES else None
    if values or "const" in schema:
        numbers = bool(values) and all(_is_number(value) for value in values if value is not None)
        level = scale or ("ordinal" if numbers else "nominal")
        known = tuple(value for value in values if value is not None)
        order = () if numbers else known if level != "nominal" else ()
        return AnswerField(path, title, Kind.CLASS, level, order, values=known)
    if types - {"null"} == {"boolean"}:
        return AnswerField(path, title, Kind.CLASS, "nominal", values=(True, False))
    if types - {"null"} and types <= {"number", "integer", "null"}:
        level = scale or "interval"
        kind = Kind.CLASS if is_class or level == "nominal" else Kind.NUMBER
        low, high = schema.get("minimum"), schema.get("maximum")
        span = float(high - low) if _is_number(low) and _is_number(high) and high > low else None  # type: ignore[operator]
        return AnswerField(path, title, kind, level, is_whole_number="number" not in types, span=span)
    items = schema.get("items")
    if types - {"null"} == {"array"} and isinstance(items, Mapping):
        members = tuple(items.get("enum") or (choices if is_class else ()))
        kind = Kind.CLASS if members or is_class else Kind.OTHER
        is_set = bool(members) or schema.get("uniqueItems") is True
        return AnswerField(path, title, kind, "nominal", is_set=is_set, members=members)
    if is_class:
        return AnswerField(path, title, Kind.CLASS, "nominal")
    return AnswerField(path, title, Kind.TEXT if types - {"null"} == {"string"} else Kind.OTHER, "nominal")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
