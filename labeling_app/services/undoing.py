"""Take back what one has submitted or skipped: the history keeps both, and the example is there to be answered again."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from datasets_app.domain.canonical import canonical_text
from goldenproject.kit.clock import now
from goldenproject.kit.retries import retried
from labeling_app.errors import ExampleGone, KeyReused, UnknownLabel, UnknownLease
from labeling_app.models import Label, LabelHistory, LabelingQueue, LabelingSession, Lease, QueueItem
from labeling_app.services.assigning import require_open
from labeling_app.services.keeping import (
    HeldLease,
    checked_key,
    keep_draft,
    locked_lease,
    take_up_again,
)
from labeling_app.services.sessions import start_session
from labeling_app.services.settling import settle, unadopt
from labeling_app.services.slots import recount
from labeling_app.services.tasks import Task, held_tasks

OWN_AT_ONCE = 50
_MOST_OWN = 500


def undo_label(*, label_id: int, labeler: Any, key: str | None = None) -> Task:
    """Take back a label of one's own, however old, and return its example, held again, to be answered anew.

    The label is withdrawn, an adoption that it led to is taken back, and what was decided about it is open again. The
    withdrawn answer comes back as the draft. Raises UnknownLabel (also for one that was taken back before), KeyReused,
    and what `require_labeler` and `require_open` do.
    """
    key = checked_key(key)
    try:
        return _undone(label_id, labeler, key)
    except (UnknownLabel, IntegrityError) as error:
        if key is None or (isinstance(error, IntegrityError) and "label_history_key_once" not in str(error)):
            raise
        return _replayed(error, labeler, key)


@retried()
def _undone(label_id: int, labeler: Any, key: str | None) -> Task:
    at = now()
    with transaction.atomic():
        lease_id = _lease_of(label_id, labeler)
        held = locked_lease(lease_id, labeler, to="undo")
        label = Label.objects.filter(pk=label_id, labeler=labeler).first()
        if label is None:  # taken back while this one waited for the lock
            raise UnknownLabel
        held.require_labeler(labeler)
        require_open(held.queue)
        session = _session(held, labeler)
        _write_undone(held, labeler, label, key, at)
        Label.objects.filter(pk=label.pk).delete()
        _hold_again(held, session, at)
        _reopen(held, labeler)
        keep_draft(
            item_id=held.item.pk,
            labeler=labeler,
            value=canonical_text(label.value),
            confidence=None if label.confidence is None else float(label.confidence),
            notes=label.notes,
            at=at,
        )
        return _task(held, session, labeler, label)


def _lease_of(label_id: int, labeler: Any) -> uuid.UUID:
    """Return the lease of a label; one that was given in bulk or by import gets one now."""
    label = own_label(label_id=label_id, labeler=labeler)
    active = Lease.objects.filter(
        item=label.item_id, labeler=labeler, state__in=("held", "submitted", "skipped")
    )
    found = active.values_list("pk", flat=True).first()
    if found is not None:
        return found
    QueueItem.objects.select_for_update(no_key=True).get(pk=label.item_id)
    at = now()
    made = Lease.objects.create(
        queue_id=label.queue_id,
        item_id=label.item_id,
        labeler=labeler,
        session=start_session(labeler=labeler, queue=label.queue),
        slot=0,
        state=Lease.State.SUBMITTED,
        leased_at=at,
        expires_at=at,
        ended_at=at,
        content_hash=label.content_hash,
    )
    return made.pk


def _session(held: HeldLease, labeler: Any) -> LabelingSession:
    """Return the session in which the example is held from now on: the labeler's open one of the same type."""
    before = held.lease.session
    if before.ended_at is None:
        return before
    return start_session(
        labeler=labeler,
        queue=held.queue if before.queue_id is not None else None,
        session_type=before.session_type,
        filters=before.filters,
    )


def _write_undone(held: HeldLease, labeler: Any, label: Label, key: str | None, at: datetime) -> None:
    LabelHistory.objects.create(
        example_id=label.example_id,
        queue=held.queue,
        session_id=held.lease.session_id,
        labeler=labeler,
        annotator=label.annotator,
        event=LabelHistory.Event.UNDONE,
        label_type=held.queue.label_type,
        previous_value=label.value,
        labeled_at=at,
        source=label.source,
        content_hash=bytes(label.content_hash),
        lease_id=held.lease.pk,
        bulk_id=label.bulk_id,
        key=key,
    )


def _hold_again(held: HeldLease, session: LabelingSession, at: datetime) -> None:
    """Hold the lease again; its slot is the label's, so none is freed and none is taken."""
    lease = held.lease
    if (
        lease.slot == 0 and not lease.is_gold_check
    ):  # a label without a lease of its own: it takes a slot like any other
        recount(queue=held.queue, item_ids=[held.item.pk])
        held.item.refresh_from_db()
        lease.state = Lease.State.RELEASED
        take_up_again(held, at)
    Lease.objects.filter(pk=lease.pk).update(
        state=Lease.State.HELD,
        session=session,
        expires_at=at + timedelta(seconds=held.queue.lease_s),
        ended_at=None,
    )
    lease.state = Lease.State.HELD
    recount(queue=held.queue, item_ids=[held.item.pk])
    held.item.refresh_from_db()


def _reopen(held: HeldLease, labeler: Any) -> None:
    """Let what had followed from the label be taken back, and the item want labels again."""
    item = held.item
    if item.is_gold or held.lease.is_gold_check:
        return
    if item.state == QueueItem.State.ADOPTED:
        unadopt(queue=held.queue, item_ids=[item.pk], actor=labeler)
    QueueItem.objects.filter(
        pk=item.pk,
        state__in=(QueueItem.State.LABELED, QueueItem.State.REVIEW),
        label_count__lt=held.queue.overlap,
    ).update(state=QueueItem.State.OPEN)
    settle(queue=held.queue, item_ids=[item.pk], actor=labeler)


def _task(held: HeldLease, session: LabelingSession, labeler: Any, label: Label | None) -> Task:
    found = held_tasks(
        queue=held.queue,
        leases=[held.lease.pk],
        labeler=labeler,
        session_type=session.session_type,
        mine=None
        if label is None
        else {
            "label": label.pk,
            "value": label.value,
            "confidence": None if label.confidence is None else float(label.confidence),
            "notes": label.notes,
        },
    )
    if not found or found[0][0].input is None:
        raise ExampleGone("The example is not in the working copy any more; your label stays as it is.")
    task, before = found[0]
    if task.shown.content_hash != before:
        Lease.objects.filter(pk=task.lease).update(content_hash=task.shown.content_hash)
    return task


def _replayed(error: Exception, labeler: Any, key: str) -> Task:
    """Return the task of an undo that was done under this key before, if its example is still held."""
    earlier = LabelHistory.objects.filter(labeler=labeler, key=key).select_related("queue").first()
    if earlier is None:
        raise error
    if earlier.event != LabelHistory.Event.UNDONE or earlier.lease_id is None:
        raise KeyReused(f"The idempotency key “{key}” was used for something else.") from error
    with transaction.atomic():
        held = locked_lease(earlier.lease_id, labeler, to="undo")
        if not held.is_held:
            raise error
        return _task(held, held.lease.session, labeler, None)


@retried()
def undo_skip(*, lease_id: uuid.UUID, labeler: Any) -> Task:
    """Take back a skip and return the example, held again, if a slot of it is free. Raises UnknownLease.

    Done twice it is as if done once.
    """
    at = now()
    with transaction.atomic():
        held = locked_lease(lease_id, labeler, to="undo a skip")
        held.require_labeler(labeler)
        require_open(held.queue)
        if held.lease.state not in (Lease.State.SKIPPED, Lease.State.HELD):
            raise UnknownLease("You have not skipped this example.")
        session = _session(held, labeler)
        if not held.is_held and not take_up_again(held, at + timedelta(seconds=held.queue.lease_s)):
            raise UnknownLease(
                "Others have labeled this example meanwhile; it needs no more labels.",
                hint="Go on with the next.",
            )
        Lease.objects.filter(pk=lease_id).update(session=session)
        return _task(held, session, labeler, None)


def own_label(*, label_id: int, labeler: Any) -> Label:
    """Return a label that this labeler has given, with its queue, however it was given. Raises UnknownLabel."""
    labels = Label.objects.select_related("queue__dataset", "queue__branch", "queue__example_type")
    label = labels.filter(pk=label_id, labeler=labeler).first()
    if label is None:
        raise UnknownLabel
    return label


def own_labels(
    *, labeler: Any, queue: LabelingQueue, limit: int = OWN_AT_ONCE, before: int | None = None
) -> list[Label]:
    """Return a labeler's labels in a queue, newest first; with `before` (the id of a label) those before that one."""
    labels = Label.objects.filter(queue=queue, labeler=labeler).select_related("example")
    if before is not None:
        place = labels.filter(pk=before).values_list("labeled_at", "pk").first()
        if place is None:
            return []
        labels = labels.filter(Q(labeled_at__lt=place[0]) | Q(labeled_at=place[0], pk__lt=place[1]))
    return list(labels.order_by("-labeled_at", "-pk")[: max(1, min(limit, _MOST_OWN))])
