"""Users of the console with a role, and clients that are signed in as them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client


def person_of(role: str | None = None, *, name: str = "") -> Any:
    """Return a user who may sign in to the console, with a role everywhere or none; a name tells users apart."""
    user, _ = get_user_model().objects.get_or_create(
        username=name or f"a-{role}", defaults={"is_staff": True}
    )
    if role is not None:
        user.groups.add(Group.objects.get(name=role))
    return user


def client_of(role: str | None = None, *, name: str = "") -> Client:
    """Return a client that is signed in as `person_of` the role and name."""
    client = Client()
    client.force_login(person_of(role, name=name), backend="django.contrib.auth.backends.ModelBackend")
    return client
