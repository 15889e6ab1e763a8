"""A form made from the JSON Schemas of an example type.

Each field knows the JSON path that it edits, and that path is its name in the page. A field that the person did not
touch keeps its value as it was, whatever it was; an emptied one is left out, so no empty keys are ever written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from datasets_app.admin.example_rows import ordered_properties, plain
from datasets_app.domain.canonical import canonical_text
from datasets_app.domain.json_path import MISSING, format_path
from datasets_app.domain.strict_json import loads_strict
from datasets_app.errors import InvalidJson
from datasets_app.models import ExampleType

MAX_RADIOS = 5
MAX_NESTING = 5
_LONG_TEXT = 120
_INTEGER = re.compile(r"[+-]?[0-9]+")
_WIDGETS = {"string": "text", "integer": "number", "number": "number", "boolean": "choice"}


class FieldNode:
    """One field: what it was (`original`, MISSING where nothing was), what is shown (`raw`), what is wrong with it."""

    is_section = False

    def __init__(
        self,
        path: tuple[str, ...],
        schema: Mapping[str, Any],
        original: Any,
        *,
        required: bool,
        label: str = "",
    ) -> None:
        self.path = path
        self.name = format_path(path)
        self.schema = schema
        self.original = original
        self.required = required
        self.label = label or str(schema.get("title") or path[-1].replace("_", " ").capitalize())
        self.types = _types(schema)
        self.widget = _widget(schema, self.types, original)
        self.raw = self._shown(original)
        self.errors: list[str] = []
        self.suggestions: list[str] = []

    # --- what the template asks
    @property
    def html_id(self) -> str:
        return "f-" + re.sub(r"[^A-Za-z0-9_-]", "-", self.name[2:])

    @property
    def help(self) -> str:
        parts = [str(self.schema.get("description", ""))]
        low, high = self.schema.get("minimum"), self.schema.get("maximum")
        if low is not None and high is not None:
            parts.append(f"{low} to {high}.")
        elif low is not None:
            parts.append(f"At least {low}.")
        elif high is not None:
            parts.append(f"At most {high}.")
        if self.widget == "lines":
            parts.append("One per line.")
        if self.widget == "json":
            parts.append("JSON.")
        return " ".join(part for part in parts if part)

    @property
    def rows(self) -> int:
        lines = sum(1 + len(line) // 90 for line in self.raw.splitlines())
        return min(max(lines, 3 if self.widget != "json" else 2) + 1, 16)

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Return (raw, shown) for an enum or a yes/no, with the present value even when the schema forbids it."""
        values = list(self.schema.get("enum", [])) or [True, False]
        if self.original is not MISSING and self.original is not None and self.original not in values:
            values.append(self.original)
        words = {True: "Yes", False: "No"} if "enum" not in self.schema else {}
        return [
            (canonical_text(value), words.get(value, "") if isinstance(value, bool) else plain(value))
            for value in values
            if value is not None
        ]

    @property
    def is_radio(self) -> bool:
        return len(self.choices) <= MAX_RADIOS

    # --- reading
    def bind(self, typed: Mapping[str, str]) -> None:
        self.raw = _lines_like_a_browser(typed.get(self.name, ""))

    @property
    def is_touched(self) -> bool:
        return self.raw != _lines_like_a_browser(self._shown(self.original))

    def value(self) -> Any:
        """Return the value, MISSING where there is none. A text that cannot be read becomes an error of the field."""
        if not self.is_touched:
            return self.original
        if self.raw.strip() == "":
            return None if "null" in self.types and self.required else MISSING
        try:
            return self._read(self.raw)
        except InvalidJson as error:
            self.errors.append(str(error))
        except ValueError as error:
            self.errors.append(str(error))
        return self.original

    def _read(self, raw: str) -> Any:
        if self.widget in ("choice", "json"):
            return loads_strict(raw.encode())
        if self.widget == "lines":
            return [line.strip() for line in raw.split("\n") if line.strip()]
        for kind in self._types_to_try():
            if kind == "string":
                return raw
            if kind == "integer" and _INTEGER.fullmatch(raw.strip()):
                return loads_strict(raw.strip().lstrip("+").encode())
            if kind == "number":
                value = _number(raw)
                if value is not None:
                    return value
        wanted = " or ".join(f"a {t}" if t != "integer" else "a whole number" for t in self.types)
        raise ValueError(f"Found “{raw.strip()[:60]}”, expected {wanted}.")

    def _types_to_try(self) -> list[str]:
        """A changed value keeps the type that it had, where it fits; then the schema's types in their order."""
        was = {str: "string", int: "integer", float: "number"}.get(type(self.original))
        return [t for t in (was,) if t in self.types and t is not None] + list(self.types)

    def _shown(self, value: Any) -> str:
        if value is MISSING or (value is None and self.widget != "json"):
            return ""
        if self.widget == "choice":
            return canonical_text(value)
        if self.widget == "json":
            return json_text(value)
        if self.widget == "lines":
            return "\n".join(value)
        return plain(value)


class SectionNode:
    """An object: its properties in the order of the schema, and what it holds besides."""

    is_section = True

    def __init__(
        self,
        path: tuple[str, ...],
        schema: Mapping[str, Any],
        original: Any,
        *,
        root: Mapping[str, Any],
        label: str = "",
    ) -> None:
        self.path = path
        self.name = format_path(path)
        self.label = label or str(schema.get("title") or path[-1].replace("_", " ").capitalize())
        self.help = str(schema.get("description", ""))
        self.original = original
        held = original if isinstance(original, dict) else {}
        properties = schema.get("properties", {})
        required = set(schema.get("required", []))
        self.nodes: list[FieldNode | SectionNode] = [
            build_node(
                (*path, name), properties[name], held.get(name, MISSING), root=root, required=name in required
            )
            for name in ordered_properties(dict(schema))
        ]
        extras = {name: value for name, value in held.items() if name not in properties}
        self.extras = (
            FieldNode((*path, "*"), {}, extras, required=False, label="Other fields") if extras else None
        )
        self.errors: list[str] = []

    def fields(self) -> Iterator[FieldNode]:
        for node in self.nodes:
            if isinstance(node, SectionNode):
                yield from node.fields()
            else:
                yield node
        if self.extras is not None:
            yield self.extras

    def value(self) -> Any:
        made = {node.path[-1]: value for node in self.nodes if (value := node.value()) is not MISSING}
        if self.extras is not None:
            extras = self.extras.value()
            if isinstance(extras, dict):
                made.update(extras)
            elif extras is not MISSING:
                self.extras.errors.append("Expected a JSON object.")
        if not made and self.original in (MISSING, None):
            return self.original
        if not made and self.original != {} and len(self.path) > 1:
            return MISSING  # everything in it was emptied
        return made


def build_node(
    path: tuple[str, ...],
    schema: Any,
    original: Any,
    *,
    root: Mapping[str, Any],
    required: bool,
    label: str = "",
) -> FieldNode | SectionNode:
    """Return the field or the section for one place of a schema; `root` is what local references start from."""
    schema = resolved(schema, root)
    is_object = _types(schema) == ("object",) and isinstance(schema.get("properties"), dict)
    fits = original in (MISSING, None) or isinstance(original, dict)
    if is_object and fits and len(path) <= MAX_NESTING:
        return SectionNode(path, schema, original, root=root, label=label)
    return FieldNode(path, schema, original, required=required, label=label)


def resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a local reference ("#/$defs/name"); what cannot be followed is a schema that says nothing."""
    for _ in range(10):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        found: Any = root
        for part in reference[2:].split("/"):
            found = (
                found.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
            )
        schema = found
    return schema if isinstance(schema, dict) else {}


class SchemaForm:
    """The form of one example: a section (or a field) for its input and one for its output."""

    def __init__(
        self,
        example_type: ExampleType,
        *,
        input_data: Any = MISSING,
        output: Any = None,
        disabled: bool = False,
    ) -> None:
        self.example_type = example_type
        self.disabled = disabled
        schemas = example_type.input_schema, example_type.output_schema
        self.input = build_node(
            ("input",), schemas[0], input_data, root=schemas[0], required=True, label="Input"
        )
        self.output = build_node(
            ("output",),
            schemas[1],
            MISSING if output is None else output,
            root=schemas[1],
            required=False,
            label="Expected output",
        )
        self.problems: list[str] = []

    def fields(self) -> Iterator[FieldNode]:
        for node in (self.input, self.output):
            if isinstance(node, SectionNode):
                yield from node.fields()
            else:
                yield node

    def bind(self, typed: Mapping[str, str]) -> None:
        for field in self.fields():
            field.bind(typed)

    @property
    def is_touched(self) -> bool:
        return any(field.is_touched for field in self.fields())

    def values(self) -> tuple[Any, Any]:
        """Return (input, output) as they were typed; what cannot be read stands among the errors."""
        given, expected = self.input.value(), self.output.value()
        return ({} if given is MISSING else given), (None if expected is MISSING else expected)

    @property
    def has_errors(self) -> bool:
        return bool(self.problems) or any(field.errors for field in self.fields())

    def refuse(self, path: str, message: str) -> None:
        """Put an error at the field of a JSON path, or at the nearest field above it, else on top of the form."""
        fields = {field.name: field for field in self.fields()}
        here = path
        while here not in fields and len(here) > 1:
            here = here[: max(here.rfind("."), here.rfind("["), 1)]
        if here in fields:
            told = message.removeprefix(f"{here}: ")
            fields[here].errors.append(told[:1].upper() + told[1:])
        else:
            self.problems.append(message)


def json_text(value: Any) -> str:
    """Return JSON for a box: in one line while it is short, else indented, with sorted keys."""
    short = canonical_text(value)
    if len(short) <= _LONG_TEXT:
        return short
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)


def _types(schema: Mapping[str, Any]) -> tuple[str, ...]:
    kinds = schema.get("type", ())
    return (kinds,) if isinstance(kinds, str) else tuple(kinds)


def _widget(schema: Mapping[str, Any], types: tuple[str, ...], original: Any) -> str:
    """Choose among text, textarea, number, choice, lines and json: the last one for whatever else would lose something."""
    if isinstance(schema.get("enum"), list):
        return "choice"
    plain_types = [t for t in types if t != "null"]
    if plain_types == ["array"]:
        strings = _types(schema.get("items", {}) if isinstance(schema.get("items"), dict) else {}) == (
            "string",
        )
        return "lines" if strings and _fits_lines(original) else "json"
    if not plain_types or any(t not in _WIDGETS for t in plain_types):
        return "json"
    if any(key in schema for key in ("oneOf", "anyOf", "allOf")) or not _fits(original, plain_types):
        return "json"
    if plain_types == ["boolean"]:
        return "choice"
    if "boolean" in plain_types:
        return "json"
    if "string" in plain_types:
        is_long = isinstance(original, str) and (
            len(original) > _LONG_TEXT or "\n" in original or "\r" in original
        )
        return "textarea" if is_long or schema.get("x-widget") == "textarea" else "text"
    return "number"


def _fits(original: Any, types: list[str]) -> bool:
    if original is MISSING or original is None:
        return True
    if isinstance(original, bool):
        return "boolean" in types
    if isinstance(original, str):
        return "string" in types
    return isinstance(original, int | float) and ("number" in types or "integer" in types)


def _fits_lines(original: Any) -> bool:
    if original is MISSING or original is None:
        return True
    return isinstance(original, list) and all(
        isinstance(item, str) and item.strip() == item and item and "\n" not in item and "\r" not in item
        for item in original
    )


def _lines_like_a_browser(text: str) -> str:
    """A browser sends every end of line as CR LF, whatever it was."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _number(raw: str) -> int | float | None:
    try:
        value = loads_strict(raw.strip().encode())
    except InvalidJson:
        return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
