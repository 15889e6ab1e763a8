"""Webhooks: who may make them, what is written with an event, what is sent, signed, and tried again."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from datasets_app.domain.roles import Role
from datasets_app.models import AuditEvent, ExampleType, Membership
from datasets_app.services.corpus.fetching import Network
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from goldenproject.kit.clock import frozen
from goldenproject.kit.errors import BadInput, Forbidden
from labeling_app.models import LabelingQueue, Review, Webhook, WebhookDelivery
from labeling_app.python_api import LabelingSession
from labeling_app.services import events
from labeling_app.services.queues import refresh_queue
from labeling_app.services.reviewing import decide
from labeling_app.services.webhook_address import WebhookAddressRefused
from labeling_app.services.webhook_deliveries import (
    MAX_TRIES,
    WAITS,
    forget_old,
    resend,
    send_due,
    send_test,
    write_deliveries,
)
from labeling_app.services.webhook_sending import Message, Outcome, secret_of, send
from labeling_app.services.webhooks import (
    UnknownWebhook,
    create_webhook,
    delete_webhook,
    get_webhook,
    rotate_secret,
    update_webhook,
    webhooks_for,
)
from tests.conftest import ROOT
from tests.integration.labeling.webhook_receiver import Receiver, receiver

__all__ = ["receiver"]
pytestmark = pytest.mark.django_db

EXAMPLE = uuid.UUID("11111111-2222-4333-8444-555555555555")
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def manager(db: None) -> User:
    user = User.objects.create_user("manager", is_staff=True)
    user.groups.add(Group.objects.get(name="administrator"))
    return user


@pytest.fixture
def queue(db: None) -> LabelingQueue:
    kind = ExampleType.objects.get(name="text_classification")
    dataset = create_dataset(name="texts", actor=None, default_type=kind)
    return LabelingQueue.objects.create(
        dataset=dataset, branch=dataset.main, example_type=kind, name="topics"
    )


def made(actor: Any, url: str, **more: Any) -> Webhook:
    options = {"name": "to the trainer", "events": ["label.submitted"], **more}
    return create_webhook(url=url, actor=actor, **options)[0]


def happened(queue: LabelingQueue, **facts: Any) -> int:
    return write_deliveries(
        event="label.submitted", queue=queue, example_id=EXAMPLE, actor=None, facts=facts or {"value": "a"}
    )


def is_signed_by(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """What a receiver does, as the guide tells it."""
    parts = dict(part.split("=", 1) for part in headers["golden-signature"].split(","))
    expected = hmac.new(secret.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, parts["v1"])


def guide_function() -> Any:
    """The function that the guide gives to receivers."""
    page = (ROOT / "goldenproject" / "guide" / "webhooks.md").read_text()
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    return names["is_genuine"]


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


# --- sent -----------------------------------------------------------------------------------------------------------
def test_send_due__receiver_takes_it__is_delivered_signed_with_its_id_in_the_body(
    manager: User, queue: LabelingQueue, receiver: Receiver
) -> None:
    webhook = made(manager, receiver.url)
    happened(queue, value="a", confidence=0.5)
    report = send_due()
    assert (report.delivered, report.failed, report.rest) == (1, 0, False)
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.response_status, delivery.attempts, delivery.error) == (
        "delivered",
        200,
        1,
        "",
    )
    assert delivery.delivered_at is not None
    ((headers, body),) = receiver.got
    is_genuine = guide_function()
    assert is_genuine(secret_of(webhook), headers["golden-signature"], body)
    assert not is_genuine(secret_of(webhook), headers["golden-signature"], body + b" ")
    assert not is_genuine("whsec_other", headers["golden-signature"], body)
    assert not is_genuine(secret_of(webhook), headers["golden-signature"], body, tolerance_s=-1)
    assert headers["golden-event"] == "label.submitted"
    assert headers["golden-delivery"] == str(delivery.pk)
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"id": str(delivery.pk), **delivery.payload}
    assert send_due().delivered == 0
    assert len(receiver.got) == 1


@pytest.mark.parametrize("status", [199 + 101, 301, 400, 404, 500])
def test_send_due__any_answer_but_2xx__is_not_delivered_and_tried_again(
    manager: User, queue: LabelingQueue, receiver: Receiver, status: int
) -> None:
    made(manager, receiver.url)
    happened(queue)
    receiver.statuses = [status]
    receiver.headers = {"Location": f"{receiver.url}&again"}
    receiver.answer = b"no \x00\x1b[31m" + b"x" * 1000
    with frozen(NOON):
        WebhookDelivery.objects.update(next_try_at=NOON, created_at=NOON)
        assert send_due().failed == 1
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.response_status, delivery.attempts) == ("waiting", status, 1)
    assert delivery.next_try_at == NOON + timedelta(seconds=30)
    assert delivery.delivered_at is None
    assert delivery.error.startswith(f"{status} ")
    assert delivery.error.isprintable() and len(delivery.error) < 400
    assert len(receiver.got) == 1  # a redirect is not followed
    with frozen(NOON + timedelta(seconds=29)):
        assert send_due().delivered == 0
    with frozen(NOON + timedelta(seconds=30)):
        assert send_due().delivered == 1
    assert len(set(receiver.deliveries)) == 1  # the same id at each try


def test_send_due__never_taken__waits_longer_each_time_and_fails_after_a_day(
    manager: User, queue: LabelingQueue
) -> None:
    made(manager, "https://python.org/")
    happened(queue)
    moments = []
    moment = NOON
    WebhookDelivery.objects.update(next_try_at=NOON, created_at=NOON)

    def refuse(*_: Any, **__: Any) -> Outcome:
        moments.append(moment)
        return Outcome(500, "500 no")

    delivery = WebhookDelivery.objects.get()
    while delivery.state == "waiting":
        moment = delivery.next_try_at
        with frozen(moment):
            send_due(try_to_send=refuse)
        delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, len(moments)) == ("failed", MAX_TRIES, 8)
    assert [after - before for before, after in pairwise(moments)] == list(WAITS)
    assert timedelta(days=1) < moments[-1] - moments[0] < timedelta(days=1.1)
    with frozen(moment + timedelta(days=9)):
        assert send_due(try_to_send=refuse).failed == 0


def test_send_due__a_dead_host__holds_no_other_webhook_up(
    manager: User, queue: LabelingQueue, receiver: Receiver
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead_port = closed.getsockname()[1]
    dead = made(manager, f"http://127.0.0.1:{dead_port}/", name="dead")
    alive = made(manager, receiver.url, name="alive")
    for _ in range(3):
        happened(queue)
    report = send_due()
    assert (report.delivered, report.failed) == (3, 1)  # one try told enough
    assert set(WebhookDelivery.objects.filter(webhook=alive).values_list("state", flat=True)) == {"delivered"}
    waiting = WebhookDelivery.objects.filter(webhook=dead)
    assert sorted(waiting.values_list("state", "attempts")) == [
        ("waiting", 0),
        ("waiting", 0),
        ("waiting", 1),
    ]
    assert len(set(waiting.values_list("next_try_at", flat=True))) == 1
    assert "refused" in waiting.get(attempts=1).error


def test_send_due__one_message_is_refused__the_others_of_the_webhook_arrive(
    manager: User, queue: LabelingQueue, receiver: Receiver
) -> None:
    made(manager, receiver.url)
    for _ in range(3):
        happened(queue)
    receiver.statuses = [422]
    report = send_due()
    assert (report.delivered, report.failed) == (2, 1)


def test_send_due__switched_off__waits_until_it_is_on_and_is_given_up_after_two_days(
    manager: User, queue: LabelingQueue, receiver: Receiver
) -> None:
    webhook = made(manager, receiver.url)
    happened(queue)
    update_webhook(webhook=webhook, actor=manager, is_active=False)
    assert send_due().delivered == 0
    old = WebhookDelivery.objects.get()
    with frozen(old.created_at + timedelta(days=2, seconds=1)):
        send_due()
    old.refresh_from_db()
    assert old.state == "failed"
    assert receiver.got == []


def test_send_due__killed_while_sending__the_message_falls_due_again(
    manager: User, queue: LabelingQueue, receiver: Receiver
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> Outcome:
        raise Killed

    made(manager, receiver.url)
    happened(queue)
    with frozen(NOON):
        WebhookDelivery.objects.update(next_try_at=NOON, created_at=NOON)
        with pytest.raises(Killed):
            send_due(try_to_send=die)
        assert send_due().delivered == 0  # it may still be under way
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.delivered_at) == ("waiting", 1, None)
    with frozen(NOON + timedelta(seconds=60)):
        assert send_due().delivered == 1
    assert receiver.deliveries == [str(delivery.pk)]


def test_resend__of_a_failed_one__arrives_under_the_same_id(
    manager: User, queue: LabelingQueue, receiver: Receiver
) -> None:
    made(manager, receiver.url)
    happened(queue)
    receiver.statuses = [500]
    send_due()
    WebhookDelivery.objects.update(state="failed", attempts=8)
    again = resend(delivery=WebhookDelivery.objects.get(), actor=manager)
    assert (again.state, again.attempts, again.response_status) == ("delivered", 1, 200)
    assert receiver.deliveries == [str(again.pk)] * 2


def test_send_test__of_whoever_may_not_manage__is_forbidden_and_sends_nothing(
    manager: User, receiver: Receiver
) -> None:
    webhook = made(manager, receiver.url)
    other = User.objects.create_user("other")
    with pytest.raises(Forbidden):
        send_test(webhook=webhook, actor=other)
    assert receiver.got == []
    assert send_test(webhook=webhook, actor=manager).state == "delivered"


def test_delete_webhook__what_waits__is_not_sent(
    manager: User, queue: LabelingQueue, receiver: Receiver
) -> None:
    webhook = made(manager, receiver.url)
    happened(queue)
    delete_webhook(webhook=webhook, actor=manager)
    assert send_due().delivered == 0
    assert receiver.got == []


def test_forget_old__keeps_what_waits_and_what_is_new(manager: User, queue: LabelingQueue) -> None:
    made(manager, "https://python.org/")
    for state in ("delivered", "failed", "waiting", "delivered"):
        happened(queue)
        WebhookDelivery.objects.filter(state="waiting", attempts=0).update(state=state, attempts=1)
    rows = list(WebhookDelivery.objects.order_by("created_at", "pk"))
    WebhookDelivery.objects.exclude(pk=rows[-1].pk).update(created_at=NOON)
    with frozen(NOON + timedelta(days=31)):
        WebhookDelivery.objects.filter(pk=rows[-1].pk).update(created_at=NOON + timedelta(days=30))
        forget_old()
    left = set(WebhookDelivery.objects.values_list("pk", flat=True))
    assert rows[-1].pk in left
    assert all(row.state == "waiting" for row in WebhookDelivery.objects.filter(created_at=NOON))


# --- where a name leads -----------------------------------------------------------------------------------------------
def refuses_network(addresses: list[str]) -> Network:
    def connect(ip: str, port: int, timeout_s: float) -> socket.socket:
        raise AssertionError(f"{ip} was asked")

    return Network(resolve=lambda host, port, timeout_s: addresses, connect=connect)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["64:ff9b::a00:1"]])
def test_send__name_that_leads_inside__is_not_asked(manager: User, addresses: list[str]) -> None:
    webhook = made(manager, "https://rebinding.python.org/")
    outcome = send(
        webhook, Message("1", "webhook.test", b"{}"), moment_s=0, network=refuses_network(addresses)
    )
    assert (outcome.status, outcome.delivered, outcome.reachable) == (None, False, False)
    assert "is not public" in outcome.error


def test_send__host_that_was_allowed_once__is_refused_when_the_setting_is_gone(
    manager: User, receiver: Receiver, settings: Any
) -> None:
    webhook = made(manager, receiver.url)
    settings.GOLDEN_WEBHOOK_PRIVATE_HOSTS = []
    delivery = send_test(webhook=webhook, actor=manager)
    assert (delivery.state, delivery.response_status) == ("waiting", None)
    assert "not public (loopback)" in delivery.error
    assert receiver.got == []


def test_send__private_host_named_with_a_port__is_allowed_at_that_port_alone(
    manager: User, receiver: Receiver, settings: Any
) -> None:
    port = receiver.url.split(":")[2].partition("/")[0]
    settings.GOLDEN_WEBHOOK_PRIVATE_HOSTS = [f"127.0.0.1:{port}"]
    assert send_test(webhook=made(manager, receiver.url), actor=manager).state == "delivered"
    with pytest.raises(WebhookAddressRefused):
        made(manager, "http://127.0.0.1:8080/", name="another port")


def test_send__answer_that_drips__ends_at_the_deadline(manager: User, settings: Any) -> None:
    settings.GOLDEN_WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        webhook = made(manager, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        outcome = send(webhook, Message("1", "webhook.test", b"{}"), moment_s=0, deadline_s=0.2)
    assert (outcome.status, outcome.error) == (None, "No answer within 0.2 s.")


def test_send__answer_without_end_of_its_head__is_cut_off(manager: User, settings: Any) -> None:
    settings.GOLDEN_WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]
    head = b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 60_000
    near, far = socket.socketpair()
    network = Network(
        resolve=lambda host, port, timeout_s: ["127.0.0.1"], connect=lambda ip, port, timeout_s: near
    )
    with far:
        far.setblocking(False)
        try:
            far.sendall(head)
        except BlockingIOError:
            pass
        outcome = send(
            made(manager, "http://127.0.0.1:9999/"),
            Message("1", "webhook.test", b"{}"),
            moment_s=0,
            network=network,
            deadline_s=0.5,
        )
    assert (outcome.status, outcome.delivered) == (None, False)
