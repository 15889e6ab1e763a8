"""What else one can do with a held example: skip it, raise a flag, keep an unfinished answer."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import IntegrityError, transaction

from datasets_app.domain.canonical import canonical_text
from datasets_app.domain.strict_json import check_value
from goldenproject.kit.audit import acting
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput, Conflict
from goldenproject.kit.retries import retried
from labeling_app.errors import KeyReused, UnknownLabel, UnknownLease
from labeling_app.models import Draft, Label, LabelHistory, LabelingQueue, Lease, QueueItem, Review
from labeling_app.services.assigning import require_labeler
from labeling_app.services.keeping import (
    HeldLease,
    checked_key,
    checked_text,
    keep_draft,
    locked_lease,
)
from labeling_app.services.review_opening import open_review
from labeling_app.services.slots import end_leases
from labeling_app.services.submitted import Submitted
from labeling_app.services.undoing import own_label

_FLAG_SCORE = 0.0


def skip(*, lease_id: uuid.UUID, labeler: Any, reason: str = "", key: str | None = None) -> Submitted:
    """Leave a held example to others; this labeler does not get it again, unless the skip is taken back.

    Raises UnknownLease, KeyReused, Conflict for an example that the labeler has answered.
    """
    reason, key = checked_text("Reason", reason).strip(), checked_key(key)
    try:
        return _skipped(lease_id, labeler, reason, key)
    except IntegrityError as error:
        if "label_history_key_once" not in str(error):
            raise
        return _replayed(LabelHistory.Event.SKIPPED, lease_id, labeler, reason, key)


@retried()
def _skipped(lease_id: uuid.UUID, labeler: Any, reason: str, key: str | None) -> Submitted:
    at = now()
    with transaction.atomic():
        held = locked_lease(lease_id, labeler, to="skip", or_active=True)
        held.require_labeler(labeler)
        if held.lease.state == Lease.State.SUBMITTED:
            raise Conflict("You have labeled this example already.", hint="Take your label back to skip it.")
        if held.lease.state == Lease.State.SKIPPED:
            return Submitted(None, held.item.example_id, held.item.state, replayed=True)
        _write(held, labeler, LabelHistory.Event.SKIPPED, reason, key, at)
        end_leases(
            queue=held.queue, leases=[(held.lease.pk, held.item.pk)], state=Lease.State.SKIPPED.value, at=at
        )
        Draft.objects.filter(item=held.item, labeler=labeler).delete()
    return Submitted(None, held.item.example_id, held.item.state, replayed=False)


def flag(
    *,
    labeler: Any,
    comment: str,
    lease_id: uuid.UUID | None = None,
    label_id: int | None = None,
    key: str | None = None,
) -> Submitted:
    """Tell a reviewer something about an example that the labeler holds, or has labeled: it opens a review.

    A held example stays held, and can be labeled or skipped as well. A label may have been given in any way, also in
    bulk or by import. Raises UnknownLease, UnknownLabel, BadInput, KeyReused, and what `require_labeler` does.
    """
    comment, key = checked_text("Comment", comment).strip(), checked_key(key)
    if not comment:
        raise BadInput("A flag needs a comment: what is the matter with this example?")
    if (lease_id is None) == (label_id is None):
        raise BadInput("A flag is about a lease or about a label: name one of them.")
    about = None if label_id is None else own_label(label_id=label_id, labeler=labeler)
    try:
        if about is not None:
            return _flagged_label(about, labeler, comment, key)
        assert lease_id is not None
        return _flagged(lease_id, labeler, comment, key)
    except IntegrityError as error:
        if "label_history_key_once" not in str(error):
            raise
        if about is not None:
            lease_id = about.lease_id
        return _replayed(LabelHistory.Event.FLAGGED, lease_id, labeler, comment, key, about)


@retried()
def _flagged(lease_id: uuid.UUID, labeler: Any, comment: str, key: str | None) -> Submitted:
    at = now()
    with transaction.atomic():
        held = locked_lease(lease_id, labeler, to="flag")
        held.require_labeler(labeler)
        _write(held, labeler, LabelHistory.Event.FLAGGED, comment, key, at)
        return _asked(held.queue, held.item, labeler, comment)


@retried()
def _flagged_label(label: Label, labeler: Any, comment: str, key: str | None) -> Submitted:
    """Flag what the labeler has said; that needs no lease, and a label that was given in bulk has none."""
    require_labeler(labeler, label.queue)
    with acting(labeler, "flag"):
        item = QueueItem.objects.select_for_update(no_key=True).get(pk=label.item_id)
        if not Label.objects.filter(pk=label.pk).exists():  # taken back while this one waited for the lock
            raise UnknownLabel
        LabelHistory.objects.create(
            example_id=label.example_id,
            queue=label.queue,
            session_id=label.session_id,
            labeler=labeler,
            annotator=label.annotator,
            event=LabelHistory.Event.FLAGGED,
            label_type=label.queue.label_type,
            labeled_at=now(),
            notes=comment,
            content_hash=bytes(label.content_hash),
            lease_id=label.lease_id,
            key=key,
        )
        return _asked(label.queue, item, labeler, comment)


def _asked(queue: LabelingQueue, item: QueueItem, labeler: Any, comment: str) -> Submitted:
    """Put the flag to a reviewer."""
    open_review(
        queue=queue,
        item_id=item.pk,
        reason=Review.Reason.FLAGGED,
        detail=f"{labeler.get_username()}: {comment}",
        score=_FLAG_SCORE,
    )
    item.refresh_from_db(fields=["state"])
    label = Label.objects.filter(item=item, labeler=labeler).values_list("pk", flat=True).first()
    return Submitted(label, item.example_id, item.state, replayed=False)


def save_draft(
    *,
    lease_id: uuid.UUID,
    labeler: Any,
    value: Any,
    confidence: float | None = None,
    notes: str = "",
) -> None:
    """Keep an unfinished answer, whether it fits the type or not. One to an example that is answered is dropped.

    Raises UnknownLease, InvalidJson, BadInput.
    """
    check_value({"value": value})
    if confidence is not None and not 0 <= confidence <= 1:
        raise BadInput(f"Confidence: found {confidence!r}, expected a number from 0 to 1, or none.")
    lease = Lease.objects.filter(pk=lease_id, labeler=labeler).values_list("item", "state").first()
    if lease is None:
        raise UnknownLease
    item, state = lease
    if state in (Lease.State.SUBMITTED, Lease.State.SKIPPED):
        return
    keep_draft(
        item_id=item,
        labeler=labeler,
        value=canonical_text(value),
        confidence=confidence,
        notes=checked_text("Notes", notes),
        at=now(),
    )


def _write(held: HeldLease, labeler: Any, event: str, text: str, key: str | None, at: Any) -> None:
    LabelHistory.objects.create(
        example_id=held.item.example_id,
        queue=held.queue,
        session_id=held.lease.session_id,
        labeler=labeler,
        annotator=labeler.get_username(),
        event=event,
        label_type=held.queue.label_type,
        labeled_at=at,
        notes=text,
        content_hash=bytes(held.lease.content_hash),
        lease_id=held.lease.pk,
        key=key,
    )


def _replayed(
    event: str,
    lease_id: uuid.UUID | None,
    labeler: Any,
    text: str,
    key: str | None,
    about: Label | None = None,
) -> Submitted:
    """Return what the first sending of a key got; `about` is the label, where it is about one."""
    earlier = LabelHistory.objects.get(labeler=labeler, key=key)
    is_same_example = about is None or (earlier.queue_id, earlier.example_id) == (
        about.queue_id,
        about.example_id,
    )
    if (earlier.event, earlier.lease_id, earlier.notes) != (event, lease_id, text) or not is_same_example:
        raise KeyReused(
            f"The idempotency key “{key}” was used for something else; this was not stored.",
            hint="Send it again with a key of its own.",
        )
    item = QueueItem.objects.get(queue=earlier.queue_id, example=earlier.example_id)
    return Submitted(None if about is None else about.pk, item.example_id, item.state, replayed=True)
