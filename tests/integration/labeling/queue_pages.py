"""What tests of the pages of queues start from: a queue."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labeling_app.models import LabelingQueue


@pytest.fixture
def queue(queue_factory: Callable[..., LabelingQueue]) -> LabelingQueue:
    return queue_factory("topics", overlap=2)
