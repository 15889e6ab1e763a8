"""Which column of a file becomes which field of an example, and text cells read as the type's schema says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from datasets_app.domain.strict_json import loads_strict
from datasets_app.models import ExampleType
from goldenproject.kit.errors import BadInput

IGNORE = "-"
PARTS = ("input", "output", "labels", "metadata")
LINE_KEYS = ("id", *PARTS)


@dataclass(frozen=True)
class Target:
    """A field of an example: `part` is id, input, output, labels or metadata; `field` is empty for the whole part."""

    part: str
    field: str = ""


def parse_target(text: str) -> Target | None:
    """Read id, input, input.text … ; None for "-" (ignore). Raises BadInput."""
    if text == IGNORE:
        return None
    part, _, field = text.partition(".")
    if part not in LINE_KEYS or (part == "id" and field):
        raise BadInput(
            f"“{text}” is no field of an example.",
            hint="Use id, input.NAME, output.NAME, labels.NAME, metadata.NAME, or - to ignore the column.",
        )
    return Target(part, field)


def guess_mapping(columns: Iterable[str], example_type: ExampleType) -> dict[str, str]:
    """Propose a target for each column: by name, else the last lone column carries the class, else metadata."""
    names = list(columns)
    inputs = example_type.input_schema.get("properties", {})
    outputs = example_type.output_schema.get("properties", {})
    guessed: dict[str, str] = {}
    for name in names:
        plain = name.strip().lower()
        if name in LINE_KEYS:
            guessed[name] = name
        elif plain in ("id", "uuid", "example_id", "external_id") and "id" not in guessed.values():
            guessed[name] = "id"
        elif plain in inputs:
            guessed[name] = f"input.{plain}"
        elif plain in outputs:
            guessed[name] = f"output.{plain}"
        elif "." in name and name.partition(".")[0] in PARTS:
            guessed[name] = name
    class_target = f"output.{example_type.class_field}"
    left = [name for name in names if name not in guessed]
    if (
        left
        and example_type.class_field
        and class_target not in guessed.values()
        and "output" not in guessed.values()
    ):
        named = [
            name
            for name in left
            if name.strip().lower() in ("label", "category", "class", "target", "y", "intent")
        ]
        guessed[(named or left)[-1]] = class_target
    only_text = [f for f in inputs if f"input.{f}" not in guessed.values()]
    left = [name for name in names if name not in guessed]
    if len(left) == 1 and len(only_text) == 1 and "input" not in guessed.values():
        guessed[left[0]] = f"input.{only_text[0]}"
    return {name: guessed.get(name, f"metadata.{name}") for name in names}


class CellMapper:
    """Turns a row of cells (CSV, TSV, Parquet) into the object that a JSONL line would hold."""

    def __init__(self, mapping: Mapping[str, str], example_type: ExampleType) -> None:
        schemas = {"input": example_type.input_schema, "output": example_type.output_schema}
        self._columns: list[tuple[str, Target, Callable[[str], Any]]] = []
        for column, text in mapping.items():
            target = parse_target(text)
            if target is not None:
                self._columns.append((column, target, _cell_reader(target, schemas)))
        if not any(target.part == "input" for _, target, _ in self._columns):
            raise BadInput("No column is mapped to the input.", hint="Map one with column=input.NAME.")

    def row(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for column, target, read in self._columns:
            cell = cells.get(column)
            value = read(cell) if isinstance(cell, str) else cell
            if value is None:
                continue
            if target.field:
                made.setdefault(target.part, {})[target.field] = value
            else:
                made[target.part] = value
        return made


def _cell_reader(target: Target, schemas: Mapping[str, Any]) -> Callable[[str], Any]:
    if target.part == "id":
        return lambda cell: cell or None
    if not target.field:
        return _json_cell
    schema = schemas.get(target.part, {}).get("properties", {}).get(target.field, {})
    kinds = schema.get("type", "string")
    return _typed_cell(tuple([kinds] if isinstance(kinds, str) else kinds))


def _json_cell(cell: str) -> Any:
    if not cell:
        return None
    try:
        orjson.loads(cell)
    except orjson.JSONDecodeError:
        return cell
    return loads_strict(cell)


def _typed_cell(kinds: tuple[str, ...]) -> Callable[[str], Any]:
    """Read a cell as the first of the schema's types that it fits; an empty cell is absent unless it may be a string."""

    def read(cell: str) -> Any:
        if cell == "":
            return "" if kinds == ("string",) else None
        for kind in kinds:
            value = _READ_AS.get(kind, _as_text)(cell)
            if value is not None:
                return value
        return cell

    return read


def _as_text(cell: str) -> str:
    return cell


def _as_integer(cell: str) -> int | None:
    try:
        return int(cell) if cell.strip().lstrip("+-").isdigit() and cell.isascii() else None
    except ValueError:
        return None


def _as_number(cell: str) -> int | float | None:
    whole = _as_integer(cell)
    if whole is not None:
        return whole
    try:
        return float(cell) if cell.isascii() and "_" not in cell else None
    except ValueError:
        return None


def _as_boolean(cell: str) -> bool | None:
    return {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}.get(
        cell.strip().lower()
    )


def _as_json(cell: str) -> Any:
    value = _json_cell(cell)
    return None if isinstance(value, str) else value


_READ_AS: dict[str, Callable[[str], Any]] = {
    "string": _as_text,
    "integer": _as_integer,
    "number": _as_number,
    "boolean": _as_boolean,
    "array": lambda cell: (
        _as_json(cell) if cell.lstrip().startswith("[") else [p.strip() for p in cell.split(";")]
    ),
    "object": _as_json,
    "null": lambda cell: None,
}
