"""Datasets, types, members and imports through the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from datasets_app.models import Dataset, DatasetCommit, Example

from .conftest import API, Api, text_row

pytestmark = pytest.mark.django_db


def test_dataset__made_and_changed__is_found_by_name_and_uuid(api: Api) -> None:
    made = api.post("datasets", {"name": "new one", "default_type": "text_classification", "tags": ["x"]})
    assert made.status_code == 201
    body = made.json()
    assert (body["created_by"], body["default_type"], body["quality_score"]) == (
        "a-administrator",
        "text_classification",
        None,
    )
    assert api.get("datasets/new%20one").json() == body
    changed = api.patch(f"datasets/{body['id']}", {"description": "what it is", "is_active": False}).json()
    assert (changed["description"], changed["is_active"]) == ("what it is", False)
    assert api.post("datasets", {"name": "new one"}).status_code == 409
    assert api.post("datasets", {"name": "other", "default_type": "none"}).json()["code"] == "unknown_type"


def test_dataset__started_from_a_version__has_its_examples(api: Api, first: DatasetCommit) -> None:
    made = api.post("datasets", {"name": "copy", "parent_version": "texts@v1"})
    assert made.status_code == 201, made.content
    assert made.json()["parent_version"] == f"texts@{first.commit_hash}"
    assert len(api.get("datasets/copy/examples").json()["results"]) == 3


def test_datasets__pages__are_in_order_of_name(api: Api) -> None:
    for name in ("b", "a", "c"):
        api.post("datasets", {"name": name})
    page = api.get("datasets?limit=2").json()
    assert [row["name"] for row in page["results"]] == ["a", "b"]
    rest = api.get(f"datasets?limit=2&cursor={page['next_cursor']}").json()
    assert [row["name"] for row in rest["results"]] == ["c"]


def test_datasets__queries__do_not_grow_with_the_page(api: Api, django_assert_max_num_queries: Any) -> None:
    for number in range(5):
        api.post("datasets", {"name": f"d{number}", "default_type": "contact_tier"})
    with django_assert_max_num_queries(6):
        assert len(api.get("datasets").json()["results"]) == 5


def test_types__made_and_changed__by_their_schema(api: Api) -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    made = api.post("types", {"name": "qa", "title": "QA", "input_schema": schema, "output_schema": {}})
    assert (made.status_code, made.json()["is_builtin"]) == (201, False)
    assert (
        api.post("types", {"name": "qa", "title": "QA", "input_schema": {}, "output_schema": {}}).status_code
        == 409
    )
    bad = api.patch("types/qa", {"input_schema": {"type": "strin"}})
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid_schema")
    assert api.get("types/qa").json()["input_schema"] == {**schema, "x-order": ["q"]}  # the order of the form
    assert "qa" in [row["name"] for row in api.get("types").json()["results"]]


def test_members__given_a_role__may_at_once(api: Api, api_of: Any, texts: Dataset) -> None:
    newcomer = api_of(None, name="newcomer")
    assert newcomer.get("datasets/texts").status_code == 404
    made = api.post("datasets/texts/members", {"user": "newcomer", "role": "viewer"})
    assert made.status_code == 201
    assert newcomer.get("datasets/texts").status_code == 200
    assert newcomer.get("whoami").json()["roles_in_datasets"] == {"texts": "viewer"}
    twice = api.post("datasets/texts/members", {"user": "newcomer", "role": "curator"})
    assert twice.status_code == 409
    member = f"datasets/texts/members/{made.json()['id']}"
    assert api.patch(member, {"role": "curator"}).json()["role"] == "curator"
    assert newcomer.patch("datasets/texts", {"description": "x"}).status_code == 200
    assert api.delete(member).status_code == 204
    assert newcomer.get("datasets/texts").status_code == 404
    for body in (
        {"role": "viewer"},
        {"user": "a", "group": "b", "role": "viewer"},
        {"user": "zz", "role": "viewer"},
    ):
        assert api.post("datasets/texts/members", body).status_code == 400
    assert (
        api.post("datasets/texts/members", {"group": "viewer", "role": "curator"}).json()["group"] == "viewer"
    )


def upload(api: Api, name: str, content: bytes, **fields: str) -> Any:
    data = {"file": SimpleUploadedFile(name, content), **fields}
    return Client().post(
        f"{API}datasets/texts/imports", data, headers={"Authorization": f"Token {api.token}"}
    )


def test_import__staged__is_previewed_then_applied(api: Api, first: DatasetCommit) -> None:
    rows = [text_row(1, "b"), text_row(2, "changed"), text_row(4), {"id": "t5", "input": {"text": ""}}]
    content = "\n".join(map(json.dumps, rows)).encode()
    staged = upload(api, "more.jsonl", content)
    assert staged.status_code == 201, staged.content
    batch = staged.json()
    counts = {key: batch[key] for key in ("read", "new", "changed", "unchanged", "refused")}
    assert counts == {"read": 4, "new": 1, "changed": 1, "unchanged": 1, "refused": 1}
    assert Example.objects.count() == 3
    path = f"datasets/texts/imports/{batch['id']}"
    page = api.get(f"{path}/rows?limit=3").json()
    assert [row["action"] for row in page["results"]] == ["unchanged", "changed", "new"]
    refused = api.get(f"{path}/rows?action=refused").json()["results"]
    assert (refused[0]["line"], refused[0]["errors"][0]["path"]) == (4, "$.input.text")
    result = api.post(f"{path}/apply")
    assert result.json() == {"read": 4, "added": 1, "changed": 1, "unchanged": 1, "refused": 1}
    assert Example.objects.count() == 4
    assert api.post(f"{path}/apply").status_code == 409
    assert api.get(path).json()["state"] == "applied"
    assert [row["id"] for row in api.get("datasets/texts/imports").json()["results"]] == [batch["id"]]


def test_import__csv_with_a_mapping__and_discarded__writes_nothing(api: Api, texts: Dataset) -> None:
    content = b"sentence,class\nhello,greeting\n"
    mapping = json.dumps({"sentence": "input.text", "class": "output.label"})
    batch = upload(api, "a.csv", content, mapping=mapping).json()
    assert batch["new"] == 1, batch
    assert api.delete(f"datasets/texts/imports/{batch['id']}").status_code == 204
    assert api.get(f"datasets/texts/imports/{batch['id']}").json()["state"] == "discarded"
    assert not Example.objects.exists()


def test_import__bad_requests__are_told(api: Api, texts: Dataset, settings: Any) -> None:
    assert upload(api, "a.docx", b"x").json()["code"] == "bad_input"
    assert upload(api, "a.csv", b"a\nb\n", mapping="[1]").json()["code"] == "bad_input"
    assert upload(api, "a.csv", b"a\nb\n", mapping="{").json()["code"] == "invalid_json"
    assert upload(api, "a.csv", b"a\nb\n", type="none").json()["code"] == "unknown_type"
    nothing = Client().post(
        f"{API}datasets/texts/imports", {}, headers={"Authorization": f"Token {api.token}"}
    )
    assert (nothing.status_code, nothing.json()["details"]["fields"][0]["path"]) == (400, "$.file")
    settings.GOLDEN_MAX_UPLOAD_BYTES = 100
    large = upload(api, "a.csv", b"x" * 200)
    assert (large.status_code, large.json()["code"]) == (413, "too_large")
