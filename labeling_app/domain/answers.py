"""Answers of labelers: the whole expected output of an example, or the part of it that a queue asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from datasets_app.domain.canonical import canonical_text, content_hash, same_json
from datasets_app.domain.json_path import MISSING, format_path, get_path, set_path
from datasets_app.domain.schema_types import CompiledType, Violation
from goldenproject.kit.errors import BadInput

_SHARED = ("$defs", "definitions")
_MAX_REFERENCES = 20


def path_of(dotted: str) -> tuple[str, ...]:
    """Return the steps of a dotted path; of the empty one none. Raises BadInput for an empty step."""
    if not dotted:
        return ()
    steps = tuple(dotted.split("."))
    if "" in steps:
        raise BadInput(f"“{dotted}” is no path of a field: expected names with dots between, such as tier.")
    return steps


def part_of(document: Any, path: str) -> Any:
    """Return what a document holds at a dotted path; None when nothing is there. The empty path is the whole."""
    found = get_path(document, path_of(path))
    return None if found is MISSING else found


def with_part(document: Any, path: str, value: Any) -> Any:
    """Return a copy of the document with `value` at a dotted path; objects on the way are made.

    The empty path gives `value` itself. Raises InvalidJson where the path does not fit the document.
    """
    steps = path_of(path)
    return value if not steps else set_path({} if document is None else document, steps, value)


def same(a: Any, b: Any) -> bool:
    """Whether two answers are the same JSON: 75 and 75.0 are, 1 and true are not."""
    return same_json(a, b)


def schema_at(schema: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the schema of the field at a dotted path, usable alone: with the definitions that it refers to.

    Raises BadInput naming the step that is no field of the schema.
    """
    node = _resolved(schema, schema, path)
    if not path_of(path):
        return dict(schema)
    for number, step in enumerate(path_of(path)):
        fields = node.get("properties")
        if not isinstance(fields, Mapping) or not isinstance(fields.get(step), Mapping):
            above = format_path(("output", *path_of(path)[:number]))
            known = ", ".join(fields) if isinstance(fields, Mapping) else "none"
            raise BadInput(
                f"“{path}”: {above} has no field “{step}” in its schema.", hint=f"Fields there: {known}."
            )
        node = _resolved(schema, fields[step], path)
    for reference in _references(node):
        if not reference.startswith(tuple(f"#/{name}/" for name in _SHARED)):
            raise BadInput(
                f"“{path}”: its schema refers to {reference}, which is outside of it.",
                hint="Let the queue ask for the whole output, or move what is referred to into $defs.",
            )
    return {**node, **{name: schema[name] for name in _SHARED if name in schema}}


def class_of(value: Any, class_field: str, field_path: str) -> str | None:
    """Return the class in an answer as text: what agreement is computed on.

    It is what lies at `class_field` of the output; where the queue asks for a part without it, the part itself when
    that is a single value. Text stands for itself, any other value for its canonical JSON. None when there is none.
    """
    inside = _within(class_field, field_path)
    found = part_of(value, inside) if inside is not None else value
    if found is None or (inside is None and isinstance(found, dict | list)):
        return None
    return found if isinstance(found, str) else canonical_text(found)


def _within(field_name: str, path: str) -> str | None:
    """Return the rest of a dotted name beneath `path`; None when it is not there, or when there is no name."""
    if not field_name:
        return None
    if not path:
        return field_name
    if field_name == path:
        return ""
    return field_name.removeprefix(f"{path}.") if field_name.startswith(f"{path}.") else None


@dataclass(frozen=True)
class AnswerType:
    """What an answer has to be: the schema of the part that is asked for, ready to check many answers.

    `required_fields` are those of the example type (dotted, beginning with input. or output.); only those within the
    part count. `digest` (12 hex digits) changes when answers that were right may be wrong, or the other way round.
    """

    name: str
    output_schema: Mapping[str, Any]
    field_path: str = ""
    required_fields: tuple[str, ...] = ()
    schema: dict[str, Any] = field(init=False, repr=False, compare=False)
    digest: str = field(init=False, compare=False)
    _checked: CompiledType = field(init=False, repr=False, compare=False)
    _is_required: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        schema = schema_at(self.output_schema, self.field_path)
        inside = []
        for name in self.required_fields:
            if name.startswith("output."):
                rest = _within(name.removeprefix("output."), self.field_path)
                if rest is not None:
                    inside.append(rest)
        required = tuple(f"output.{rest}" for rest in inside if rest)
        seen = canonical_text({"schema": schema, "required": sorted(inside)})
        object.__setattr__(self, "schema", schema)
        object.__setattr__(self, "digest", content_hash(seen).hex()[:12])
        object.__setattr__(self, "_checked", CompiledType(self.name, {}, schema, required))
        object.__setattr__(self, "_is_required", "" in inside)

    def violations(self, value: Any) -> list[Violation]:
        """Return what is wrong with an answer, with paths that begin with $.output; empty when nothing is."""
        found = self._checked.validate({}, value, require_output=True)
        if not found and self._is_required and value in (None, "", []):
            path, expected = "$.output", "a value, because the type requires this field"
            found = [Violation(path, f"{path}: found nothing, expected {expected}.", "nothing", expected)]
        return [self._placed(violation) for violation in found]

    def _placed(self, violation: Violation) -> Violation:
        if not self.field_path:
            return violation
        path = format_path(("output", *path_of(self.field_path))) + violation.path.removeprefix("$.output")
        message = path + violation.message.removeprefix(violation.path)
        return Violation(path, message, violation.found, violation.expected)


def _resolved(schema: Mapping[str, Any], node: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """Follow local references from a node of the schema until there is none."""
    for _ in range(_MAX_REFERENCES):
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        steps = [step.replace("~1", "/").replace("~0", "~") for step in reference.split("/")[1:]]
        target = get_path(schema, steps)
        if not reference.startswith("#") or not isinstance(target, Mapping):
            raise BadInput(f"“{path}”: the schema refers to {reference}, which is not in it.")
        node = {**target, **{name: value for name, value in node.items() if name != "$ref"}}
    raise BadInput(f"“{path}”: the references of the schema go round in a circle.")


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, Mapping):
        for name, item in node.items():
            if name == "$ref" and isinstance(item, str):
                yield item
            else:
                yield from _references(item)
