"""Gold answers: examples whose answer is known, shown to labelers as hidden checks, and what follows from missing them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django.db.models import Count, Q, QuerySet

from datasets_app.domain.roles import Action
from datasets_app.errors import SchemaViolation
from datasets_app.models import Example
from datasets_app.services.access import record, require
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput
from goldenproject.kit.retries import retried
from labeling_app.domain.answers import AnswerType, part_of
from labeling_app.domain.gold_checks import RECENT_CHECKS, is_right, missed_too_many
from labeling_app.models import (
    Consensus,
    GoldAnswer,
    Label,
    LabelerStanding,
    LabelingQueue,
    Lease,
    QueueItem,
)
from labeling_app.services.queue_fields import fields_of
from labeling_app.services.slots import recount, rewind

MOST_AT_ONCE = 10_000


# --- which answers are known --------------------------------------------------------------------------------------
def set_gold(
    *,
    queue: LabelingQueue,
    answers: Mapping[uuid.UUID, Any],
    actor: Any,
    origin: str = GoldAnswer.Origin.CHOSEN,
    explanation: str = "",
) -> int:
    """Make examples of the queue's branch hidden checks; `answers` maps each to the answer that is right.

    An example that the queue's filters leave out joins the queue as a check only. Where there was another gold answer,
    the checks so far are judged anew. Returns how many. Right: review. Raises SchemaViolation for an answer that labelers
    could not give, BadInput for examples that are not there.
    """
    require_reviewer(actor, queue)
    if not answers:
        return 0
    if len(answers) > MOST_AT_ONCE:
        raise BadInput(f"Found {len(answers):,} gold answers, expected at the most {MOST_AT_ONCE:,} at once.")
    _check_answers(queue, answers)
    with acting(actor, f"gold answers of queue {queue.name}"):
        items = _items_of(queue, answers)
        GoldAnswer.objects.bulk_create(
            [
                GoldAnswer(
                    item=item,
                    queue=queue,
                    value=answers[item.example_id],
                    origin=origin,
                    explanation=explanation.replace("\x00", "").strip(),
                    created_by=known_person(actor),
                )
                for item in items
            ],
            update_conflicts=True,
            unique_fields=["item"],
            update_fields=["value", "origin", "explanation", "created_by"],
        )
        QueueItem.objects.filter(pk__in=[item.pk for item in items]).update(is_gold=True)
        _judge_anew(queue, {item.pk: answers[item.example_id] for item in items})
        record(actor, "labels.gold", queue.dataset, f"{len(items):,} gold answers in queue {queue.name}")
    return len(items)


def gold_from_present(*, queue: LabelingQueue, example_ids: Collection[uuid.UUID], actor: Any) -> int:
    """Make examples hidden checks whose right answer is what the working copy holds now. Right: review.

    Raises BadInput for examples without an answer.
    """
    require_reviewer(actor, queue)
    rows = Example.objects.filter(branch=queue.branch_id, identity_id__in=example_ids)
    found = {
        key: part_of(output, queue.field_path)
        for key, output in rows.values_list("identity_id", "expected_output")
    }
    empty = [key for key in example_ids if found.get(key) is None]
    if empty:
        raise BadInput(
            f"{len(empty):,} of {len(set(example_ids)):,} examples have no answer now, the first is {empty[0]}.",
            hint="Choose examples that have one, or give the right answers yourself.",
        )
    return set_gold(queue=queue, answers=found, actor=actor)


@retried()
def remove_gold(*, queue: LabelingQueue, example_ids: Collection[uuid.UUID], actor: Any) -> int:
    """Let gold examples be examples like all others again; the checks on them do not count any more. Right: review."""
    from labeling_app.services.settling import settle

    require_reviewer(actor, queue)
    with acting(actor, f"gold answers of queue {queue.name} removed"):
        items = QueueItem.objects.filter(queue=queue, example__in=example_ids, is_gold=True)
        ids = list(items.order_by("id").select_for_update().values_list("pk", flat=True))
        if not ids:
            return 0
        GoldAnswer.objects.filter(item__in=ids).delete()
        Label.objects.filter(item__in=ids).update(gold_correct=None)
        QueueItem.objects.filter(pk__in=ids).update(is_gold=False)
        # the checks were given unseen, so from now on they are labels like all others; what is held is finished as one
        Lease.objects.filter(item__in=ids, is_gold_check=True).update(is_gold_check=False)
        recount(queue=queue, item_ids=ids)
        rewind(queue=queue, item_ids=ids)
        full = QueueItem.objects.filter(
            pk__in=ids, label_count__gte=queue.overlap, state=QueueItem.State.OPEN
        )
        settle(queue=queue, item_ids=sorted(full.values_list("pk", flat=True)), actor=actor)
        record(actor, "labels.gold_remove", queue.dataset, f"{len(ids):,} gold answers of queue {queue.name}")
    return len(ids)


def unanimous_items(queue: LabelingQueue, *, at_least: int = 2) -> QuerySet[Consensus]:
    """Return what `promote_unanimous` would promote: at least `at_least` labelers, all of one mind, not gold yet."""
    found = Consensus.objects.filter(
        queue=queue, agreement=1, label_count__gte=max(2, at_least), value__isnull=False, item__is_gold=False
    )
    return found.exclude(item__state__in=[QueueItem.State.GONE, QueueItem.State.REJECTED])


def promote_unanimous(
    *, queue: LabelingQueue, actor: Any, at_least: int = 2, limit: int | None = None
) -> int:
    """Make gold of the examples on which at least `at_least` (2 or more) labelers all agree; returns how many.

    The first `limit` in the order of the queue, at the most 10,000 at once. Right: review.
    """
    require_reviewer(actor, queue)
    found = unanimous_items(queue, at_least=at_least).order_by("item__position", "item_id")
    most = min(limit if limit is not None else MOST_AT_ONCE, MOST_AT_ONCE)
    answers = dict(found.values_list("item__example_id", "value")[: max(0, most)])
    return set_gold(queue=queue, answers=answers, actor=actor, origin=GoldAnswer.Origin.PROMOTED)


def gold_answers(queue: LabelingQueue) -> QuerySet[Any]:
    """Return the gold answers with `checks` and `missed`: how often each was asked, and answered otherwise."""
    asked = Q(item__labels__gold_correct__isnull=False)
    return GoldAnswer.objects.filter(queue=queue).annotate(
        checks=Count("item__labels", filter=asked),
        missed=Count("item__labels", filter=Q(item__labels__gold_correct=False)),
    )


def require_reviewer(actor: Any, queue: LabelingQueue) -> None:
    """Raise Forbidden unless `actor` may review in the queue's dataset; None is the system itself, which may."""
    if actor is not None:
        require(actor, Action.REVIEW, queue.dataset)


def _check_answers(queue: LabelingQueue, answers: Mapping[uuid.UUID, Any]) -> None:
    kind = queue.example_type
    # only what a gold answer gives is judged, so it need not give all that a labeler must
    schema = {
        name: rule for name, rule in kind.output_schema.items() if queue.field_path or name != "required"
    }
    checked = AnswerType(kind.name, schema, queue.field_path)
    for key, value in answers.items():
        found = checked.violations(value)
        if found:
            raise SchemaViolation(f"The gold answer of {key}: {found[0].message}", example=str(key))


def _items_of(queue: LabelingQueue, answers: Mapping[uuid.UUID, Any]) -> list[QueueItem]:
    there = set(
        Example.objects.filter(
            branch=queue.branch_id, example_type=queue.example_type_id, identity_id__in=answers
        ).values_list("identity_id", flat=True)
    )
    missing = sorted(str(key) for key in answers if key not in there)
    if missing:
        raise BadInput(
            f"{len(missing):,} of {len(answers):,} examples are no {queue.example_type} on branch "
            f"{queue.branch.name}, the first is {missing[0]}."
        )
    QueueItem.objects.bulk_create(
        [
            QueueItem(queue=queue, example_id=key, position=0, open_slots=queue.overlap, is_gold=True)
            for key in sorted(there)
        ],
        ignore_conflicts=True,
    )
    return list(QueueItem.objects.filter(queue=queue, example__in=there).order_by("id").select_for_update())


def _judge_anew(queue: LabelingQueue, answers: Mapping[int, Any]) -> None:
    fields = fields_of(queue)
    changed = []
    for label in Label.objects.filter(item__in=answers, gold_correct__isnull=False):
        right = is_right(label.value, answers[label.item_id], fields)
        if label.gold_correct != right:
            label.gold_correct = right
            changed.append(label)
    Label.objects.bulk_update(changed, ["gold_correct"], batch_size=500)


# --- answers to checks; services/hidden_checks.py says when one comes ----------------------------------------------
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
    require_reviewer(actor, queue)
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
    require_reviewer(actor, queue)
    with acting(actor, f"let {labeler} go on in queue {queue.name}"):
        standing, _ = LabelerStanding.objects.update_or_create(
            queue=queue,
            labeler=labeler,
            defaults={"paused_at": None, "pause_reason": "", "checks_from": now()},
        )
        record(actor, "labels.go_on", queue.dataset, f"{labeler} in queue {queue.name}")
    return standing
