"""Carry answers of a queue into the working copy and take them out again, with the record of both.

The rows of `Consensus` that are passed in are changed in memory; the caller stores them together with the rows of the
log (`settled_rows.write_settled`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from datasets_app.domain.canonical import same_json
from datasets_app.domain.json_path import MISSING
from datasets_app.models import ValidationStatus
from datasets_app.services.curation.adopting import Adoption, WorkingAnswer, adopt_outputs, working_answers
from goldenproject.kit.audit import known_person
from goldenproject.kit.clock import now
from labeling_app.domain.settlement import ADJUDICATED, composed, part_in, without_part
from labeling_app.models import Consensus, LabelHistory, LabelingQueue, QueueItem, Review
from labeling_app.services.events import example_validated
from labeling_app.services.review_opening import Question, open_reviews
from labeling_app.services.settled_rows import write_settled


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to adopt for one item. `status` is what the example becomes; None leaves it as it is.

    `label` is the provenance that becomes content; `note` says in words how the answer came about.
    """

    item: QueueItem
    consensus: Consensus
    row: WorkingAnswer
    value: Any
    origin: str
    label: dict[str, Any]
    status: str | None = None
    validated_by: int | None = None
    note: str = ""


@dataclass(slots=True)
class AdoptedAnswers:
    """The items whose answer was adopted, and why others were not: in words, by item. `log` is what is to be told of them."""

    log: list[LabelHistory] = field(default_factory=list)
    adopted: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    invalid: dict[int, str] = field(default_factory=dict)


def adopt_answers(
    *, queue: LabelingQueue, answers: Sequence[Answer], actor: Any, reason: str
) -> AdoptedAnswers:
    """Write answers into the working copy. What cannot be written is told, not raised.

    The caller stores the consensuses and the rows of the log that come back.
    """
    told = AdoptedAnswers()
    if not answers:
        return told
    at = now()
    adoptions = [_adoption(queue, answer, at) for answer in answers]
    result = adopt_outputs(
        branch=queue.branch,
        adoptions=adoptions,
        actor=actor,
        reason=reason,
        known_types=[queue.example_type],
    )
    written = []
    for answer, adoption in zip(answers, adoptions, strict=True):
        example = answer.row.example_id
        if example in result.written:
            _remember(queue, answer, adoption, at, actor)
            written.append(answer)
            told.adopted.append(answer.item.pk)
        elif example in result.invalid:
            told.invalid[answer.item.pk] = result.invalid[example]
        else:
            (told.changed if example in result.changed else told.gone).append(answer.item.pk)
    told.log = _log_of_adopted(queue, written, actor, at)
    for answer in written:
        if answer.status == ValidationStatus.VALIDATED:
            example_validated.send(
                LabelingQueue,
                queue=queue,
                example_id=answer.row.example_id,
                actor=actor,
                facts={"value": answer.value, **answer.label},
            )
    return told


def _adoption(queue: LabelingQueue, answer: Answer, at: datetime) -> Adoption:
    row = answer.row
    output = composed(row.output, queue.field_path, answer.value)
    if answer.status is None:
        return Adoption(row, output, answer.label, row.status, row.validated_by, row.validated_at)
    return Adoption(row, output, answer.label, answer.status, answer.validated_by, at)


def _remember(queue: LabelingQueue, answer: Answer, adoption: Adoption, at: datetime, actor: Any) -> None:
    """Note in the consensus what was adopted and what it replaced.

    Labels that say something else by now replace their own adoption, so what was there before it stays noted. What a
    reviewer decides is noted on top of it, and so is what comes after somebody's edit.
    """
    consensus, row = answer.consensus, answer.row
    is_on_top = answer.origin == ADJUDICATED or not _is_as_adopted(queue, consensus, row)
    if consensus.adopted_at is None or is_on_top:
        part = part_in(row.output, queue.field_path)
        earlier = None
        if consensus.adopted_at is not None:
            earlier = {
                "origin": consensus.origin,
                "value": consensus.adopted_value,
                "at": consensus.adopted_at.isoformat(),
                "before": consensus.before,
            }
        consensus.before = {
            "had_output": row.output is not None,
            "has_value": part is not MISSING,
            "value": None if part is MISSING else part,
            "label": row.label,
            "status": row.status,
            "validated_by": row.validated_by,
            "validated_at": None if row.validated_at is None else row.validated_at.isoformat(),
            "earlier": earlier,
        }
    consensus.before["status_after"] = adoption.status
    consensus.origin, consensus.adopted_value, consensus.adopted_at = answer.origin, answer.value, at
    consensus.decided_by = known_person(actor) if answer.origin == ADJUDICATED else None


def _log_of_adopted(
    queue: LabelingQueue, answers: Sequence[Answer], actor: Any, at: datetime
) -> list[LabelHistory]:
    return [
        log_row(
            queue,
            answer.item,
            LabelHistory.Event.ADOPTED,
            by=actor if answer.origin == ADJUDICATED else None,
            at=at,
            value=answer.value,
            previous=_previous(answer.consensus),
            notes=answer.note,
            confidence=None if answer.origin == ADJUDICATED else answer.consensus.confidence,
        )
        for answer in answers
    ]


def log_row(
    queue: LabelingQueue,
    item: QueueItem,
    event: str,
    *,
    by: Any,
    at: datetime,
    value: Any = None,
    previous: Any = None,
    notes: str = "",
    confidence: Any = None,
) -> LabelHistory:
    """Return an unsaved row of the log about an item; `by` is None where nobody decided it."""
    person = known_person(by)
    return LabelHistory(
        example_id=item.example_id,
        queue=queue,
        labeler=person,
        annotator="" if person is None else person.get_username(),
        event=event,
        label_type=queue.label_type,
        label_value=value,
        previous_value=previous,
        labeled_at=at,
        notes=notes,
        confidence=confidence,
    )


def _previous(consensus: Consensus) -> Any:
    return consensus.before.get("value")


def put_back(
    *,
    queue: LabelingQueue,
    items: Mapping[int, QueueItem],
    adopted: Mapping[int, Consensus],
    actor: Any,
    reason: str,
    one_step: bool = False,
) -> None:
    """Put back what adoptions replaced, and store their consensus as not adopted.

    Of an adoption on top of another, `one_step` takes only the upper one back. Where the answer or its status was
    changed since, that stays; a review tells it.
    """
    rows = working_answers(queue.branch, [items[pk].example_id for pk in adopted])
    adoptions: list[Adoption] = []
    edited: list[Question] = []
    for pk, consensus in adopted.items():
        row = rows.get(items[pk].example_id)
        if row is None:
            continue
        before = consensus.before if one_step else _first(consensus.before)
        if _is_as_adopted(queue, consensus, row):
            adoptions.append(_restoration(queue, before, row))
        else:
            adoptions.append(
                Adoption(row, row.output, before.get("label"), row.status, row.validated_by, row.validated_at)
            )
            edited.append(_edited(pk))
    done = adopt_outputs(branch=queue.branch, adoptions=adoptions, actor=actor, reason=reason, checked=False)
    by_example = {items[pk].example_id: pk for pk in adopted}
    edited += [_edited(by_example[example]) for example in done.changed]
    log = _log_of_put_back(queue, items, adopted, actor, reason)
    for consensus in adopted.values():
        _forget(consensus, consensus.before.get("earlier") if one_step else None)
    write_settled(consensuses=adopted.values(), log=log)
    open_reviews(queue=queue, questions=edited)


def _first(before: dict[str, Any]) -> dict[str, Any]:
    """Return what the first of the adoptions on top of each other replaced."""
    while before.get("earlier"):
        before = before["earlier"]["before"]
    return before


def _forget(consensus: Consensus, earlier: dict[str, Any] | None) -> None:
    consensus.decided_by = None
    if earlier is None:
        consensus.origin, consensus.adopted_value, consensus.adopted_at = "", None, None
        consensus.before = {}
    else:
        consensus.origin, consensus.adopted_value = earlier["origin"], earlier["value"]
        consensus.adopted_at, consensus.before = datetime.fromisoformat(earlier["at"]), earlier["before"]


def _edited(item_id: int) -> Question:
    return Question(
        item_id,
        Review.Reason.CHANGED,
        "The adopted answer was taken back, but somebody had changed the example since, so it was left as it is.",
    )


def _is_as_adopted(queue: LabelingQueue, consensus: Consensus, row: WorkingAnswer) -> bool:
    part = part_in(row.output, queue.field_path)
    return (
        part is not MISSING
        and same_json(part, consensus.adopted_value)
        and row.status == consensus.before.get("status_after")
    )


def _restoration(queue: LabelingQueue, before: dict[str, Any], row: WorkingAnswer) -> Adoption:
    if before["has_value"]:
        output = composed(row.output, queue.field_path, before["value"])
    else:
        output = without_part(row.output, queue.field_path)
    if not before["had_output"] and not output:
        output = None
    at = before["validated_at"]
    return Adoption(
        row,
        output,
        before["label"],
        before["status"],
        before["validated_by"],
        None if at is None else datetime.fromisoformat(at),
    )


def _log_of_put_back(
    queue: LabelingQueue,
    items: Mapping[int, QueueItem],
    adopted: Mapping[int, Consensus],
    actor: Any,
    reason: str,
) -> list[LabelHistory]:
    at = now()
    return [
        log_row(
            queue,
            items[pk],
            LabelHistory.Event.UNADOPTED,
            by=actor,
            at=at,
            value=_previous(consensus),
            previous=consensus.adopted_value,
            notes=reason,
        )
        for pk, consensus in adopted.items()
    ]
