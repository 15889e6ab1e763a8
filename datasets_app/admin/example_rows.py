"""How an example looks in a list: a line of its text, its class as a chip, its status and whether it is committed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from datasets_app.admin.filters import class_of
from datasets_app.domain.canonical import canonical_text
from datasets_app.models import Branch, Example, ExampleType

EXCERPT_CHARACTERS = 240
_TONES = 8
_SHORT_ID = 13


@dataclass(frozen=True)
class ExampleRow:
    """What one line of the list shows."""

    example: Example
    name: str
    excerpt: str
    class_value: str | None
    tone: int
    marks: list[str]
    is_dirty: bool


def rows_of(branch: Branch, examples: Sequence[Example]) -> list[ExampleRow]:
    """Return the lines for a page of examples; one query more tells which of them are not committed."""
    touched = dirty_among(branch, [example.identity_id for example in examples])
    return [_row(example, example.identity_id in touched) for example in examples]


def dirty_among(branch: Branch, uuids: Iterable[Any]) -> set[Any]:
    return set(branch.dirty.filter(example_id__in=list(uuids)).values_list("example_id", flat=True))


def _row(example: Example, is_dirty: bool) -> ExampleRow:
    value = class_of(example.example_type, example.expected_output)
    shown = None if value is None else plain(value)
    return ExampleRow(
        example=example,
        name=display_name(example),
        excerpt=excerpt(example.example_type, example.input_data),
        class_value=shown,
        tone=tone(shown) if shown is not None else 0,
        marks=marks_of(example.labels),
        is_dirty=is_dirty,
    )


def marks_of(labels: dict[str, Any]) -> list[str]:
    """Return the first four labels as a list shows them."""
    return [f"{name}: {plain(value)}" if value is not True else name for name, value in labels.items()][:4]


def display_name(example: Example) -> str:
    """Return the id from outside, or the beginning of the UUID."""
    identity = example.identity
    return identity.external_id if identity.external_id is not None else str(identity.pk)[:_SHORT_ID]


def tone(text: str) -> int:
    """Return a colour from 1 to 8 that a text always has."""
    return zlib.crc32(text.encode()) % _TONES + 1


def plain(value: Any) -> str:
    return value if isinstance(value, str) else canonical_text(value)


def ordered_properties(schema: dict[str, Any]) -> list[str]:
    """Return the names of a schema's properties in the order in which it wants them shown."""
    properties = schema.get("properties", {})
    wanted = [name for name in schema.get("x-order", []) if name in properties]
    return wanted + sorted(name for name in properties if name not in wanted)


def main_text_field(example_type: ExampleType) -> str | None:
    """Return the input field that carries the text: a long one, or the only string."""
    properties = example_type.input_schema.get("properties", {})
    names = ordered_properties(example_type.input_schema)
    for name in names:
        if properties[name].get("x-widget") == "textarea":
            return name
    strings = [name for name in names if properties[name].get("type") == "string"]
    return strings[0] if len(strings) == 1 else None


def excerpt(example_type: ExampleType, input_data: Any) -> str:
    """Return one line about an input: its text, or its fields one after the other."""
    if not isinstance(input_data, dict):
        return plain(input_data)[:EXCERPT_CHARACTERS]
    main = main_text_field(example_type)
    if main is not None and isinstance(input_data.get(main), str):
        return str(input_data[main])[:EXCERPT_CHARACTERS]
    known = [name for name in ordered_properties(example_type.input_schema) if name in input_data]
    names = known + sorted(name for name in input_data if name not in known)
    return " · ".join(plain(input_data[name]) for name in names)[:EXCERPT_CHARACTERS]
