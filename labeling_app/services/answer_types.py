"""What answers of a queue have to be, compiled once per definition and kept in the process."""

from __future__ import annotations

import threading
from typing import Any

from datasets_app.services.curation.types import violation_dict
from labeling_app.domain.answers import AnswerType
from labeling_app.models import LabelingQueue

_kept: dict[tuple[int, str], tuple[Any, AnswerType]] = {}
_lock = threading.Lock()


def answer_type(queue: LabelingQueue) -> AnswerType:
    """Return the checker of a queue's answers; kept in the process until the example type's definition changes.

    Raises BadInput when the type has no field at the queue's `field_path` (any more).
    """
    kind = queue.example_type
    definition = (kind.output_schema, kind.required_fields, kind.name)
    key = (kind.pk, queue.field_path)
    with _lock:
        kept = _kept.get(key)
        if kept is not None and kept[0] == definition:
            return kept[1]
        made = AnswerType(kind.name, kind.output_schema, queue.field_path, tuple(kind.required_fields))
        _kept[key] = (definition, made)
        return made


def violations_of(queue: LabelingQueue, value: Any) -> list[dict[str, Any]]:
    """Return what is wrong with an answer as plain JSON; empty when nothing is."""
    return [violation_dict(violation) for violation in answer_type(queue).violations(value)]
