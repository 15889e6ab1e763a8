"""Fixtures of the versioning pages' tests: a dataset with two branches, people with roles, and a signed-in browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client

from datasets_app.admin.versioning import page_url
from datasets_app.models import Branch, Dataset, DatasetCommit, Example, Membership
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert, update_example
from datasets_app.services.curation.types import get_type
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.refs import create_branch
from datasets_app.services.versioning.worktrees import open_worktree


def documents(count: int, label: str = "a", start: int = 0) -> list[dict]:
    return [
        {"id": f"e{n}", "input": {"text": f"Where is parcel {n}?"}, "output": {"label": label}}
        for n in range(start, start + count)
    ]


@dataclass
class Site:
    """A person at the console of one dataset."""

    client: Client
    dataset: Dataset

    def address(self, page: str, /, *args: Any, branch: Branch | None = None, **query: Any) -> str:
        return page_url(self.dataset, page, *args, branch=branch, **query)

    def get(self, page: str, /, *args: Any, branch: Branch | None = None, **query: Any) -> HttpResponse:
        return self.client.get(self.address(page, *args, branch=branch, **query))

    def post(self, page: str, /, *args: Any, branch: Branch | None = None, **data: Any) -> HttpResponse:
        return self.client.post(self.address(page, *args, branch=branch), data)


@dataclass
class World:
    """A dataset with three examples, committed on main."""

    dataset: Dataset
    main: Branch
    first: DatasetCommit

    def row(self, name: str, branch: Branch | None = None) -> Example:
        rows = Example.objects.select_related("identity", "branch", "example_type")
        return rows.get(branch=branch or self.main, identity__external_id=name)

    def relabel(self, name: str, label: str, *, branch: Branch | None = None, actor: Any = None) -> Example:
        return update_example(example=self.row(name, branch), actor=actor, expected_output={"label": label})

    def commit(self, message: str, *, branch: Branch | None = None, actor: Any = None) -> DatasetCommit:
        on = Branch.objects.select_related("dataset", "commit").get(pk=(branch or self.main).pk)
        return commit(branch=on, message=message, actor=actor)

    def branch(self, name: str, *, opened: bool = True) -> Branch:
        made = create_branch(dataset=self.dataset, name=name, actor=None)
        return open_worktree(branch=made, actor=None) if opened else made


@pytest.fixture
def world(db: None) -> World:
    dataset = create_dataset(name="parcels", actor=None, default_type=get_type("text_classification"))
    main = dataset.main
    bulk_upsert(branch=main, documents=documents(3), actor=None)
    first = commit(branch=main, message="first", actor=None)
    return World(dataset, main, first)


@pytest.fixture
def person(db: None) -> Callable[..., Any]:
    def make(name: str, role: str | None = None, dataset: Dataset | None = None) -> Any:
        user = get_user_model().objects.create_user(name, password="x", is_staff=True)
        if role is not None:
            Membership.objects.create(dataset=dataset, user=user, role=role)
        return user

    return make


@pytest.fixture
def site_of(world: World, person: Callable[..., Any]) -> Callable[[str], Site]:
    """Return the console of a new person with a role in the dataset."""

    def make(role: str) -> Site:
        client = Client()
        client.force_login(
            person(f"{role}-person", role, world.dataset), backend="django.contrib.auth.backends.ModelBackend"
        )
        return Site(client, world.dataset)

    return make


@pytest.fixture
def site(site_of: Callable[[str], Site]) -> Site:
    return site_of("curator")


@pytest.fixture
def said() -> Callable[[HttpResponse], list[str]]:
    """Return the messages that an answer carries."""
    return lambda response: [str(message) for message in get_messages(response.wsgi_request)]
