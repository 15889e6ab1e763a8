"""Send the labels of an example back to the labelers, and give them back when that is undone.

The log has each label as it was given; what the labels said together, and what of it had been adopted, is remembered in
the consensus while nothing else is adopted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Max

from datasets_app.domain.canonical import same_json
from datasets_app.domain.json_path import MISSING
from datasets_app.services.curation.adopting import Adoption, WorkingAnswer, adopt_outputs, working_answers
from labeling_app.domain.gold_checks import is_right
from labeling_app.domain.settlement import composed, part_in, without_part
from labeling_app.errors import ExampleChanged, ExampleGone, LabeledSince
from labeling_app.models import (
    BulkLabeling,
    Consensus,
    GoldAnswer,
    Label,
    LabelHistory,
    LabelingQueue,
    Lease,
    QueueItem,
    Review,
)
from labeling_app.services.adopting_answers import log_row, put_back
from labeling_app.services.queue_fields import fields_of
from labeling_app.services.settled_rows import write_consensuses, write_item_states
from labeling_app.services.slots import end_leases, recount, rewind

_GIVEN = (
    LabelHistory.Event.SUBMITTED,
    LabelHistory.Event.CHANGED,
    LabelHistory.Event.IMPORTED,
    LabelHistory.Event.BULK,
)
_REMEMBERED = "sent_back"  # its key in `Consensus.before`
# of a label, what its row of the log has under the same name
_SAME = ("session_id", "confidence", "notes", "source", "duration_ms", "lease_id", "bulk_id")


def send_back(*, queue: LabelingQueue, item: QueueItem, comment: str, actor: Any, at: datetime) -> None:
    """Withdraw the labels into the log, and let the same labelers have the example again; the item is locked.

    `at` becomes the moment of the decision: the rows of the log are known by it.
    """
    consensus = Consensus.objects.select_related("decided_by").filter(pk=item.pk).first()
    memory = None if consensus is None else _memory(consensus)
    if consensus is not None and memory is not None and consensus.adopted_at is not None:
        was = _working(queue, item)
        put_back(
            queue=queue, items={item.pk: item}, adopted={item.pk: consensus}, actor=actor, reason=comment
        )
        memory["answer"] = None if was is None else {"was": _answer(queue, was), "left": _left(queue, item)}
    labels = list(Label.objects.filter(item=item).select_related("labeler").order_by("pk"))
    LabelHistory.objects.bulk_create([_withdrawn(queue, item, label, at, comment) for label in labels])
    Label.objects.filter(pk__in=[label.pk for label in labels]).delete()
    Lease.objects.filter(
        item=item, state__in=(Lease.State.SUBMITTED, Lease.State.SKIPPED), slot__gte=0
    ).update(state=Lease.State.RELEASED)
    if consensus is not None:
        consensus.value = consensus.confidence = consensus.agreement = None
        consensus.label_count, consensus.before = 0, {_REMEMBERED: memory}
        write_consensuses([consensus])
    recount(queue=queue, item_ids=[item.pk])
    write_item_states({item.pk: QueueItem.State.OPEN})
    rewind(queue=queue, item_ids=[item.pk])


def take_back_sending(
    *, review: Review, item: QueueItem, decided_at: datetime | None, actor: Any, at: datetime
) -> None:
    """Give the labels back that a review sent back, with all that followed from them; the item is locked.

    Whoever holds the example by now gives it back; an answer that is sent all the same is kept in the log, not counted.
    Raises LabeledSince, ExampleChanged, ExampleGone.
    """
    queue = review.queue
    sent = list(_log(item, queue).filter(event=LabelHistory.Event.SENT_BACK, labeled_at=decided_at))
    _refuse_labeled(item, queue, sent, decided_at)
    given = [_given(item, queue, row) for row in sent]
    _refuse_batch(given)
    consensus = Consensus.objects.filter(pk=item.pk).first()
    memory = None if consensus is None else consensus.before.get(_REMEMBERED)
    _give_leases_back(review, item, sent, at)
    LabelHistory.objects.bulk_create([_restored(row, at) for row in given])
    Label.objects.bulk_create(_labels(queue, item, given))
    recount(queue=queue, item_ids=[item.pk])
    item.refresh_from_db(fields=["label_count", "open_slots"])
    if consensus is not None and memory is not None:
        _adopt_again(queue, item, memory, actor, at)
        _recall(consensus, memory)
        write_consensuses([consensus])


# --- sending
def _withdrawn(
    queue: LabelingQueue, item: QueueItem, label: Label, at: datetime, comment: str
) -> LabelHistory:
    row = log_row(
        queue,
        item,
        LabelHistory.Event.SENT_BACK,
        by=label.labeler,
        at=at,
        previous=label.value,
        notes=comment,
    )
    row.annotator, row.source, row.lease_id = label.annotator, label.source, label.lease_id
    return row


def _memory(consensus: Consensus) -> dict[str, Any]:
    """Return what the labels said together, as JSON; a person by name, so that it holds in another database too.

    What an earlier sending back had taken away is left out: only the newest decision can be undone.
    """
    return {
        "value": consensus.value,
        "method": consensus.method,
        "confidence": None if consensus.confidence is None else str(consensus.confidence),
        "agreement": None if consensus.agreement is None else str(consensus.agreement),
        "label_count": consensus.label_count,
        "origin": consensus.origin,
        "adopted_value": consensus.adopted_value,
        "adopted_at": _text(consensus.adopted_at),
        "decided_by": None if consensus.decided_by is None else consensus.decided_by.get_username(),
        "before": {name: value for name, value in consensus.before.items() if name != _REMEMBERED},
        "answer": None,
    }


def _working(queue: LabelingQueue, item: QueueItem) -> WorkingAnswer | None:
    return working_answers(queue.branch, [item.example_id]).get(item.example_id)


def _answer(queue: LabelingQueue, row: WorkingAnswer) -> dict[str, Any]:
    """Return what a working row holds of what adopting writes, as JSON."""
    part = part_in(row.output, queue.field_path)
    person = None if row.validated_by is None else get_user_model().objects.get(pk=row.validated_by)
    return {
        "has_value": part is not MISSING,
        "value": None if part is MISSING else part,
        "label": row.label,
        "status": row.status,
        "validated_by": None if person is None else person.get_username(),
        "validated_at": _text(row.validated_at),
    }


def _left(queue: LabelingQueue, item: QueueItem) -> dict[str, Any] | None:
    row = _working(queue, item)
    return None if row is None else _answer(queue, row)


# --- giving back
def _log(item: QueueItem, queue: LabelingQueue) -> Any:
    return LabelHistory.objects.filter(example=item.example_id, queue=queue).order_by("pk")


def _refuse_labeled(
    item: QueueItem, queue: LabelingQueue, sent: Sequence[LabelHistory], decided_at: datetime | None
) -> None:
    since = _log(item, queue).filter(event__in=_GIVEN)
    since = since.filter(pk__gt=sent[-1].pk) if sent else since.filter(labeled_at__gt=decided_at)
    names = sorted(set(since.values_list("annotator", flat=True)))
    if names:
        raise LabeledSince(
            f"{', '.join(names)} labeled this example since it was sent back, so it stays sent back.",
            hint="The labels of before are in the label history.",
        )


def _given(item: QueueItem, queue: LabelingQueue, sent: LabelHistory) -> LabelHistory:
    """Return the row of the log by which a label that was sent back had been given."""
    before = _log(item, queue).filter(annotator=sent.annotator, pk__lt=sent.pk)
    said: LabelHistory | None = before.filter(event__in=_GIVEN).last()
    if said is None or not same_json(said.label_value, sent.previous_value):
        raise LabeledSince(
            f"The label history does not tell how {sent.annotator} gave the label that was sent back.",
            hint="Let the example be labeled again.",
        )
    return said


def _refuse_batch(given: Sequence[LabelHistory]) -> None:
    batches = {row.bulk_id for row in given if row.bulk_id is not None}
    if BulkLabeling.objects.filter(pk__in=batches, undone_at__isnull=False).exists():
        raise LabeledSince(
            "A label of this example was given in bulk, and that batch was taken back since it was sent back.",
            hint="Let the example be labeled again.",
        )


def _restored(given: LabelHistory, at: datetime) -> LabelHistory:
    return LabelHistory(
        example_id=given.example_id,
        queue_id=given.queue_id,
        labeler_id=given.labeler_id,
        annotator=given.annotator,
        event=LabelHistory.Event.RESTORED,
        label_type=given.label_type,
        label_value=given.label_value,
        labeled_at=at,
        content_hash=_bytes(given),
        **{name: getattr(given, name) for name in _SAME},
    )


def _labels(queue: LabelingQueue, item: QueueItem, given: Sequence[LabelHistory]) -> list[Label]:
    """Return the labels as they were; whether a hidden check was passed is judged by its answer as it is now."""
    gold = GoldAnswer.objects.filter(pk=item.pk).first()
    checks = set(Lease.objects.filter(item=item, is_gold_check=True).values_list("pk", flat=True))
    return [
        Label(
            queue=queue,
            item=item,
            example_id=item.example_id,
            labeler_id=row.labeler_id,
            annotator=row.annotator,
            value=row.label_value,
            labeled_at=row.labeled_at,
            content_hash=_bytes(row) or b"",
            gold_correct=is_right(row.label_value, gold.value, fields_of(queue))
            if gold is not None and row.lease_id in checks
            else None,
            **{name: getattr(row, name) for name in _SAME},
        )
        for row in given
    ]


def _give_leases_back(review: Review, item: QueueItem, sent: Sequence[LabelHistory], at: datetime) -> None:
    """Let leases stand as they did: answered, or skipped. Those that run end; one who skipped it since has both in the log."""
    leases = Lease.objects.filter(item=item)
    held = [(pk, item.pk) for pk in leases.filter(state=Lease.State.HELD).values_list("pk", flat=True)]
    if held:
        end_leases(queue=review.queue, leases=held, state=Lease.State.RELEASED.value, at=at)
    answered = [row.lease_id for row in sent if row.lease_id is not None]
    people = [row.labeler_id for row in sent if row.labeler_id is not None]
    leases.filter(state=Lease.State.SKIPPED, labeler__in=people).update(state=Lease.State.RELEASED)
    leases.filter(pk__in=answered, state=Lease.State.RELEASED).update(state=Lease.State.SUBMITTED)
    skipped = _skipped_before(review, item)
    ended = leases.filter(pk__in=skipped, state=Lease.State.RELEASED, slot__gte=0)
    again = set(leases.filter(state=Lease.State.SKIPPED).values_list("labeler", flat=True)) | set(people)
    # a skip that was taken back, and the example given back, ended at another moment than the skip
    back = [one.pk for one in ended if one.ended_at == skipped[one.pk] and one.labeler_id not in again]
    leases.filter(pk__in=back).update(state=Lease.State.SKIPPED)


def _skipped_before(review: Review, item: QueueItem) -> dict[Any, datetime]:
    """Return the leases that were skipped since the example was sent back the last time before, with the moment."""
    earlier = Review.objects.filter(item=item, outcome=Review.Outcome.SENT_BACK, pk__lt=review.pk)
    last = earlier.aggregate(last=Max("decided_at"))["last"]
    skips = _log(item, review.queue).filter(event=LabelHistory.Event.SKIPPED, lease_id__isnull=False)
    if last is not None:
        skips = skips.filter(labeled_at__gt=last)
    return dict(skips.values_list("lease_id", "labeled_at"))


def _adopt_again(
    queue: LabelingQueue, item: QueueItem, memory: dict[str, Any], actor: Any, at: datetime
) -> None:
    """Put an answer that had been adopted back into the working copy, unless the example was edited since."""
    answer = memory["answer"]
    if answer is None:
        return
    row = _working(queue, item)
    if row is None:
        raise ExampleGone("The example was removed from the working copy since it was sent back.")
    was, left = answer["was"], answer["left"]
    now = _answer(queue, row)
    if left is None or any(not same_json(now[name], left[name]) for name in ("has_value", "value", "status")):
        raise _edited_since()
    if was["has_value"]:
        output = composed(row.output, queue.field_path, was["value"])
    else:
        output = without_part(row.output, queue.field_path)
    person = _person(was["validated_by"])
    put = Adoption(
        row, output, was["label"], was["status"], person and person.pk, _moment(was["validated_at"])
    )
    done = adopt_outputs(
        branch=queue.branch, adoptions=[put], actor=actor, reason="review: sending back undone", checked=False
    )
    if not done.written:
        raise _edited_since()
    told = _log(item, queue).filter(event=LabelHistory.Event.ADOPTED).last()
    log_row(
        queue,
        item,
        LabelHistory.Event.ADOPTED,
        by=_person(memory["decided_by"]),
        at=at,
        value=memory["adopted_value"],
        previous=left["value"],
        notes="" if told is None else told.notes,
        confidence=None if told is None else told.confidence,
    ).save()


def _edited_since() -> ExampleChanged:
    return ExampleChanged(
        "The example was edited since it was sent back, so the answer that had been adopted stays away.",
        hint="Review it when it is labeled again, or put the edit back first.",
    )


def _recall(consensus: Consensus, memory: dict[str, Any]) -> None:
    consensus.value, consensus.method = memory["value"], memory["method"]
    consensus.confidence, consensus.agreement = _decimal(memory["confidence"]), _decimal(memory["agreement"])
    consensus.label_count, consensus.before = memory["label_count"], memory["before"]
    consensus.origin, consensus.adopted_value = memory["origin"], memory["adopted_value"]
    consensus.adopted_at, consensus.decided_by = _moment(memory["adopted_at"]), _person(memory["decided_by"])


def _person(name: str | None) -> Any:
    return None if name is None else get_user_model().objects.filter(username=name).first()


def _bytes(row: LabelHistory) -> bytes | None:
    return None if row.content_hash is None else bytes(row.content_hash)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
