"""Hidden checks: when one is due, whether an answer to one is right, and when too many were missed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from datasets_app.domain.canonical import same_json

NUMBER_TOLERANCE: Final = 0.05
"""A number is right within this share of the range that its schema allows; without a range it must be equal."""
RECENT_CHECKS: Final = 50
"""A labeler is judged by the newest checks, so that a good record of long ago hides no bad week."""
_WHOLE: Final = 2**64


def gold_due(seed: int, session_id: Any, served: int, rate: float | Decimal) -> bool:
    """Tell whether the example number `served` of a session is to be a hidden check.

    The same arguments give the same answer; over many examples the share of checks is `rate` (0 … 1). Nobody who does
    not know the queue's seed can tell when the next one comes.
    """
    digest = hashlib.sha256(f"{seed}:{session_id}:{served}".encode()).digest()
    return int.from_bytes(digest[:8]) < float(rate) * _WHOLE


def is_right(answer: Any, gold: Any, schema: dict[str, Any], class_path: str | None = None) -> bool:
    """Tell whether an answer agrees with the gold answer.

    Where the type has a class, the class decides (`class_path` is its place in the answer; "" is the answer itself).
    Otherwise values must be the same content, with these reliefs: numbers may be off by NUMBER_TOLERANCE of the range
    of their schema; of an object only the fields that the gold answer names count, and text without a fixed choice
    of values (a reason, a comment) does not.
    """
    if class_path is not None:
        wanted = _part(gold, class_path)
        if wanted is not None:
            return _agrees(_part(answer, class_path), wanted, {}, at_top=True)
    return _agrees(answer, gold, schema, at_top=True)


def missed_too_many(newest_first: Sequence[bool], *, below: float | Decimal | None, after: int) -> bool:
    """Tell whether a labeler is to be paused: `newest_first` says of each check whether it was right.

    Only the newest max(`after`, RECENT_CHECKS) count; with fewer than `after` of them, or without a threshold, nobody is.
    """
    if below is None or len(newest_first) < max(after, 1):
        return False
    counted = newest_first[: max(after, RECENT_CHECKS)]
    return sum(counted) < float(below) * len(counted)


def _agrees(answer: Any, gold: Any, schema: Any, *, at_top: bool = False) -> bool:
    rules = schema if isinstance(schema, dict) else {}
    if isinstance(gold, dict) and isinstance(answer, dict):
        properties = rules.get("properties", {})
        return all(
            _agrees(answer.get(name), wanted, properties.get(name))
            for name, wanted in gold.items()
            if not _is_free_text(wanted, properties.get(name))
        )
    if _is_number(gold) and _is_number(answer):
        span = _range(rules)
        return same_json(answer, gold) if span is None else abs(answer - gold) <= span * NUMBER_TOLERANCE
    if at_top and isinstance(gold, str) and isinstance(answer, str):
        return answer.strip() == gold.strip()
    return same_json(answer, gold)


def _is_free_text(value: Any, schema: Any) -> bool:
    rules = schema if isinstance(schema, dict) else {}
    return isinstance(value, str) and "enum" not in rules and "const" not in rules


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _range(schema: dict[str, Any]) -> float | None:
    low: Any = schema.get("minimum")
    high: Any = schema.get("maximum")
    return float(high - low) if _is_number(low) and _is_number(high) else None


def _part(value: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value
