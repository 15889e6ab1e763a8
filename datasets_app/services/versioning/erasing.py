"""Who else keeps words of an example: they add an eraser here, so that a redaction reaches what versions know nothing of."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Erasure:
    """A redaction that is under way: which example, the JSON text that takes the place of contents, who, why, when."""

    example_id: uuid.UUID
    tombstone: str
    reason: str
    actor: Any
    at: datetime


# Each erases what it keeps of an example and returns how many rows, by kind; of what is erased already none. It is called
# inside the transaction of the redaction, which is on record by then, and before the example leaves the working copies.
content_erasers: list[Callable[[Erasure], dict[str, int]]] = []


def erase_elsewhere(erasure: Erasure) -> dict[str, int]:
    """Let everybody erase; return how many rows of which kind lost their words."""
    erased: Counter[str] = Counter()
    for eraser in content_erasers:
        erased.update(eraser(erasure))
    return {kind: count for kind, count in erased.items() if count}
