"""What the tests of webhooks share: who manages, a queue, and how something happens."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from datasets_app.models import ExampleType
from datasets_app.services.curation.datasets import create_dataset
from labeling_app.models import LabelingQueue, Webhook
from labeling_app.services.webhook_deliveries import write_deliveries
from labeling_app.services.webhooks import create_webhook
from tests.conftest import ROOT

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
