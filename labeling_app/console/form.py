"""What a console needs to draw the examples of a queue and to take answers: one JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labeling_app.console.instructions import instructions_html
from labeling_app.domain.answers import schema_at
from labeling_app.domain.controls import controls, input_view
from labeling_app.domain.keys import ACTION_TITLES, assign_keys
from labeling_app.models import LabelingQueue
from labeling_app.services.keys import keys_of


def queue_form(queue: LabelingQueue, person: Any) -> dict[str, Any]:
    """Return the form of a queue for a person: controls with keys, how fields are shown, instructions, keys of actions.

    `instructions` is HTML, safe to insert: raw HTML in the Markdown was turned into text.
    """
    example_type = queue.example_type
    keys = keys_of(person)
    made = controls(
        schema_at(example_type.output_schema, queue.field_path),
        presentation_at(example_type.presentation, queue.field_path),
        queue.choices,
        _inner(example_type.class_field, queue.field_path),
        title=queue.field_path.rpartition(".")[2].replace("_", " ").capitalize() or "Answer",
    )
    return {
        "id": str(queue.pk),
        "name": queue.name,
        "dataset": queue.dataset.name,
        "type": example_type.name,
        "field_path": queue.field_path,
        "overlap": queue.overlap,
        "lease_s": queue.lease_s,
        "state": queue.state,
        "instructions": instructions_html(queue.instructions),
        "controls": [control.document() for control in assign_keys(made, keys.values())],
        "input_view": [
            view.document() for view in input_view(example_type.input_schema, example_type.presentation)
        ],
        "keys": keys,
        "key_titles": ACTION_TITLES,
    }


def presentation_at(presentation: Mapping[str, Any] | None, field_path: str) -> dict[str, Any]:
    """Return a presentation whose keys are named from `field_path` on: {"tier": …} becomes {"": …} for "tier"."""
    keys = (presentation or {}).get("keys")
    if not field_path or not isinstance(keys, Mapping):
        return dict(presentation or {})
    inner = {
        _inner(name, field_path): options
        for name, options in keys.items()
        if name == field_path or name.startswith(f"{field_path}.")
    }
    return {**(presentation or {}), "keys": inner}


def _inner(name: str, field_path: str) -> str:
    """Return a dotted path without the part that it has in common with `field_path`; "" when it leads elsewhere."""
    if not field_path:
        return name
    return name.removeprefix(f"{field_path}.") if name.startswith(f"{field_path}.") else ""
