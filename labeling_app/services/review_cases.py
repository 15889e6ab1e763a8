"""What a reviewer gets to see of an item: the example, its labels, and what else is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from datasets_app.domain.canonical import canonical_text, content_hash
from datasets_app.services.curation.adopting import WorkingAnswer, working_answers
from labeling_app.domain.answers import part_of
from labeling_app.models import Consensus, Label, LabelHistory, Review, ReviewClaim, Suggestion
from labeling_app.services.review_claims import live_claim

# What labelers said besides answers; a reviewer wants to know it.
_REMARKS = (
    LabelHistory.Event.FLAGGED,
    LabelHistory.Event.SKIPPED,
    LabelHistory.Event.LATE,
    LabelHistory.Event.SENT_BACK,
    LabelHistory.Event.RESTORED,
    LabelHistory.Event.REJECTED,
    LabelHistory.Event.UNADOPTED,
)
MAX_REMARKS = 20


@dataclass(frozen=True, slots=True)
class ShownLabel:
    """What one annotator says. `is_person` is False for the annotators of imported files."""

    annotator: str
    value: Any
    confidence: float | None
    notes: str
    source: str
    is_person: bool
    seconds: float | None
    at: datetime


@dataclass(frozen=True, slots=True)
class ReviewCase:
    """An item under review. `current` is the part of the output that the queue asks for, as it is now.

    `row` is None when the example left the working copy. `fingerprint` changes when the example or a label does.
    `claim` tells which reviewer has it open now.
    """

    review: Review
    row: WorkingAnswer | None
    current: Any
    labels: tuple[ShownLabel, ...]
    consensus: Consensus | None
    suggestions: tuple[Suggestion, ...]
    remarks: tuple[LabelHistory, ...]
    fingerprint: str
    claim: ReviewClaim | None = None

    @property
    def adoptable(self) -> list[Any]:
        """The answers that can be adopted as they are: each label, and what the labels say together."""
        found = [label.value for label in self.labels]
        if self.consensus is not None and self.consensus.value is not None:
            found.append(self.consensus.value)
        if self.review.suggestion is not None:
            found.append(self.review.suggestion)
        return found

    def document(self) -> dict[str, Any]:
        """Return the case as plain JSON."""
        review, consensus = self.review, self.consensus
        return {
            "review": review.pk,
            "queue": str(review.queue_id),
            "example": str(review.item.example_id),
            "external_id": review.item.example.external_id,
            "reason": review.reason,
            "detail": review.detail,
            "score": review.score,
            "outcome": review.outcome,
            "input": None if self.row is None else self.row.input,
            "status": None if self.row is None else self.row.status,
            "current": self.current,
            "labels": [
                {
                    "annotator": label.annotator,
                    "value": label.value,
                    "confidence": label.confidence,
                    "notes": label.notes,
                    "source": label.source,
                    "seconds": label.seconds,
                    "labeled_at": label.at.isoformat(),
                }
                for label in self.labels
            ],
            "consensus": None
            if consensus is None or consensus.value is None
            else {
                "value": consensus.value,
                "method": consensus.method,
                "confidence": _float(consensus.confidence),
                "agreement": _float(consensus.agreement),
            },
            "suggestion": review.suggestion,
            "suggestions": [
                {"source": one.source, "value": one.value, "confidence": _float(one.confidence)}
                for one in self.suggestions
            ],
            "fingerprint": self.fingerprint,
            "claimed_by": None if self.claim is None else self.claim.reviewer.get_username(),
            "claimed_until": None if self.claim is None else self.claim.until.isoformat(),
        }


def case_of(review: Review) -> ReviewCase:
    """Return all that matters for a decision about a review, as it is now."""
    queue, item = review.queue, review.item
    row = working_answers(queue.branch, [item.example_id]).get(item.example_id)
    labels = tuple(_shown(label) for label in Label.objects.filter(item=item).order_by("labeled_at", "pk"))
    remarks = LabelHistory.objects.filter(example=item.example_id, queue=queue, event__in=_REMARKS)
    return ReviewCase(
        review=review,
        row=row,
        current=None if row is None else part_of(row.output, queue.field_path),
        labels=labels,
        consensus=Consensus.objects.filter(pk=item.pk).first(),
        suggestions=tuple(Suggestion.objects.filter(item=item).order_by("-confidence", "source")),
        remarks=tuple(remarks.order_by("-pk")[:MAX_REMARKS]),
        fingerprint=_fingerprint(row, labels),
        claim=live_claim(review.pk),
    )


def _shown(label: Label) -> ShownLabel:
    return ShownLabel(
        annotator=label.annotator,
        value=label.value,
        confidence=_float(label.confidence),
        notes=label.notes,
        source=label.source,
        is_person=label.labeler_id is not None,
        seconds=None if label.duration_ms is None else label.duration_ms / 1000,
        at=label.labeled_at,
    )


def _fingerprint(row: WorkingAnswer | None, labels: tuple[ShownLabel, ...]) -> str:
    seen = {
        "input": None if row is None else row.input,
        "output": None if row is None else row.output,
        "status": None if row is None else row.status,
        "labels": [[label.annotator, label.value] for label in labels],
    }
    return content_hash(canonical_text(seen)).hex()[:16]


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
