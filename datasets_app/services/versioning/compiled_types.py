"""The validators of example types, compiled once per definition and kept in the process."""

from __future__ import annotations

import threading
from typing import Any

from datasets_app.domain.schema_types import CompiledType
from datasets_app.models import ExampleType

_compiled: dict[int, tuple[Any, CompiledType]] = {}
_lock = threading.Lock()


def compiled(example_type: ExampleType) -> CompiledType:
    """Return the validator of a type; kept in the process until the type's definition changes."""
    definition = (
        example_type.input_schema,
        example_type.output_schema,
        example_type.required_fields,
        example_type.class_field,
        example_type.name,
    )
    with _lock:
        kept = _compiled.get(example_type.pk)
        if kept is not None and kept[0] == definition:
            return kept[1]
        made = CompiledType(
            name=example_type.name,
            input_schema=example_type.input_schema,
            output_schema=example_type.output_schema,
            required_fields=tuple(example_type.required_fields),
            class_field=example_type.class_field,
        )
        if example_type.pk is not None:
            _compiled[example_type.pk] = (definition, made)
        return made
