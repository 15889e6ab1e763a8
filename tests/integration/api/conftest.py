"""Fixtures of the API's tests: people with roles, tokens, a dataset with versions, and a client that speaks JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client

from datasets_app.domain.roles import SCOPES
from datasets_app.models import Dataset, DatasetCommit
from datasets_app.services.access.tokens import create_token
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.refs import create_tag

API = "/api/v1/"


@dataclass
class Api:
    """A client with a token. Answers are Django's; `.json()` reads them."""

    token: str = ""
    client: Client | None = None

    def call(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str
    ) -> Any:
        client = self.client or Client(raise_request_exception=True)
        if self.token:
            headers.setdefault("Authorization", f"Token {self.token}")
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        path = path if path.startswith("/") else API + path
        return client.generic(method, path, data, content_type="application/json", headers=headers)

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("POST", path, {} if body is None else body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self.call("PATCH", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("PUT", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.call("DELETE", path, **headers)


@pytest.fixture
def person(db: None) -> Callable[..., Any]:
    """Make a user, by default with a role everywhere."""

    def make(name: str, role: str | None = None) -> Any:
        user, _ = get_user_model().objects.get_or_create(username=name)
        if role is not None:
            user.groups.add(Group.objects.get(name=role))
        return user

    return make


@pytest.fixture
def api_of(person: Callable[..., Any]) -> Callable[..., Api]:
    """Make a client with a token of a user of a role."""

    def make(role: str | None = "administrator", *, name: str = "", scopes: list[str] | None = None) -> Api:
        user = person(name or f"a-{role}", role)
        wanted = list(SCOPES) if scopes is None else scopes
        return Api(create_token(user=user, name="test", scopes=wanted, actor=user)[1])

    return make


@pytest.fixture
def api(api_of: Callable[..., Api]) -> Api:
    """An administrator's client."""
    return api_of()


@pytest.fixture
def texts(db: None) -> Dataset:
    """The dataset "texts" of the type text_classification, empty."""
    return create_dataset(name="texts", actor=None, default_type=get_type("text_classification"))


def text_row(number: int, label: str = "a") -> dict[str, Any]:
    return {"id": f"t{number}", "input": {"text": f"text {number}"}, "output": {"label": label}}


@pytest.fixture
def first(texts: Dataset) -> DatasetCommit:
    """The first version of "texts": t1, t2, t3, tagged v1."""
    bulk_upsert(branch=texts.main, documents=[text_row(n, "ab"[n % 2]) for n in (1, 2, 3)], actor=None)
    made = commit(branch=texts.main, message="first", actor=None, author="tests")
    create_tag(dataset=texts, name="v1", actor=None)
    return made
