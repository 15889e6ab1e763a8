"""Reviewers decide: which label is adopted, or another answer, or that the example goes back or out."""

from __future__ import annotations

from typing import Any

from datasets_app.domain.canonical import same_json
from datasets_app.domain.roles import Action
from datasets_app.errors import SchemaViolation
from datasets_app.models import Example, ValidationStatus
from datasets_app.services.access import record, require
from datasets_app.services.curation.adopting import Adoption, adopt_outputs, working_answers
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput, Conflict
from goldenproject.kit.retries import retried
from labeling_app.domain.settlement import ADJUDICATED, label_provenance
from labeling_app.errors import AlreadyDecided, ExampleChanged, ExampleGone
from labeling_app.models import Consensus, LabelHistory, LabelingQueue, QueueItem, Review, ReviewClaim
from labeling_app.services.adopting_answers import (
    Answer,
    adopt_answers,
    log_row,
    put_back,
)
from labeling_app.services.erasing import refuse_redacted
from labeling_app.services.events import example_rejected
from labeling_app.services.keeping import checked_text
from labeling_app.services.review_cases import ReviewCase, case_of
from labeling_app.services.review_claims import refuse_claimed
from labeling_app.services.review_listing import (
    UnknownReview,
    decided_reviews,
    get_review,
    next_reviews,
)
from labeling_app.services.review_opening import open_review, open_reviews, resting_state
from labeling_app.services.review_sending import send_back, take_back_sending
from labeling_app.services.settled_rows import write_item_states, write_settled
from labeling_app.services.settling import lock_items

__all__ = [
    "ReviewCase",
    "UnknownReview",
    "case_of",
    "decide",
    "decided_reviews",
    "get_review",
    "next_reviews",
    "open_review",
    "open_reviews",
    "undo_decision",
]

_ANSWERS = (Review.Outcome.ADOPTED, Review.Outcome.THIRD_ANSWER)
_NEEDS_REASON = (Review.Outcome.REJECTED, Review.Outcome.SENT_BACK)
_DECISIONS = (*_ANSWERS, *_NEEDS_REASON, Review.Outcome.KEPT)


@retried()
def decide(
    *,
    review_id: int,
    actor: Any,
    outcome: str,
    value: Any = None,
    comment: str = "",
    seen: str | None = None,
) -> Review:
    """Decide an open review, and return it.

    - `adopted`: `value` is one of the labels, or what they say together; written into the example, which is validated.
    - `third_answer`: as adopted, for any value that the type allows.
    - `rejected`: the example is rejected; `comment` says why.
    - `sent_back`: the labels go into the history and the example is labeled anew; `comment` is shown to the labelers.
    - `kept`: nothing changes.

    `seen` is the fingerprint of the case that the decision is about (`ReviewCase.fingerprint`). Whoever decides gives
    the claim back. Raises AlreadyDecided, ReviewClaimed when another reviewer has the review open, ExampleChanged when
    the case is another one by now, ExampleGone, SchemaViolation, BadInput, Forbidden, UnknownReview.
    """
    if outcome not in _DECISIONS:
        raise BadInput(f"Outcome: found “{outcome}”, expected one of {', '.join(_DECISIONS)}.")
    comment = checked_text("Comment", comment).strip()
    if outcome in _NEEDS_REASON and not comment:
        raise BadInput("A reason is needed: it is kept, and labelers read it.", hint="Say it in the comment.")
    review = get_review(review_id)
    queue = review.queue
    require(actor, Action.REVIEW, queue.dataset)
    with acting(actor, f"review: {outcome}"):
        item = _locked(review)
        _refuse_decided(review)
        refuse_claimed(review.pk, actor)
        at = now()
        case = case_of(review)
        if seen is not None and seen != case.fingerprint:
            raise ExampleChanged(
                "The example or its labels were changed while you were looking at them.",
                hint="Look at them as they are now, and decide again.",
            )
        if outcome in _ANSWERS:
            value = _adopt(review, item, case, outcome, value, comment, actor)
        elif outcome == Review.Outcome.REJECTED:
            _reject(review, item, comment, actor)
        elif outcome == Review.Outcome.SENT_BACK:
            if item.state == QueueItem.State.REJECTED:  # it is to be labeled, so it is no longer out
                _take_rejection_back(queue, item, actor)
            send_back(queue=queue, item=item, comment=comment, actor=actor, at=at)
        else:
            consensus = Consensus.objects.filter(pk=item.pk, adopted_at__isnull=False)
            state = resting_state(item, queue.overlap, is_adopted=consensus.exists())
            write_item_states({item.pk: state})
        review.outcome, review.comment = outcome, comment
        review.value = value if outcome in _ANSWERS else None
        review.decided_by, review.decided_at = known_person(actor), at
        review.save(update_fields=["outcome", "comment", "value", "decided_by", "decided_at"])
        ReviewClaim.objects.filter(review=review).delete()
        record(
            actor,
            "labels.review",
            queue.dataset,
            f"{review.get_outcome_display()}: {item.example} in {queue.name}",
            review=review.pk,
            outcome=outcome,
        )
    return review


def _locked(review: Review) -> QueueItem:
    """Lock the item and then the review, whose decision is read anew."""
    items = lock_items(review.queue, [review.item_id])
    Review.objects.select_for_update(no_key=True).only("pk").get(pk=review.pk)
    review.refresh_from_db(fields=["outcome", "decided_by", "decided_at", "detail", "score"])
    return items[0]


def _refuse_decided(review: Review) -> None:
    if review.outcome == "":
        return
    if review.outcome == Review.Outcome.SETTLED:
        raise AlreadyDecided("The labels agree by now, so this review has settled itself.")
    who = review.decided_by or "Somebody"
    raise AlreadyDecided(
        f"{who} has decided this already: {review.get_outcome_display()}.",
        hint="Undo that decision first, if it was wrong.",
    )


def _adopt(
    review: Review,
    item: QueueItem,
    case: ReviewCase,
    outcome: str,
    value: Any,
    comment: str,
    actor: Any,
) -> Any:
    queue = review.queue
    if outcome == Review.Outcome.ADOPTED and not any(same_json(value, one) for one in case.adoptable):
        raise BadInput("This is none of the labels.", hint="Give it as a third answer.")
    row = case.row
    if row is None:
        raise ExampleGone("The example was removed from the working copy.", hint="Its labels are kept.")
    consensus = Consensus.objects.filter(pk=item.pk).first() or Consensus(
        item=item,
        queue=queue,
        method=queue.consensus_method,
        label_count=len(case.labels),
        computed_at=now(),
    )
    agreement = None if consensus.agreement is None else float(consensus.agreement)
    told = adopt_answers(
        queue=queue,
        answers=[
            Answer(
                item=item,
                consensus=consensus,
                row=row,
                value=value,
                origin=ADJUDICATED,
                label=label_provenance(
                    origin=ADJUDICATED,
                    labels=len(case.labels),
                    agreement=agreement,
                    method=None,
                    queue=queue.name,
                    field_path=queue.field_path,
                ),
                status=ValidationStatus.VALIDATED,
                validated_by=getattr(actor, "pk", None),
                note=comment,
            )
        ],
        actor=actor,
        reason="review: adopted",
    )
    if item.pk in told.invalid:
        raise SchemaViolation(told.invalid[item.pk])
    if not told.adopted:
        raise ExampleChanged("The example was changed just now.", hint="Look at it as it is now.")
    write_settled(consensuses=[consensus], log=told.log, states={item.pk: QueueItem.State.ADOPTED})
    return value


def _reject(review: Review, item: QueueItem, comment: str, actor: Any) -> None:
    queue = review.queue
    row = working_answers(queue.branch, [item.example_id]).get(item.example_id)
    if row is None:
        raise ExampleGone("The example was removed from the working copy.", hint="Its labels are kept.")
    at = now()
    rejected = Adoption(row, row.output, row.label, ValidationStatus.REJECTED, getattr(actor, "pk", None), at)
    done = adopt_outputs(
        branch=queue.branch, adoptions=[rejected], actor=actor, reason="review: rejected", checked=False
    )
    if not done.written:
        raise ExampleChanged("The example was changed just now.", hint="Look at it as it is now.")
    log_row(queue, item, LabelHistory.Event.REJECTED, by=actor, at=at, notes=comment).save()
    write_item_states({item.pk: QueueItem.State.REJECTED})
    example_rejected.send(
        LabelingQueue,
        queue=queue,
        example_id=item.example_id,
        actor=actor,
        facts={"reason": comment, "review": review.pk},
    )


@retried()
def undo_decision(*, review_id: int, actor: Any, comment: str = "") -> Review:
    """Take the newest decision about an item back; the review is open again, and the history keeps both.

    What the decision wrote is put back, unless somebody changed it since. Labels that were sent back are there again,
    with what followed from them, as long as nobody has labeled the example since. Raises LabeledSince, ExampleChanged,
    ExampleGone, Conflict, BadInput, Forbidden, UnknownReview.
    """
    comment = checked_text("Comment", comment).strip()
    review = get_review(review_id)
    queue = review.queue
    require(actor, Action.REVIEW, queue.dataset)
    with acting(actor, "review: decision undone"):
        item = _locked(review)
        outcome, decided_at, at = review.outcome, review.decided_at, now()
        _refuse_undo(review)
        # open again first: what putting back has to tell is then told in it
        review.outcome, review.value, review.decided_by, review.decided_at = (
            Review.Outcome.OPEN,
            None,
            None,
            None,
        )
        review.save(update_fields=["outcome", "value", "decided_by", "decided_at"])
        if outcome in _ANSWERS:
            _take_answer_back(queue, item, actor)
        elif outcome == Review.Outcome.REJECTED:
            _take_rejection_back(queue, item, actor)
        elif outcome == Review.Outcome.SENT_BACK:
            take_back_sending(review=review, item=item, decided_at=decided_at, actor=actor, at=at)
        if item.state != QueueItem.State.GONE:
            wanted = item.label_count < queue.overlap
            write_item_states({item.pk: QueueItem.State.OPEN if wanted else QueueItem.State.REVIEW})
        record(
            actor,
            "labels.review_undone",
            queue.dataset,
            f"{item.example} in {queue.name}: no longer “{Review.Outcome(outcome).label}”. {comment}".strip(),
            review=review.pk,
            outcome=outcome,
        )
    return review


def _refuse_undo(review: Review) -> None:
    if review.outcome == "":
        raise Conflict("This review is open: there is no decision to undo.")
    if review.outcome == Review.Outcome.SETTLED:
        raise Conflict("Nobody decided this review: the labels agreed.", hint="Undo the label instead.")
    refuse_redacted(example_id=review.item.example_id, queue_id=review.queue_id, since=review.decided_at)
    later = Review.objects.filter(item=review.item_id, pk__gt=review.pk).order_by("-pk").first()
    if later is not None:
        raise Conflict(
            "There was another review of this example since.",
            hint="Undo that one first." if later.outcome else "It is open: decide that one.",
        )


def _take_answer_back(queue: LabelingQueue, item: QueueItem, actor: Any) -> None:
    consensus = Consensus.objects.filter(pk=item.pk, origin=Consensus.Origin.ADJUDICATED).first()
    if consensus is not None:
        put_back(
            queue=queue,
            items={item.pk: item},
            adopted={item.pk: consensus},
            actor=actor,
            reason="The decision was undone.",
            one_step=True,
        )


def _take_rejection_back(queue: LabelingQueue, item: QueueItem, actor: Any) -> None:
    """Give an example that is still rejected the status that it had before."""
    row = working_answers(queue.branch, [item.example_id]).get(item.example_id)
    if row is None or row.status != ValidationStatus.REJECTED:
        return
    versions = Example.history.filter(id=row.pk).exclude(validation_status=ValidationStatus.REJECTED)
    before = versions.order_by("-history_id").first()
    status = ValidationStatus.PENDING if before is None else before.validation_status
    judged = (None, None) if before is None else (before.validated_by_id, before.validated_at)
    put = Adoption(row, row.output, row.label, status, *judged)
    adopt_outputs(
        branch=queue.branch, adoptions=[put], actor=actor, reason="review: rejection undone", checked=False
    )
    log_row(
        queue, item, LabelHistory.Event.UNADOPTED, by=actor, at=now(), notes="The rejection was undone."
    ).save()
