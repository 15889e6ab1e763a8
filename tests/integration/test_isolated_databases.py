"""Each way in which tests get a database."""

from __future__ import annotations

import urllib.request

import pytest
from django.contrib.auth.models import User
from django.db import connection


@pytest.mark.django_db
@pytest.mark.parametrize("turn", [1, 2])
def test_db__row_written_in_one_test__is_gone_in_the_next(turn: int) -> None:
    User.objects.create(username="once")
    assert User.objects.filter(username="once").count() == 1


@pytest.mark.parametrize("turn", [1, 2])
def test_committed_db__commit__is_real_and_seen_by_this_test_only(committed_db: str, turn: int) -> None:
    User.objects.create(username="committed")
    connection.close()
    assert connection.settings_dict["NAME"] == committed_db
    assert User.objects.filter(username="committed").count() == 1


def test_live_site__request__is_answered_from_its_own_database(live_site: str) -> None:
    with urllib.request.urlopen(f"{live_site}/healthz") as answer:
        assert (answer.status, answer.read()) == (200, b"ok\n")


@pytest.mark.browser
def test_page__sign_in_form__is_shown(live_site: str, page) -> None:  # type: ignore[no-untyped-def]
    page.goto(f"{live_site}/admin/")
    assert page.title().startswith("Log in")
