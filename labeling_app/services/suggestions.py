"""Suggestions: what a model or a rule would answer, shown to labelers as such and never counted as a label."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from datasets_app.domain.canonical import canonical_text
from datasets_app.domain.roles import Action
from datasets_app.errors import SchemaViolation
from datasets_app.services.access import record, require
from goldenproject.kit.audit import acting
from goldenproject.kit.errors import BadInput
from goldenproject.kit.retries import retried
from labeling_app.models import LabelingQueue, QueueItem, Suggestion
from labeling_app.services.answer_types import violations_of

MOST_AT_ONCE = 10_000
MAX_SOURCE = 120

# in the order of the items, so that two that come at once wait for each other and never in a circle
_WRITE = """
    INSERT INTO labeling_app_suggestion (item_id, source, value, confidence)
    SELECT i.id, %s, s.value::jsonb, s.confidence
      FROM unnest(%s::uuid[], %s::text[], %s::numeric[]) AS s(example, value, confidence)
      JOIN labeling_app_queueitem i ON i.queue_id = %s AND i.example_id = s.example
     ORDER BY i.id
        ON CONFLICT (item_id, source) DO UPDATE
       SET value = excluded.value, confidence = excluded.confidence, created_at = now()
"""


@dataclass(frozen=True, slots=True)
class Suggested:
    """What is suggested for one example; `confidence` 0–1 or None."""

    example: uuid.UUID
    value: Any
    confidence: float | None = None


@retried()
def set_suggestions(
    *, queue: LabelingQueue, source: str, suggestions: Sequence[Suggested], actor: Any
) -> int:
    """Write the suggestions of `source` for examples of a queue, in place of those that it made before; return how many.

    All or none. Right: import. Raises SchemaViolation for a value that labelers could not give, BadInput for examples that
    the queue does not have or names twice.
    """
    if actor is not None:
        require(actor, Action.IMPORT, queue.dataset)
    source = source.strip()
    if not 0 < len(source) <= MAX_SOURCE or not source.isprintable():
        raise BadInput(f"Source: found {source[:130]!r}, expected 1 to {MAX_SOURCE} printable characters.")
    if len(suggestions) > MOST_AT_ONCE:
        raise BadInput(
            f"Found {len(suggestions):,} suggestions, expected at the most {MOST_AT_ONCE:,} at once."
        )
    _check(queue, suggestions)
    with acting(actor, f"suggestions of {source}"), connection.cursor() as cursor:
        cursor.execute(
            _WRITE,
            [
                source,
                [one.example for one in suggestions],
                [canonical_text(one.value) for one in suggestions],
                [None if one.confidence is None else round(one.confidence, 4) for one in suggestions],
                queue.pk,
            ],
        )
        count = int(cursor.rowcount)
        record(actor, "labels.suggest", queue.dataset, f"{count:,} by {source} in queue {queue.name}")
    return count


def remove_suggestions(*, queue: LabelingQueue, source: str, actor: Any) -> int:
    """Take away all suggestions of `source` in a queue; return how many. Right: import."""
    if actor is not None:
        require(actor, Action.IMPORT, queue.dataset)
    with acting(actor, f"suggestions of {source} removed"):
        count, _ = Suggestion.objects.filter(item__queue=queue, source=source).delete()
        record(actor, "labels.suggest_remove", queue.dataset, f"{count:,} by {source} in queue {queue.name}")
    return count


def _check(queue: LabelingQueue, suggestions: Sequence[Suggested]) -> None:
    for one in suggestions:
        if one.confidence is not None and not 0 <= one.confidence <= 1:
            raise BadInput(
                f"Example {one.example}: found the confidence {one.confidence}, expected 0 to 1, or none."
            )
        violations = violations_of(queue, one.value)
        if violations:
            raise SchemaViolation(
                f"Example {one.example}: {violations[0]['message']}",
                example=str(one.example),
                violations=violations,
            )
    wanted = {one.example for one in suggestions}
    if len(wanted) < len(suggestions):
        raise BadInput("An example is named twice; one source suggests one answer for each.")
    there = QueueItem.objects.filter(queue=queue, example__in=wanted).values_list("example_id", flat=True)
    missing = sorted(wanted - set(there))
    if missing:
        raise BadInput(
            f"{len(missing):,} of {len(wanted):,} examples are not in the queue, the first is {missing[0]}.",
            examples=[str(key) for key in missing[:100]],
        )
