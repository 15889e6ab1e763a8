"""Hidden checks: when one is due, whether an answer to one is right, and when too many were missed."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from datasets_app.domain.canonical import same_json
from labeling_app.domain.answer_fields import AnswerField, Kind, deciding_fields

NUMBER_TOLERANCE: Final = 0.05
"""A number is right within this share of the span of its scale; on a scale without ends it must be equal."""
RECENT_CHECKS: Final = 50
"""A labeler is judged by the newest checks, so that a good record of long ago hides no bad week."""
_WHOLE: Final = 2**64


def gold_due(secret: bytes, labeler: int, item: int, rate: float | Decimal) -> bool:
    """Tell whether a hidden check stands before the example `item` of a queue when it is given to `labeler`.

    The same arguments give the same answer. Of all that labelers are given the share of checks is `rate` (0 … 0.5): so
    one stands before `rate / (1 - rate)` of the examples. Nobody who does not know the queue's secret can tell which.
    """
    share = float(rate)
    digest = hmac.digest(secret, f"due {labeler} {item}".encode(), hashlib.sha256)
    return share >= 0.5 or int.from_bytes(digest[:8]) < share / (1 - share) * _WHOLE


def lease_of_check(secret: bytes, labeler: int, item: int, time: int) -> uuid.UUID:
    """Return the id of the lease under which `labeler` is given the check before `item` for the time number `time`.

    It looks like any random UUID. Who knows the secret can ask with it what became of the check, and need not store
    before which example a check stands.
    """
    digest = hmac.digest(secret, f"lease {labeler} {item} {time}".encode(), hashlib.sha256)
    return uuid.UUID(bytes=digest[:16], version=4)


def is_right(answer: Any, gold: Any, fields: Sequence[AnswerField]) -> bool:
    """Tell whether an answer agrees with the gold answer; `fields` are those of the answers of the queue.

    Only what the gold answer gives counts, and of that the fields that decide agreement: the classes, which must be
    equal. Without a class: numbers may be off by NUMBER_TOLERANCE of the span of their scale; text counts only where
    there is nothing else, without regard to spaces at its ends.
    """
    given = [field for field in fields if field.of(gold) is not None]
    if not given:
        return same_json(answer, gold)
    deciding = deciding_fields(given)
    judged = [field for field in deciding if field.kind != Kind.TEXT] or deciding
    return all(_agrees(field, field.of(answer), field.of(gold)) for field in judged)


def missed_too_many(newest_first: Sequence[bool], *, below: float | Decimal | None, after: int) -> bool:
    """Tell whether a labeler is to be paused: `newest_first` says of each check whether it was right.

    Only the newest max(`after`, RECENT_CHECKS) count; with fewer than `after` of them, or without a threshold, nobody is.
    """
    if below is None or len(newest_first) < max(after, 1):
        return False
    counted = newest_first[: max(after, RECENT_CHECKS)]
    return sum(counted) < float(below) * len(counted)


def _agrees(field: AnswerField, answer: Any, gold: Any) -> bool:
    if field.kind == Kind.NUMBER and field.span is not None and _is_number(answer) and _is_number(gold):
        return bool(abs(answer - gold) <= field.span * NUMBER_TOLERANCE)
    if isinstance(answer, str) and isinstance(gold, str):
        return answer.strip() == gold.strip()
    return same_json(answer, gold)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
