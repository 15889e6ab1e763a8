"""Versions through the API: commits, refs, differences, merges, and examples of any version."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datasets_app.models import Dataset, DatasetCommit
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.redacting import redact

from .conftest import Api, text_row

pytestmark = pytest.mark.django_db
DATASET = "datasets/texts"
STREAM = f"{DATASET}/versions/v1/examples.ndjson"


def lines(answer: Any) -> list[Any]:
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.getvalue().splitlines()]


def test_stream__tag__gives_each_example_in_the_order_of_import(api: Api, first: DatasetCommit) -> None:
    answer = api.get(STREAM)
    assert answer["Content-Type"] == "application/x-ndjson"
    assert (answer["X-Golden-Commit"], answer["X-Golden-Count"]) == (first.commit_hash, "3")
    assert lines(answer) == [{"type": "text_classification", **text_row(n, "ab"[n % 2])} for n in (1, 2, 3)]


def test_stream__etag__spares_the_second_reading(api: Api, first: DatasetCommit) -> None:
    answer = api.get(STREAM)
    assert answer["Cache-Control"] == "private, no-cache"
    again = api.get(STREAM, **{"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", answer["ETag"])
    fixed = api.get(f"{DATASET}/versions/{first.commit_hash}/examples.ndjson")
    assert fixed["ETag"] == answer["ETag"]
    assert fixed["Cache-Control"] == "private, max-age=31536000, immutable"
    assert fixed.getvalue() == answer.getvalue()
    page = api.get(f"{DATASET}/versions/v1/examples?limit=2")
    assert page["ETag"] != answer["ETag"]
    assert (
        api.get(f"{DATASET}/versions/v1/examples?limit=2", **{"If-None-Match": page["ETag"]}).status_code
        == 304
    )
    head = api.call("HEAD", STREAM)
    assert (head.status_code, head.content, head["ETag"]) == (200, b"", answer["ETag"])


def test_stream__after_redaction__leaves_the_example_out_under_a_new_etag(
    api: Api, person: Any, first: DatasetCommit
) -> None:
    before = api.get(STREAM)["ETag"]
    uuid = api.get(f"{DATASET}/examples/t2").json()["id"]
    redact(
        dataset=first.dataset,
        example=uuid,
        reason="personal data",
        actor=person("boss", "administrator"),
    )
    answer = api.get(STREAM, **{"If-None-Match": before})
    assert [line["id"] for line in lines(answer)] == ["t1", "t3"]
    page = api.get(f"{DATASET}/versions/v1/examples").json()["results"]
    assert [row["redacted"] for row in page] == [False, True, False]
    assert page[1]["input"] is None


def test_stream__whole_numbers__are_written_as_the_schema_types_them(api: Api) -> None:
    dataset = create_dataset(name="leads", actor=None, default_type=get_type("lead_score"))
    row = {
        "id": "l1",
        "input": {"fit_score": 75.0, "engagement_score": 50, "intent_signals": []},
        "output": {"lead_score": 80.0, "priority": "hot"},
    }
    bulk_upsert(branch=dataset.main, documents=[row], actor=None)
    commit(branch=dataset.main, message="first", actor=None, author="tests")
    text = b"".join(api.get("datasets/leads/versions/main/examples.ndjson").streaming_content)
    assert b'"fit_score":75.0' in text
    assert b'"lead_score":80.0' in text


def test_pages__of_a_version__end_and_do_not_follow_the_working_copy(api: Api, first: DatasetCommit) -> None:
    api.delete(f"{DATASET}/examples/t1")
    page = api.get(f"{DATASET}/versions/v1/examples?limit=2").json()
    assert [row["external_id"] for row in page["results"]] == ["t1", "t2"]
    last = api.get(f"{DATASET}/versions/v1/examples?limit=2&cursor={page['next_cursor']}").json()
    assert [row["external_id"] for row in last["results"]] == ["t3"]
    assert last["next_cursor"] is None


def test_pages__of_a_version__take_queries_independent_of_their_size(
    api: Api, first: DatasetCommit, django_assert_max_num_queries: Any
) -> None:
    api.get("whoami")
    for limit in (1, 500):
        with django_assert_max_num_queries(16):
            api.get(f"{DATASET}/versions/v1/examples?limit={limit}")


def test_commit__status_diff_log__tell_the_same(api: Api, first: DatasetCommit) -> None:
    clean = api.get(f"{DATASET}/status").json()
    assert clean == {
        "branch": "main",
        "commit": first.commit_hash,
        "worktree": "open",
        "rows": 3,
        "added": 0,
        "modified": 0,
        "removed": 0,
        "exact": True,
        "is_clean": True,
    }
    nothing = api.post(f"{DATASET}/commits", {"message": "x"})
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_commit")
    api.patch(f"{DATASET}/examples/t1", {"output": {"label": "z"}})
    api.delete(f"{DATASET}/examples/t2")
    working = api.get(f"{DATASET}/diff").json()
    assert (working["added"], working["modified"], working["removed"], working["b"]) == (
        0,
        1,
        1,
        "the working copy",
    )
    made = api.post(f"{DATASET}/commits", {"message": "second", "author": "A. Person"})
    assert made.status_code == 201
    second = made.json()
    assert (second["author"], second["parents"], second["example_count"]) == (
        "A. Person",
        [first.commit_hash],
        2,
    )
    diff = api.get(f"{DATASET}/diff?a=v1&b=main&limit=1").json()
    assert diff["results"][0]["fields"] == [
        {"path": "$.output.label", "kind": "changed", "old": "b", "new": "z"}
    ]
    rest = api.get(f"{DATASET}/diff?a=v1&b=main&limit=1&cursor={diff['next_cursor']}").json()
    assert [row["change"] for row in rest["results"]] == ["removed"]
    assert rest["next_cursor"] is None
    log = api.get(f"{DATASET}/commits?limit=1").json()
    assert [row["hash"] for row in log["results"]] == [second["hash"]]
    older = api.get(f"{DATASET}/commits?cursor={log['next_cursor']}").json()
    assert [row["hash"] for row in older["results"]] == [first.commit_hash]
    assert api.get(f"{DATASET}/commits/{second['hash'][:12]}").json() == second
    assert api.get(f"{DATASET}/commits/HEAD~1").json()["hash"] == first.commit_hash


def test_commit__selection__leaves_the_rest_uncommitted(api: Api, first: DatasetCommit) -> None:
    one = api.patch(f"{DATASET}/examples/t1", {"output": {"label": "z"}}).json()["id"]
    api.patch(f"{DATASET}/examples/t2", {"output": {"label": "z"}})
    made = api.post(f"{DATASET}/commits", {"message": "one", "example_ids": [one]}).json()
    assert made["modified"] == 1
    assert api.get(f"{DATASET}/status").json()["modified"] == 1


def test_log__of_an_empty_dataset__is_empty(api: Api, texts: Dataset) -> None:
    assert api.get(f"{DATASET}/commits").json() == {"results": [], "next_cursor": None}
    assert api.get(f"{DATASET}/versions/HEAD/examples").json()["code"] == "unknown_ref"


def test_checkout__over_uncommitted_work__is_refused_unless_told(api: Api, first: DatasetCommit) -> None:
    api.patch(f"{DATASET}/examples/t1", {"output": {"label": "z"}})
    refused = api.post(f"{DATASET}/checkout", {"ref": "v1"})
    assert (refused.status_code, refused.json()["code"]) == (409, "uncommitted_changes")
    stashed = api.post(f"{DATASET}/checkout", {"ref": "v1", "uncommitted": "stash"}).json()
    assert stashed["stash"].startswith("stash/main-")
    assert api.get(f"{DATASET}/examples/t1").json()["output"] == {"label": "b"}
    kept = api.get(f"{DATASET}/versions/{stashed['stash']}/examples/t1").json()
    assert kept["output"] == {"label": "z"}
    api.patch(f"{DATASET}/examples/t1", {"output": {"label": "y"}})
    assert api.post(f"{DATASET}/checkout", {"ref": "v1", "uncommitted": "discard"}).json()["stash"] is None
    assert api.get(f"{DATASET}/status").json()["is_clean"] is True


def test_tags__made_twice__second_is_refused_and_deleting_frees_the_name(
    api: Api, first: DatasetCommit
) -> None:
    made = api.post(f"{DATASET}/tags", {"name": "rel/1", "message": "good"})
    assert (made.status_code, made.json()["commit"]) == (201, first.commit_hash)
    twice = api.post(f"{DATASET}/tags", {"name": "rel/1"})
    assert (twice.status_code, twice.json()["code"]) == (409, "ref_exists")
    assert api.post(f"{DATASET}/tags", {"name": "HEAD"}).json()["code"] == "invalid_ref_name"
    assert api.get(f"{DATASET}/tags/rel/1").json()["message"] == "good"
    assert len(lines(api.get(f"{DATASET}/versions/rel/1/examples.ndjson"))) == 3
    assert [tag["name"] for tag in api.get(f"{DATASET}/tags?limit=1").json()["results"]] == ["rel/1"]
    assert api.delete(f"{DATASET}/tags/rel/1").status_code == 204
    assert api.get(f"{DATASET}/tags/rel/1").json()["code"] == "unknown_ref"


def test_branches__opened_edited_closed__never_meet(api: Api, first: DatasetCommit) -> None:
    made = api.post(f"{DATASET}/branches", {"name": "work/one", "start": "v1", "open": True})
    assert (made.status_code, made.json()["worktree"]) == (201, "open")
    api.patch(f"{DATASET}/examples/t1?branch=work/one", {"output": {"label": "z"}})
    assert api.get(f"{DATASET}/examples/t1").json()["output"] == {"label": "b"}
    assert api.get(f"{DATASET}/examples/t1?branch=work/one").json()["output"] == {"label": "z"}
    refused = api.delete(f"{DATASET}/worktrees/work/one")
    assert (refused.status_code, refused.json()["code"]) == (409, "uncommitted_changes")
    assert api.delete(f"{DATASET}/worktrees/work/one?discard=true").json()["worktree"] == "closed"
    closed = api.get(f"{DATASET}/examples?branch=work/one")
    assert (closed.status_code, closed.json()["code"]) == (409, "worktree_closed")
    assert api.put(f"{DATASET}/worktrees/work/one").json()["worktree"] == "open"
    assert api.delete(f"{DATASET}/branches/work/one").json()["is_closed"] is True
    assert api.delete(f"{DATASET}/branches/main").json()["code"] == "conflict"
    names = [branch["name"] for branch in api.get(f"{DATASET}/branches").json()["results"]]
    assert names == ["main", "work/one"]


@pytest.fixture
def diverged(api: Api, first: DatasetCommit) -> None:
    """Branch "other" and main both changed the label of t1; other also that of t2."""
    api.post(f"{DATASET}/branches", {"name": "other", "open": True})
    for example, branch, label in (("t1", "other", "x"), ("t2", "other", "x"), ("t1", "main", "y")):
        api.patch(f"{DATASET}/examples/{example}?branch={branch}", {"output": {"label": label}})
    for branch in ("main", "other"):
        api.post(f"{DATASET}/commits", {"message": f"on {branch}", "branch": branch})


@pytest.mark.usefixtures("diverged")
def test_merge__with_a_conflict__waits_until_it_is_resolved(api: Api) -> None:
    outcome = api.post(f"{DATASET}/merges", {"source": "other"}).json()
    assert outcome["has_conflicts"] is True
    merge = f"{DATASET}/merges/{outcome['merge']['id']}"
    assert api.get(merge).json()["state"] == "open"
    (conflict,) = api.get(f"{merge}/conflicts").json()["results"]
    assert (conflict["path"], conflict["base"], conflict["ours"], conflict["theirs"]) == (
        "$.output.label",
        {"value": "b"},
        {"value": "y"},
        {"value": "x"},
    )
    early = api.post(f"{merge}/complete")
    assert (early.status_code, early.json()["code"]) == (409, "merge_conflicts")
    assert api.put(f"{merge}/conflicts/{conflict['id']}", {"resolution": "value"}).status_code == 400
    settled = api.put(f"{merge}/conflicts/{conflict['id']}", {"resolution": "value", "value": "both"})
    assert (settled.status_code, settled.json()["value"]) == (200, {"value": "both"})
    done = api.post(f"{merge}/complete", {"message": "merged by hand"}).json()
    assert (done["message"], len(done["parents"])) == ("merged by hand", 2)
    labels = [row["output"]["label"] for row in api.get(f"{DATASET}/examples").json()["results"]]
    assert labels == ["both", "x", "b"]


@pytest.mark.usefixtures("diverged")
def test_merge__aborted__leaves_nothing_and_can_begin_anew(api: Api) -> None:
    first_try = api.post(f"{DATASET}/merges", {"source": "other"}).json()["merge"]["id"]
    again = api.post(f"{DATASET}/merges", {"source": "other"})
    assert (again.status_code, again.json()["code"]) == (409, "merge_state")
    assert api.post(f"{DATASET}/merges/{first_try}/abort").json()["state"] == "aborted"
    assert api.post(f"{DATASET}/merges/{first_try}/abort").status_code == 409
    second = api.post(f"{DATASET}/merges", {"source": "other"}).json()["merge"]["id"]
    assert api.post(f"{DATASET}/merges/{second}/conflicts", {"resolution": "theirs"}).json() == {
        "resolved": 1
    }
    assert api.post(f"{DATASET}/merges/{second}/complete").status_code == 200
    assert [row["id"] for row in api.get(f"{DATASET}/merges").json()["results"]] == [second, first_try]


@pytest.mark.usefixtures("diverged")
def test_merge__favored_side__and_revert_undoes_it(api: Api) -> None:
    merged = api.post(f"{DATASET}/merges", {"source": "other", "favor": "theirs"}).json()
    assert merged["has_conflicts"] is False
    assert api.get(f"{DATASET}/examples/t1").json()["output"] == {"label": "x"}
    reverted = api.post(f"{DATASET}/revert", {"ref": merged["commit"]["hash"]}).json()
    assert reverted["commit"]["metadata"] == {"reverts": merged["commit"]["hash"]}
    assert api.get(f"{DATASET}/examples/t1").json()["output"] == {"label": "y"}
    assert api.post(f"{DATASET}/merges", {"source": "v1"}).json()["up_to_date"] is True
