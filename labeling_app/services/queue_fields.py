"""The fields of the answers of a queue, from the schema of its example type."""

from __future__ import annotations

from typing import Any

from labeling_app.domain.answer_fields import AnswerField, answer_fields
from labeling_app.models import LabelingQueue


def fields_of(queue: LabelingQueue) -> list[AnswerField]:
    """Return the fields of what this queue asks for: of the whole output, or of the part at its `field_path`."""
    kind = queue.example_type
    schema: Any = kind.output_schema
    path = tuple(queue.field_path.split(".")) if queue.field_path else ()
    for key in path:
        properties = schema.get("properties", {}) if isinstance(schema, dict) else {}
        schema = properties.get(key, {})
    class_path = tuple(kind.class_field.split(".")) if kind.class_field else ()
    # a class outside the part that is asked for is none of this answer's
    inside = bool(class_path) and class_path[: len(path)] == path
    return answer_fields(
        schema,
        class_path=class_path[len(path) :] if inside else () if queue.choices and path else None,
        choices=queue.choices,
        root=kind.output_schema,
    )
