"""Who has which review open: a case is claimed by whoever opens it, so that two do not decide the same one.

A claim ends by itself some minutes after its last sign of life, so one whose page or process died is in nobody's way. It
hangs on no session. Each is one statement that locks the review first, as deciding does: a decision and a claim come one
after the other, and no claim waits while it holds another review.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.timezone import localtime

from datasets_app.domain.roles import Action
from datasets_app.services.access import allowed_datasets, record, require
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.clock import now
from goldenproject.kit.errors import Forbidden
from goldenproject.kit.retries import retried
from labeling_app.errors import AlreadyDecided, ReviewClaimed
from labeling_app.models import LabelingQueue, Review, ReviewClaim
from labeling_app.services.review_listing import get_review, next_reviews

CLAIM_S = 180  # three signs of life of a page (see review_claims.js); one may be lost, and a browser at rest is late
MOST_AT_ONCE = 20

# Nobody gets what another has until its time is over, unless it is taken over. Index look-ups by key.
_CLAIM = """
    INSERT INTO labeling_app_reviewclaim AS c (review_id, reviewer_id, until)
    SELECT r.id, %(me)s, %(until)s
      FROM (SELECT id FROM labeling_app_review WHERE id = %(review)s AND outcome = '' FOR NO KEY UPDATE) r
        ON CONFLICT (review_id) DO UPDATE
       SET reviewer_id = excluded.reviewer_id, until = excluded.until,
           taken_from_id = CASE WHEN c.reviewer_id = excluded.reviewer_id THEN c.taken_from_id
                                WHEN c.until > %(at)s THEN c.reviewer_id END
     WHERE c.reviewer_id = excluded.reviewer_id OR c.until <= %(at)s OR %(take_over)s
    RETURNING review_id
"""


@retried()
def claim_review(*, review_id: int, actor: Any, take_over: bool = False) -> ReviewClaim:
    """Claim an open review for a reviewer, or renew the claim; `take_over` takes it from whoever has it.

    Raises ReviewClaimed (details: claimed_by, claimed_until), AlreadyDecided, Forbidden, UnknownReview.
    """
    review = get_review(review_id)
    _require_reviewer(actor, review)
    with acting(actor, "review: claimed"):
        Review.objects.select_for_update(no_key=True).only("pk").get(pk=review.pk)
        former = live_claim(review.pk)
        if not _claim(review.pk, actor, take_over=take_over):
            refuse_claimed(review.pk, actor)
            raise AlreadyDecided("This review was decided already.", hint="Go on with the next.")
        if former is not None and former.reviewer_id != actor.pk:
            record(
                actor,
                "labels.review_taken_over",
                review.queue.dataset,
                f"{review.item.example} in {review.queue.name}: {former.reviewer} had the review open",
                review=review.pk,
            )
    return ReviewClaim.objects.select_related("reviewer").get(pk=review.pk)


def claim_next(
    queue: LabelingQueue | None, actor: Any, *, reason: str = "", but: Iterable[int] = (), count: int = 1
) -> list[Review]:
    """Claim what comes next for a reviewer and return it: of one queue, or of all; what others have open is left out.

    However many ask at once, each review goes to one of them.
    """
    got: list[Review] = []
    left = set(but)
    while len(got) < count:
        free = next_reviews(queue, actor, reason=reason, but=left, free=True)
        found = list(
            free.select_related(
                "queue__dataset", "queue__branch__dataset", "queue__example_type", "item__example"
            )[: count - len(got)]
        )
        if not found:
            break
        left |= {review.pk for review in found}
        got += [review for review in found if _claim(review.pk, actor)]
    return got


def renew_claims(*, review_ids: Iterable[int], actor: Any) -> list[int]:
    """Keep claims alive and return those that `actor` has now; one that had ended is taken again, if nobody else has it.

    Reviews that `actor` may not decide, and decided ones, are left out.
    """
    wanted = sorted(set(review_ids))[:MOST_AT_ONCE]
    mine = Review.objects.filter(queue__dataset__in=allowed_datasets(actor, Action.REVIEW))
    open_ = mine.filter(pk__in=wanted, outcome="").values_list("pk", flat=True)
    return [pk for pk in sorted(open_) if _claim(pk, actor)]


def release_claims(*, review_ids: Iterable[int], actor: Any) -> None:
    """Give claims of one's own back; those of others are left alone. Done twice it is as if done once."""
    ReviewClaim.objects.filter(review__in=list(review_ids), reviewer=known_person(actor)).delete()


def live_claim(review_id: int) -> ReviewClaim | None:
    """Return who has a review open now, with the reviewer; None when nobody has."""
    return live_claims([review_id]).get(review_id)


def live_claims(review_ids: Iterable[int]) -> dict[int, ReviewClaim]:
    """Return who has these reviews open now, by review; a review that is settled is nobody's."""
    claims = ReviewClaim.objects.filter(review__in=list(review_ids), review__outcome="", until__gt=now())
    return {claim.review_id: claim for claim in claims.select_related("reviewer")}


def refuse_claimed(review_id: int, actor: Any) -> None:
    """Raise ReviewClaimed when somebody other than `actor` has the review open."""
    claim = live_claim(review_id)
    if claim is not None and claim.reviewer_id != getattr(actor, "pk", None):
        raise ReviewClaimed(
            claim_in_words(claim, actor),
            hint="Take it over, or go on with the next.",
            claimed_by=claim.reviewer.get_username(),
            claimed_until=claim.until.isoformat(),
        )


def claim_in_words(claim: ReviewClaim, person: Any) -> str:
    """Say who has a review open and until when; to whom it was taken from, that it was."""
    until = _clock(claim.until)
    if claim.taken_from_id is not None and claim.taken_from_id == getattr(person, "pk", None):
        return f"{claim.reviewer} took this review over from you, and has it until {until}."
    return f"{claim.reviewer} has this review open, until {until}."


def _claim(review_id: int, actor: Any, *, take_over: bool = False) -> bool:
    """Claim an open review; False when another has it, or when it was decided."""
    return _claimed(review_id, actor.pk, take_over)


@retried()
def _claimed(review_id: int, person: int, take_over: bool) -> bool:
    at = now()
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "me": person,
                "review": review_id,
                "at": at,
                "until": at + timedelta(seconds=CLAIM_S),
                "take_over": take_over,
            },
        )
        return cursor.fetchone() is not None


def _require_reviewer(actor: Any, review: Review) -> None:
    require(actor, Action.REVIEW, review.queue.dataset)
    if known_person(actor) is None:
        raise Forbidden("Only a person can claim a review.")


def _clock(moment: datetime) -> str:
    return f"{localtime(moment):%H:%M %Z}"
