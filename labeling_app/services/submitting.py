"""Take in answers: one transaction each, whose end is that the answer is stored once, or that all is as it was.

What cannot be counted is not lost: an answer that came too late lies in LabelHistory as LATE, one that does not fit
any more stays as the labeler's draft. Both are committed before the error is raised.
"""

from __future__ import annotations

import hmac
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from datasets_app.domain.canonical import canonical_bytes, content_hash, loads_stored
from datasets_app.domain.content import is_tombstone
from datasets_app.errors import SchemaViolation
from datasets_app.models import Example
from goldenproject.kit.clock import now
from goldenproject.kit.database_io import prepared_cursor
from goldenproject.kit.errors import BadInput, Forbidden, GoldenError
from goldenproject.kit.retries import retried
from labeling_app.domain.answers import same
from labeling_app.errors import (
    ExampleChanged,
    ExampleGone,
    ExampleRedacted,
    KeyReused,
    LeaseLost,
    QueueNotOpen,
    TypeChanged,
)
from labeling_app.models import Label, LabelHistory, LabelingQueue, Lease, QueueItem, Source
from labeling_app.services.answer_types import answer_type, violations_of
from labeling_app.services.assigning import require_open
from labeling_app.services.consensus_report import AnnotatorsAnswer
from labeling_app.services.events import label_submitted
from labeling_app.services.given_answers import GivenAnswer, checked_answer
from labeling_app.services.gold import judge
from labeling_app.services.keeping import (
    HeldLease,
    keep_draft,
    locked_lease,
    take_up_again,
)
from labeling_app.services.passing import flag, save_draft, skip
from labeling_app.services.sessions import release_of_labeler
from labeling_app.services.settlement_planning import GivenLabels
from labeling_app.services.settling import settle
from labeling_app.services.slots import end_leases, recount
from labeling_app.services.submitted import SESSION_COLUMNS, Submitted, session_of

__all__ = ["Submitted", "flag", "save_draft", "skip", "submit_label"]


# History, label, lease, item, session and draft in one statement: they are written together or not at all.
_STORE = f"""
    WITH before AS (
        SELECT value FROM labeling_app_label WHERE item_id = %(item)s AND annotator = %(annotator)s
    ), said AS (
        INSERT INTO labeling_app_labelhistory
               (example_id, queue_id, session_id, labeler_id, annotator, event, label_type, label_value, previous_value,
                labeled_at, confidence, notes, source, duration_ms, content_hash, lease_id, key)
        VALUES (%(example)s, %(queue)s, %(session)s, %(labeler)s, %(annotator)s,
                CASE WHEN EXISTS (SELECT 1 FROM before) THEN 'changed' ELSE 'submitted' END, %(label_type)s,
                %(value)s::jsonb, (SELECT value FROM before), %(at)s, %(confidence)s, %(notes)s, %(source)s, %(duration)s,
                %(hash)s, %(lease)s, %(key)s)
    ), label AS (
        INSERT INTO labeling_app_label
               (queue_id, item_id, example_id, labeler_id, annotator, value, confidence, notes, source, session_id,
                lease_id, content_hash, duration_ms, gold_correct, labeled_at)
        VALUES (%(queue)s, %(item)s, %(example)s, %(labeler)s, %(annotator)s, %(value)s::jsonb, %(confidence)s,
                %(notes)s, %(source)s, %(session)s, %(lease)s, %(hash)s, %(duration)s, %(gold)s, %(at)s)
            ON CONFLICT (item_id, annotator) DO UPDATE
           SET value = excluded.value, confidence = excluded.confidence, notes = excluded.notes,
               source = excluded.source, session_id = excluded.session_id, lease_id = excluded.lease_id,
               content_hash = excluded.content_hash, duration_ms = excluded.duration_ms,
               gold_correct = excluded.gold_correct, labeled_at = excluded.labeled_at, bulk_id = NULL
        RETURNING id
    ), ended AS (
        UPDATE labeling_app_lease SET state = 'submitted', ended_at = %(at)s, content_hash = %(hash)s
         WHERE id = %(lease)s
    ), counted AS (
        UPDATE labeling_app_queueitem
           SET label_count = label_count + (SELECT 1 - count(*) FROM before), state = CASE WHEN state = 'gone' THEN 'open' ELSE state END
         WHERE id = %(item)s
    ), seen AS (
        UPDATE labeling_app_labelingsession s
           SET examples_labeled = examples_labeled + (SELECT 1 - count(*) FROM before), last_seen_at = greatest(last_seen_at, %(at)s)
         WHERE id = %(session)s
     RETURNING {SESSION_COLUMNS}
    ), tidied AS (
        DELETE FROM labeling_app_draft WHERE item_id = %(item)s AND labeler_id = %(labeler)s
    )
    SELECT label.id, EXISTS (SELECT 1 FROM before),
           (SELECT overlap FROM labeling_app_labelingqueue WHERE id = %(queue)s),
           (SELECT e.updated_at FROM datasets_app_example e WHERE e.branch_id = %(branch)s AND e.example_id = %(example)s),
           EXISTS (SELECT 1 FROM labeling_app_consensus WHERE item_id = %(item)s),
           EXISTS (SELECT 1 FROM labeling_app_review WHERE item_id = %(item)s),
           seen.*
      FROM label LEFT JOIN seen ON true
"""


class _AlreadyGiven(Exception):
    """The key was used before."""


def submit_label(
    *,
    lease_id: uuid.UUID,
    labeler: Any,
    value: Any,
    confidence: float | None = None,
    notes: str = "",
    duration_ms: int | None = None,
    key: str | None = None,
    content_hash: str | bytes | None = None,
    schema_digest: str | None = None,
    source: str = Source.HUMAN,
) -> Submitted:
    """Store the answer to a leased example.

    `confidence` is 0–1. `key` makes it safe to send the same again: it is stored once and the first answer returned.
    With `content_hash` and `schema_digest` of the task, a change behind the labeler's back is noticed. An answer to an
    example that the labeler has answered already changes that answer.

    A lease that ran out counts as long as its slot is free. Raises SchemaViolation, LeaseLost, ExampleGone,
    ExampleChanged (details: input, content_hash as they are now), TypeChanged, QueueNotOpen, LabelerPaused, NotAssigned,
    Forbidden, KeyReused, UnknownLease, BadInput.
    """
    answer = checked_answer(
        lease_id, labeler, value, confidence, notes, duration_ms, key, content_hash, schema_digest, source
    )
    try:
        outcome = _stored(answer)
    except _AlreadyGiven:
        outcome = _replayed(answer)
    if isinstance(outcome, GoldenError):
        raise outcome
    return outcome


@retried()
def _stored(answer: GivenAnswer) -> Submitted | GoldenError:
    """Store the answer and return what became of it; or leave what is to be left, and return the error to raise."""
    at = now()
    try:
        with transaction.atomic():
            held = locked_lease(answer.lease_id, answer.labeler, to="label", or_active=True)
            known = _known(held, answer)
            if known is not None:
                return known
            refusal = _refusal(held, answer, at)
            if refusal is not None:
                return refusal
            return _store(held, answer, at)
    except IntegrityError as error:
        if "label_history_key_once" in str(error):
            raise _AlreadyGiven from error
        raise


def _known(held: HeldLease, answer: GivenAnswer) -> Submitted | GoldenError | None:
    """Return the answer to what was sent before: under the same key, or without one, in the same words."""
    if held.is_held:
        return None  # its key cannot have been used, or the index tells
    if answer.key is not None:
        earlier = LabelHistory.objects.filter(labeler=answer.labeler, key=answer.key).first()
        if earlier is not None:
            return _replay(earlier, answer)
    if held.lease.state != Lease.State.SUBMITTED:
        return None
    label = Label.objects.filter(item=held.item, labeler=answer.labeler).first()
    if label is not None and _says_the_same(label, answer):
        return Submitted(label.pk, held.item.example_id, held.item.state, replayed=True)
    return None


def _says_the_same(label: Label, answer: GivenAnswer) -> bool:
    confidence = None if label.confidence is None else float(label.confidence)
    return same(label.value, answer.value) and (confidence, label.notes) == (answer.confidence, answer.notes)


@retried()
def _replayed(answer: GivenAnswer) -> Submitted | GoldenError:
    earlier = LabelHistory.objects.get(labeler=answer.labeler, key=answer.key)
    return _replay(earlier, answer)


def _replay(earlier: LabelHistory, answer: GivenAnswer) -> Submitted | GoldenError:
    """Return what the first sending of a key got."""
    if is_tombstone(earlier.label_value):
        return ExampleRedacted()
    confidence = None if earlier.confidence is None else float(earlier.confidence)
    said = earlier.event in (
        LabelHistory.Event.SUBMITTED,
        LabelHistory.Event.CHANGED,
        LabelHistory.Event.LATE,
    )
    if (
        not said
        or not _same_example(earlier, answer)
        or not same(earlier.label_value, answer.value)
        or (confidence, earlier.notes) != (answer.confidence, answer.notes)
    ):
        return KeyReused(
            f"The idempotency key “{answer.key}” was used for another answer; this one was not stored.",
            hint="Send it again with a key of its own.",
        )
    item = QueueItem.objects.select_related("queue").get(queue=earlier.queue_id, example=earlier.example_id)
    if earlier.event == LabelHistory.Event.LATE:
        row = Example.objects.filter(
            branch=item.queue.branch_id, identity=item.example_id, example_type=item.queue.example_type_id
        )
        return LeaseLost() if row.exists() else ExampleGone()
    label = Label.objects.filter(item=item, annotator=earlier.annotator).values_list("pk", flat=True).first()
    return Submitted(label, item.example_id, item.state, replayed=True)


def _same_example(earlier: LabelHistory, answer: GivenAnswer) -> bool:
    """Whether the lease that an answer is for is of the example of an earlier one."""
    if earlier.lease_id == answer.lease_id:
        return True
    items = Lease.objects.filter(pk__in=[pk for pk in (earlier.lease_id, answer.lease_id) if pk]).values_list(
        "item", flat=True
    )
    return len(items) == 2 and items[0] == items[1]


def _refusal(held: HeldLease, answer: GivenAnswer, at: datetime) -> GoldenError | None:
    """Return why an answer cannot be counted, after what is to be kept of it was written; None when it can."""
    try:
        held.require_labeler(answer.labeler)
        require_open(held.queue)
    except (Forbidden, QueueNotOpen) as error:
        _keep_draft(held, answer, at)
        release_of_labeler(queue=held.queue, labeler=answer.labeler, at=at)
        return error
    row = held.row_now
    if row is None:
        _write_late(held, answer, at)
        if held.is_held:
            end_leases(queue=held.queue, leases=[(held.lease.pk, held.item.pk)], state="released", at=at)
        QueueItem.objects.filter(pk=held.item.pk).update(state=QueueItem.State.GONE)
        return ExampleGone()
    hash_now = content_hash(canonical_bytes(row.input))
    seen = answer.content_hash or bytes(held.lease.content_hash)
    if not hmac.compare_digest(hash_now, seen):
        _keep_draft(held, answer, at)
        Lease.objects.filter(pk=held.lease.pk).update(content_hash=hash_now)
        return ExampleChanged(
            "The example was changed while you were labeling it; your answer is kept as a draft.",
            hint="Look at it as it is now, and submit again.",
            input=row.input,
            content_hash=hash_now.hex(),
        )
    held.lease.content_hash = hash_now
    violation = _violation(held.queue, answer)
    if violation is not None:
        _keep_draft(held, answer, at)
        return violation
    if held.lease.state != Lease.State.SUBMITTED and not take_up_again(
        held, at + timedelta(seconds=held.queue.lease_s)
    ):
        _write_late(held, answer, at)
        return LeaseLost()
    return None


def _violation(queue: LabelingQueue, answer: GivenAnswer) -> GoldenError | None:
    """Return what is wrong with the answer itself, as the type is now."""
    try:
        violations = violations_of(queue, answer.value)
    except BadInput as error:  # the type has no field at the queue's path any more
        return TypeChanged(
            f"The type “{queue.example_type.name}” was changed, and this queue does not fit it any more: {error.message}",
            hint="Your answer is kept as a draft. A curator has to make another queue.",
            violations=[],
        )
    if not violations:
        return None
    told = " ".join(violation["message"] for violation in violations[:3])
    digest = answer_type(queue).digest
    if answer.schema_digest is not None and answer.schema_digest != digest:
        return TypeChanged(
            f"The type “{queue.example_type.name}” was changed while you were labeling, and your answer does not fit "
            f"it any more: {told}",
            hint="Your answer is kept as a draft. Load the example again and mend it.",
            violations=violations,
            schema_digest=digest,
        )
    return SchemaViolation(told, violations=violations)


def _keep_draft(held: HeldLease, answer: GivenAnswer, at: datetime) -> None:
    keep_draft(
        item_id=held.item.pk,
        labeler=answer.labeler,
        value=answer.text,
        confidence=answer.confidence,
        notes=answer.notes,
        at=at,
    )


def _write_late(held: HeldLease, answer: GivenAnswer, at: datetime) -> None:
    LabelHistory.objects.create(
        example_id=held.item.example_id,
        queue=held.queue,
        session_id=held.lease.session_id,
        labeler=answer.labeler,
        annotator=answer.labeler.get_username(),
        event=LabelHistory.Event.LATE,
        label_type=held.queue.label_type,
        label_value=answer.value,
        labeled_at=at,
        confidence=answer.confidence,
        notes=answer.notes,
        source=answer.source,
        duration_ms=answer.duration_ms,
        content_hash=bytes(held.lease.content_hash),
        lease_id=held.lease.pk,
        key=answer.key,
    )


def _store(held: HeldLease, answer: GivenAnswer, at: datetime) -> Submitted:
    """Write an answer that was found good, and let what follows from it follow."""
    queue, item = held.queue, held.item
    gold = None
    if held.lease.is_gold_check:
        gold = judge(queue=queue, item_id=item.pk, labeler=answer.labeler, value=answer.value)
    with prepared_cursor() as cursor:
        cursor.execute(_STORE, _parameters(held, answer, at, gold))
        # while the lock was waited for, another overlap may have been stored, and the example edited
        label, is_change, queue.overlap, edited_at, has_consensus, has_review, *session = cursor.fetchone()
    item.label_count += not is_change
    was_check = held.lease.slot == 0 and not held.lease.is_gold_check
    if was_check or (is_change and held.is_held):
        # labeled in bulk meanwhile: its slot was taken twice; a hidden check that is none any more: none was taken yet
        recount(queue=queue, item_ids=[item.pk])
    if item.state == QueueItem.State.GONE:
        item.state = QueueItem.State.OPEN
    if not item.is_gold and not held.lease.is_gold_check and (is_change or item.label_count >= queue.overlap):
        row = held.row_now
        rows = {item.example_id: row} if row is not None and row.updated_at == edited_at else {}
        given = None
        if item.label_count == 1 and not (is_change or was_check):
            given = {item.pk: _alone(held, answer, at, has_consensus, has_review)}
        settle(queue=queue, locked=[item], actor=answer.labeler, rows=rows, given=given)
    if held.is_listened_to:
        label_submitted.send(
            LabelingQueue,
            queue=queue,
            example_id=item.example_id,
            actor=answer.labeler,
            facts={
                "label": label,
                "item": item.pk,
                "annotator": answer.labeler.get_username(),
                "value": answer.value,
                "confidence": answer.confidence,
                "changed": is_change,
            },
        )
    return Submitted(
        label,
        item.example_id,
        item.state,
        replayed=False,
        session=None if session[0] is None else session_of(answer.labeler, session),
    )


def _alone(
    held: HeldLease, answer: GivenAnswer, at: datetime, has_consensus: bool, has_review: bool
) -> GivenLabels:
    """Return the labels of an item that has but this one, as they would be read."""
    return GivenLabels(
        answers=[
            AnnotatorsAnswer(answer.labeler.get_username(), loads_stored(answer.text), answer.confidence)
        ],
        newest=at,
        first_here=held.lease.leased_at,
        inputs=frozenset({bytes(held.lease.content_hash)}),
        has_consensus=has_consensus,
        has_review=has_review,
    )


def _annotator(held: HeldLease, answer: GivenAnswer) -> str:
    """Return the name under which the answer is stored: whoever was renamed since changes the label of before."""
    name: str = answer.labeler.get_username()
    if held.is_held:
        return name
    given = Label.objects.filter(item=held.item, labeler=answer.labeler).values_list("annotator", flat=True)
    return given.first() or name


def _parameters(held: HeldLease, answer: GivenAnswer, at: datetime, gold: bool | None) -> dict[str, Any]:
    return {
        "example": held.item.example_id,
        "queue": held.queue.pk,
        "session": held.lease.session_id,
        "labeler": answer.labeler.pk,
        "annotator": _annotator(held, answer),
        "label_type": held.queue.label_type,
        "value": answer.text,
        "at": at,
        "confidence": answer.confidence,
        "notes": answer.notes,
        "source": str(answer.source),
        "duration": answer.duration_ms,
        "hash": bytes(held.lease.content_hash),
        "lease": held.lease.pk,
        "key": answer.key,
        "item": held.item.pk,
        "branch": held.queue.branch_id,
        "gold": gold,
    }
