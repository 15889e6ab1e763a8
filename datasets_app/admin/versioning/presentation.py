"""Differences as people read them: fields with names, text word by word, values that are never raw JSON."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from datasets_app.domain.canonical import canonical_text
from datasets_app.domain.content import is_tombstone
from datasets_app.domain.field_diff import FieldChange, text_spans
from datasets_app.domain.json_path import MISSING, format_path, parse_path
from datasets_app.services.versioning.comparing import ExampleDiff

LONG_TEXT = 320
SHOWN_FIELDS = 8
PART_NAMES = {
    "type": "Type",
    "input": "Input",
    "output": "Output",
    "labels": "Labels",
    "metadata": "Metadata",
    "provenance": "Provenance",
    "source": "Source decision",
    "status": "Status",
}
_ORDER = {name: place for place, name in enumerate(("input", "output", "labels", "status", "metadata"))}


@dataclass(frozen=True)
class ShownField:
    """One field side by side; `old` and `new` are safe HTML, empty where the side has no such field."""

    path: str
    name: SafeString
    kind: str
    old: SafeString
    new: SafeString
    is_long: bool = False


@dataclass(frozen=True)
class ShownDiff:
    """An example with its differences, ready for the template. `notes` holds what a page adds (who, when)."""

    uuid: uuid.UUID
    name: str
    ordinal: int
    change_type: str
    excerpt: str
    fields: list[ShownField]
    old_json: str
    new_json: str
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def first_fields(self) -> list[ShownField]:
        return self.fields[:SHOWN_FIELDS]

    @property
    def more_fields(self) -> list[ShownField]:
        return self.fields[SHOWN_FIELDS:]


def show_diff(diff: ExampleDiff, **notes: Any) -> ShownDiff:
    """Make an example's difference ready for a page."""
    return ShownDiff(
        uuid=diff.uuid,
        name=diff.name,
        ordinal=diff.ordinal,
        change_type=diff.change_type,
        excerpt=excerpt(diff.new if diff.new is not None else diff.old),
        fields=_sorted(_fields_of(diff)),
        old_json=_pretty(diff.old),
        new_json=_pretty(diff.new),
        notes=notes,
    )


def _fields_of(diff: ExampleDiff) -> list[ShownField]:
    sides = [side for side in (diff.old, diff.new) if side is not None]
    if any(is_tombstone(side) for side in sides):
        return [_redacted(diff)]
    if diff.old is not None and diff.new is not None:
        return show_changes(diff.fields)
    kind = "added" if diff.old is None else "removed"
    changes = [
        FieldChange(path, kind, *((MISSING, value) if diff.old is None else (value, MISSING)))  # type: ignore[arg-type]
        for path, value in leaves(sides[0])
    ]
    return show_changes(changes)


def show_content(document: Mapping[str, Any]) -> list[ShownField]:
    """Make the fields of one content document ready for a page; the values are in `new`."""
    return _sorted(
        show_changes(FieldChange(path, "added", MISSING, value) for path, value in leaves(document))
    )


def _redacted(diff: ExampleDiff) -> ShownField:
    gone = format_html('<span class="v-missing">{}</span>', "redacted: the content was erased")
    there = format_html('<span class="v-missing">{}</span>', "content")
    return ShownField(
        "$",
        format_html("{}", "Content"),
        "changed",
        gone if is_tombstone(diff.old) else there if diff.old else SafeString(),
        gone if is_tombstone(diff.new) else there if diff.new else SafeString(),
    )


def _sorted(fields: list[ShownField]) -> list[ShownField]:
    return sorted(fields, key=lambda shown: _ORDER.get(shown.path[2:].partition(".")[0].partition("[")[0], 9))


def show_changes(changes: Iterable[FieldChange]) -> list[ShownField]:
    """Make field changes ready for a page; two texts are compared word by word."""
    return [show_field(change) for change in changes]


def show_field(change: FieldChange) -> ShownField:
    old, new = change.old, change.new
    if isinstance(old, str) and isinstance(new, str):
        shown = _two_texts(old, new)
    else:
        shown = show_value(old), show_value(new)
    return ShownField(
        change.path, field_name(change.path), change.kind, *shown, _is_long(old) or _is_long(new)
    )


def field_name(path: str) -> SafeString:
    """Name a field for people: `$.input.text` is “Input › text”."""
    parts = list(parse_path(path))
    if not parts:
        return format_html("{}", "Whole example")
    first = PART_NAMES.get(str(parts[0]), str(parts[0]))
    if len(parts) == 1:
        return format_html('<span class="v-path-part">{}</span>', first)
    rest = "".join(f"[{part + 1}]" if isinstance(part, int) else f" › {part}" for part in parts[1:])
    return format_html('<span class="v-path-part">{}</span>{}', first, rest)


def plain_field_name(path: str) -> str:
    """As `field_name`, without markup: for titles and labels of inputs."""
    parts = list(parse_path(path))
    if not parts:
        return "whole example"
    first = PART_NAMES.get(str(parts[0]), str(parts[0]))
    return first + "".join(f"[{part + 1}]" if isinstance(part, int) else f" › {part}" for part in parts[1:])


def show_value(value: Any) -> SafeString:
    """A JSON value as HTML: text as text, objects and arrays as lists; nothing for MISSING."""
    if value is MISSING:
        return SafeString()
    if value is None:
        return _quiet("null")
    if isinstance(value, bool):
        return format_html('<span class="v-atom">{}</span>', "yes" if value else "no")
    if isinstance(value, int | float):
        return format_html('<span class="v-atom">{}</span>', canonical_text(value))
    if isinstance(value, str):
        return format_html("{}", value) if value else _quiet("empty text")
    if isinstance(value, list):
        return _list(value)
    return _object(value)


def _quiet(text: str) -> SafeString:
    return format_html('<span class="v-missing">{}</span>', text)


def _list(values: list[Any]) -> SafeString:
    if not values:
        return _quiet("empty list")
    items = format_html_join("", "<li>{}</li>", ((show_value(value),) for value in values))
    return format_html('<ol class="v-list">{}</ol>', items)


def _object(values: Mapping[str, Any]) -> SafeString:
    if not values:
        return _quiet("empty")
    pairs = ((key, show_value(value)) for key, value in values.items())
    return format_html('<dl class="v-object">{}</dl>', format_html_join("", "<dt>{}</dt><dd>{}</dd>", pairs))


def _two_texts(old: str, new: str) -> tuple[SafeString, SafeString]:
    spans = text_spans(old, new)
    before = [(_tag(s.kind), s.text, _tag(s.kind)) for s in spans if s.kind != "insert"]
    after = [(_tag(s.kind), s.text, _tag(s.kind)) for s in spans if s.kind != "delete"]
    return (
        format_html_join("", "<{}>{}</{}>", before) if old else _quiet("empty text"),
        format_html_join("", "<{}>{}</{}>", after) if new else _quiet("empty text"),
    )


def _tag(kind: str) -> SafeString:
    return mark_safe({"equal": "span", "delete": "del", "insert": "ins"}[kind])  # noqa: S308 - a fixed word


def _is_long(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) > LONG_TEXT or value.count("\n") > 6
    return isinstance(value, list | dict) and len(canonical_text(value)) > LONG_TEXT


def leaves(document: Any, path: str = "$") -> list[tuple[str, Any]]:
    """Return (path, value) of a content document, its objects opened down to their fields."""
    found: list[tuple[str, Any]] = []

    def walk(value: Any, steps: tuple[str | int, ...]) -> None:
        if isinstance(value, dict) and value and len(steps) < 4:
            for key, inner in value.items():
                walk(inner, (*steps, key))
        else:
            found.append((format_path(steps), value))

    walk(document, parse_path(path))
    return found


def excerpt(document: Any, length: int = 90) -> str:
    """A line by which people know an example: the longest text of its input."""
    if document is None:
        return ""
    if is_tombstone(document):
        return "redacted"
    texts = [value for _, value in leaves(document.get("input"), "$") if isinstance(value, str)]
    text = " ".join(max(texts, key=len, default="").split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _pretty(document: Any) -> str:
    return "" if document is None else json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True)
