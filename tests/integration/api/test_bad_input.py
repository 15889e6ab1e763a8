"""Bad input gets the one error shape and never a 500."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.test import Client
from rest_framework.settings import api_settings

from datasets_app.api import examples
from datasets_app.models import Dataset, DatasetCommit, Example

from .conftest import Api

pytestmark = pytest.mark.django_db
BASE = "datasets/texts/examples"


def is_error(answer: Any, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/json"
    assert list(body) == ["code", "message", "hint", "details"]
    assert body["code"] == code, body
    assert body["message"]
    return body


@pytest.mark.parametrize(
    ("raw", "path", "found"),
    [
        (b'{"input": {"text": NaN}}', "$.input.text", "NaN"),
        (b'{"input": {"text": -Infinity}}', "$.input.text", "Infinity"),
        (b'{"input": {"n": 123456789012345678901234567890}}', "$.input.n", "123456789012345678901234567890"),
        (b'{"input": {"n": 1e999}}', "$.input.n", "1e999"),
        (b'{"input": {"text": "a\\u0000b"}}', "$.input.text", "NUL"),
        (b'{"input": {"text": "\\ud800"}}', "$.input.text", "lone surrogate"),
        (b'{"input": {"text": "a", "text": "b"}}', "$.input", "text"),
        (b'{"input": ' + b"[" * 200 + b"]" * 200 + b"}", "$.input", "nesting"),
        (b'{"input": {"text": "a"', "$", ""),
        (b'{"input": {"text": "\xff"}}', "$.input.text", "UTF-8"),
        (b"", "$", ""),
        (b"\xef\xbb\xbf{}", "$", ""),
    ],
)
def test_body__not_good_json__names_path_and_finding(
    api: Api, texts: Dataset, raw: bytes, path: str, found: str
) -> None:
    answer = api.call("POST", BASE, raw=raw)
    if not raw:
        is_error(answer, 400, "invalid_request")
        return
    body = is_error(answer, 400, "invalid_json")
    assert body["details"]["path"].startswith(path)
    assert found in body["message"]
    assert not Example.objects.exists()


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"x"', b"null", b"true"])
@pytest.mark.parametrize(
    "path", [BASE, "datasets", "datasets/texts/commits", "datasets/texts/bulk", "tokens"]
)
def test_body__not_an_object__is_refused(api: Api, texts: Dataset, path: str, raw: bytes) -> None:
    is_error(api.call("POST", path, raw=raw), 400, "invalid_request")


def test_body__field_errors__have_their_paths(api: Api, texts: Dataset) -> None:
    answer = api.post("tokens", {"scopes": ["read", "all"], "expires_in_days": 0})
    body = is_error(answer, 400, "invalid_request")
    assert [field["path"] for field in body["details"]["fields"]] == [
        "$.name",
        "$.scopes[1]",
        "$.expires_in_days",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "datasets/%00",
        "datasets/texts/examples/%00",
        "datasets/texts/examples?search=%00",
        "datasets/texts/examples?branch=%00",
        "datasets/texts/versions/%00/examples",
        "datasets/texts/commits/a%00",
    ],
)
def test_address__nul__is_refused_before_the_database(api: Api, texts: Dataset, path: str) -> None:
    is_error(api.get(path), 400, "invalid_json")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("datasets/nowhere", "unknown_dataset"),
        ("datasets/%ff%fe", "unknown_dataset"),
        ("datasets/texts/examples/none", "unknown_example"),
        ("datasets/texts/examples?branch=none", "unknown_ref"),
        ("datasets/texts/versions/none/examples", "unknown_ref"),
        ("datasets/texts/commits/HEAD~7", "unknown_ref"),
        ("datasets/texts/merges/99999999999999999999999", "not_found"),
        ("types/none", "not_found"),
        ("nothing/here", "not_found"),
        ("datasets/texts/nothing", "not_found"),
    ],
)
def test_address__not_there__is_404_in_the_same_shape(
    api: Api, first: DatasetCommit, path: str, code: str
) -> None:
    is_error(api.get(path), 404, code)


def test_ref__ambiguous_prefix__is_refused(
    api: Api, first: DatasetCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # two hashes with a common beginning of four digits are not to be had by hand, so one digit counts here
    monkeypatch.setattr("datasets_app.domain.refs.is_hash_prefix", lambda text: True)
    made = {first.commit_hash[0]}
    for number in range(17):
        api.patch(f"{BASE}/t1", {"output": {"label": f"n{number}"}})
        digit = api.post("datasets/texts/commits", {"message": "m"}).json()["hash"][0]
        if digit in made:
            is_error(api.get(f"datasets/texts/commits/{digit}"), 400, "ambiguous_ref")
            return
        made.add(digit)
    raise AssertionError("17 hashes begin with 17 different digits")


def test_method__not_there__is_405(api: Api, texts: Dataset) -> None:
    answer = api.put("datasets/texts", {})
    is_error(answer, 405, "method_not_allowed")
    assert answer["Allow"] == "GET, PATCH, HEAD"
    is_error(api.call("OPTIONS", "datasets"), 405, "method_not_allowed")


def test_body__other_media_type__is_415(api: Api, texts: Dataset) -> None:
    answer = Client().post(
        f"/api/v1/{BASE}", b"<a/>", content_type="text/xml", headers={"Authorization": f"Token {api.token}"}
    )
    is_error(answer, 415, "unsupported_media_type")


def test_body__larger_than_allowed__is_413(api: Api, texts: Dataset, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = api.post(BASE, {"input": {"text": "x" * 1000}})
    assert is_error(answer, 413, "too_large")["details"] == {"limit": 1000}


@pytest.mark.parametrize(
    "header",
    [
        "Token",
        "Token a b",
        "Token nothing",
        "Token \u00e9",
        "Token a\x00b",
        "Token " + "f" * 64,
        "Basic eA==",
    ],
)
def test_token__unknown__is_401(db: None, header: str) -> None:
    answer = Api().get("datasets", Authorization=header)
    is_error(answer, 401, "not_authenticated")


def test_database__fails_after_the_tries__is_503_with_retry_after(
    api: Api, first: DatasetCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OperationalError("deadlock detected")

    monkeypatch.setattr(examples.editing, "update_example", fail)
    answer = api.patch(f"{BASE}/t1", {"labels": {}})
    is_error(answer, 503, "unavailable")
    assert answer["Retry-After"] == "1"
    assert "deadlock" not in answer.content.decode()


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    cache.clear()
    found: dict[str, str] = {}
    monkeypatch.setattr(api_settings, "DEFAULT_THROTTLE_RATES", found)
    yield found
    cache.clear()


def test_throttle__too_many__is_429_by_token_and_not_for_others(
    api: Api, api_of: Any, texts: Dataset, rates: dict[str, str]
) -> None:
    rates["user"] = "2/min"
    assert [api.get("whoami").status_code for _ in range(2)] == [200, 200]
    answer = api.get("whoami")
    is_error(answer, 429, "throttled")
    assert 0 < int(answer["Retry-After"]) <= 60
    assert api_of().get("whoami").status_code == 200


def test_throttle__writing__has_a_rate_of_its_own(api: Api, texts: Dataset, rates: dict[str, str]) -> None:
    rates["write"] = "1/min"
    assert api.patch("datasets/texts", {"description": "x"}).status_code == 200
    is_error(api.patch("datasets/texts", {"description": "y"}), 429, "throttled")
    assert api.get("datasets/texts").json()["description"] == "x"
