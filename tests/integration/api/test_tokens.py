"""Tokens, who am I, and what may be listed by whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from datasets_app.models import ApiToken, Dataset, JobRun
from goldenproject.kit.clock import now

from .conftest import Api

pytestmark = pytest.mark.django_db


def test_token__made__is_shown_once_and_works_within_its_scopes(api: Api, texts: Dataset) -> None:
    made = api.post("tokens", {"name": "training job", "scopes": ["read"], "expires_in_days": 7})
    assert made.status_code == 201
    body = made.json()
    secret = body.pop("token")
    assert body["key"] == secret[:15]
    assert secret not in api.get("tokens").content.decode()
    assert not ApiToken.objects.filter(digest=secret).exists()
    reader = Api(secret)
    assert reader.get("datasets/texts").status_code == 200
    answer = reader.patch("datasets/texts", {"description": "x"})
    assert answer.status_code == 403
    assert "['read']" in answer.json()["message"]
    assert reader.get("whoami").json() == {
        "username": "a-administrator",
        "role": "administrator",
        "roles_in_datasets": {},
        "token_scopes": ["read"],
    }


def test_token__narrow__makes_no_tokens_but_revokes_itself(api: Api) -> None:
    made = api.post("tokens", {"name": "narrow", "scopes": ["read"]}).json()
    narrow = Api(made["token"])
    assert narrow.post("tokens", {"name": "wide", "scopes": ["admin"]}).status_code == 403
    assert narrow.get("tokens").status_code == 403
    assert narrow.delete(f"tokens/{api.token[:15]}").status_code == 403
    assert narrow.delete(f"tokens/{made['key']}").status_code == 204
    assert narrow.get("whoami").status_code == 401


def test_token__of_somebody_else__is_not_there(api_of: Any) -> None:
    one, other = api_of("curator"), api_of("viewer")
    assert one.delete(f"tokens/{other.token[:15]}").status_code == 404
    assert other.get("whoami").status_code == 200


def test_token__expired__is_401(api: Api) -> None:
    ApiToken.objects.update(expiry=now() - timedelta(seconds=1))
    assert api.get("whoami").status_code == 401


def test_token__of_an_inactive_user__is_401(api: Api, person: Any) -> None:
    user = person("a-administrator")
    user.is_active = False
    user.save()
    assert api.get("whoami").status_code == 401


def test_token__used_twice_in_a_minute__is_noted_once(api: Api) -> None:
    api.get("whoami")
    noted = ApiToken.objects.get().last_used_at
    assert noted is not None
    api.get("whoami")
    assert ApiToken.objects.get().last_used_at == noted
    ApiToken.objects.update(last_used_at=noted - timedelta(minutes=2))
    api.get("whoami")
    assert ApiToken.objects.get().last_used_at > noted


def test_jobs__list__has_those_of_visible_datasets(api_of: Any, texts: Dataset) -> None:
    jobs = [JobRun.objects.create(kind="import", dataset=texts, total=n) for n in (1, 2, 3)]
    viewer = api_of("viewer")
    page = viewer.get("jobs?limit=2").json()
    rest = viewer.get(f"jobs?limit=2&cursor={page['next_cursor']}").json()
    found = [job["id"] for job in page["results"] + rest["results"]]
    assert sorted(found) == sorted(str(job.pk) for job in jobs)
    assert viewer.get(f"jobs/{jobs[0].pk}").json()["dataset"] == "texts"
    stranger = api_of(None)
    assert stranger.get("jobs").json()["results"] == []
    assert stranger.get(f"jobs/{jobs[0].pk}").status_code == 404
