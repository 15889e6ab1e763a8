"""What tests of the pages of queues start from: a queue, and people who are signed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from labeling_app.models import LabelingQueue


@pytest.fixture
def queue(queue_factory: Callable[..., LabelingQueue]) -> LabelingQueue:
    return queue_factory("topics", overlap=2)


@pytest.fixture
def client_of(person: Callable[..., Any]) -> Callable[..., Client]:
    """A client that is signed in as somebody with a role everywhere, or none."""

    def make(role: str | None = None, name: str = "") -> Client:
        client = Client()
        user = person(role, name or f"a-{role}")
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return make
