"""Which reviews wait for a person, and which were decided."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from datasets_app.domain.roles import Action
from datasets_app.services.access import allowed_datasets, require
from goldenproject.kit.clock import now
from goldenproject.kit.errors import NotFound
from labeling_app.models import LabelingQueue, QueueItem, Review, ReviewClaim


class UnknownReview(NotFound):
    """There is no such review."""

    code = "unknown_review"


def get_review(review_id: int) -> Review:
    """Return a review with its queue and item. Raises UnknownReview."""
    found = (
        Review.objects.select_related(
            "queue__dataset", "queue__branch__dataset", "queue__example_type", "item__example", "decided_by"
        )
        .filter(pk=review_id)
        .first()
    )
    if found is None:
        raise UnknownReview(hint="It may be of a queue that was removed.")
    return found


def next_reviews(
    queue: LabelingQueue | None, person: Any, *, reason: str = "", but: Iterable[int] = (), free: bool = False
) -> QuerySet[Review]:
    """Return the open reviews that `person` may decide, lowest score first: of one queue, or of all.

    Those of examples that left the working copy wait until they come back; `but` leaves some out, and `free` those that
    another reviewer has open now.
    """
    found = _visible(person, queue).filter(outcome="").exclude(item__state=QueueItem.State.GONE)
    if reason:
        found = found.filter(reason=reason)
    if free:
        found = found.exclude(pk__in=_held_by_others(person))
    return found.exclude(pk__in=list(but)).order_by("score", "pk")


def held_reviews(queue: LabelingQueue | None, person: Any, *, reason: str = "") -> QuerySet[Review]:
    """Return the open reviews that `person` may decide and another reviewer has open now."""
    return next_reviews(queue, person, reason=reason).filter(pk__in=_held_by_others(person))


def decided_reviews(queue: LabelingQueue | None, person: Any) -> QuerySet[Review]:
    """Return what was decided of what `person` may review, newest first."""
    return _visible(person, queue).exclude(outcome="").order_by("-decided_at", "-pk")


def _visible(person: Any, queue: LabelingQueue | None) -> QuerySet[Review]:
    reviews = Review.objects.select_related("queue__dataset", "item__example", "decided_by")
    if queue is not None:
        require(person, Action.REVIEW, queue.dataset)
        return reviews.filter(queue=queue)
    return reviews.filter(queue__dataset__in=allowed_datasets(person, Action.REVIEW))


def _held_by_others(person: Any) -> QuerySet[ReviewClaim, int]:
    """Claims are as few as there are reviewers at work, so this is read once, whole."""
    claims = ReviewClaim.objects.filter(until__gt=now())
    if getattr(person, "pk", None) is not None:
        claims = claims.exclude(reviewer=person)
    return claims.values_list("review", flat=True)
