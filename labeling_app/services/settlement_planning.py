"""What is to become of items that have all their labels: worked out for a whole set, nothing is written."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from datasets_app.domain.canonical import canonical_bytes, content_hash, same_json
from datasets_app.domain.json_path import MISSING
from datasets_app.models import ValidationStatus
from datasets_app.services.curation.adopting import WorkingAnswer, answers_at
from labeling_app.domain.consensus import ConsensusValue
from labeling_app.domain.settlement import Verdict, label_provenance, part_in
from labeling_app.models import Consensus, LabelingQueue, QueueItem, Review
from labeling_app.services.adopting_answers import Answer
from labeling_app.services.consensus_report import AnnotatorsAnswer
from labeling_app.services.review_opening import Question

# Reviews that the labels themselves can settle.
OF_AGREEMENT = (Review.Reason.DISAGREEMENT, Review.Reason.CHECK)


@dataclass(frozen=True, slots=True)
class GivenLabels:
    """The labels of an item together. `first_here`: when the first that was not imported was begun."""

    answers: list[AnnotatorsAnswer]
    newest: datetime
    first_here: datetime | None
    inputs: frozenset[bytes]
    has_consensus: bool
    has_review: bool

    @property
    def count(self) -> int:
        return len(self.answers)


@dataclass(slots=True)
class Case:
    """An item that has all its labels, and all that matters for what becomes of it."""

    item: QueueItem
    given: GivenLabels
    value: ConsensusValue
    verdict: Verdict
    consensus: Consensus
    review: Review | None  # the newest
    row: WorkingAnswer | None

    @property
    def open_reason(self) -> str:
        """Why a reviewer is asked already; "" if none is."""
        return self.review.reason if self.review is not None and self.review.outcome == "" else ""

    @property
    def was_kept(self) -> bool:
        """Whether a reviewer has seen these very labels and decided that what is there stays."""
        review = self.review
        return (
            review is not None
            and review.outcome == Review.Outcome.KEPT
            and review.decided_at is not None
            and review.decided_at >= self.given.newest
        )


@dataclass(slots=True)
class Plan:
    """What is to become of a set of items."""

    answers: list[Answer] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    retracted: dict[int, Consensus] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)
    settled: list[int] = field(default_factory=list)  # what was open about them answers itself


def planned(queue: LabelingQueue, cases: Sequence[Case]) -> Plan:
    """Return what is to be adopted, taken back, asked of a reviewer, or just left as it is."""
    earlier = answers_at(
        (case.row, case.given.first_here)
        for case in cases
        if case.row is not None
        and case.consensus.adopted_at is None
        and case.given.first_here is not None
        and case.row.updated_at > case.given.first_here
    )
    plan = Plan()
    for case in cases:
        if case.consensus.origin == Consensus.Origin.ADJUDICATED or case.was_kept:
            _let_rest(case, plan)
            continue
        if case.row is None:
            if case.consensus.adopted_at is None:
                asked = bool(case.open_reason)
                plan.states[case.item.pk] = QueueItem.State.REVIEW if asked else QueueItem.State.LABELED
        elif case.given.inputs != {content_hash(canonical_bytes(case.row.input))}:
            plan.questions.append(
                Question(
                    case.item.pk,
                    Review.Reason.CHANGED,
                    "The input was changed after labels had been given.",
                    0.0,
                )
            )
        elif case.open_reason and case.open_reason not in OF_AGREEMENT:
            _leave_to_reviewer(case, plan)
        elif case.consensus.adopted_at is not None:
            _plan_adopted(queue, case, plan)
        else:
            _plan_new(queue, case, earlier, plan)
    return plan


def _let_rest(case: Case, plan: Plan) -> None:
    """What a reviewer decided stands; decided while labels were wanted, it waits for none by a lower overlap."""
    if case.item.state != QueueItem.State.OPEN:
        return
    if case.open_reason:
        plan.states[case.item.pk] = QueueItem.State.REVIEW
    else:
        is_adopted = case.consensus.adopted_at is not None
        plan.states[case.item.pk] = QueueItem.State.ADOPTED if is_adopted else QueueItem.State.LABELED


def _leave_to_reviewer(case: Case, plan: Plan) -> None:
    """A reviewer is asked something else about this item already."""
    if case.verdict.disagree and case.consensus.adopted_at is None:
        plan.questions.append(_question(case))
    else:
        plan.states[case.item.pk] = QueueItem.State.REVIEW


def _plan_adopted(queue: LabelingQueue, case: Case, plan: Plan) -> None:
    assert case.row is not None
    consensus = case.consensus
    part = part_in(case.row.output, queue.field_path)
    stays = case.verdict.adopts and same_json(case.value.value, consensus.adopted_value)
    if part is MISSING or not same_json(part, consensus.adopted_value):
        if stays:  # somebody's edit came after the adoption, and the labels say nothing new
            plan.states[case.item.pk] = QueueItem.State.ADOPTED
        else:
            plan.questions.append(changed_question(case.item.pk))
    elif not case.verdict.adopts:
        plan.retracted[case.item.pk] = consensus
        plan.questions.append(_question(case))
    else:
        answer = _answer(queue, case)
        if not stays or answer.label != case.row.label:
            plan.answers.append(answer)
        else:
            plan.states[case.item.pk] = QueueItem.State.ADOPTED
            plan.settled.append(case.item.pk)


def _plan_new(
    queue: LabelingQueue, case: Case, earlier: Mapping[uuid.UUID, WorkingAnswer], plan: Plan
) -> None:
    assert case.row is not None
    part = part_in(case.row.output, queue.field_path)
    if not case.verdict.adopts:
        plan.questions.append(_question(case))
    elif case.row.example_id in earlier and not _same(
        part_in(earlier[case.row.example_id].output, queue.field_path), part
    ):
        plan.questions.append(changed_question(case.item.pk))
    elif case.row.status == ValidationStatus.VALIDATED and not _same(part, case.value.value):
        plan.questions.append(
            Question(
                case.item.pk,
                Review.Reason.CHECK,
                "The example is validated with another answer than its labels give.",
                0.0,
                case.value.value,
            )
        )
    else:
        plan.answers.append(_answer(queue, case))


def _answer(queue: LabelingQueue, case: Case) -> Answer:
    assert case.row is not None
    value = case.value
    validates = queue.validates_adopted and value.labels >= 2 and case.row.status == ValidationStatus.PENDING
    return Answer(
        item=case.item,
        consensus=case.consensus,
        row=case.row,
        value=value.value,
        origin=case.verdict.origin,
        label=label_provenance(
            origin=case.verdict.origin,
            labels=value.labels,
            agreement=value.agreement,
            method=case.consensus.method,
            queue=queue.name,
            field_path=queue.field_path,
        ),
        status=ValidationStatus.VALIDATED if validates else None,
        note=f"{case.verdict.origin}, {value.labels} {'label' if value.labels == 1 else 'labels'}",
    )


def _question(case: Case) -> Question:
    value = case.value
    sure = value.confidence if value.agreement is None else value.agreement
    reason = Review.Reason.DISAGREEMENT if case.verdict.disagree else Review.Reason.CHECK
    return Question(case.item.pk, reason, case.verdict.why, sure, value.value)


def changed_question(item_id: int) -> Question:
    """Return the question about an answer that was edited while it was labeled."""
    return Question(
        item_id,
        Review.Reason.CHANGED,
        "Somebody changed the answer in the dataset after labels had been given.",
    )


def _same(left: Any, right: Any) -> bool:
    """Tell whether two parts of outputs are the same; a missing one is the same as none."""
    if left is MISSING or right is MISSING:
        return (left is MISSING or left is None) and (right is MISSING or right is None)
    return same_json(left, right)
