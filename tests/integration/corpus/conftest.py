"""A corpus to write into, and who may."""

from __future__ import annotations

from typing import Any

import pytest

from datasets_app.models import Corpus
from datasets_app.services.corpus.corpora import get_corpus
from tests.integration.commands.conftest import run

__all__ = ["run"]


@pytest.fixture
def corpus(db: None) -> Corpus:
    return get_corpus()


@pytest.fixture
def curator(db: None, django_user_model: Any) -> Any:
    from django.contrib.auth.models import Group

    user = django_user_model.objects.create_user("curator")
    user.groups.add(Group.objects.get(name="curator"))
    return user


@pytest.fixture
def viewer(db: None, django_user_model: Any) -> Any:
    from django.contrib.auth.models import Group

    user = django_user_model.objects.create_user("viewer")
    user.groups.add(Group.objects.get(name="viewer"))
    return user
