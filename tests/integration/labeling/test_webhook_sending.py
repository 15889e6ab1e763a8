"""Messages to webhooks are sent, signed, tried again, and never led into the network of the server."""

from __future__ import annotations

import json
import socket
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User

from goldenproject.kit.clock import frozen
from goldenproject.kit.errors import Forbidden
from goldenproject.kit.outgoing import Network
from labeling_app.models import LabelingQueue, WebhookDelivery
from labeling_app.services.webhook_address import WebhookAddressRefused
from labeling_app.services.webhook_deliveries import (
    MAX_TRIES,
    WAITS,
    forget_old,
    resend,
    send_due,
    send_test,
)
from labeling_app.services.webhook_sending import Message, Outcome, secret_of, send
from labeling_app.services.webhooks import (
    delete_webhook,
    update_webhook,
)
from tests.integration.labeling.webhook_data import (
    NOON,
    guide_function,
    happened,
    made,
    manager,
    queue,
)
from tests.integration.labeling.webhook_receiver import Receiver, receiver

__all__ = ["manager", "queue", "receiver"]
pytestmark = pytest.mark.django_db


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
