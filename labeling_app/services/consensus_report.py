"""The consensus of items of a queue, by the method that is asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from datasets_app.domain.canonical import canonical_text, loads_stored
from goldenproject.kit.database_io import prepared_cursor
from labeling_app.domain.answer_fields import AnswerField, Kind, deciding_fields, deciding_text
from labeling_app.domain.consensus import (
    Average,
    ConsensusValue,
    closeness,
    majority,
    mean,
    median,
    pairs_agreeing,
    rounded,
    trimmed_mean,
)
from labeling_app.models import LabelingQueue
from labeling_app.services.annotators import NAME_NOW
from labeling_app.services.consensus_models import LEARNING_METHODS, FittedConsensus, fitted_consensus
from labeling_app.services.queue_fields import fields_of

_AVERAGES = {"mean": mean, "median": median, "trimmed_mean": trimmed_mean}

# label_once_per_annotator is an index on (item, annotator), so this reads the labels of these items and no other
_LABELS_SQL = f"""
SELECT item_id, {NAME_NOW}, value::text, confidence FROM labeling_app_label
WHERE item_id = ANY(%s) AND queue_id = %s ORDER BY item_id, annotator
"""


@dataclass(frozen=True, slots=True)
class AnnotatorsAnswer:
    """What one annotator says of an item."""

    annotator: str
    value: Any
    confidence: float | None


def consensus_of(
    *,
    queue: LabelingQueue,
    item_ids: Sequence[int],
    method: str = "",
    fitted: FittedConsensus | None = None,
    given: Mapping[int, Sequence[AnnotatorsAnswer]] | None = None,
) -> dict[int, ConsensusValue]:
    """Return the consensus of those of the items that have labels; `method` is the queue's own when it is empty.

    Labels that the caller has read already are `given`, as `answers_of` returns them.
    Answers are compared by their classes (see `deciding_fields`); of the labels that say what won, the answer is the
    one given most often as a whole. Methods that average give each number the average of all labels. Methods that learn
    from the whole queue (weighted, dawid_skene, crowdlab) are fitted on it first, unless `fitted` has what they learned
    (see consensus_models); where that says nothing of an item, such as of a labeler who is new since, the majority
    speaks.
    """
    fields = fields_of(queue)
    deciding = deciding_fields(fields)
    method = method or queue.consensus_method
    items = {
        item: (answers, [deciding_text(deciding, answer.value) for answer in answers])
        for item, answers in (answers_of(queue=queue, item_ids=item_ids) if given is None else given).items()
    }
    learned: dict[int, tuple[str, float]] = {}
    if method in LEARNING_METHODS:
        learned = (fitted or fitted_consensus(queue, method)).choose(
            {
                item: [(answer.annotator, vote) for answer, vote in zip(answers, votes, strict=True)]
                for item, (answers, votes) in items.items()
            }
        )
    return {
        item: _consensus(answers, votes, fields, method, learned.get(item))
        for item, (answers, votes) in items.items()
    }


def answers_of(*, queue: LabelingQueue, item_ids: Sequence[int]) -> dict[int, list[AnnotatorsAnswer]]:
    """Return the labels of these items, each item's in the order of their annotators; one query."""
    found: dict[int, list[AnnotatorsAnswer]] = defaultdict(list)
    with prepared_cursor() as cursor:
        cursor.execute(_LABELS_SQL, [list(item_ids), queue.pk])
        for item, annotator, value, confidence in cursor.fetchall():
            sure = None if confidence is None else float(confidence)
            found[item].append(AnnotatorsAnswer(annotator, loads_stored(value), sure))
    return dict(found)


def _consensus(
    answers: Sequence[AnnotatorsAnswer],
    votes: Sequence[str],
    fields: Sequence[AnswerField],
    method: str,
    learned: tuple[str, float] | None,
) -> ConsensusValue:
    vote = majority(votes)
    chosen, confidence = learned or (str(vote.value), vote.share)
    value = representative(
        [answer.value for answer, said in zip(answers, votes, strict=True) if said == chosen]
    )
    agreement = pairs_agreeing(votes)
    if method not in _AVERAGES:
        return ConsensusValue(value, confidence, agreement, len(answers))
    value, averages = _averaged(value, [answer.value for answer in answers], fields, method)
    deciding = deciding_fields(fields)
    numbers = [field for field in deciding if field.kind == Kind.NUMBER]
    spread = next(iter(averages.values())).spread if averages else None
    if not numbers or numbers != deciding or any(field.span is None for field in numbers):
        return ConsensusValue(value, vote.share, agreement, len(answers), spread)
    near = [closeness(_numbers(field, answers), field.span) for field in numbers if field.span]
    known = [share for share in near if share is not None]
    agreement = min(known) if known else None
    return ConsensusValue(value, 1.0 if agreement is None else agreement, agreement, len(answers), spread)


def _numbers(field: AnswerField, answers: Sequence[AnnotatorsAnswer]) -> list[float]:
    return [number for answer in answers if (number := field.number_of(answer.value)) is not None]


def representative(values: Sequence[Any]) -> Any:
    """Return the answer given most often as a whole; of equal ones that with the smallest canonical text."""
    texts = {canonical_text(value): value for value in values}
    return texts[majority([canonical_text(value) for value in values]).value]


def _averaged(
    value: Any, answers: Sequence[Any], fields: Sequence[AnswerField], method: str
) -> tuple[Any, Mapping[str, Average]]:
    """Return the answer with each number replaced by the average of all labels that have one, and the averages."""
    averages: dict[str, Average] = {}
    for field in fields:
        numbers = [] if field.order else [n for n in map(field.number_of, answers) if n is not None]
        if field.kind != Kind.NUMBER or not numbers:
            continue
        average = averages[field.name] = _AVERAGES[method](numbers)
        # whole numbers stay whole, as the schema wants them
        middle = rounded(average.value) if field.is_whole_number else average.value
        value = _replaced(value, field.path, middle)
    return value, averages


def _replaced(value: Any, path: tuple[str, ...], part: Any) -> Any:
    if not path:
        return part
    value = deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner.get(key) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        inner[path[-1]] = part
    return value
