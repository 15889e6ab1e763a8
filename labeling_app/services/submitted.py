"""What a labeler is told when an answer was stored."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labeling_app.models import LabelingSession

# Of a session `s`, in the order that `session_of` reads: what is asked for with every answer.
SESSION_COLUMNS = "s.id, s.queue_id, s.session_type, s.examples_labeled, s.served, s.started_at, s.ended_at"
_NAMES = [column.removeprefix("s.") for column in SESSION_COLUMNS.split(", ")]


@dataclass(frozen=True)
class Submitted:
    """An answer, a skip or a flag that is stored. `label` None: there is no label (any more).

    `session` is the one that it was given in, where it was at hand.
    """

    label: int | None
    example: uuid.UUID
    item_state: str
    replayed: bool
    session: LabelingSession | None = None

    def document(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "example": str(self.example),
            "item_state": self.item_state,
            "replayed": self.replayed,
        }


def session_of(labeler: Any, row: Sequence[Any]) -> LabelingSession:
    """Return the labeler's session that a row of SESSION_COLUMNS tells of; its queue is read when it is asked for."""
    session = LabelingSession(labeler=labeler, **dict(zip(_NAMES, row, strict=True)))
    session._state.adding = False
    return session
