"""Give one answer to many examples at once, and take the whole batch back.

Everything is a set: ten thousand examples are a handful of statements and the settling of what has all its labels.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import QuerySet

from datasets_app.domain.canonical import canonical_bytes, canonical_text, content_hash, loads_stored
from datasets_app.domain.roles import Action
from datasets_app.domain.strict_json import check_value
from datasets_app.errors import SchemaViolation
from datasets_app.services.access import record, require
from goldenproject.kit.audit import acting
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput, Conflict, NotFound
from goldenproject.kit.retries import retried
from labeling_app.domain.bulk_plan import ItemFacts, LeftOut, counted, told, why_left_out
from labeling_app.errors import LabelerPaused
from labeling_app.models import (
    BulkLabeling,
    LabelerStanding,
    LabelingQueue,
    QueueItem,
    Webhook,
)
from labeling_app.services.answer_types import violations_of
from labeling_app.services.assigning import require_open
from labeling_app.services.events import label_submitted
from labeling_app.services.queue_progress import forget_progress
from labeling_app.services.settling import settle, unadopt
from labeling_app.services.slots import SWEPT_AT_ONCE, recount, rewind, sweep_expired

MOST_AT_ONCE = 10_000

# In the order of the ids, as everywhere. Before anything is read: what is looked up beside a row that is being locked is
# of the moment before the lock.
_LOCK = """
    SELECT 1 FROM labeling_app_queueitem i WHERE i.queue_id = %(queue)s AND i.example_id = ANY(%(examples)s)
     ORDER BY i.id FOR NO KEY UPDATE
"""
# Plan: index scan of queue_item_once for the examples; leases and labels by their item.
_ITEMS = """
    SELECT i.id, i.example_id, i.state, i.is_gold, least(i.open_slots, %(overlap)s - i.label_count),
           EXISTS (SELECT 1 FROM labeling_app_label l
                    WHERE l.item_id = i.id AND (l.labeler_id = %(person)s OR l.annotator = %(annotator)s)),
           coalesce((SELECT bool_or(s.labeler_id = %(person)s) FROM labeling_app_lease s
                      WHERE s.item_id = i.id AND s.state = 'held'), false),
           EXISTS (SELECT 1 FROM labeling_app_lease s
                    WHERE s.item_id = i.id AND s.state = 'held' AND s.labeler_id <> %(person)s),
           i.assignee_id, i.assigned_group_id, e.input_data::text
      FROM labeling_app_queueitem i
      LEFT JOIN datasets_app_example e
             ON e.branch_id = %(branch)s AND e.example_id = i.example_id AND e.example_type_id = %(type)s
     WHERE i.queue_id = %(queue)s AND i.example_id = ANY(%(examples)s)
     ORDER BY i.id
"""
_LABELS = """
    INSERT INTO labeling_app_label
           (queue_id, item_id, example_id, labeler_id, annotator, value, notes, source, bulk_id, content_hash, labeled_at)
    SELECT %(queue)s, g.item, g.example, %(person)s, %(annotator)s, %(value)s::jsonb, '', 'bulk', %(bulk)s, g.hash, %(at)s
      FROM unnest(%(items)s::bigint[], %(examples)s::uuid[], %(hashes)s::bytea[]) g(item, example, hash)
    RETURNING id, example_id
"""
_HISTORY = """
    INSERT INTO labeling_app_labelhistory
           (example_id, queue_id, labeler_id, annotator, event, label_type, label_value, labeled_at, notes, source,
            content_hash, bulk_id)
    SELECT l.example_id, l.queue_id, l.labeler_id, l.annotator, 'bulk', %s, l.value, l.labeled_at, '', l.source,
           l.content_hash, l.bulk_id
      FROM labeling_app_label l WHERE l.bulk_id = %s AND l.item_id = ANY(%s) ORDER BY l.item_id
"""
# The history tells who took it back; the label's own annotator stays who had given it.
_UNDONE_HISTORY = """
    INSERT INTO labeling_app_labelhistory
           (example_id, queue_id, labeler_id, annotator, event, label_type, previous_value, labeled_at, notes, source,
            content_hash, bulk_id)
    SELECT l.example_id, l.queue_id, l.labeler_id, l.annotator, 'bulk_undone', %s, l.value, %s, '', l.source,
           l.content_hash, l.bulk_id
      FROM labeling_app_label l WHERE l.bulk_id = %s AND l.item_id = ANY(%s) ORDER BY l.item_id
"""
# Ten thousand ids are one array each time: as a list of as many parameters, writing and parsing the statement would take
# longer than doing it.
_FULL = "SELECT id FROM labeling_app_queueitem WHERE id = ANY(%s) AND label_count >= %s"
_LOCK_OF_BATCH = """
    SELECT i.id FROM labeling_app_queueitem i
     WHERE i.queue_id = %s AND i.id IN (SELECT l.item_id FROM labeling_app_label l WHERE l.bulk_id = %s)
     ORDER BY i.id FOR NO KEY UPDATE
"""
_STILL = """
    SELECT l.item_id,
           EXISTS (SELECT 1 FROM labeling_app_review r
                    WHERE r.item_id = l.item_id AND r.decided_at >= %s
                      AND r.outcome IN ('adopted', 'third_answer', 'rejected', 'kept'))
           OR EXISTS (SELECT 1 FROM labeling_app_consensus c
                       WHERE c.item_id = l.item_id AND c.origin = 'adjudicated')
      FROM labeling_app_label l WHERE l.bulk_id = %s AND l.item_id = ANY(%s) ORDER BY l.item_id
"""
_TAKE_BACK = "DELETE FROM labeling_app_label WHERE bulk_id = %s AND item_id = ANY(%s)"
_WANTING = """
    UPDATE labeling_app_queueitem SET state = 'open'
     WHERE id = ANY(%s) AND state IN ('labeled', 'review') AND label_count < %s
"""
_SAYS_NOTHING = """
    UPDATE labeling_app_consensus c
       SET value = NULL, confidence = NULL, agreement = NULL, label_count = 0, computed_at = %s
     WHERE c.item_id = ANY(%s) AND NOT EXISTS (SELECT 1 FROM labeling_app_label l WHERE l.item_id = c.item_id)
"""
_LABELED = "SELECT DISTINCT item_id FROM labeling_app_label WHERE item_id = ANY(%s)"


class UnknownBulk(NotFound):
    """There is no such bulk labeling."""

    code = "unknown_bulk"


class NothingToLabel(Conflict):
    """None of these examples can be labeled by you now."""

    code = "nothing_to_label"


class BulkUndoneBefore(Conflict):
    """This bulk labeling was taken back already."""

    code = "bulk_undone"


@dataclass(frozen=True)
class BulkUndone:
    """How many labels were taken back, how many had been changed or taken back by their labeler, and decided since."""

    taken_back: int
    changed: int
    decided: int

    def document(self) -> dict[str, int]:
        return asdict(self)

    def words(self) -> str:
        """Say what was left, and why; empty when nothing was."""
        parts = []
        if self.changed:
            parts.append(f"{self.changed:,} answered again or taken back since")
        if self.decided:
            parts.append(f"{self.decided:,} decided by a reviewer since")
        return f"Left as they are: {', '.join(parts)}." if parts else ""


@dataclass(frozen=True)
class _Chosen:
    items: list[int]
    examples: list[uuid.UUID]
    hashes: list[bytes]


def bulks_of(queue: LabelingQueue) -> QuerySet[BulkLabeling]:
    """Return the bulk labelings of a queue, newest first."""
    return (
        BulkLabeling.objects.filter(queue=queue)
        .select_related("made_by", "undone_by")
        .order_by("-created_at")
    )


def get_bulk(bulk_id: Any) -> BulkLabeling:
    """Return a bulk labeling with its queue. Raises UnknownBulk."""
    found = (
        BulkLabeling.objects.select_related("queue__dataset", "queue__branch__dataset", "queue__example_type")
        .filter(pk=bulk_id)
        .first()
    )
    if found is None:
        raise UnknownBulk
    return found


@retried()
def label_in_bulk(
    *,
    queue: LabelingQueue,
    example_ids: Iterable[uuid.UUID],
    value: Any,
    actor: Any,
    rule: dict[str, Any] | None = None,
) -> BulkLabeling:
    """Label up to 10,000 examples of a queue with one answer, as `actor`. Right: review.

    What the person may not label now is left out: `rule["left_out"]` of the result counts it by reason. Never more
    labelers than the queue asks for, never twice by one. Examples that have all their labels by this are settled.
    `rule` says how the examples were found and is kept. Raises SchemaViolation, BadInput, QueueNotOpen, LabelerPaused,
    NothingToLabel when all are left out.
    """
    require(actor, Action.REVIEW, queue.dataset)
    require_open(queue)
    _require_working(queue, actor)
    wanted = sorted(set(example_ids))
    if not 1 <= len(wanted) <= MOST_AT_ONCE:
        raise BadInput(f"Examples at once: found {len(wanted):,}, expected 1 to {MOST_AT_ONCE:,}.")
    _check(queue, value)
    at = now()
    _free_expired(queue, at)
    with acting(actor, "label in bulk"):
        chosen, reasons = _chosen(queue, wanted, actor)
        left_out = counted(reasons)
        if not chosen.items:
            raise NothingToLabel(
                f"None of these examples can be labeled by you now. {told(left_out)}".strip()
            )
        bulk = BulkLabeling.objects.create(
            queue=queue,
            made_by=actor,
            value=value,
            rule={**(rule or {}), "left_out": left_out},
            example_count=len(chosen.items),
        )
        labels = _write_labels(queue, bulk, chosen, actor, at)
        recount(queue=queue, item_ids=chosen.items)
        with connection.cursor() as cursor:
            cursor.execute(_FULL, [chosen.items, queue.overlap])
            full = [item for (item,) in cursor]
        settle(queue=queue, item_ids=full, actor=actor)
        _tell(queue, bulk, labels, actor)
        record(
            actor,
            "labels.bulk",
            queue.dataset,
            f"{queue.name}: {len(chosen.items):,} at once",
            queue=str(queue.pk),
            bulk=str(bulk.pk),
            labeled=len(chosen.items),
            left_out=sum(left_out.values()),
        )
    forget_progress(queue)
    return bulk


@retried()
def undo_bulk(*, bulk: BulkLabeling, actor: Any) -> BulkUndone:
    """Take a bulk labeling back as a whole: its labels, and what had followed from them. Right: review.

    Labels that their labeler has changed since are not the batch's any more, and what a reviewer has decided since
    stands: both stay, and are counted. Raises BulkUndoneBefore.
    """
    queue = bulk.queue
    require(actor, Action.REVIEW, queue.dataset)
    at = now()
    with acting(actor, "undo a bulk labeling"):
        current = BulkLabeling.objects.select_for_update(of=("self",)).get(pk=bulk.pk)
        if current.undone_at is not None:
            raise BulkUndoneBefore
        taken, decided = _still_of_batch(current)
        with connection.cursor() as cursor:
            cursor.execute(_UNDONE_HISTORY, [queue.label_type, at, current.pk, taken])
            cursor.execute(_TAKE_BACK, [current.pk, taken])
        recount(queue=queue, item_ids=taken)
        unadopt(queue=queue, item_ids=taken, actor=actor, reason="A bulk labeling was taken back.")
        with connection.cursor() as cursor:
            cursor.execute(_WANTING, [taken, queue.overlap])
        _settle_what_is_left(queue, taken, actor)
        rewind(queue=queue, item_ids=taken)
        current.undone_at, current.undone_by = at, actor
        current.save(update_fields=["undone_at", "undone_by"])
        changed = current.example_count - len(taken) - decided
        done = BulkUndone(len(taken), changed, decided)
        record(
            actor,
            "labels.bulk_undo",
            queue.dataset,
            f"{queue.name}: {done.taken_back:,} taken back",
            queue=str(queue.pk),
            bulk=str(bulk.pk),
            taken_back=done.taken_back,
            changed=done.changed,
            decided=done.decided,
        )
    bulk.undone_at, bulk.undone_by = at, actor
    forget_progress(queue)
    return done


def _require_working(queue: LabelingQueue, actor: Any) -> None:
    standing = LabelerStanding.objects.filter(queue=queue, labeler=actor, paused_at__isnull=False).first()
    if standing is not None:
        raise LabelerPaused(f"You are paused in “{queue.name}”. {standing.pause_reason}".strip())


def _check(queue: LabelingQueue, value: Any) -> None:
    check_value({"value": value})
    violations = violations_of(queue, value)
    if violations:
        raise SchemaViolation(" ".join(one["message"] for one in violations), violations=violations)


def _free_expired(queue: LabelingQueue, at: datetime) -> None:
    """End leases that ran out, so that they do not count as somebody's work."""
    with acting(None, "leases ran out"):
        while sweep_expired(queue=queue, at=at) == SWEPT_AT_ONCE:
            pass


def _chosen(queue: LabelingQueue, wanted: Sequence[uuid.UUID], actor: Any) -> tuple[_Chosen, list[LeftOut]]:
    """Lock the items of these examples and return those that get a label, and why each other does not."""
    groups = set(Group.objects.filter(user=actor.pk).values_list("pk", flat=True))
    which = {
        "annotator": actor.get_username(),
        "person": actor.pk,
        "branch": queue.branch_id,
        "type": queue.example_type_id,
        "queue": queue.pk,
        "examples": list(wanted),
    }
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, which)
        # another may have been stored since the queue was read, or while the locks were waited for
        queue.overlap = LabelingQueue.objects.values_list("overlap", flat=True).get(pk=queue.pk)
        cursor.execute(_ITEMS, {**which, "overlap": queue.overlap})
        rows = cursor.fetchall()
    chosen = _Chosen([], [], [])
    reasons = [LeftOut.UNKNOWN] * (len(wanted) - len(rows))
    for item, example, state, gold, slots, mine, held, taken, assignee, group, document in rows:
        why = why_left_out(
            ItemFacts(
                is_open=state == QueueItem.State.OPEN,
                is_gone=state == QueueItem.State.GONE or document is None,
                is_gold=gold,
                open_slots=slots,
                labeled_by_me=mine,
                held_by_me=held,
                held_by_others=taken,
                assigned_to_others=(assignee is not None and assignee != actor.pk)
                or (group is not None and group not in groups),
            )
        )
        if why is not None:
            reasons.append(why)
            continue
        chosen.items.append(item)
        chosen.examples.append(example)
        chosen.hashes.append(content_hash(canonical_bytes(loads_stored(document))))
    return chosen, reasons


def _write_labels(
    queue: LabelingQueue, bulk: BulkLabeling, chosen: _Chosen, actor: Any, at: datetime
) -> list[tuple[int, uuid.UUID]]:
    """Write labels and their history; return (label, example) of each."""
    with connection.cursor() as cursor:
        cursor.execute(
            _LABELS,
            {
                "queue": queue.pk,
                "person": actor.pk,
                "annotator": actor.get_username(),
                "value": canonical_text(bulk.value),
                "bulk": bulk.pk,
                "at": at,
                "items": chosen.items,
                "examples": chosen.examples,
                "hashes": chosen.hashes,
            },
        )
        labels: list[tuple[int, uuid.UUID]] = cursor.fetchall()
        cursor.execute(_HISTORY, [queue.label_type, bulk.pk, chosen.items])
    return labels


def _tell(
    queue: LabelingQueue, bulk: BulkLabeling, labels: Sequence[tuple[int, uuid.UUID]], actor: Any
) -> None:
    """Tell of each label, where anybody listens: ten thousand messages that nobody wants would cost seconds."""
    if not Webhook.objects.filter(is_active=True).exists():
        return
    for label, example in labels:
        facts = {"label": label, "annotator": actor.get_username(), "value": bulk.value, "bulk": str(bulk.pk)}
        label_submitted.send(LabelingQueue, queue=queue, example_id=example, actor=actor, facts=facts)


def _settle_what_is_left(queue: LabelingQueue, item_ids: Sequence[int], actor: Any) -> None:
    """Settle items that have labels of others; of those without any nothing is left that could say something."""
    items = list(item_ids)
    with connection.cursor() as cursor:
        cursor.execute(_SAYS_NOTHING, [now(), items])
        cursor.execute(_LABELED, [items])
        labeled = [item for (item,) in cursor]
    settle(queue=queue, item_ids=labeled, actor=actor)


def _still_of_batch(bulk: BulkLabeling) -> tuple[list[int], int]:
    """Lock the items of a batch; return those whose label is still the batch's, and how many more a reviewer has decided."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_OF_BATCH, [bulk.queue_id, bulk.pk])
        locked = [item for (item,) in cursor.fetchall()]
        # read under the locks: a labeler may just have changed one
        cursor.execute(_STILL, [bulk.created_at, bulk.pk, locked])
        still = cursor.fetchall()
    taken = [item for item, is_decided in still if not is_decided]
    return taken, len(still) - len(taken)
