"""A webhook is made, tried and looked at in the console, by light and dark, at the desk and on a tablet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from labeling_app.models import Webhook
from tests.browser.conftest import Visitor
from tests.integration.labeling.webhook_receiver import Receiver, receiver

__all__ = ["receiver"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_webhooks__made_tested_and_sent_again(
    visitor: Callable[..., Visitor], person: Callable[..., User], receiver: Receiver, settings: Any
) -> None:
    person("owner", "superuser")
    one = visitor("webhooks")
    page = one.page
    one.sign_in("owner")
    one.go("/admin/label/webhooks/")
    one.shot("none")
    page.get_by_label("Name").fill("Training pipeline")
    page.get_by_label("Address").fill(receiver.url)
    page.get_by_label("labelers disagree").check()
    page.get_by_label("an example was validated").check()
    page.get_by_role("button", name="Add webhook").click()
    expect(page.get_by_text("copy it now, it is shown only this once")).to_be_visible()
    one.shot("made")
    webhook = Webhook.objects.get()
    assert webhook.events == ["example.validated", "label.disagreement"]

    page.get_by_role("link", name="Training pipeline").click()
    receiver.statuses = [500]
    receiver.answer = b"the queue behind me is down"
    page.get_by_role("button", name="Send a test message").click()
    expect(page.get_by_text("Not delivered: 500")).to_be_visible()
    page.get_by_role("button", name="Send a test message").click()
    expect(page.get_by_text("Delivered: the answer was 200.")).to_be_visible()
    one.shot("messages")
    page.get_by_role("button", name="Send again").last.click()
    expect(page.locator(".gd-status-validated")).to_have_count(2)
    page.set_viewport_size({"width": 820, "height": 1180})
    one.shot("tablet")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.evaluate("document.documentElement.classList.add('dark')")
    one.shot("dark")
    assert len(receiver.got) == 3
