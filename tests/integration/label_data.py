"""A small database with something in every table of the labels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group, User

from datasets_app.models import Dataset, Example
from datasets_app.services.versioning.refs import get_branch
from labeling_app.models import (
    BulkLabeling,
    Consensus,
    Draft,
    GoldAnswer,
    KeyMap,
    Label,
    LabelerStanding,
    LabelHistory,
    LabelingQueue,
    LabelingSession,
    Lease,
    QueueItem,
    QueueMember,
    Review,
    Suggestion,
    Webhook,
    WebhookDelivery,
)

MORNING = datetime(2026, 4, 1, 9, tzinfo=UTC)
HASH = bytes(range(32))


def make_queue(dataset: Dataset, name: str = "labels", **fields: Any) -> LabelingQueue:
    """Make a queue over the working rows of a dataset's default branch, an open item each."""
    branch = get_branch(dataset)
    rows = list(Example.objects.filter(branch=branch).order_by("ordinal"))
    queue = LabelingQueue.objects.create(
        dataset=dataset, branch=branch, example_type=rows[0].example_type, name=name, overlap=2, **fields
    )
    QueueItem.objects.bulk_create(
        QueueItem(queue=queue, example_id=row.identity_id, position=n, open_slots=2)
        for n, row in enumerate(rows)
    )
    return queue


def make_session(labeler: User, queue: LabelingQueue | None, *, ended: bool = True) -> LabelingSession:
    return LabelingSession.objects.create(
        labeler=labeler,
        queue=queue,
        started_at=MORNING,
        last_seen_at=MORNING + timedelta(minutes=9),
        ended_at=MORNING + timedelta(minutes=10) if ended else None,
    )


def make_label(item: QueueItem, session: LabelingSession, value: Any, *, slot: int = 1) -> Label:
    """Give a label as a submit does: lease, history, label, counts of the item."""
    labeler, at = session.labeler, MORNING + timedelta(minutes=slot)
    lease = Lease.objects.create(
        queue=item.queue,
        item=item,
        labeler=labeler,
        session=session,
        slot=slot,
        state=Lease.State.SUBMITTED,
        leased_at=MORNING,
        expires_at=at + timedelta(minutes=15),
        ended_at=at,
        content_hash=HASH,
    )
    said: dict[str, Any] = {
        "queue": item.queue,
        "example_id": item.example_id,
        "labeler": labeler,
        "annotator": labeler.username,
        "session": session,
        "lease_id": lease.pk,
        "content_hash": HASH,
        "labeled_at": at,
        "confidence": Decimal("0.8000"),
        "notes": "as the text says",
        "duration_ms": 4200,
    }
    LabelHistory.objects.create(
        **said, event="submitted", label_type=item.queue.label_type, label_value=value, key=str(lease.pk)
    )
    label = Label.objects.create(**said, item=item, value=value)
    QueueItem.objects.filter(pk=item.pk).update(
        open_slots=item.open_slots - 1, label_count=item.label_count + 1
    )
    item.refresh_from_db()
    return label


def make_labels(dataset: Dataset) -> LabelingQueue:
    """Make a queue in which two people have labeled, with all that comes of it; somebody has ended and left."""
    labeler, second = (User.objects.create_user(name) for name in ("labeler", "second-labeler"))
    reviewer = User.objects.create_user("reviewer")
    queue = make_queue(dataset, field_path="", created_by=reviewer)
    QueueMember.objects.create(queue=queue, group=Group.objects.get(name="labeler"))
    QueueMember.objects.create(queue=queue, user=labeler)
    LabelerStanding.objects.create(queue=queue, labeler=second, paused_at=MORNING, pause_reason="gold checks")
    sessions = [make_session(labeler, queue), make_session(second, None)]
    items = list(queue.items.order_by("position"))
    for item in items[:3]:
        for slot, session in enumerate(sessions, start=1):
            answer = "b" if item == items[1] and session is sessions[1] else "a"
            make_label(item, session, {"label": answer}, slot=slot)
    _decide(queue, items, reviewer)
    bulk = BulkLabeling.objects.create(queue=queue, made_by=reviewer, value={"label": "z"}, example_count=1)
    LabelHistory.objects.create(
        queue=queue,
        example_id=items[4].example_id,
        labeler=reviewer,
        annotator="reviewer",
        event="bulk",
        label_type="output",
        label_value={"label": "z"},
        bulk=bulk,
        labeled_at=MORNING,
    )
    Label.objects.create(
        queue=queue,
        item=items[4],
        example_id=items[4].example_id,
        labeler=reviewer,
        annotator="reviewer",
        value={"label": "z"},
        source="bulk",
        bulk=bulk,
        content_hash=HASH,
        labeled_at=MORNING,
    )
    items[4].label_count, items[4].open_slots = 1, 1
    items[5].assigned_group, items[6].assignee = Group.objects.get(name="reviewer"), labeler
    QueueItem.objects.bulk_update(items, ["label_count", "open_slots", "assigned_group", "assignee"])
    Suggestion.objects.create(item=items[7], source="rules", value={"label": "s"}, confidence=Decimal("0.5"))
    hook = Webhook.objects.create(name="told", url="https://example.org/hook", events=["label.submitted"])
    WebhookDelivery.objects.create(
        webhook=hook, event="label.submitted", payload={}, next_try_at=MORNING, state="delivered"
    )
    Webhook.objects.create(name="of one dataset", url="https://example.org/2", dataset=dataset, events=[])
    KeyMap.objects.create(user=labeler, keys={"skip": "x"})
    return queue


def _decide(queue: LabelingQueue, items: list[QueueItem], reviewer: User) -> None:
    """The first item was agreed on and adopted, the second is to be reviewed, the third was decided; a fourth is gold."""
    for item, agreement in zip(items[:3], (1, 0, 1), strict=True):
        Consensus.objects.create(
            item=item,
            queue=queue,
            value={"label": "a"},
            method="majority",
            agreement=Decimal(agreement),
            label_count=2,
        )
    Review.objects.create(queue=queue, item=items[1], reason="disagreement", score=0, opened_at=MORNING)
    Review.objects.create(
        queue=queue,
        item=items[2],
        reason="flagged",
        outcome="adopted",
        value={"label": "a"},
        decided_by=reviewer,
        decided_at=MORNING,
    )
    for item, origin in ((items[0], "unanimous"), (items[2], "adjudicated")):
        Consensus.objects.filter(item=item).update(
            origin=origin, adopted_value={"label": "a"}, adopted_at=MORNING
        )
        QueueItem.objects.filter(pk=item.pk).update(state="adopted")
    QueueItem.objects.filter(pk=items[1].pk).update(state="review")
    GoldAnswer.objects.create(item=items[3], queue=queue, value={"label": "g"}, created_by=reviewer)
    items[3].is_gold = True
    items[3].save()


def hold(item: QueueItem, session: LabelingSession, *, slot: int) -> Lease:
    """Give an item to a labeler, with a draft: what is of the moment."""
    lease = Lease.objects.create(
        queue=item.queue,
        item=item,
        labeler=session.labeler,
        session=session,
        slot=slot,
        leased_at=MORNING,
        expires_at=MORNING + timedelta(minutes=15),
        content_hash=HASH,
    )
    QueueItem.objects.filter(pk=item.pk).update(open_slots=item.open_slots - 1)
    Draft.objects.create(item=item, labeler=session.labeler, value={"label": "beg"})
    return lease
