"""Examples of the working copy through the API."""

from __future__ import annotations

from typing import Any

import pytest

from datasets_app.models import Dataset, DatasetCommit, Example

from .conftest import Api, text_row

BASE = "datasets/texts/examples"
pytestmark = pytest.mark.django_db


def test_list__filters__give_only_the_rows_that_match(api: Api, first: DatasetCommit) -> None:
    def ids(query: str) -> list[str]:
        answer = api.get(f"{BASE}?{query}")
        assert answer.status_code == 200, answer.content
        return [row["external_id"] for row in answer.json()["results"]]

    api.patch(f"{BASE}/t3", {"status": "validated", "labels": {"hard": True}})
    assert ids("") == ["t1", "t2", "t3"]
    assert ids("class=b") == ["t1", "t3"]
    assert ids("class=b&status=validated") == ["t3"]
    assert ids("tag=hard") == ["t3"]
    assert ids("search=TEXT%202") == ["t2"]
    assert ids("type=text_classification") == ["t1", "t2", "t3"]
    assert api.get(f"{BASE}?type=nothing").json()["code"] == "unknown_type"


def test_list__pages__follow_the_order_of_import_and_end(api: Api, first: DatasetCommit) -> None:
    page = api.get(f"{BASE}?limit=2").json()
    assert [row["external_id"] for row in page["results"]] == ["t1", "t2"]
    last = api.get(f"{BASE}?limit=2&cursor={page['next_cursor']}").json()
    assert [row["external_id"] for row in last["results"]] == ["t3"]
    assert last["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["x", "%00", "bnVsbA", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "InQi"])
def test_list__foreign_cursor__is_refused(api: Api, first: DatasetCommit, cursor: str) -> None:
    answer = api.get(f"{BASE}?cursor={cursor}")
    assert answer.status_code == 400
    assert answer.json()["code"] in {"invalid_cursor", "invalid_json"}


def test_create__good__is_there_with_an_etag(api: Api, texts: Dataset) -> None:
    answer = api.post(BASE, {"external_id": "x", "input": {"text": "hello"}, "output": {"label": "greeting"}})
    assert answer.status_code == 201
    assert answer["ETag"]
    read = api.get(f"{BASE}/x")
    assert read.json() == answer.json()
    assert read["ETag"] == answer["ETag"]
    assert api.get(f"{BASE}/{answer.json()['id']}").json() == answer.json()
    assert api.get(f"{BASE}/x", **{"If-None-Match": read["ETag"]}).status_code == 304


def test_create__against_the_type__names_the_path_and_writes_nothing(api: Api, texts: Dataset) -> None:
    answer = api.post(BASE, {"input": {"text": 7}, "output": {"label": "greeting"}})
    assert answer.status_code == 400
    assert answer.json()["code"] == "schema_violation"
    assert answer.json()["details"]["violations"][0]["path"] == "$.input.text"
    assert not Example.objects.exists()


def test_create__known_id__is_refused(api: Api, first: DatasetCommit) -> None:
    answer = api.post(BASE, {"external_id": "t1", "input": {"text": "x"}, "output": {"label": "a"}})
    assert (answer.status_code, answer.json()["code"]) == (400, "duplicate_example")


def test_create__unknown_field__is_named(api: Api, texts: Dataset) -> None:
    answer = api.post(BASE, {"inputs": {"text": "x"}, "input": {"text": "x"}})
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["path"] == "$.inputs"


def test_patch__if_match__writes_once(api: Api, first: DatasetCommit) -> None:
    etag = api.get(f"{BASE}/t1")["ETag"]
    changed = api.patch(f"{BASE}/t1", {"output": {"label": "z"}}, **{"If-Match": etag})
    assert (changed.status_code, changed.json()["output"]) == (200, {"label": "z"})
    assert changed["ETag"] != etag
    again = api.patch(f"{BASE}/t1", {"output": {"label": "y"}}, **{"If-Match": etag})
    assert (again.status_code, again.json()["code"]) == (412, "precondition_failed")
    assert api.get(f"{BASE}/t1").json()["output"] == {"label": "z"}


def test_patch__saved_meanwhile__is_an_edit_conflict(api: Api, first: DatasetCommit) -> None:
    seen = api.get(f"{BASE}/t1").json()["updated_at"]
    assert api.patch(f"{BASE}/t1", {"output": {"label": "z"}, "expected_updated_at": seen}).status_code == 200
    answer = api.patch(f"{BASE}/t1", {"output": {"label": "y"}, "expected_updated_at": seen})
    assert (answer.status_code, answer.json()["code"]) == (409, "edit_conflict")


def test_patch__reviewer__judges_but_does_not_edit(api_of: Any, first: DatasetCommit) -> None:
    reviewer = api_of("reviewer")
    judged = reviewer.patch(f"{BASE}/t1", {"status": "validated"})
    assert (judged.status_code, judged.json()["validated_by"]) == (200, "a-reviewer")
    assert reviewer.patch(f"{BASE}/t1", {"status": "validated", "labels": {"x": 1}}).status_code == 403


def test_delete__row__goes_from_the_working_copy_only(api: Api, first: DatasetCommit) -> None:
    etag = api.get(f"{BASE}/t1")["ETag"]
    assert api.delete(f"{BASE}/t1", **{"If-Match": '"other"'}).status_code == 412
    assert api.delete(f"{BASE}/t1", **{"If-Match": etag}).status_code == 204
    assert api.get(f"{BASE}/t1").json()["code"] == "unknown_example"
    assert api.get("datasets/texts/versions/v1/examples/t1").json()["input"] == {"text": "text 1"}


def test_bulk__stop__writes_all_or_nothing(api: Api, first: DatasetCommit) -> None:
    bad = [text_row(4), {"id": "t5", "input": {"text": ""}, "output": {"label": "a"}}]
    answer = api.post("datasets/texts/bulk", {"examples": bad})
    assert answer.status_code == 400
    assert "line 2" in answer.json()["message"]
    assert Example.objects.count() == 3


def test_bulk__report__writes_the_good_and_tells_of_the_bad(api: Api, first: DatasetCommit) -> None:
    rows = [
        text_row(1, "b"),
        text_row(2, "new"),
        {"id": "t5", "input": {}, "output": {"label": "a"}},
        text_row(4),
    ]
    answer = api.post("datasets/texts/bulk", {"examples": rows, "on_error": "report"})
    assert answer.status_code == 200, answer.content
    found = answer.json()
    errors = found.pop("errors")
    assert found == {"read": 4, "added": 1, "changed": 1, "unchanged": 1, "refused": 1}
    assert [row["line"] for row in errors] == [3]
    assert errors[0]["errors"][0]["path"] == "$.input.text"


def test_bulk__too_many__is_413_before_anything_is_read(api: Api, texts: Dataset) -> None:
    answer = api.post("datasets/texts/bulk", {"examples": [text_row(n) for n in range(5001)]})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer.json()["details"] == {"limit": 5000}


def test_list__queries__do_not_grow_with_the_page(
    api: Api, first: DatasetCommit, django_assert_max_num_queries: Any
) -> None:
    api.get(BASE)  # notes the token's use
    with django_assert_max_num_queries(9):
        assert len(api.get(f"{BASE}?limit=1").json()["results"]) == 1
    with django_assert_max_num_queries(9):
        assert len(api.get(f"{BASE}?limit=500").json()["results"]) == 3


def test_blame__changed_field__names_the_commit(api: Api, first: DatasetCommit) -> None:
    api.patch(f"{BASE}/t1", {"output": {"label": "z"}})
    second = api.post("datasets/texts/commits", {"message": "relabel"}).json()
    lines = {line["path"]: line["commit"]["hash"] for line in api.get(f"{BASE}/t1/blame").json()["lines"]}
    assert lines["$.output.label"] == second["hash"]
    assert lines["$.input.text"] == first.commit_hash
    history = api.get(f"{BASE}/t1/history?limit=1").json()
    assert [row["commit"]["hash"] for row in history["results"]] == [second["hash"]]
    older = api.get(f"{BASE}/t1/history?cursor={history['next_cursor']}").json()
    assert [row["change"] for row in older["results"]] == ["added"]
