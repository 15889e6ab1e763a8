"""The pages of webhooks: made, changed, tested, sent again and removed in the console."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from datasets_app.domain.roles import Role
from datasets_app.models import Membership
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.types import get_type
from labeling_app.models import Webhook, WebhookDelivery
from labeling_app.services.webhook_sending import secret_of
from tests.integration.labeling.webhook_receiver import Receiver, receiver

__all__ = ["receiver"]
pytestmark = pytest.mark.django_db
LIST = "/admin/label/webhooks/"


@pytest.fixture
def client(db: None) -> Client:
    user = User.objects.create_user("manager", is_staff=True)
    user.groups.add(Group.objects.get(name="administrator"))
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def made(client: Client, url: str, **more: Any) -> tuple[Webhook, str]:
    answer = client.post(LIST, {"name": "trainer", "url": url, "events": ["label.submitted"], **more})
    assert answer.status_code == 200
    webhook = Webhook.objects.get(name=more.get("name", "trainer"))
    return webhook, answer.content.decode()


def test_list__new_webhook__shows_its_secret_once(client: Client) -> None:
    assert "No webhooks yet." in client.get(LIST).content.decode()
    webhook, page = made(client, "https://python.org/hook")
    assert page.count(secret_of(webhook)) == 2  # to read, and to copy
    assert secret_of(webhook) not in client.get(LIST).content.decode()
    assert "https://python.org/hook" in client.get(LIST).content.decode()


def test_list__refused__keeps_what_was_typed(client: Client) -> None:
    answer = client.post(
        LIST, {"name": "inside", "url": "http://10.0.0.1/", "events": ["example.rejected"]}
    ).content.decode()
    assert "the address 10.0.0.1 is not public (private)" in answer
    assert 'value="http://10.0.0.1/"' in answer
    assert re.search(r'value="example.rejected" checked', answer)
    assert not Webhook.objects.exists()
    no_event = client.post(LIST, {"name": "x", "url": "https://python.org/"}).content.decode()
    assert "Events: found none" in no_event


def test_page__test_message_then_again__tells_what_was_answered(client: Client, receiver: Receiver) -> None:
    webhook, _ = made(client, receiver.url)
    address = f"{LIST}{webhook.pk}/"
    receiver.statuses = [500]
    receiver.answer = b"<b>broken</b>"
    page = client.post(address, {"do": "test"}, follow=True).content.decode()
    assert "Not delivered: 500 " in page
    assert "&lt;b&gt;broken&lt;/b&gt;" in page and "<b>broken</b>" not in page
    delivery = WebhookDelivery.objects.get()
    page = client.post(address, {"do": "resend", "delivery": str(delivery.pk)}, follow=True).content.decode()
    assert "Delivered: the answer was 200." in page
    assert receiver.deliveries == [str(delivery.pk)] * 2


def test_page__changed_switched_rotated_and_removed(client: Client) -> None:
    webhook, _ = made(client, "https://python.org/hook")
    address = f"{LIST}{webhook.pk}/"
    before = secret_of(webhook)
    changed = {
        "do": "save",
        "name": "other",
        "url": "https://python.org/2",
        "events": ["example.validated"],
    }
    assert client.post(address, changed).status_code == 302
    client.post(address, {"do": "switch"})
    webhook.refresh_from_db()
    assert (webhook.name, webhook.url, webhook.events, webhook.is_active) == (
        "other",
        "https://python.org/2",
        ["example.validated"],
        False,
    )
    rotated = client.post(address, {"do": "rotate"}).content.decode()
    webhook.refresh_from_db()
    assert secret_of(webhook) != before and secret_of(webhook) in rotated
    assert "type its name to confirm" in client.post(address, {"do": "remove"}).content.decode()
    assert client.post(address, {"do": "remove", "confirm": "other"})["Location"] == LIST
    assert not Webhook.objects.exists()
    assert client.get(address).status_code == 404


def test_page__many_messages__come_in_pages_and_by_state(client: Client) -> None:
    webhook, _ = made(client, "https://python.org/hook")
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            webhook=webhook,
            event="label.submitted",
            payload={},
            state="failed" if n % 2 else "delivered",
            next_try_at=webhook.created_at,
            error=f"error {n}.",
        )
        for n in range(60)
    )
    address = f"{LIST}{webhook.pk}/"
    first = client.get(address).content.decode()
    assert first.count("Send again</button>") == 25
    last = client.get(f"{address}?page=3").content.decode()
    assert last.count("Send again</button>") == 10
    assert 'rel="next"' not in last and "page=2" in last
    assert client.get(f"{address}?state=failed&page=2").content.decode().count("Send again</button>") == 5
    assert client.get(f"{address}?page=x").status_code == 200


def test_pages__administrator_of_one_dataset__sees_its_webhooks_alone(client: Client) -> None:
    dataset = create_dataset(name="texts", actor=None, default_type=get_type("text_classification"))
    everywhere, _ = made(client, "https://python.org/all", name="everywhere")
    local = User.objects.create_user("local", is_staff=True)
    Membership.objects.create(dataset=dataset, user=local, role=Role.ADMINISTRATOR)
    there = Client()
    there.force_login(local, backend="django.contrib.auth.backends.ModelBackend")
    here, _ = made(there, "https://python.org/here", name="here", dataset="texts")
    page = there.get(LIST).content.decode()
    assert "here" in page and "everywhere" not in page
    assert there.get(f"{LIST}{everywhere.pk}/").status_code == 404
    assert there.get(f"{LIST}{here.pk}/").status_code == 200
    refused = there.post(LIST, {"name": "n", "url": "https://python.org/", "events": ["label.submitted"]})
    assert refused.status_code == 403
