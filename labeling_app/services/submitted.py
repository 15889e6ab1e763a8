"""What a labeler is told when an answer was stored."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Submitted:
    """An answer, a skip or a flag that is stored. `label` None: there is no label (any more)."""

    label: int | None
    example: uuid.UUID
    item_state: str
    replayed: bool

    def document(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "example": str(self.example),
            "item_state": self.item_state,
            "replayed": self.replayed,
        }
