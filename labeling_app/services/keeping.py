"""A lease with all that an answer to it needs: read and locked in one go, and taken up again where that is possible."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from datasets_app.services.curation.adopting import WORKING_COLUMNS, WorkingAnswer, working_answer
from goldenproject.kit.database_io import prepared_cursor
from goldenproject.kit.errors import BadInput
from labeling_app.errors import UnknownLease
from labeling_app.models import LabelingQueue, Lease, QueueItem, Webhook
from labeling_app.services.assigning import Facts, require_labeler
from labeling_app.services.erasing import refuse_redacted
from labeling_app.services.hidden_checks import would_be_taken
from labeling_app.services.kept_queues import FACTS, VERSIONS, kept_queue

MAX_KEY = 64
MAX_NOTES = 10_000

_LEASE = (
    "id",
    "session_id",
    "slot",
    "state",
    "leased_at",
    "expires_at",
    "ended_at",
    "content_hash",
    "is_gold_check",
)
_ITEM = (
    "id",
    "example_id",
    "position",
    "open_slots",
    "label_count",
    "state",
    "is_gold",
    "assignee_id",
    "assigned_group_id",
)
# Look-ups by key alone: Index Scan of the lease and of its item, one each of queue, dataset, branch, type and working row.
_LOCK = f"""
    SELECT set_config('golden.actor', %s, true), set_config('golden.reason', %s, true), q.id, {VERSIONS},
           {FACTS},
           EXISTS (SELECT 1 FROM labeling_app_webhook w
                    WHERE w.is_active AND '{Webhook.Event.SUBMITTED.value}' = ANY(w.events)
                      AND (w.dataset_id IS NULL OR w.dataset_id = q.dataset_id)),
           {", ".join(f"l.{name}" for name in _LEASE)}, {", ".join(f"i.{name}" for name in _ITEM)}, {WORKING_COLUMNS}
      FROM labeling_app_lease l
      JOIN labeling_app_queueitem i ON i.id = l.item_id
      JOIN labeling_app_labelingqueue q ON q.id = l.queue_id
      LEFT JOIN datasets_app_example r
             ON r.branch_id = q.branch_id AND r.example_id = i.example_id AND r.example_type_id = q.example_type_id
     WHERE {{which}} AND l.labeler_id = %s
       FOR NO KEY UPDATE OF l, i
"""
_FREE_SLOT = """
    SELECT min(s) FROM generate_series(1, %s) s
     WHERE NOT EXISTS (SELECT 1 FROM labeling_app_lease l
                        WHERE l.item_id = %s AND l.slot = s AND l.state IN ('held', 'submitted'))
"""
_TAKE_AGAIN = """
    WITH taken AS (UPDATE labeling_app_queueitem SET open_slots = %s WHERE id = %s AND %s > 0)
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
    """A labeler's lease, with its item (both locked), its queue, and its working row."""

    lease: Lease
    item: QueueItem
    queue: LabelingQueue
    facts: Facts
    is_listened_to: bool  # some webhook wants to hear of submitted labels
    row_now: WorkingAnswer | None  # None when it is gone

    def require_labeler(self, labeler: Any) -> None:
        """Raise unless the labeler may label in this queue, see `assigning.require_labeler`."""
        require_labeler(labeler, self.queue, self.facts)

    @property
    def is_held(self) -> bool:
        return self.lease.state == Lease.State.HELD


def locked_lease(lease_id: uuid.UUID, labeler: Any, *, to: str, or_active: bool = False) -> HeldLease:
    """Lock a labeler's lease and its item until the transaction ends. Raises UnknownLease, ExampleRedacted.

    The same statement reads the example as it is now and whether the labeler may go on, and lets the histories of this
    transaction tell who wrote, and what for (`to`): one statement where each of these would take one.

    With `or_active` a lease that ended is replaced by the one under which the labeler has the same example now.
    """
    held = _locked("l.id = %s", lease_id, labeler, to)
    if held is None:
        raise UnknownLease
    if or_active and held.lease.state in (Lease.State.EXPIRED, Lease.State.RELEASED):
        active = "l.item_id = %s AND l.state IN ('held', 'submitted', 'skipped')"
        held = _locked(active, held.item.pk, labeler, to) or held
    if held.row_now is None:
        refuse_redacted(example_id=held.item.example_id, queue_id=held.queue.pk)
    return held


def _locked(which: str, value: Any, labeler: Any, to: str) -> HeldLease | None:
    me = labeler.pk
    with prepared_cursor() as cursor:
        cursor.execute(_LOCK.format(which=which), [str(me), to, me, me, me, value, me])
        row = cursor.fetchone()
    if row is None:
        return None
    queue_id, versions, has_members, is_member, pause_reason, is_listened_to = row[2:8]
    of_item = 8 + len(_LEASE)
    of_working_row = of_item + len(_ITEM)
    queue = kept_queue(queue_id, versions)
    item = QueueItem(queue=queue, **dict(zip(_ITEM, row[of_item:of_working_row], strict=True)))
    lease = Lease(item=item, queue=queue, labeler=labeler, **dict(zip(_LEASE, row[8:of_item], strict=True)))
    lease._state.adding = item._state.adding = False
    return HeldLease(
        lease,
        item,
        queue,
        Facts(has_members, is_member, pause_reason),
        is_listened_to,
        None if row[of_working_row] is None else working_answer(row[of_working_row:]),
    )


def take_up_again(held: HeldLease, until: datetime) -> bool:
    """Hold a lease that had ended, if a slot of its item is free still; tell whether it is held now.

    The labeler must not have the item under another lease (see `locked_lease`).
    """
    if held.is_held:
        return True
    slot, open_slots = 0, held.item.open_slots
    if held.lease.is_gold_check:
        if would_be_taken(held.queue, held.lease.labeler_id, held.lease.ended_at):
            return False
    else:
        # of a greater overlap still, perhaps: see the module overlap
        open_slots = min(open_slots, held.queue.overlap - held.item.label_count)
        if open_slots < 1:
            return False
        with connection.cursor() as cursor:
            cursor.execute(_FREE_SLOT, [held.queue.overlap, held.item.pk])
            slot = cursor.fetchone()[0]
        if slot is None:  # taken by one who was under way while the lower overlap was stored
            return False
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_AGAIN, [open_slots - 1, held.item.pk, slot, slot, until, held.lease.pk])
    held.lease.state, held.lease.slot, held.lease.ended_at = Lease.State.HELD, slot, None
    held.lease.expires_at = until
    held.item.open_slots = open_slots - 1 if slot else open_slots
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
