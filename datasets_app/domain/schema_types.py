"""Example types: JSON Schemas for input and output, what violates them, and numbers as they type them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import jsonschema_rs
import orjson

from datasets_app.domain.json_path import MISSING, format_path, get_path
from datasets_app.domain.number_types import number_restorer
from datasets_app.errors import InvalidSchema

MAX_SHOWN: Final = 80

_PART_NAMES: Final = ("input", "output")
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
# What these hold is data, not schemas; what those hold is named by the author, not by JSON Schema.
_DATA: Final = frozenset({"const", "default", "enum", "examples"})
_NAMED: Final = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with an example; `path` starts with $.input or $.output."""

    path: str
    message: str
    found: str
    expected: str


@dataclass(frozen=True)
class CompiledType:
    """An example type, ready to check many examples.

    `required_fields` are dotted paths (input.title, output.tier) whose value may be neither absent nor "", null or
    []. Raises InvalidSchema when a schema, or such a path, cannot be used.
    """

    name: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    required_fields: tuple[str, ...] = ()
    class_field: str = ""
    _validators: tuple[jsonschema_rs.Validator, jsonschema_rs.Validator] = field(
        init=False, repr=False, compare=False
    )
    _restorers: tuple[Callable[[Any], Any], Callable[[Any], Any]] = field(
        init=False, repr=False, compare=False
    )
    _required: tuple[tuple[str, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        schemas = (self.input_schema, self.output_schema)
        validators = tuple(
            _compile(schema, f"The {part} schema of the type {self.name!r}")
            for part, schema in zip(_PART_NAMES, schemas, strict=True)
        )
        object.__setattr__(self, "_validators", validators)
        object.__setattr__(self, "_restorers", tuple(number_restorer(schema) for schema in schemas))
        object.__setattr__(
            self, "_required", tuple(self._required_path(name) for name in self.required_fields)
        )

    def validate(self, input: Any, output: Any, *, require_output: bool) -> list[Violation]:
        """What is wrong with an example, in the order input, output, required fields; empty if nothing is.

        An output of None is "not yet there": unless `require_output`, it and required fields in it may be absent.
        """
        check_output = require_output or output is not None
        if self._is_valid(input, output, check_output):
            return []
        violations = list(_violations(self._validators[0], input, "input"))
        if check_output:
            violations += _violations(self._validators[1], output, "output")
        seen = {violation.path for violation in violations}
        missing = self._empty_fields({"input": input, "output": output}, check_output)
        return violations + [violation for violation in missing if violation.path not in seen]

    def restore_input(self, value: Any) -> Any:
        """The input with its numbers as the schema types them: 75 becomes 75.0 where it says number."""
        return self._restorers[0](value)

    def restore_output(self, value: Any) -> Any:
        """The output with its numbers as the schema types them."""
        return self._restorers[1](value)

    def _is_valid(self, input: Any, output: Any, check_output: bool) -> bool:
        if not self._validators[0].is_valid(input):
            return False
        if check_output and not self._validators[1].is_valid(output):
            return False
        if not self._required:
            return True
        document = {"input": input, "output": output}
        return all(
            not _is_empty(get_path(document, path))
            for path in self._required
            if check_output or path[0] == "input"
        )

    def _empty_fields(self, document: dict[str, Any], check_output: bool) -> Iterator[Violation]:
        for path in self._required:
            value = get_path(document, path)
            if (check_output or path[0] == "input") and _is_empty(value):
                found = "nothing" if value is MISSING else shorten(value)
                yield _violation(format_path(path), found, "a value, because the type requires this field")

    def _required_path(self, name: str) -> tuple[str, ...]:
        path = tuple(name.split("."))
        if path[0] not in _PART_NAMES or len(path) < 2 or "" in path:
            raise InvalidSchema(
                f"The type {self.name!r} cannot require {name!r}: "
                "expected a dotted path that begins with input. or output., such as output.label.",
                field=name,
            )
        return path


def check_schema(schema: Any) -> None:
    """Raise InvalidSchema, naming the place, unless this is a JSON Schema that examples can be checked with.

    References must be local ("#/$defs/…"): nothing is ever fetched.
    """
    _compile(schema, "The schema")


def restore_number_types(value: Any, schema: Mapping[str, Any]) -> Any:
    """A copy of the value in which each whole number that the schema types number (not integer) is a float.

    RFC 8785 writes 75.0 as 75; exports use this to write 75.0 again. The value itself if there is nothing to do.
    For many values, use CompiledType, which prepares the schema once.
    """
    return number_restorer(schema)(value)


def shorten(value: Any) -> str:
    """A JSON value as text of at most 80 characters."""
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def _compile(schema: Any, what: str) -> jsonschema_rs.Validator:
    if not isinstance(schema, Mapping):
        raise InvalidSchema(f"{what} is not one: found {shorten(schema)}, expected a JSON object.", path="$")
    for path, reference in _references(schema, ()):
        if not reference.startswith("#"):
            where = format_path(path)
            raise InvalidSchema(
                f"{what} cannot be used: at {where} found {shorten(reference)}, "
                "expected a local reference that begins with #.",
                path=where,
            )
    try:
        jsonschema_rs.meta.validate(dict(schema))
        return jsonschema_rs.validator_for(dict(schema), offline=True, validate_formats=True)
    except jsonschema_rs.ValidationError as error:
        where = format_path(error.instance_path)
        raise InvalidSchema(
            f"{what} cannot be used: at {where}: {_clip(error.message)}.", path=where
        ) from error
    except jsonschema_rs.ReferencingError as error:
        raise InvalidSchema(
            f"{what} cannot be used: at $: {_clip(str(error))}.",
            hint="Set $schema to a published draft, such as https://json-schema.org/draft/2020-12/schema.",
            path="$",
        ) from error


def _references(schema: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from _references(item, (*path, index))
    elif isinstance(schema, Mapping):
        for key, item in schema.items():
            if key in _REFERENCES and isinstance(item, str):
                yield (*path, key), item
            elif key in _NAMED and isinstance(item, Mapping):
                for name, child in item.items():
                    yield from _references(child, (*path, key, name))
            elif key not in _DATA:
                yield from _references(item, (*path, key))


def _violations(
    validator: jsonschema_rs.Validator, value: Any, part: Literal["input", "output"]
) -> Iterator[Violation]:
    for error in validator.iter_errors(value):
        details = error.kind.as_dict()
        path = (part, *error.instance_path)
        if error.kind.name == "required":
            name = details["property"]
            yield _violation(format_path((*path, name)), "nothing", "a value, because the schema requires it")
        elif error.kind.name in ("additionalProperties", "unevaluatedProperties"):
            for name in details["unexpected"]:
                found = shorten(get_path(error.instance, (name,), default=None))
                yield _violation(format_path((*path, name)), found, "no field of this name")
        else:
            yield _violation(
                format_path(path), shorten(error.instance), _expected(error.kind.name, details, error)
            )


def _violation(path: str, found: str, expected: str) -> Violation:
    return Violation(
        path=path, message=f"{path}: found {found}, expected {expected}.", found=found, expected=expected
    )


_LIMITS: Final = {
    "minimum": "a number of at least {}",
    "maximum": "a number of at most {}",
    "exclusiveMinimum": "a number above {}",
    "exclusiveMaximum": "a number below {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} fields",
    "maxProperties": "at most {} fields",
    "pattern": "text that matches {}",
    "format": "text in the format {}",
    "const": "{}",
}
_SENTENCES: Final = {
    "uniqueItems": "items that differ from each other",
    "contains": "an item of the kind that the schema asks for",
    "anyOf": "a value that matches one of the alternatives of the schema",
    "oneOf": "a value that matches exactly one of the alternatives of the schema",
    "not": "a value that does not match what the schema excludes",
    "falseSchema": "nothing here",
}


def _expected(keyword: str, details: dict[str, Any], error: jsonschema_rs.ValidationError) -> str:
    if keyword == "type":
        types = details["types"]
        return " or ".join(_with_article(name) for name in types)
    if keyword == "enum":
        return f"one of {_clip(', '.join(shorten(option) for option in details['options']))}"
    if keyword in _LIMITS:
        limit = error.kind.value
        return _LIMITS[keyword].format(
            limit if isinstance(limit, str) and keyword != "const" else shorten(limit)
        )
    if keyword in _SENTENCES:
        return _SENTENCES[keyword]
    return f"what the schema says under {keyword} ({_clip(error.message)})"


def _with_article(name: str) -> str:
    if name == "null":
        return name
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _is_empty(value: Any) -> bool:
    return value is MISSING or value is None or value == "" or value == []


def _clip(text: str) -> str:
    text = text.rstrip(".")
    return text if len(text) <= 2 * MAX_SHOWN else f"{text[: 2 * MAX_SHOWN - 1]}…"


def with_property_order(schema: Any) -> Any:
    """Return a schema in which each object says the order of its properties in `x-order`: jsonb does not keep it.

    An order that is said already stays.
    """
    if isinstance(schema, list):
        return [with_property_order(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: with_property_order(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "x-order" not in schema:
        made["x-order"] = list(schema["properties"])
    return made
