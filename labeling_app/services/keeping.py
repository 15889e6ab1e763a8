"""A lease with all that an answer to it needs: read and locked in one go, and taken up again where that is possible."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Func, OuterRef, Subquery, TextField, Value
from django.db.models.functions import Cast

from datasets_app.domain.canonical import loads_stored
from datasets_app.models import Example
from goldenproject.kit.errors import BadInput
from labeling_app.errors import UnknownLease
from labeling_app.models import LabelingQueue, Lease, QueueItem
from labeling_app.services.assigning import facts_about, require_labeler

MAX_KEY = 64
MAX_NOTES = 10_000

_ACTIVE = (Lease.State.HELD, Lease.State.SUBMITTED, Lease.State.SKIPPED)
_FREE_SLOT = """
    SELECT min(s) FROM generate_series(1, %s) s
     WHERE NOT EXISTS (SELECT 1 FROM labeling_app_lease l
                        WHERE l.item_id = %s AND l.slot = s AND l.state IN ('held', 'submitted'))
"""
_TAKE_AGAIN = """
    WITH taken AS (UPDATE labeling_app_queueitem SET open_slots = open_slots - 1 WHERE id = %s AND %s > 0)
    UPDATE labeling_app_lease SET state = 'held', slot = %s, ended_at = NULL, expires_at = %s WHERE id = %s
"""
_KEEP_DRAFT = """
    INSERT INTO labeling_app_draft (item_id, labeler_id, value, confidence, notes, saved_at)
    VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (item_id, labeler_id) DO UPDATE
       SET value = excluded.value, confidence = excluded.confidence, notes = excluded.notes,
           saved_at = excluded.saved_at
"""


@dataclass
class HeldLease:
    """A labeler's lease, with its item (both locked), its queue, and the input of its working row."""

    lease: Lease
    item: QueueItem
    queue: LabelingQueue
    input_now: Any = None  # of the working row; None when it is gone

    def require_labeler(self, labeler: Any) -> None:
        """Raise unless the labeler may label in this queue, see `assigning.require_labeler`."""
        require_labeler(labeler, self.queue, self.lease)

    @property
    def is_held(self) -> bool:
        return self.lease.state == Lease.State.HELD


def locked_lease(lease_id: uuid.UUID, labeler: Any, *, to: str, or_active: bool = False) -> HeldLease:
    """Lock a labeler's lease and its item until the transaction ends. Raises UnknownLease.

    The same statement reads the input as it is now and whether the labeler may go on, and lets the histories of this
    transaction tell who wrote, and what for (`to`): one statement where each of these would take one.

    With `or_active` a lease that ended is replaced by the one under which the labeler has the same example now.
    """
    lease = _locked(labeler, to, pk=lease_id)
    if lease is None:
        raise UnknownLease
    if or_active and lease.state in (Lease.State.EXPIRED, Lease.State.RELEASED):
        lease = _locked(labeler, to, item=lease.item_id, state__in=_ACTIVE) or lease
    return HeldLease(lease, lease.item, lease.queue, None if lease.now is None else loads_stored(lease.now))


def _locked(labeler: Any, to: str, **which: Any) -> Any:
    row = Example.objects.filter(
        branch=OuterRef("queue__branch"),
        identity=OuterRef("item__example"),
        example_type=OuterRef("queue__example_type"),
    )
    found = (
        Lease.objects.select_for_update(of=("self", "item"), no_key=True)
        .select_related("item", "queue__dataset", "queue__branch", "queue__example_type")
        .annotate(
            now=Subquery(row.annotate(text=Cast("input_data", TextField())).values("text")[:1]),
            actor=_setting("golden.actor", str(labeler.pk)),
            reason=_setting("golden.reason", to),
            **facts_about(labeler, "queue_id"),
        )
        .filter(labeler=labeler, **which)
    )
    lease: Any = next(iter(found), None)
    if lease is not None:
        lease.queue.branch.dataset = lease.queue.dataset
    return lease


def _setting(name: str, value: str) -> Func:
    """A setting of this transaction, as `goldenproject.kit.audit` makes them."""
    return Func(Value(name), Value(value), Value(True), function="set_config", output_field=TextField())


def take_up_again(held: HeldLease, until: datetime) -> bool:
    """Hold a lease that had ended, if a slot of its item is free still; tell whether it is held now.

    The labeler must not have the item under another lease (see `locked_lease`).
    """
    if held.is_held:
        return True
    slot = 0
    if not held.lease.is_gold_check:
        if held.item.open_slots < 1:
            return False
        with connection.cursor() as cursor:
            cursor.execute(_FREE_SLOT, [held.queue.overlap, held.item.pk])
            slot = cursor.fetchone()[0]
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_AGAIN, [held.item.pk, slot, slot, until, held.lease.pk])
    held.lease.state, held.lease.slot, held.lease.ended_at = Lease.State.HELD, slot, None
    held.lease.expires_at = until
    held.item.open_slots -= 1 if slot else 0
    return True


def keep_draft(
    *, item_id: int, labeler: Any, value: str | None, confidence: float | None, notes: str, at: datetime
) -> None:
    """Store an unfinished answer (`value` is its JSON as text); the newest per item and person stays."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP_DRAFT, [item_id, labeler.pk, value, confidence, notes, at])


def checked_key(key: str | None) -> str | None:
    """Return an idempotency key. Raises BadInput for one that is empty or too long."""
    if key is not None and (not key or len(key) > MAX_KEY or not key.isprintable()):
        raise BadInput(f"Idempotency key: expected 1 to {MAX_KEY} printable characters.")
    return key


def checked_text(name: str, text: str) -> str:
    """Return notes, a reason or a comment. Raises BadInput for one that is too long or that cannot be stored."""
    if len(text) > MAX_NOTES:
        raise BadInput(f"{name}: found {len(text)} characters, expected up to {MAX_NOTES}.")
    if "\x00" in text:
        raise BadInput(f"{name}: a text cannot hold the character NUL.")
    return text
