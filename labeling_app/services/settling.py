"""What follows from labels: an answer is adopted into the working copy, or a reviewer is asked.

All of it works on sets of items, and inside the transaction and the `acting` of what changed the labels. Statuses
that labels give are nobody's own: `validated_by` stays empty, the provenance of the label tells how it came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from datasets_app.domain.canonical import canonical_bytes, content_hash, same_json
from datasets_app.domain.json_path import MISSING
from datasets_app.models import ValidationStatus
from datasets_app.services.curation.adopting import WorkingAnswer, answers_at, working_answers
from goldenproject.kit.clock import now
from labeling_app.domain.consensus import ConsensusValue
from labeling_app.domain.settlement import Verdict, label_provenance, part_in, verdict
from labeling_app.models import Consensus, LabelingQueue, QueueItem, Review
from labeling_app.services.adopting_answers import (
    Answer,
    adopt_answers,
    put_back,
    write_consensuses,
    write_item_states,
)
from labeling_app.services.consensus_report import consensus_of
from labeling_app.services.events import labels_disagree
from labeling_app.services.review_opening import Question, close_settled, open_reviews, resting_state

ITEMS_AT_ONCE = 1000
# What needs the whole queue is worked out by the job label_consensus; until then the majority speaks.
_OF_ONE_ITEM = ("majority", "mean", "median", "trimmed_mean")
_FINAL = (QueueItem.State.GONE, QueueItem.State.REJECTED)
_AGREEMENT = (Review.Reason.DISAGREEMENT, Review.Reason.CHECK)

_LABELS = """
    SELECT l.item_id, count(*), max(l.labeled_at), min(l.labeled_at) FILTER (WHERE l.source <> 'import'),
           array_agg(DISTINCT l.content_hash)
      FROM labeling_app_label l WHERE l.item_id = ANY(%s) GROUP BY l.item_id
"""


@dataclass(frozen=True, slots=True)
class _Given:
    """The labels of an item together."""

    count: int
    newest: datetime
    first_here: datetime | None
    inputs: frozenset[bytes]


@dataclass(slots=True)
class _Case:
    """An item that has all its labels, and all that matters for what becomes of it."""

    item: QueueItem
    given: _Given
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


def settle(*, queue: LabelingQueue, item_ids: Iterable[int], actor: Any, method: str | None = None) -> None:
    """Bring items in line with the labels that they have now; items are locked in the order of their ids.

    The consensus of each is computed anew. An item with as many labels as the queue asks for is then decided: its
    answer is adopted, or a review is opened, or closed when the labels agree by now. What a reviewer decided stands,
    and so does a rejected example. Gold items are left alone. The same twice changes nothing.
    """
    wanted = sorted(set(item_ids))
    for start in range(0, len(wanted), ITEMS_AT_ONCE):
        with transaction.atomic(savepoint=False):
            _settle(queue, wanted[start : start + ITEMS_AT_ONCE], actor, method)


def unadopt(
    *, queue: LabelingQueue, item_ids: Iterable[int], actor: Any, reason: str = "A label was taken back."
) -> None:
    """Take adoptions back: what they replaced is put back, unless somebody changed it since (then a review tells it).

    An adoption that a reviewer decided is taken back too, and its review is open again. Items without an adoption are
    left alone, so the same twice changes nothing.
    """
    wanted = sorted(set(item_ids))
    for start in range(0, len(wanted), ITEMS_AT_ONCE):
        part = wanted[start : start + ITEMS_AT_ONCE]
        with transaction.atomic(savepoint=False):
            items = {item.pk: item for item in lock_items(queue, part)}
            adopted = {
                pk: consensus
                for pk, consensus in Consensus.objects.in_bulk(items).items()
                if consensus.adopted_at is not None
            }
            if not adopted:
                continue
            decided = [pk for pk, c in adopted.items() if c.origin == Consensus.Origin.ADJUDICATED]
            put_back(queue=queue, items=items, adopted=adopted, actor=actor, reason=reason)
            reopened = reopen_decided(decided, reason)
            _rest(queue, [items[pk] for pk in adopted], still_open=reopened)


def lock_items(queue: LabelingQueue, item_ids: Iterable[int]) -> list[QueueItem]:
    """Return these items of the queue, locked in the order of their ids until the transaction ends."""
    return list(
        QueueItem.objects.select_for_update(no_key=True, of=("self",))
        .filter(pk__in=list(item_ids), queue=queue)
        .order_by("pk")
    )


def reopen_decided(item_ids: Iterable[int], reason: str) -> set[int]:
    """Open the newest review of each item again if a person had decided it and none is open; return the items."""
    newest = Review.objects.filter(item__in=list(item_ids)).order_by("item", "-pk").distinct("item")
    reopened = set()
    for review in newest:
        if review.outcome in ("", Review.Outcome.SETTLED):
            continue
        review.outcome, review.decided_by, review.decided_at = Review.Outcome.OPEN, None, None
        review.detail = f"{review.detail}\n{reason}".strip()
        review.save(update_fields=["outcome", "decided_by", "decided_at", "detail"])
        reopened.add(review.item_id)
    return reopened


def _rest(queue: LabelingQueue, items: Sequence[QueueItem], *, still_open: Iterable[int] = ()) -> None:
    """Set the state of items that hold no adopted answer any more."""
    asked = set(still_open) | set(
        Review.objects.filter(item__in=[item.pk for item in items], outcome="").values_list("item", flat=True)
    )
    states = {}
    for item in items:
        state = resting_state(item, queue.overlap, is_adopted=False)
        if state == QueueItem.State.LABELED and item.pk in asked:
            state = QueueItem.State.REVIEW
        states[item.pk] = state
    write_item_states(states)


def _settle(queue: LabelingQueue, item_ids: Sequence[int], actor: Any, method: str | None) -> None:
    items = [item for item in lock_items(queue, item_ids) if not item.is_gold]
    ids = [item.pk for item in items]
    method = method or (queue.consensus_method if queue.consensus_method in _OF_ONE_ITEM else "majority")
    values = consensus_of(queue=queue, item_ids=ids, method=method)
    given = _labels_of(ids)
    known = Consensus.objects.in_bulk(ids)
    consensuses = _computed(queue, ids, values, known, method)
    complete = [
        item
        for item in items
        if item.pk in given and given[item.pk].count >= queue.overlap and item.state not in _FINAL
    ]
    done = {item.pk for item in complete}
    write_consensuses(row for pk, row in consensuses.items() if pk not in done)
    if not complete:
        return
    reviews = {
        review.item_id: review
        for review in Review.objects.filter(item__in=[item.pk for item in complete])
        .order_by("item", "-pk")
        .distinct("item")
    }
    rows = working_answers(queue.branch, [item.example_id for item in complete])
    cases = [
        _Case(
            item,
            given[item.pk],
            values[item.pk],
            verdict(
                labels=values[item.pk].labels,
                agreement=values[item.pk].agreement,
                confidence=values[item.pk].confidence,
                adopts=queue.adopts,
                threshold=float(queue.agreement_threshold),
            ),
            consensuses[item.pk],
            reviews.get(item.pk),
            rows.get(item.example_id),
        )
        for item in complete
    ]
    _decide(queue, cases, actor)


def _labels_of(item_ids: Sequence[int]) -> dict[int, _Given]:
    with connection.cursor() as cursor:
        cursor.execute(_LABELS, [list(item_ids)])
        return {
            item: _Given(count, newest, first, frozenset(bytes(one) for one in inputs))
            for item, count, newest, first, inputs in cursor
        }


def _computed(
    queue: LabelingQueue,
    item_ids: Sequence[int],
    values: dict[int, ConsensusValue],
    known: dict[int, Consensus],
    method: str,
) -> dict[int, Consensus]:
    """Return what the labels say together now; what was adopted stays as it is. Items that never had labels have none."""
    at = now()
    found = {}
    for pk in item_ids:
        value = values.get(pk)
        if value is None and pk not in known:
            continue
        row = known.get(pk) or Consensus(item_id=pk, queue=queue)
        row.method, row.computed_at = method, at
        row.value = None if value is None else value.value
        row.confidence = None if value is None else _four_places(value.confidence)
        row.agreement = None if value is None else _four_places(value.agreement)
        row.label_count = 0 if value is None else value.labels
        found[pk] = row
    return found


def _four_places(value: float | None) -> Any:
    return None if value is None else Decimal(f"{value:.4f}")


@dataclass(slots=True)
class _Plan:
    """What is to become of a set of items."""

    answers: list[Answer] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    retracted: dict[int, Consensus] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)


def _decide(queue: LabelingQueue, cases: Sequence[_Case], actor: Any) -> None:
    by_item = {case.item.pk: case for case in cases}
    plan = _planned(queue, cases)
    if plan.retracted:
        put_back(
            queue=queue,
            items={pk: by_item[pk].item for pk in plan.retracted},
            adopted=plan.retracted,
            actor=actor,
            reason="The labels say something else now.",
        )
    told = adopt_answers(queue=queue, answers=plan.answers, actor=actor, reason="labels adopted")
    write_consensuses(case.consensus for case in cases)
    plan.questions += [_changed(pk) for pk in told.changed]
    plan.questions += [
        Question(
            pk,
            Review.Reason.CHECK,
            f"The answer cannot be adopted as it is: {why}",
            0.0,
            by_item[pk].value.value,
        )
        for pk, why in told.invalid.items()
    ]
    plan.states |= dict.fromkeys(told.adopted, QueueItem.State.ADOPTED)
    plan.states |= dict.fromkeys(told.gone, QueueItem.State.LABELED)
    write_item_states(plan.states)
    asked = [pk for pk in told.adopted if by_item[pk].open_reason in _AGREEMENT]
    if asked:
        close_settled(asked)
    new = open_reviews(queue=queue, questions=plan.questions)
    for question in plan.questions:
        if question.reason == Review.Reason.DISAGREEMENT and question.item_id in new:
            case = by_item[question.item_id]
            labels_disagree.send(
                LabelingQueue,
                queue=queue,
                example_id=case.item.example_id,
                actor=actor,
                facts={
                    "labels": case.value.labels,
                    "agreement": case.value.agreement,
                    "value": case.value.value,
                },
            )


def _planned(queue: LabelingQueue, cases: Sequence[_Case]) -> _Plan:
    earlier = answers_at(
        (case.row, case.given.first_here)
        for case in cases
        if case.row is not None
        and case.consensus.adopted_at is None
        and case.given.first_here is not None
        and case.row.updated_at > case.given.first_here
    )
    plan = _Plan()
    for case in cases:
        if case.consensus.origin == Consensus.Origin.ADJUDICATED or case.was_kept:
            continue
        if case.row is None:
            plan.states[case.item.pk] = QueueItem.State.LABELED
        elif case.given.inputs != {content_hash(canonical_bytes(case.row.input))}:
            plan.questions.append(
                Question(
                    case.item.pk,
                    Review.Reason.CHANGED,
                    "The input was changed after labels had been given.",
                    0.0,
                )
            )
        elif case.open_reason and case.open_reason not in _AGREEMENT:
            _leave_to_reviewer(case, plan)
        elif case.consensus.adopted_at is not None:
            _plan_adopted(queue, case, plan)
        else:
            _plan_new(queue, case, earlier, plan)
    return plan


def _leave_to_reviewer(case: _Case, plan: _Plan) -> None:
    """A reviewer is asked something else about this item already."""
    if case.verdict.disagree and case.consensus.adopted_at is None:
        plan.questions.append(_question(case))
    elif case.consensus.adopted_at is None:
        plan.states[case.item.pk] = QueueItem.State.REVIEW


def _plan_adopted(queue: LabelingQueue, case: _Case, plan: _Plan) -> None:
    assert case.row is not None
    consensus = case.consensus
    part = part_in(case.row.output, queue.field_path)
    stays = case.verdict.adopts and same_json(case.value.value, consensus.adopted_value)
    if part is MISSING or not same_json(part, consensus.adopted_value):
        if not stays:
            plan.questions.append(_changed(case.item.pk))
    elif not case.verdict.adopts:
        plan.retracted[case.item.pk] = consensus
        plan.questions.append(_question(case))
    else:
        answer = _answer(queue, case)
        if not stays or answer.label != case.row.label:
            plan.answers.append(answer)
        else:
            plan.states[case.item.pk] = QueueItem.State.ADOPTED


def _plan_new(queue: LabelingQueue, case: _Case, earlier: dict[Any, Any], plan: _Plan) -> None:
    assert case.row is not None
    part = part_in(case.row.output, queue.field_path)
    if not case.verdict.adopts:
        plan.questions.append(_question(case))
    elif case.row.example_id in earlier and not _same(
        part_in(earlier[case.row.example_id].output, queue.field_path), part
    ):
        plan.questions.append(_changed(case.item.pk))
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


def _answer(queue: LabelingQueue, case: _Case) -> Answer:
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
        ),
        status=ValidationStatus.VALIDATED if validates else None,
        note=f"{case.verdict.origin}, {value.labels} {'label' if value.labels == 1 else 'labels'}",
    )


def _question(case: _Case) -> Question:
    value = case.value
    sure = value.confidence if value.agreement is None else value.agreement
    reason = Review.Reason.DISAGREEMENT if case.verdict.disagree else Review.Reason.CHECK
    return Question(case.item.pk, reason, case.verdict.why, sure, value.value)


def _changed(item_id: int) -> Question:
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
