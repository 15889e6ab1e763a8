"""The API that labelers work with: sessions, next, submit, skip, flag, drafts, undo, keys."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from datasets_app.models import Dataset, Example
from datasets_app.services.curation.examples import bulk_upsert
from labeling_app.models import Label, LabelHistory, LabelingQueue, LabelingSession, Lease
from labeling_app.services.gold import set_gold
from labeling_app.services.queues import QueueOptions, create_queue, set_queue_state
from tests.integration.api.conftest import Api, api_of, person, text_row, texts

__all__ = ["api_of", "person", "texts"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(texts: Dataset) -> LabelingQueue:
    """A queue of t1 … t5, one labeler each."""
    rows = [{**text_row(n), "output": None} for n in range(1, 6)]
    bulk_upsert(branch=texts.main, documents=rows, actor=None)
    return create_queue(dataset=texts, name="topics", actor=None, options=QueueOptions(overlap=1))


@pytest.fixture
def labeler(api_of: Any) -> Api:
    return api_of("labeler", name="labeler")


def started(api: Api, queue: LabelingQueue, **body: Any) -> str:
    answer = api.post(f"labeling/queues/{queue.pk}/sessions", body)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["session"])


def taken(api: Api, session: str, **body: Any) -> list[dict[str, Any]]:
    answer = api.post(f"labeling/sessions/{session}/next", body)
    assert answer.status_code == 200, answer.content
    return list(answer.json()["tasks"])


def submitted(api: Api, task: dict[str, Any], label: str = "a", key: str = "", **more: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    body = {
        "value": {"label": label},
        "content_hash": task["content_hash"],
        "schema_digest": task["schema_digest"],
        **more,
    }
    return api.post(f"labeling/leases/{task['lease']}/submit", body, **headers)


def test_sessions__started__tell_all_that_a_console_needs(labeler: Api, queue: LabelingQueue) -> None:
    answer = labeler.post(f"labeling/queues/{queue.pk}/sessions")
    body = answer.json()
    assert answer.status_code == 201
    assert set(body) == {"session", "queue", "progress"}
    assert (body["queue"]["name"], body["queue"]["type"]) == ("topics", "text_classification")
    assert body["queue"]["controls"] and body["queue"]["input_view"]
    assert body["progress"] == {
        "mine": 0,
        "seconds": pytest.approx(0, abs=5),
        "per_hour": None,
        "labels": 0,
        "labels_wanted": 5,
    }
    assert started(labeler, queue) == body["session"]  # the open one is taken up again


def test_label__whole_way_over_the_api__is_stored_once(labeler: Api, queue: LabelingQueue) -> None:
    session = started(labeler, queue)
    (task,) = taken(labeler, session)
    assert (task["external_id"], task["input"], task["current"]) == ("t1", {"text": "text 1"}, None)
    answer = submitted(
        labeler, task, key="k1", confidence=0.9, notes=" kept as it is ", duration_ms=1200, next=2
    )
    body = answer.json()
    assert answer.status_code == 200
    label = Label.objects.get()
    assert body["submitted"] == {
        "label": label.pk,
        "example": task["example"],
        "item_state": None,
        "replayed": False,
    }
    assert [task["external_id"] for task in body["tasks"]] == ["t2", "t3"]
    assert (body["progress"]["mine"], body["why"], body["code"]) == (1, "", "")
    assert (label.value, float(label.confidence or 0), label.notes, label.duration_ms) == (
        {"label": "a"},
        0.9,
        " kept as it is ",
        1200,
    )
    again = submitted(labeler, task, key="k1", confidence=0.9, notes=" kept as it is ").json()
    assert again["submitted"] == {**body["submitted"], "replayed": True}
    assert LabelHistory.objects.filter(event="submitted").count() == 1
    other = submitted(labeler, task, "b", key="k1", confidence=0.9, notes=" kept as it is ")
    assert (other.status_code, other.json()["code"]) == (409, "key_reused")


def test_submit__of_whoever_may_review__tells_the_state_of_the_item(
    api_of: Any, queue: LabelingQueue
) -> None:
    reviewer = api_of("reviewer")
    (task,) = taken(reviewer, started(reviewer, queue))
    assert submitted(reviewer, task).json()["submitted"]["item_state"] == "adopted"


def test_submit__a_hidden_check__answers_like_any_other(
    labeler: Api, person: Any, queue: LabelingQueue
) -> None:
    first = Example.objects.get(branch=queue.branch, identity__external_id="t5")
    set_gold(queue=queue, answers={first.identity_id: {"label": "a"}}, actor=person("curator", "curator"))
    LabelingQueue.objects.filter(pk=queue.pk).update(gold_rate=0.5)
    session = started(labeler, queue)
    answers, shapes = {}, set()
    while tasks := taken(labeler, session):
        (task,) = tasks
        answer = submitted(labeler, task).json()
        answers[task["example"]] = {**answer["submitted"], "label": 0, "example": ""}
        shapes.add(tuple(sorted(task)))
    assert Label.objects.filter(gold_correct=True).count() == 1
    assert len(answers) == 5
    assert len(shapes) == 1
    assert len({str(answer) for answer in answers.values()}) == 1


def test_next__nothing_left__says_why(labeler: Api, queue: LabelingQueue) -> None:
    session = started(labeler, queue)
    tasks = taken(labeler, session, count=5)
    assert len(tasks) == 5
    held = [task["lease"] for task in tasks]
    assert {task["lease"] for task in taken(labeler, session, count=5)} == set(held)
    assert taken(labeler, session, count=5, hold=held) == []
    for task in tasks:
        assert submitted(labeler, task).status_code == 200
    body = labeler.post(f"labeling/sessions/{session}/next").json()
    assert (body["tasks"], body["why"]) == ([], "There is no example left for you here at the moment.")


def test_submit__queue_paused_after_it_was_stored__acknowledges_and_says_why_there_is_no_next(
    labeler: Api, queue: LabelingQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = started(labeler, queue)
    (task,) = taken(labeler, session)
    from labeling_app.api import leases
    from labeling_app.services.submitting import submit_label

    def stored_then_paused(**fields: Any) -> Any:
        done = submit_label(**fields)
        set_queue_state(queue=queue, state="paused", actor=None)
        return done

    monkeypatch.setattr(leases, "submit_label", stored_then_paused)
    body = submitted(labeler, task, next=1).json()
    assert body["submitted"]["label"] == Label.objects.get().pk
    assert (body["tasks"], body["code"]) == ([], "queue_not_open")
    assert "is paused" in body["why"]


def test_submit__breaks_the_schema__says_where_and_keeps_nothing_but_the_draft(
    labeler: Api, queue: LabelingQueue
) -> None:
    session = started(labeler, queue)
    (task,) = taken(labeler, session)
    answer = labeler.post(f"labeling/leases/{task['lease']}/submit", {"value": {"label": 7}})
    assert (answer.status_code, answer.json()["code"]) == (400, "schema_violation")
    assert answer.json()["details"]["violations"]
    assert not Label.objects.exists()


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.value"),
        ({"value": {}, "confidence": 2}, "$.confidence"),
        ({"value": {}, "confidence": "x"}, "$.confidence"),
        ({"value": {}, "content_hash": "zz"}, "$.content_hash"),
        ({"value": {}, "duration_ms": -1}, "$.duration_ms"),
        ({"value": {}, "source": "bulk"}, "$.source"),
        ({"value": {}, "next": 21}, "$.next"),
        ({"value": {}, "hold": ["x"]}, "$.hold"),
        ({"value": {}, "answer": 1}, "$.answer"),
    ],
)
def test_submit__bad_body__names_the_field(
    labeler: Api, queue: LabelingQueue, body: dict[str, Any], path: str
) -> None:
    (task,) = taken(labeler, started(labeler, queue))
    answer = labeler.post(f"labeling/leases/{task['lease']}/submit", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["details"]["fields"][0]["path"].startswith(path)


@pytest.mark.parametrize("key", ["x" * 65, "a\tb", "ä"])
def test_submit__bad_key__is_refused(labeler: Api, queue: LabelingQueue, key: str) -> None:
    (task,) = taken(labeler, started(labeler, queue))
    answer = submitted(labeler, task, key=key)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["message"]
    assert not Label.objects.exists()


def test_submit__example_changed_meanwhile__is_shown_as_it_is_and_not_overwritten(
    labeler: Api, queue: LabelingQueue
) -> None:
    (task,) = taken(labeler, started(labeler, queue))
    bulk_upsert(
        branch=queue.branch, documents=[{**text_row(1), "input": {"text": "new"}, "output": None}], actor=None
    )
    answer = submitted(labeler, task).json()
    assert answer["code"] == "example_changed"
    assert answer["details"]["input"] == {"text": "new"}
    assert submitted(labeler, {**task, **answer["details"]}).status_code == 200


def test_lease_of_another__is_unknown(labeler: Api, api_of: Any, queue: LabelingQueue) -> None:
    other = api_of("labeler", name="second-labeler")
    session = started(labeler, queue)
    (task,) = taken(labeler, session)
    for end in ("submit", "skip", "flag", "draft", "release", "undo"):
        body = {"submit": {"value": {"label": "a"}}, "draft": {"value": 1}, "flag": {"comment": "x"}}
        answer = other.post(f"labeling/leases/{task['lease']}/{end}", body.get(end, {}))
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_lease"), end
    for end in ("next", "heartbeat", "end"):
        answer = other.post(f"labeling/sessions/{session}/{end}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_session")


def test_skip__gives_the_next_and_is_taken_back(labeler: Api, queue: LabelingQueue) -> None:
    session = started(labeler, queue)
    (task,) = taken(labeler, session)
    body = labeler.post(f"labeling/leases/{task['lease']}/skip", {"reason": "unclear", "next": 1}).json()
    assert body["submitted"]["label"] is None
    assert [task["external_id"] for task in body["tasks"]] == ["t2"]
    assert LabelHistory.objects.get().notes == "unclear"
    back = labeler.post(f"labeling/leases/{task['lease']}/undo").json()["task"]
    assert (back["external_id"], back["lease"]) == ("t1", task["lease"])


def test_draft__is_there_when_the_task_is_taken_again(labeler: Api, queue: LabelingQueue) -> None:
    session = started(labeler, queue)
    (task,) = taken(labeler, session)
    draft = {"value": {"label": ""}, "confidence": 0.5, "notes": "half"}
    assert labeler.post(f"labeling/leases/{task['lease']}/draft", draft).status_code == 204
    (again,) = taken(labeler, session)
    assert again["draft"] == draft


def test_flag__opens_a_review_and_keeps_the_example(labeler: Api, queue: LabelingQueue) -> None:
    session = started(labeler, queue)
    (task,) = taken(labeler, session)
    flagged = labeler.post(f"labeling/leases/{task['lease']}/flag", {"comment": "two topics"})
    assert flagged.status_code == 204
    assert LabelHistory.objects.get().event == "flagged"
    label = submitted(labeler, task).json()["submitted"]["label"]
    assert labeler.post(f"labeling/labels/{label}/flag", {"comment": "after all"}).status_code == 204
    assert labeler.post(f"labeling/labels/{label}/flag", {}).status_code == 400


def test_undo__gives_the_example_back_with_what_was_said(labeler: Api, queue: LabelingQueue) -> None:
    session = started(labeler, queue)
    (task,) = taken(labeler, session)
    label = submitted(labeler, task, "wrong").json()["submitted"]["label"]
    back = labeler.post(f"labeling/labels/{label}/undo").json()["task"]
    assert (back["external_id"], back["draft"]["value"]) == ("t1", {"label": "wrong"})
    assert back["mine"]["value"] == {"label": "wrong"}
    assert submitted(labeler, back, "right").status_code == 200
    assert [row.event for row in LabelHistory.objects.order_by("id") if row.annotator == "labeler"][:2] == [
        "submitted",
        "undone",
    ]
    assert Label.objects.get().value == {"label": "right"}
    assert labeler.post(f"labeling/labels/{label}/undo").json()["code"] == "unknown_label"
    assert labeler.post(f"labeling/labels/{2**70}/undo").json()["code"] == "unknown_label"


def test_release_and_end__free_what_was_held(labeler: Api, queue: LabelingQueue) -> None:
    session = started(labeler, queue)
    one, two = taken(labeler, session, count=2)
    assert labeler.post(f"labeling/leases/{one['lease']}/release").status_code == 204
    assert labeler.post(f"labeling/sessions/{session}/heartbeat").json() == {"held": [two["lease"]]}
    assert labeler.post(f"labeling/sessions/{session}/end").status_code == 204
    assert set(Lease.objects.values_list("state", flat=True)) == {"released"}
    gone = labeler.post(f"labeling/sessions/{session}/next")
    assert (gone.status_code, gone.json()["code"]) == (409, "session_ended")
    assert LabelingSession.objects.get().ended_at is not None


def test_my_labels__only_my_own_newest_first_in_pages(
    labeler: Api, api_of: Any, queue: LabelingQueue
) -> None:
    other = api_of("labeler", name="second-labeler")
    for api, count in ((labeler, 3), (other, 1)):
        session = started(api, queue)
        for _ in range(count):
            (task,) = taken(api, session)
            submitted(api, task)
    page = labeler.get(f"labeling/queues/{queue.pk}/my-labels?limit=2").json()
    assert [row["external_id"] for row in page["results"]] == ["t3", "t2"]
    rest = labeler.get(f"labeling/queues/{queue.pk}/my-labels?limit=2&before={page['before']}").json()
    assert ([row["external_id"] for row in rest["results"]], rest["before"]) == (["t1"], None)


def test_keys__chosen__are_kept_and_clashes_refused(labeler: Api) -> None:
    before = labeler.get("labeling/keys").json()["keys"]
    actions = sorted(before)
    free = next(key for key in "abcdefghijklmnopqrstuvwxyz" if key not in before.values())
    changed = labeler.put("labeling/keys", {"keys": {actions[0]: free}})
    assert (changed.status_code, changed.json()["keys"][actions[0]]) == (200, free), changed.content
    assert labeler.get("labeling/keys").json()["keys"][actions[0]] == changed.json()["keys"][actions[0]]
    clash = labeler.put("labeling/keys", {"keys": {actions[0]: before[actions[1]]}})
    assert (clash.status_code, clash.json()["code"]) == (400, "key_clash")


def test_session_of_the_browser__needs_the_csrf_token(person: Any, queue: LabelingQueue) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("labeler", "labeler"), backend="django.contrib.auth.backends.ModelBackend")
    browser = Api(client=client)
    assert browser.get("labeling/queues").status_code == 200
    refused = browser.post(f"labeling/queues/{queue.pk}/sessions")
    assert (refused.status_code, "CSRF" in refused.json()["message"]) == (403, True)


def test_next_and_submit__cost_few_queries(labeler: Api, queue: LabelingQueue) -> None:
    session = started(labeler, queue)
    (task,) = taken(labeler, session)  # warms what is kept in the process
    submitted(labeler, task)
    with CaptureQueriesContext(connection) as taking:
        (task,) = taken(labeler, session)
    with CaptureQueriesContext(connection) as submitting:
        submitted(labeler, task, key=str(uuid.uuid4()))
    assert len(taking) <= 10
    assert len(submitting) <= 20
