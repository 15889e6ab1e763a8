"""What files of annotation tools show of a queue: its answers as controls, its inputs as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets_app.domain.canonical import canonical_text
from datasets_app.services.versioning.compiled_types import compiled
from exports_app.integrations.answer_shape import AnswerShape, shape_of
from labeling_app.domain.answer_fields import WHOLE_ANSWER
from labeling_app.models import LabelingQueue
from labeling_app.services.answer_types import answer_type
from labeling_app.services.queue_fields import fields_of


def answer_shape(queue: LabelingQueue) -> AnswerShape:
    """Return the controls of a queue's answers. Raises BadInput when its type has no field at its path any more."""
    path = tuple(queue.field_path.split(".")) if queue.field_path else ()
    class_field = queue.example_type.class_field
    steps = tuple(class_field.split(".")) if class_field else ()
    inside = bool(steps) and steps[: len(path)] == path
    return shape_of(
        fields_of(queue),
        answer_type(queue).schema,
        class_path=steps[len(path) :] if inside else None,
        root=path[-1] if path else WHOLE_ANSWER,
    )


class InputReader:
    """Makes the inputs that a task's data may mean: what the input schema names of it, or its only text."""

    def __init__(self, queue: LabelingQueue) -> None:
        self._type = compiled(queue.example_type)
        properties = queue.example_type.input_schema.get("properties", {})
        self._names = tuple(properties)
        texts = [name for name, schema in properties.items() if schema.get("type") == "string"]
        self._only = texts[0] if len(texts) == 1 else ""

    def inputs(self, data: Mapping[str, Any]) -> list[str]:
        """Return inputs that the type allows, as canonical JSON, most literal first."""
        wanted: list[dict[str, Any]] = [
            dict(data),
            {name: data[name] for name in self._names if name in data},
        ]
        if self._only:
            words = [value for value in data.values() if isinstance(value, str)]
            text = data.get("text", words[0] if len(words) == 1 else None)
            if isinstance(text, str):
                wanted.append({self._only: text})
        found = [one for one in wanted if one and not self._type.validate(one, None, require_output=False)]
        return list(dict.fromkeys(canonical_text(one) for one in found))
