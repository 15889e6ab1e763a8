"""Webhooks: who may make them, what is written with an event, what is sent, signed, and tried again."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from datasets_app.domain.roles import Role
from datasets_app.models import AuditEvent, Membership
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from goldenproject.kit.errors import BadInput, Forbidden
from labeling_app.models import LabelingQueue, Review, Webhook, WebhookDelivery
from labeling_app.python_api import LabelingSession
from labeling_app.services import events
from labeling_app.services.queues import refresh_queue
from labeling_app.services.reviewing import decide
from labeling_app.services.webhook_address import WebhookAddressRefused
from labeling_app.services.webhook_deliveries import (
    send_test,
)
from labeling_app.services.webhook_sending import secret_of
from labeling_app.services.webhooks import (
    UnknownWebhook,
    create_webhook,
    get_webhook,
    rotate_secret,
    update_webhook,
    webhooks_for,
)
from tests.integration.labeling.webhook_data import (
    EXAMPLE,
    happened,
    is_signed_by,
    made,
    manager,
    queue,
)
from tests.integration.labeling.webhook_receiver import Receiver, receiver

__all__ = ["manager", "queue", "receiver"]
pytestmark = pytest.mark.django_db


# --- who, and what ----------------------------------------------------------------------------------------------------
def test_create_webhook__of_an_administrator__is_audited_and_its_secret_is_stored_nowhere(
    manager: User, queue: LabelingQueue
) -> None:
    webhook, secret = create_webhook(
        name=" to the trainer ",
        url="HTTPS://Python.org",
        events=["label.disagreement", "label.submitted"],
        dataset=queue.dataset,
        actor=manager,
    )
    assert (webhook.name, webhook.url) == ("to the trainer", "https://python.org/")
    assert webhook.events == ["label.submitted", "label.disagreement"]
    assert secret == secret_of(webhook)
    assert secret.startswith("whsec_") and len(secret) == 70
    event = AuditEvent.objects.get(action="webhook.create")
    assert (event.actor, event.dataset) == (manager, queue.dataset)
    for table in ("labeling_app_webhook", "labeling_app_historicalwebhook", "datasets_app_auditevent"):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT string_agg(t::text, ' ') FROM {table} t")
            assert secret not in cursor.fetchone()[0]


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ADMINISTRATOR])
def test_create_webhook__of_another_role__is_forbidden(role: Role, queue: LabelingQueue) -> None:
    user = User.objects.create_user("somebody")
    user.groups.add(Group.objects.get(name=role.value))
    with pytest.raises(Forbidden):
        made(user, "https://python.org/")
    with pytest.raises(Forbidden):
        made(user, "https://python.org/", dataset=queue.dataset)
    assert not Webhook.objects.exists()


def test_webhooks_for__administrator_of_one_dataset__sees_and_makes_those_of_it_alone(
    manager: User, queue: LabelingQueue
) -> None:
    local = User.objects.create_user("local")
    Membership.objects.create(dataset=queue.dataset, user=local, role=Role.ADMINISTRATOR)
    everywhere = made(manager, "https://python.org/", name="everywhere")
    here = made(local, "https://python.org/", name="here", dataset=queue.dataset)
    assert list(webhooks_for(local)) == [here]
    assert set(webhooks_for(manager)) == {everywhere, here}
    with pytest.raises(UnknownWebhook, match="that you may manage"):
        get_webhook(local, everywhere.pk)
    with pytest.raises(Forbidden):
        made(local, "https://python.org/", name="all")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": " "}, "Name: found '', expected 1 to 120 printable characters."),
        ({"events": []}, "Events: found none, expected one or more of label.submitted, example.validated,"),
        ({"events": ["label.seen"]}, "Events: found label.seen, expected one or more of label.submitted,"),
    ],
)
def test_create_webhook__bad_field__says_what_is_expected(
    manager: User, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput) as caught:
        made(manager, "https://python.org/", **fields)
    assert caught.value.message.startswith(message)


def test_create_webhook__name_taken__is_refused(manager: User) -> None:
    made(manager, "https://python.org/")
    with pytest.raises(BadInput, match="There is a webhook of the name “to the trainer” already"):
        made(manager, "https://python.org/2")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost:8000/",
        "http://[::1]/",
        "http://10.1.2.3/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:10.0.0.1]/",
        "http://0x7f.1/",
        "https://printer.local/",
        "ftp://python.org/",
        "https://user:word@python.org/",
        "https://python.org:22/",
        "https://python.org:25/",
        "python.org",
        "https://python.org/\r\nX: y",
        "https://python.org/" + "a" * 2000,
    ],
)
def test_create_webhook__address_that_leads_inside_or_is_none__is_refused(manager: User, url: str) -> None:
    with pytest.raises(WebhookAddressRefused):
        made(manager, url)
    assert not Webhook.objects.exists()


def test_update_webhook__some_fields__leaves_the_others(manager: User) -> None:
    webhook = made(manager, "https://python.org/")
    update_webhook(webhook=webhook, actor=manager, is_active=False, events=["example.rejected"])
    webhook.refresh_from_db()
    assert (webhook.is_active, webhook.events, webhook.url) == (
        False,
        ["example.rejected"],
        "https://python.org/",
    )
    with pytest.raises(WebhookAddressRefused):
        update_webhook(webhook=webhook, actor=manager, url="http://10.0.0.1/")


def test_rotate_secret__signs_with_the_new_one_from_then_on(manager: User, receiver: Receiver) -> None:
    webhook = made(manager, receiver.url)
    old = secret_of(webhook)
    new = rotate_secret(webhook=webhook, actor=manager)
    assert new != old
    send_test(webhook=webhook, actor=manager)
    assert is_signed_by(new, *receiver.got[0])
    assert not is_signed_by(old, *receiver.got[0])


def test_secret_of__another_secret_key__is_another(manager: User, settings: Any) -> None:
    webhook = made(manager, "https://python.org/")
    before = secret_of(webhook)
    settings.SECRET_KEY = "another"
    assert secret_of(webhook) != before


# --- written with the event -----------------------------------------------------------------------------------------
def test_write_deliveries__only_active_webhooks_that_want_it_of_the_dataset(
    manager: User, queue: LabelingQueue
) -> None:
    other = create_dataset(name="other", actor=None, default_type=queue.example_type)
    here = made(manager, "https://python.org/", name="here", dataset=queue.dataset)
    everywhere = made(manager, "https://python.org/", name="everywhere")
    made(manager, "https://python.org/", name="elsewhere", dataset=other)
    made(manager, "https://python.org/", name="other event", events=["example.rejected"])
    off = made(manager, "https://python.org/", name="off")
    update_webhook(webhook=off, actor=manager, is_active=False)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert happened(queue) == 2
    assert len(captured) == 1
    written = WebhookDelivery.objects.all()
    assert {row.webhook_id for row in written} == {here.pk, everywhere.pk}
    assert written[0].payload == {
        "event": "label.submitted",
        "at": written[0].next_try_at.isoformat(),
        "dataset": {"id": str(queue.dataset_id), "name": "texts"},
        "queue": {"id": str(queue.pk), "name": "topics"},
        "example": str(EXAMPLE),
        "by": None,
        "facts": {"value": "a"},
    }


def test_signals__each__become_messages_and_one_start_of_sending(
    manager: User,
    queue: LabelingQueue,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    made(manager, "https://python.org/", events=list(Webhook.Event.values))
    signals = {
        "label.submitted": events.label_submitted,
        "example.validated": events.example_validated,
        "example.rejected": events.example_rejected,
        "label.disagreement": events.labels_disagree,
    }
    with django_capture_on_commit_callbacks() as callbacks:
        for name, signal in signals.items():
            signal.send(
                sender=LabelingQueue, queue=queue, example_id=EXAMPLE, actor=manager, facts={"is": name}
            )
    assert len(callbacks) == 1
    found = {row.event: row.payload for row in WebhookDelivery.objects.all()}
    assert {name: payload["facts"] for name, payload in found.items()} == {
        name: {"is": name} for name in signals
    }
    assert {payload["by"] for payload in found.values()} == {"manager"}


def test_signals__nobody_listens__start_nothing(
    queue: LabelingQueue, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        events.label_submitted.send(
            sender=LabelingQueue, queue=queue, example_id=EXAMPLE, actor=None, facts={}
        )
    assert (callbacks, WebhookDelivery.objects.count()) == ([], 0)


def test_write_deliveries__transaction_rolled_back__leaves_none(manager: User, queue: LabelingQueue) -> None:
    made(manager, "https://python.org/")
    with transaction.atomic():
        happened(queue)
        transaction.set_rollback(True)
    assert not WebhookDelivery.objects.exists()


def test_events__of_labels_and_reviews__are_told_with_their_facts(
    manager: User, queue: LabelingQueue
) -> None:
    bulk_upsert(
        branch=queue.branch,
        documents=[{"id": f"t{n}", "input": {"text": f"text {n}"}} for n in (1, 2)],
        actor=None,
    )
    LabelingQueue.objects.filter(pk=queue.pk).update(overlap=2, validates_adopted=True)
    queue.refresh_from_db()
    refresh_queue(queue=queue)
    made(manager, "https://python.org/", events=list(Webhook.Event.values))
    for name, answers in (("labeler", ("a", "a")), ("second-labeler", ("a", "b"))):
        user = User.objects.create_user(name)
        user.groups.add(Group.objects.get(name="labeler"))
        session = LabelingSession.start(user, queue=queue)
        for answer in answers:
            example = session.get_next_example()
            assert example is not None
            session.submit_label(example, {"label": answer})
    review = Review.objects.get()
    decide(review_id=review.pk, actor=manager, outcome="rejected", comment="neither")
    told = WebhookDelivery.objects.order_by("event").values_list("event", flat=True)
    assert list(told) == [
        "example.rejected",
        "example.validated",
        "label.disagreement",
        *["label.submitted"] * 4,
    ]
    submitted = WebhookDelivery.objects.filter(event="label.submitted", payload__by="second-labeler")
    assert {row.payload["facts"]["value"]["label"] for row in submitted} == {"a", "b"}
    rejected = WebhookDelivery.objects.get(event="example.rejected")
    assert (rejected.payload["by"], rejected.payload["example"]) == ("manager", str(review.item.example_id))
