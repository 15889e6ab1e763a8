"""Gold answers: examples whose answer is known, shown to labelers as hidden checks, and what follows from missing them."""

from __future__ import annotations

from typing import Any

from django.db.models import CharField, Exists, OuterRef, Value
from django.db.models.functions import MD5, Cast, Concat

from datasets_app.domain.roles import Action
from datasets_app.services.access import record, require
from goldenproject.kit.audit import acting
from goldenproject.kit.clock import now
from labeling_app.domain.gold_checks import RECENT_CHECKS, is_right, missed_too_many
from labeling_app.models import (
    GoldAnswer,
    Label,
    LabelerStanding,
    LabelingQueue,
    LabelingSession,
    Lease,
    QueueItem,
)
from labeling_app.services.queue_fields import fields_of

_HAD = (Lease.State.HELD, Lease.State.SUBMITTED, Lease.State.SKIPPED)


def pick_gold(*, session: LabelingSession) -> int | None:
    """Return the item of a gold answer that this labeler never had, or None when there is none left.

    Which of them comes is the same for the same session and differs between sessions.
    """
    had = Lease.objects.filter(item=OuterRef("item_id"), labeler=session.labeler_id, state__in=_HAD)
    said = Label.objects.filter(item=OuterRef("item_id"), labeler=session.labeler_id)
    shuffled = MD5(
        Concat(Value(f"{session.pk}:"), Cast("item_id", CharField()), output_field=CharField()),
    )
    return (
        GoldAnswer.objects.filter(~Exists(had), ~Exists(said), queue=session.queue_id)
        .exclude(item__state=QueueItem.State.GONE)
        .order_by(shuffled)
        .values_list("item_id", flat=True)
        .first()
    )


def judge(*, queue: LabelingQueue, item_id: int, labeler: Any, value: Any) -> bool:
    """Tell whether the answer to a hidden check is right, and pause the labeler when too many of the newest were not.

    Call it in the transaction that stores the label, before the label itself is stored.
    """
    gold = GoldAnswer.objects.get(item=item_id)
    right = is_right(value, gold.value, fields_of(queue))
    if not right:
        _pause_if_bad(queue, item_id, labeler)
    return right


def _pause_if_bad(queue: LabelingQueue, item_id: int, labeler: Any) -> None:
    standing = LabelerStanding.objects.filter(queue=queue, labeler=labeler).first()
    checks = Label.objects.filter(queue=queue, labeler=labeler, gold_correct__isnull=False).exclude(
        item=item_id
    )
    if standing is not None and standing.checks_from is not None:
        checks = checks.filter(labeled_at__gte=standing.checks_from)
    most = max(queue.gold_pause_after, RECENT_CHECKS)
    before = checks.order_by("-labeled_at").values_list("gold_correct", flat=True)[: most - 1]
    newest = [False, *map(bool, before)]
    if not missed_too_many(newest, below=queue.gold_pause_below, after=queue.gold_pause_after):
        return
    if standing is not None and standing.paused_at is not None:
        return
    share, wanted = sum(newest) / len(newest), float(queue.gold_pause_below or 0)
    pause_labeler(
        queue=queue,
        labeler=labeler,
        actor=None,
        reason=(
            f"{share:.0%} of your last {len(newest)} answers that could be checked agreed with the known ones, where "
            f"{wanted:.0%} are expected. Read the instructions again, then ask a reviewer to let you go on."
        ),
    )


def pause_labeler(*, queue: LabelingQueue, labeler: Any, actor: Any, reason: str) -> LabelerStanding:
    """Stop a labeler in a queue; the reason is shown to them. `actor` None is a missed check. Right: review."""
    if actor is not None:
        require(actor, Action.REVIEW, queue.dataset)
    with acting(actor, f"pause {labeler} in queue {queue.name}"):
        standing, _ = LabelerStanding.objects.update_or_create(
            queue=queue,
            labeler=labeler,
            defaults={"paused_at": now(), "pause_reason": reason.replace("\x00", "").strip()},
        )
        record(actor, "labels.pause", queue.dataset, f"{labeler} in queue {queue.name}", reason=reason)
    return standing


def let_go_on(*, queue: LabelingQueue, labeler: Any, actor: Any) -> LabelerStanding:
    """Let a paused labeler go on; the checks so far do not count any more. Right: review."""
    require(actor, Action.REVIEW, queue.dataset)
    with acting(actor, f"let {labeler} go on in queue {queue.name}"):
        standing, _ = LabelerStanding.objects.update_or_create(
            queue=queue,
            labeler=labeler,
            defaults={"paused_at": None, "pause_reason": "", "checks_from": now()},
        )
        record(actor, "labels.go_on", queue.dataset, f"{labeler} in queue {queue.name}")
    return standing
