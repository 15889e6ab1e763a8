"""Example types: compiled once per change, checked when they are saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datasets_app.domain.choices import choice_troubles
from datasets_app.domain.schema_types import CompiledType, Violation, check_schema, with_property_order
from datasets_app.errors import InvalidChoices, SchemaViolation, UnknownType
from datasets_app.models import ExampleType
from datasets_app.services.access import record
from datasets_app.services.versioning.compiled_types import compiled
from goldenproject.kit.audit import acting
from goldenproject.kit.retries import retried

# What other apps want to check before a type is saved; each raises an error of its own. They add theirs when they start.
type_checks: list[Callable[[ExampleType], None]] = []


def get_type(name: str) -> ExampleType:
    """Return an example type by name. Raises UnknownType."""
    found = ExampleType.objects.filter(name=name).first()
    if found is None:
        names = ", ".join(ExampleType.objects.values_list("name", flat=True))
        raise UnknownType(f"There is no example type “{name}”.", hint=f"Types: {names}.")
    return found


def check_content(
    example_type: ExampleType,
    input_data: Any,
    expected_output: Any,
    *,
    where: str = "",
    require_output: bool = False,
) -> None:
    """Raise SchemaViolation naming every JSON path of an example that its type does not allow."""
    violations = compiled(example_type).validate(input_data, expected_output, require_output=require_output)
    if violations:
        raise SchemaViolation(
            violation_message(violations, where or f"this example of type “{example_type.name}”"),
            violations=[violation_dict(v) for v in violations],
        )


def violation_message(violations: list[Violation], where: str) -> str:
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return f"{first.path} in {where}: {first.message}{more}"


def violation_dict(violation: Violation) -> dict[str, Any]:
    return {
        "path": violation.path,
        "message": violation.message,
        "found": violation.found,
        "expected": violation.expected,
    }


def check_type(example_type: ExampleType) -> None:
    """Raise what `save_type` would refuse a new or changed type for; nothing is written.

    InvalidSchema for schemas, InvalidChoices for choices that nobody can tell apart (those that are stored already
    may stay), and whatever other apps check.
    """
    check_schema(example_type.input_schema)
    check_schema(example_type.output_schema)
    CompiledType(
        name=example_type.name,
        input_schema=example_type.input_schema,
        output_schema=example_type.output_schema,
        required_fields=tuple(example_type.required_fields),
        class_field=example_type.class_field,
    )
    _check_choices(example_type)
    for check in type_checks:
        check(example_type)


def choices_to_tell(example_type: ExampleType) -> list[str]:
    """Return what a curator should know of a type's choices though it is allowed: those easily mistaken for one another."""
    return choice_troubles(example_type.output_schema).told


def _check_choices(example_type: ExampleType) -> None:
    refused = choice_troubles(example_type.output_schema).refused
    if refused and example_type.pk is not None:
        stored = ExampleType.objects.filter(pk=example_type.pk).values_list("output_schema", flat=True)
        known = {trouble for schema in stored for trouble in choice_troubles(schema).refused}
        refused = [trouble for trouble in refused if trouble not in known]
    if refused:
        raise InvalidChoices(" ".join(refused), choices=refused)


@retried()
def save_type(*, example_type: ExampleType, actor: Any) -> ExampleType:
    """Save a new or changed type after it was checked (see check_type). Examples that are there already are not touched."""
    check_type(example_type)
    example_type.input_schema = with_property_order(example_type.input_schema)
    example_type.output_schema = with_property_order(example_type.output_schema)
    with acting(actor, f"type {example_type.name}"):
        example_type.save()
        record(actor, "type.save", None, example_type.name)
    return example_type
