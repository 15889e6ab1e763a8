"""What follows from labels: an answer is adopted into the working copy, or a reviewer is asked.

All of it works on sets of items, and inside the transaction and the `acting` of what changed the labels. Statuses
that labels give are nobody's own: `validated_by` stays empty, the provenance of the label tells how it came about.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db import transaction

from datasets_app.domain.canonical import loads_stored
from datasets_app.services.curation.adopting import WorkingAnswer, working_answers
from goldenproject.kit.clock import now
from goldenproject.kit.database_io import prepared_cursor
from labeling_app.domain.consensus import ConsensusValue
from labeling_app.domain.settlement import verdict
from labeling_app.models import Consensus, LabelingQueue, QueueItem, Review
from labeling_app.services.adopting_answers import (
    adopt_answers,
    put_back,
)
from labeling_app.services.consensus_report import AnnotatorsAnswer, consensus_of
from labeling_app.services.events import labels_disagree
from labeling_app.services.review_opening import Question, close_settled, open_reviews, resting_state
from labeling_app.services.settled_rows import write_consensuses, write_item_states, write_settled
from labeling_app.services.settlement_planning import (
    OF_AGREEMENT,
    Case,
    GivenLabels,
    changed_question,
    planned,
)

ITEMS_AT_ONCE = 1000
# What needs the whole queue is worked out by the job label_consensus; until then the majority speaks.
OF_ONE_ITEM = ("majority", "mean", "median", "trimmed_mean")
_FINAL = (QueueItem.State.GONE, QueueItem.State.REJECTED)

_LABELS = """
    SELECT l.item_id, l.annotator, l.value::text, l.confidence, l.labeled_at,
           CASE WHEN l.source <> 'import' THEN coalesce(s.leased_at, l.labeled_at) END, l.content_hash,
           EXISTS (SELECT 1 FROM labeling_app_consensus c WHERE c.item_id = l.item_id),
           EXISTS (SELECT 1 FROM labeling_app_review r WHERE r.item_id = l.item_id)
      FROM labeling_app_label l LEFT JOIN labeling_app_lease s ON s.id = l.lease_id
     WHERE l.item_id = ANY(%s) ORDER BY l.item_id, l.annotator
"""


def settle(
    *,
    queue: LabelingQueue,
    item_ids: Iterable[int] = (),
    actor: Any,
    values: Mapping[int, ConsensusValue] | None = None,
    locked: Sequence[QueueItem] | None = None,
    rows: Mapping[uuid.UUID, WorkingAnswer] | None = None,
    given: Mapping[int, GivenLabels] | None = None,
) -> None:
    """Bring items in line with the labels that they have now; items are locked in the order of their ids.

    The consensus of each is computed anew. An item with as many labels as the queue asks for is then decided: its
    answer is adopted, or a review is opened, or closed when the labels agree by now. What a reviewer decided stands,
    and so does a rejected example. Gold items are left alone. The same twice changes nothing.

    `values` are what the queue's method says, where that was worked out for the whole queue before; items that got or
    lost labels since then are left alone. `locked` are the items themselves, instead of their ids, where the caller holds
    their locks already: their states are set in memory too. `rows` are working rows, and `given`
    all labels of these items, as they are under these locks.
    """
    if locked is not None:
        _settle(queue, locked, actor, values, rows or {}, given)
        return
    wanted = sorted(set(item_ids))
    for start in range(0, len(wanted), ITEMS_AT_ONCE):
        with transaction.atomic(savepoint=False):
            _settle(queue, lock_items(queue, wanted[start : start + ITEMS_AT_ONCE]), actor, values, {})


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
    """Return these items of the queue, locked in the order of their ids until the transaction ends.

    The queue gets the overlap of now: another may have been stored since it was read, or while the locks were waited for.
    """
    items = list(
        QueueItem.objects.select_for_update(no_key=True, of=("self",))
        .filter(pk__in=list(item_ids), queue=queue)
        .order_by("pk")
    )
    queue.overlap = LabelingQueue.objects.values_list("overlap", flat=True).get(pk=queue.pk)
    return items


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


def _settle(
    queue: LabelingQueue,
    locked: Sequence[QueueItem],
    actor: Any,
    values: Mapping[int, ConsensusValue] | None,
    known_rows: Mapping[uuid.UUID, WorkingAnswer],
    known_labels: Mapping[int, GivenLabels] | None = None,
) -> None:
    items = [item for item in locked if not item.is_gold]
    given = known_labels or _labels_of([item.pk for item in items])
    method = queue.consensus_method
    if values is not None:
        items = [item for item in items if item.pk in values and item.pk in given]
        items = [item for item in items if given[item.pk].count == values[item.pk].labels]
    ids = [item.pk for item in items]
    if values is None:
        method = method if method in OF_ONE_ITEM else "majority"
        answers = {pk: labels.answers for pk, labels in given.items()}
        values = consensus_of(queue=queue, item_ids=ids, method=method, given=answers)
    # the usual item has just got its last label: nothing is known of it yet, so nothing is asked for
    settled_before = [pk for pk in ids if pk not in given or given[pk].has_consensus]
    known = Consensus.objects.in_bulk(settled_before) if settled_before else {}
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
    reviews = _newest_reviews([item.pk for item in complete if given[item.pk].has_review])
    # a row that was read while another label of the item was adopted may be older than that
    rows = {
        item.example_id: known_rows[item.example_id]
        for item in complete
        if item.example_id in known_rows and not given[item.pk].has_consensus
    }
    if unread := [item.example_id for item in complete if item.example_id not in rows]:
        rows |= working_answers(queue.branch, unread)
    cases = [
        Case(
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


def _newest_reviews(item_ids: Sequence[int]) -> dict[int, Review]:
    if not item_ids:
        return {}
    newest = Review.objects.filter(item__in=item_ids).order_by("item", "-pk").distinct("item")
    return {review.item_id: review for review in newest}


def _labels_of(item_ids: Sequence[int]) -> dict[int, GivenLabels]:
    labels: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    with prepared_cursor() as cursor:
        cursor.execute(_LABELS, [list(item_ids)])
        for item, *label in cursor.fetchall():
            labels[item].append(tuple(label))
    return {item: _together(given) for item, given in labels.items()}


def _together(labels: Sequence[tuple[Any, ...]]) -> GivenLabels:
    annotators, values, confidences, given_at, begun_at, inputs, has_consensus, has_review = zip(
        *labels, strict=True
    )
    return GivenLabels(
        answers=[
            AnnotatorsAnswer(name, loads_stored(value), None if sure is None else float(sure))
            for name, value, sure in zip(annotators, values, confidences, strict=True)
        ],
        newest=max(given_at),
        first_here=min((at for at in begun_at if at is not None), default=None),
        inputs=frozenset(bytes(one) for one in inputs),
        has_consensus=has_consensus[0],
        has_review=has_review[0],
    )


def _states_of(item_ids: Iterable[int]) -> dict[int, str]:
    wanted = list(item_ids)
    return dict(QueueItem.objects.filter(pk__in=wanted).values_list("pk", "state")) if wanted else {}


def _computed(
    queue: LabelingQueue,
    item_ids: Sequence[int],
    values: Mapping[int, ConsensusValue],
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


def _decide(queue: LabelingQueue, cases: Sequence[Case], actor: Any) -> None:
    by_item = {case.item.pk: case for case in cases}
    plan = planned(queue, cases)
    if plan.retracted:
        put_back(
            queue=queue,
            items={pk: by_item[pk].item for pk in plan.retracted},
            adopted=plan.retracted,
            actor=actor,
            reason="The labels say something else now.",
        )
    told = adopt_answers(queue=queue, answers=plan.answers, actor=actor, reason="labels adopted")
    plan.states |= dict.fromkeys(told.adopted, QueueItem.State.ADOPTED)
    for pk in told.gone:
        if by_item[pk].consensus.adopted_at is None:
            plan.states[pk] = QueueItem.State.LABELED
    write_settled(consensuses=(case.consensus for case in cases), log=told.log, states=plan.states)
    plan.questions += [changed_question(pk) for pk in told.changed]
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
    asked = [pk for pk in (*told.adopted, *plan.settled) if by_item[pk].open_reason in OF_AGREEMENT]
    if asked:
        close_settled(asked)
    new = open_reviews(queue=queue, questions=plan.questions)
    known = plan.states | _states_of(question.item_id for question in plan.questions)
    for pk, state in known.items():
        by_item[pk].item.state = state
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
