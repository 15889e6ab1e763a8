"""Fixtures of the console's tests: people with roles, signed-in clients, and a dataset with a first version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from datasets_app.models import Dataset
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from datasets_app.services.versioning.commits import commit
from tests.integration import people


@pytest.fixture
def person(db: None) -> Callable[..., Any]:
    """Make a user who may sign in to the console, with a role everywhere or none."""
    return people.person_of


@pytest.fixture
def client_of(db: None) -> Callable[..., Client]:
    """Make a client that is signed in as a user of a role."""
    return people.client_of


def text_rows(count: int) -> list[dict[str, Any]]:
    """Return examples t1 … tn: “question n” with the labels a and b by turns."""
    return [
        {"id": f"t{n}", "input": {"text": f"question {n}"}, "output": {"label": "ab"[n % 2]}}
        for n in range(1, count + 1)
    ]


@pytest.fixture
def texts(db: None) -> Dataset:
    """A dataset of text classifications with three committed examples, t1 to t3."""
    dataset = create_dataset(name="texts", actor=None, default_type=get_type("text_classification"))
    bulk_upsert(branch=dataset.main, documents=text_rows(3), actor=None)
    commit(branch=dataset.main, message="First import", actor=None, author="test")
    return dataset
