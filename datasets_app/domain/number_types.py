"""Whole numbers as a JSON Schema types them: 75 is 75.0 again where the schema says number and not integer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from datasets_app.domain.json_path import MISSING, get_path

_COMBINED: Final = ("allOf", "anyOf", "oneOf")
_BRANCHES: Final = ("if", "then", "else")

Schemas = tuple[Any, ...]


def number_restorer(schema: Mapping[str, Any]) -> Callable[[Any], Any]:
    """A function that gives a value back with floats where the schema types number.

    It is the identity when the schema types no number anywhere. Where alternatives disagree (integer here, number
    there), the value stays as it is. References other than local pointers (#/…) are passed over.
    """
    if not types_numbers(schema):
        return _unchanged
    restorer = _Restorer(schema)
    return lambda value: restorer.restore(value, restorer.roots)


class _Restorer:
    """Schemas that apply to the same place are handled together and prepared once, at their first use."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.root = schema
        self.roots = self._resolve((schema,))
        self._below: dict[tuple[tuple[int, ...], str | int], Schemas] = {}
        self._numbers: dict[tuple[int, ...], bool] = {}

    def restore(self, value: Any, schemas: Schemas) -> Any:
        kind = type(value)
        if kind is int:
            return float(value) if schemas and self._is_number(schemas) else value
        if not schemas or (kind is not dict and kind is not list):
            return value
        if kind is dict:
            return {key: self.restore(item, self._child(schemas, key)) for key, item in value.items()}
        return [self.restore(item, self._child(schemas, index)) for index, item in enumerate(value)]

    def _is_number(self, schemas: Schemas) -> bool:
        key = tuple(map(id, schemas))
        known = self._numbers.get(key)
        if known is None:
            types: set[str] = set()
            for schema in schemas:
                declared = schema.get("type", ())
                types.update([declared] if isinstance(declared, str) else declared)
            known = self._numbers[key] = "number" in types and "integer" not in types
        return known

    def _child(self, schemas: Schemas, part: str | int) -> Schemas:
        # Beyond the positions that prefixItems names, all items share what the schema says.
        if isinstance(part, int):
            longest = max(len(_tuple_schemas(schema)) for schema in schemas)
            part = min(part, longest)
        key = (tuple(map(id, schemas)), part)
        known = self._below.get(key)
        if known is None:
            known = self._resolve(tuple(child for schema in schemas for child in _children(schema, part)))
            # Names that no schema mentions come from the data: remembering them all would grow without end.
            if isinstance(part, int) or any(part in schema.get("properties", {}) for schema in schemas):
                self._below[key] = known
        return known

    def _resolve(self, schemas: Schemas) -> Schemas:
        """The schemas, what they refer to and their alternatives, each once."""
        found: dict[int, Any] = {}
        waiting = list(schemas)
        while waiting:
            schema = waiting.pop()
            if not isinstance(schema, Mapping) or id(schema) in found:
                continue
            found[id(schema)] = schema
            for name in _COMBINED:
                waiting += schema.get(name, ())
            waiting += [schema[name] for name in _BRANCHES if name in schema]
            reference = schema.get("$ref")
            if isinstance(reference, str) and reference.startswith("#"):
                waiting.append(_at_pointer(self.root, reference[1:]))
        return tuple(found.values())


def _children(schema: Mapping[str, Any], part: str | int) -> list[Any]:
    if isinstance(part, int):
        positions = _tuple_schemas(schema)
        if part < len(positions):
            return [positions[part]]
        rest = schema.get("items")
        return [schema.get("additionalItems")] if isinstance(rest, list) else [rest]
    named = schema.get("properties", {})
    if part in named:
        return [named[part]]
    # Which pattern a name matches is the validator's affair (its regular expressions are ECMA's).
    return [] if "patternProperties" in schema else [schema.get("additionalProperties")]


def _tuple_schemas(schema: Mapping[str, Any]) -> list[Any]:
    positions = schema.get("prefixItems")
    if isinstance(positions, list):
        return positions
    items = schema.get("items")
    return items if isinstance(items, list) else []


def _at_pointer(root: Mapping[str, Any], pointer: str) -> Any:
    parts: list[str | int] = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    value: Any = root
    for part in parts:
        step = int(part) if isinstance(value, list) and str(part).isdigit() else part
        value = get_path(value, (step,))
        if value is MISSING:
            return None
    return value


def types_numbers(schema: Any) -> bool:
    """Whether a schema types number (not integer) anywhere, so that values may need restoring."""
    if isinstance(schema, Mapping):
        declared = schema.get("type")
        if declared == "number" or (isinstance(declared, list) and "number" in declared):
            return True
        return any(types_numbers(item) for item in schema.values())
    return isinstance(schema, list) and any(types_numbers(item) for item in schema)


def _unchanged(value: Any) -> Any:
    return value
