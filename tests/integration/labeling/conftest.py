"""What tests of labeling start from: a dataset of texts without answers, a queue over it, and people who label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from datasets_app.models import Dataset
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from labeling_app.models import LabelingQueue
from labeling_app.services.queues import QueueOptions, create_queue
from tests.integration import people
from tests.integration.labeling.labeling_data import text_rows


@pytest.fixture
def dataset(db: None) -> Dataset:
    """A dataset “texts” of ten text classifications t1 … t10 without answers, nothing committed."""
    made = create_dataset(name="texts", actor=None, default_type=get_type("text_classification"))
    bulk_upsert(branch=made.main, documents=text_rows(10), actor=None)
    return made


@pytest.fixture
def queue_factory(dataset: Dataset) -> Callable[..., LabelingQueue]:
    """Make a queue over the dataset; takes a name and the fields of QueueOptions."""
    count = 0

    def make(name: str = "", **options: Any) -> LabelingQueue:
        nonlocal count
        count += 1
        return create_queue(
            dataset=dataset, name=name or f"queue {count}", actor=None, options=QueueOptions(**options)
        )

    return make


@pytest.fixture
def person(db: None) -> Callable[..., Any]:
    """Make a user with a role everywhere (None: no role), called after it unless named."""

    def make(role: str | None = "labeler", name: str = "") -> Any:
        return people.person_of(role, name=name or role or "nobody")

    return make


@pytest.fixture
def client_of(db: None) -> Callable[..., Client]:
    """Make a client that is signed in as a user with a role everywhere, or none, called “a-” and the role."""
    return people.client_of


@pytest.fixture
def labelers(person: Callable[..., Any]) -> list[Any]:
    """Three labelers: labeler, second-labeler, third-labeler."""
    return [person(name=name) for name in ("labeler", "second-labeler", "third-labeler")]
