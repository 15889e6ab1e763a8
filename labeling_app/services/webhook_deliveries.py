"""Messages to webhooks: written in the transaction that they tell of, sent after it, tried again until they arrive.

A message is a row (WebhookDelivery), so what is committed is told and what is rolled back is not. Sending claims a row by
moving its next try into the future, commits that, and only then sends: a worker that is killed in between leaves a row
that falls due again. So a message arrives at least once, always with the same id; receivers drop what they have seen.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Greatest

from datasets_app.domain.roles import Action
from datasets_app.services.access import record, require
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.clock import now, random_uuid
from goldenproject.kit.errors import Conflict
from labeling_app.models import LabelingQueue, Webhook, WebhookDelivery
from labeling_app.services.webhook_sending import DEADLINE_S, Message, Outcome, send

TEST_EVENT = "webhook.test"
# after the first, second … failed try; eight tries take a day and three quarters of an hour
WAITS = tuple(timedelta(minutes=minutes) for minutes in (0.5, 2, 10, 30, 120, 360, 960))
MAX_TRIES = len(WAITS) + 1
OLDEST = timedelta(days=2)  # a message that waited this long behind others is given up too
KEPT = timedelta(days=30)
RUN_S = 45.0
_CLAIM = timedelta(seconds=6 * DEADLINE_S)  # a try is over by then, or its worker was killed

# one statement, so that it costs the labeler who submits next to nothing when nobody listens
_WRITE = """
INSERT INTO labeling_app_webhookdelivery (id, webhook_id, event, payload, state, attempts, next_try_at, error)
SELECT gen_random_uuid(), id, %(event)s, %(payload)s::jsonb, 'waiting', 0, %(now)s, ''
FROM labeling_app_webhook
WHERE is_active AND %(event)s = ANY(events) AND (dataset_id IS NULL OR dataset_id = %(dataset)s)
"""


def write_deliveries(
    *, event: str, queue: LabelingQueue, example_id: uuid.UUID, actor: Any, facts: Mapping[str, Any]
) -> int:
    """Write a message to each webhook that wants `event` of the queue's dataset; return how many.

    Call it inside the transaction that the event is of. `facts` is plain JSON.
    """
    moment = now()
    person = known_person(actor)
    payload = {
        "event": event,
        "at": moment.isoformat(),
        "dataset": {"id": str(queue.dataset_id), "name": queue.dataset.name},
        "queue": {"id": str(queue.pk), "name": queue.name},
        "example": str(example_id),
        "by": person.get_username() if person is not None else None,
        "facts": dict(facts),
    }
    text = orjson.dumps(payload, default=str).decode()
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, {"event": event, "payload": text, "now": moment, "dataset": queue.dataset_id})
        return int(cursor.rowcount)


@dataclass(frozen=True)
class SendReport:
    """What a run did. `rest` tells that it stopped for its time, with messages that are due."""

    delivered: int
    failed: int
    rest: bool


def send_due(*, try_to_send: Callable[..., Outcome] = send, for_s: float = RUN_S) -> SendReport:
    """Send the messages that are due, oldest first, for about `for_s` seconds.

    A webhook whose host does not answer is not asked again in this run: one dead host holds nobody else up.
    """
    give_up_old()
    delivered, failed, dead = 0, 0, set[uuid.UUID]()
    until = time.monotonic() + for_s
    while (delivery := _claimed(now(), dead=dead)) is not None:
        outcome = _tried(delivery, try_to_send)
        delivered += outcome.delivered
        failed += not outcome.delivered
        if not outcome.reachable:
            dead.add(delivery.webhook_id)
            _postpone_others(delivery)
        if time.monotonic() >= until:
            return SendReport(delivered, failed, rest=True)
    return SendReport(delivered, failed, rest=False)


def try_now(delivery: WebhookDelivery, try_to_send: Callable[..., Outcome] = send) -> WebhookDelivery:
    """Send one message at once, unless another process is at it. Not inside a transaction: it waits for the network."""
    claimed = _claimed(now(), only=delivery)
    if claimed is not None:
        _tried(claimed, try_to_send)
    delivery.refresh_from_db()
    return delivery


def send_test(*, webhook: Webhook, actor: Any, try_to_send: Callable[..., Outcome] = send) -> WebhookDelivery:
    """Send a message that tells of nothing, now, and return it with what became of it. Raises Forbidden."""
    require(actor, Action.MANAGE, webhook.dataset)
    moment = now()
    with acting(actor, f"webhook {webhook.name}"):
        delivery = WebhookDelivery.objects.create(
            id=random_uuid(),
            webhook=webhook,
            event=TEST_EVENT,
            payload={"event": TEST_EVENT, "at": moment.isoformat(), "webhook": webhook.name},
            next_try_at=moment,
        )
        record(actor, "webhook.test", webhook.dataset, webhook.name, webhook=str(webhook.pk))
    return try_now(delivery, try_to_send)


def resend(
    *, delivery: WebhookDelivery, actor: Any, try_to_send: Callable[..., Outcome] = send
) -> WebhookDelivery:
    """Send a message once more, under the same id, whatever became of it before. Raises Forbidden, Conflict."""
    webhook = delivery.webhook
    require(actor, Action.MANAGE, webhook.dataset)
    if not webhook.is_active:
        raise Conflict(f"The webhook “{webhook.name}” is switched off.", hint="Switch it on first.")
    with acting(actor, f"webhook {webhook.name}"):
        WebhookDelivery.objects.filter(pk=delivery.pk).update(
            state=WebhookDelivery.State.WAITING,
            attempts=0,
            next_try_at=now(),
            delivered_at=None,
            response_status=None,
            error="",
        )
        record(actor, "webhook.resend", webhook.dataset, webhook.name, delivery=str(delivery.pk))
    return try_now(delivery, try_to_send)


def give_up_old(moment: datetime | None = None) -> int:
    """Mark as failed what waits for more than two days: its host does not answer, or its webhook is switched off."""
    old = (moment or now()) - OLDEST
    rows = WebhookDelivery.objects.filter(state=WebhookDelivery.State.WAITING, created_at__lt=old)
    tried = rows.filter(Q(attempts__gt=0) | ~Q(error="") | Q(webhook__is_active=False))
    return tried.update(state=WebhookDelivery.State.FAILED)


def forget_old(moment: datetime | None = None) -> int:
    """Delete messages of more than thirty days ago that do not wait any more; return how many."""
    rows = WebhookDelivery.objects.filter(created_at__lt=(moment or now()) - KEPT)
    return rows.exclude(state=WebhookDelivery.State.WAITING).delete()[0]


def body_of(delivery: WebhookDelivery) -> bytes:
    """Return the body, the same at every try: the payload with the message's id, which so is signed too."""
    return orjson.dumps({"id": str(delivery.pk), **delivery.payload}, option=orjson.OPT_SORT_KEYS)


@transaction.atomic
def _claimed(
    moment: datetime, *, dead: Collection[uuid.UUID] = (), only: WebhookDelivery | None = None
) -> WebhookDelivery | None:
    """Return a due message whose next try is now in the future, so that nobody else takes it up; None without one."""
    due = WebhookDelivery.objects.filter(state=WebhookDelivery.State.WAITING, next_try_at__lte=moment)
    if only is not None:
        due = due.filter(pk=only.pk)
    else:
        due = due.filter(webhook__is_active=True).exclude(webhook__in=dead)
    delivery = (
        due.select_related("webhook")
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("next_try_at", "created_at")
        .first()
    )
    if delivery is None:
        return None
    delivery.attempts += 1
    wait = WAITS[delivery.attempts - 1] if delivery.attempts <= len(WAITS) else _CLAIM
    delivery.next_try_at = moment + max(wait, _CLAIM)
    delivery.save(update_fields=["attempts", "next_try_at"])
    return delivery


def _tried(delivery: WebhookDelivery, try_to_send: Callable[..., Outcome]) -> Outcome:
    message = Message(str(delivery.pk), delivery.event, body_of(delivery))
    outcome = try_to_send(delivery.webhook, message, moment_s=int(now().timestamp()))
    # who sends it anew meanwhile set attempts back: then this try's failure decides nothing
    row = WebhookDelivery.objects.filter(pk=delivery.pk, state=WebhookDelivery.State.WAITING)
    if outcome.delivered:
        row.update(
            state=WebhookDelivery.State.DELIVERED,
            delivered_at=now(),
            response_status=outcome.status,
            error="",
        )
        return outcome
    last = delivery.attempts >= MAX_TRIES
    row.filter(attempts=delivery.attempts).update(
        state=WebhookDelivery.State.FAILED if last else WebhookDelivery.State.WAITING,
        next_try_at=now() + (timedelta(0) if last else WAITS[delivery.attempts - 1]),
        response_status=outcome.status,
        error=outcome.error,
    )
    return outcome


def _postpone_others(delivery: WebhookDelivery) -> None:
    """Let what else is due to the same host wait as long as the message that failed, without counting it as a try."""
    delivery.refresh_from_db(fields=["next_try_at"])
    WebhookDelivery.objects.filter(
        webhook=delivery.webhook_id,
        state=WebhookDelivery.State.WAITING,
        next_try_at__lt=delivery.next_try_at,
    ).update(
        next_try_at=Greatest("next_try_at", delivery.next_try_at),
        error="Waits, because the host did not answer another message.",
    )
