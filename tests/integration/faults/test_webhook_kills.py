"""A worker that is killed while it sends: the message is not marked as delivered, and arrives later under the same id."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from typing import Any

import pytest

from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.types import get_type
from goldenproject.kit.clock import frozen, now
from labeling_app.models import LabelingQueue, Webhook, WebhookDelivery
from labeling_app.services.webhook_deliveries import send_due, write_deliveries
from tests.forking import fork
from tests.integration.labeling.webhook_receiver import receiving

pytestmark = pytest.mark.fault


def sender() -> int:
    """Fork a process that sends what is due; return its id."""
    child = fork()
    if child == 0:
        try:
            send_due()
        finally:
            os._exit(0)
    return child


def test_send_due__killed_before_the_answer_is_read__delivers_once_more_and_never_claims_more(
    committed_db: str, settings: Any
) -> None:
    settings.GOLDEN_WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]
    dataset = create_dataset(name="texts", actor=None, default_type=get_type("text_classification"))
    queue = LabelingQueue.objects.create(
        dataset=dataset, branch=dataset.main, example_type=get_type("text_classification"), name="topics"
    )
    with receiving() as receiver:
        Webhook.objects.create(name="trainer", url=receiver.url, events=["label.submitted"])
        write_deliveries(event="label.submitted", queue=queue, example_id=dataset.pk, actor=None, facts={})
        children: list[int] = []
        receiver.before_answer = lambda: os.kill(children[0], signal.SIGKILL)
        receiver.go_on.clear()
        children.append(sender())
        receiver.go_on.set()
        assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == -signal.SIGKILL
        left = WebhookDelivery.objects.get()
        assert (left.state, left.attempts, left.delivered_at) == ("waiting", 1, None)
        receiver.before_answer = lambda: None
        assert send_due().delivered == 0  # whoever sent it may still be at it
        with frozen(now() + timedelta(minutes=1, seconds=1)):
            assert send_due().delivered == 1
        assert receiver.deliveries == [str(left.pk)] * 2
    left.refresh_from_db()
    assert (left.state, left.attempts, left.response_status) == ("delivered", 2, 200)
