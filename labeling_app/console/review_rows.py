"""The lines of the lists of reviews: what waits, and what was decided."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets_app.admin.example_rows import plain, tone
from datasets_app.domain.content import is_tombstone
from labeling_app.domain.answer_fields import Kind
from labeling_app.models import Consensus, Label, LabelingQueue, Review, ReviewClaim
from labeling_app.services.erasing import ERASED_TEXT
from labeling_app.services.queue_fields import fields_of
from labeling_app.services.review_claims import live_claims

MOST_ANSWERS = 4
_DECISIONS: dict[str, str] = {
    Review.Outcome.ADOPTED: "Adopted",
    Review.Outcome.THIRD_ANSWER: "Another answer",
    Review.Outcome.REJECTED: "Rejected",
    Review.Outcome.SENT_BACK: "Sent back",
    Review.Outcome.KEPT: "Kept",
    Review.Outcome.SETTLED: "Settled by itself",
    Review.Outcome.REDACTED: "Redacted",
}


@dataclass(frozen=True)
class ReviewRow:
    """A review in a list."""

    review: Review
    name: str
    decision: str
    agreement: str
    answers: list[tuple[str, int, int]]  # what is said, its tone, and how many say it
    is_undoable: bool
    address: str
    open_with: str  # which other reviewer has it open now


def review_rows(reviews: Sequence[Review], address: str, person: Any) -> list[ReviewRow]:
    """Return the lines of a list: of an open review what the labelers say, of a decided one the answer."""
    items = [review.item_id for review in reviews]
    consensuses = Consensus.objects.in_bulk(items)
    claims = live_claims(review.pk for review in reviews if not review.outcome)
    fields = {review.queue_id: _class_field(review.queue) for review in reviews}
    queues = {review.item_id: review.queue_id for review in reviews}
    said: dict[int, Counter[str]] = defaultdict(Counter)
    for item, value in Label.objects.filter(item__in=items).values_list("item", "value"):
        said[item][_in_short(value, fields[queues[item]])] += 1
    rows = []
    for review in reviews:
        consensus = consensuses.get(review.item_id)
        agreement = None if consensus is None else consensus.agreement
        if not review.outcome:
            answers = [
                (text, tone(text), count) for text, count in said[review.item_id].most_common(MOST_ANSWERS)
            ]
        else:
            text = "" if review.value is None else _in_short(review.value, fields[review.queue_id])
            answers = [(text, tone(text), 1)] if text else []
        rows.append(
            ReviewRow(
                review=review,
                name=str(review.item.example)[:36],
                decision=_DECISIONS.get(review.outcome, ""),
                agreement="—" if agreement is None else f"{100 * agreement:.0f} %",
                answers=answers,
                is_undoable=_is_undoable(review),
                address=f"{address}?review={review.pk}",
                open_with=_open_with(claims.get(review.pk), person),
            )
        )
    return rows


def _open_with(claim: ReviewClaim | None, person: Any) -> str:
    return "" if claim is None or claim.reviewer_id == person.pk else claim.reviewer.get_username()


def _is_undoable(review: Review) -> bool:
    """Whether somebody decided it, and what was decided is not erased."""
    if review.outcome in ("", Review.Outcome.SETTLED, Review.Outcome.REDACTED):
        return False
    return not (is_tombstone(review.value) or ERASED_TEXT in (review.comment, review.detail))


def _in_short(value: Any, field: Any) -> str:
    if is_tombstone(value):
        return ERASED_TEXT
    return plain(field.of(value) if field else value)[:80]


def _class_field(queue: LabelingQueue) -> Any:
    """Return the one field that stands for an answer in a list; None where the answer stands for itself."""
    classes = [field for field in fields_of(queue) if field.kind == Kind.CLASS]
    return classes[0] if classes else None
