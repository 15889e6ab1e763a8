"""What each role gets of a queue over the API: labelers see what the queue gives them and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from datasets_app.domain.roles import ALLOWED, Action, Role
from datasets_app.models import Dataset, Membership
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from labeling_app.models import LabelingQueue
from labeling_app.services import overlap
from labeling_app.services.assigning import set_members
from labeling_app.services.queues import create_queue
from tests.integration.api.conftest import Api, api_of, person, text_row, texts
from tests.integration.labeling.webhook_receiver import receiver

__all__ = ["api_of", "person", "receiver", "texts"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(texts: Dataset) -> LabelingQueue:
    bulk_upsert(branch=texts.main, documents=[text_row(n) for n in (1, 2, 3)], actor=None)
    return create_queue(dataset=texts, name="topics", actor=None)


# what is done → the right that it takes in the dataset of the queue
CALLS: list[tuple[str, str, Any, Action]] = [
    ("PATCH", "", {"overlap": 2}, Action.EDIT),
    ("POST", "/refresh", {}, Action.EDIT),
    ("PUT", "/members", {}, Action.EDIT),
    ("POST", "/assign", {"examples": []}, Action.EDIT),
    ("GET", "/items", None, Action.REVIEW),
    ("POST", "/sessions", {}, Action.LABEL),
    ("GET", "/my-labels", None, Action.LABEL),
    ("GET", "/labels", None, Action.REVIEW),
    ("GET", "/history", None, Action.REVIEW),
    ("GET", "/gold", None, Action.REVIEW),
    ("PUT", "/gold", {"answers": []}, Action.REVIEW),
    ("POST", "/gold/promote", {}, Action.REVIEW),
    ("GET", "/scorecards", None, Action.REVIEW),
    ("POST", "/pause", {"labeler": "caller", "reason": "a test"}, Action.REVIEW),
    ("POST", "/go-on", {"labeler": "caller"}, Action.REVIEW),
    ("PUT", "/suggestions", {"source": "a model", "suggestions": []}, Action.IMPORT),
    ("DELETE", "/suggestions?source=nothing", {}, Action.IMPORT),
]


@pytest.mark.parametrize("role", list(Role))
def test_queue__member_of_its_dataset__may_what_the_role_allows(
    api_of: Any, person: Any, queue: LabelingQueue, role: Role
) -> None:
    caller: Api = api_of(None, name="caller")
    Membership.objects.create(dataset=queue.dataset, user=person("caller"), role=role)
    for method, end, body, action in CALLS:
        answer = caller.call(method, f"labeling/queues/{queue.pk}{end}", body)
        expected = 2 if action in ALLOWED[role] else 4
        assert answer.status_code // 100 == expected, (method, end, answer.status_code, answer.content)
        if expected == 4:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (method, end)


@pytest.mark.parametrize("role", [None, Role.CURATOR])
def test_queue__of_another_dataset__is_not_there(
    api_of: Any, person: Any, queue: LabelingQueue, role: Role | None
) -> None:
    caller: Api = api_of(None, name="caller")
    if role is not None:
        other = create_dataset(name="other", actor=None, default_type=queue.example_type)
        Membership.objects.create(dataset=other, user=person("caller"), role=role)
    assert caller.get("labeling/queues").json()["results"] == []
    assert caller.get(f"labeling/queues/{queue.pk}").json()["code"] == "unknown_queue"
    for method, end, body, _ in CALLS:
        answer = caller.call(method, f"labeling/queues/{queue.pk}{end}", body)
        assert (answer.status_code, answer.json()["code"]) == (
            (404, "unknown_queue") if role is not None else (403, "forbidden")
        ), (method, end)


def test_queue__labeler__is_not_told_how_labelers_are_checked(api_of: Any, queue: LabelingQueue) -> None:
    labeler, viewer, reviewer = api_of("labeler"), api_of("viewer"), api_of("reviewer")
    (listed,) = labeler.get("labeling/queues").json()["results"]
    assert (listed["name"], listed["may_label"], listed["settings"]) == ("topics", True, None)
    assert viewer.get(f"labeling/queues/{queue.pk}").json()["settings"] is None
    assert viewer.get(f"labeling/queues/{queue.pk}").json()["may_label"] is False
    assert reviewer.get(f"labeling/queues/{queue.pk}").json()["settings"]["gold_rate"] == 0
    assert labeler.get(f"labeling/queues/{queue.pk}/progress").json()["items"] == 3


def test_queue__given_to_others__cannot_be_labeled(api_of: Any, person: Any, queue: LabelingQueue) -> None:
    labeler = api_of("labeler", name="labeler")
    set_members(queue=queue, users=[person("second-labeler", "labeler")], actor=None)
    assert labeler.get("labeling/queues").json()["results"] == []
    answer = labeler.post(f"labeling/queues/{queue.pk}/sessions")
    assert (answer.status_code, answer.json()["code"]) == (403, "not_assigned")


def test_labeler__removed_while_labeling__is_told_and_the_answer_is_kept_as_a_draft(
    api_of: Any, person: Any, queue: LabelingQueue
) -> None:
    labeler = api_of("labeler", name="labeler")
    session = labeler.post(f"labeling/queues/{queue.pk}/sessions").json()["session"]
    (task,) = labeler.post(f"labeling/sessions/{session}/next").json()["tasks"]
    person("labeler").groups.clear()
    answer = labeler.post(f"labeling/leases/{task['lease']}/submit", {"value": {"label": "a"}})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    set_members(queue=queue, users=[person("second-labeler", "labeler")], actor=None)
    person("labeler", "labeler")
    answer = labeler.post(f"labeling/leases/{task['lease']}/submit", {"value": {"label": "a"}})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_assigned")


def test_token__without_the_scope_write__labels_nothing(api_of: Any, queue: LabelingQueue) -> None:
    reader = api_of("curator", scopes=["read"])
    assert reader.get("labeling/queues").status_code == 200
    answer = reader.post(f"labeling/queues/{queue.pk}/sessions")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "scopes" in answer.json()["message"]


# --- queues made, changed, assigned -----------------------------------------------------------------------------------
def test_queues__made_and_changed_over_the_api(
    api_of: Any, queue: LabelingQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    curator = api_of("curator")
    body = {"dataset": "texts", "name": "more", "overlap": 3, "field_path": "label", "gold_rate": 0.1}
    made = curator.post("labeling/queues", body)
    assert made.status_code == 201, made.content
    assert made.json()["field_path"] == "label"
    assert (made.json()["settings"]["overlap"], made.json()["settings"]["gold_rate"]) == (3, 0.1)
    again = curator.post("labeling/queues", body)
    assert (again.status_code, again.json()["code"]) == (400, "bad_input")
    key = made.json()["id"]
    changed = curator.patch(f"labeling/queues/{key}", {"overlap": 2, "state": "paused"}).json()
    assert (changed["settings"]["overlap"], changed["state"], changed["job"]) == (2, "paused", None)
    monkeypatch.setattr(overlap, "ITEMS_AT_ONCE", 1)
    job = curator.patch(f"labeling/queues/{key}", {"overlap": 1}).json()["job"]
    assert (job["kind"], job["state"], job["started_by"]) == ("label_overlap", "queued", "a-curator")
    answer = curator.post(f"labeling/queues/{key}/sessions")
    assert (answer.status_code, answer.json()["code"]) == (409, "queue_not_open")
    page = curator.get("labeling/queues?limit=1").json()
    rest = curator.get(f"labeling/queues?cursor={page['next_cursor']}").json()
    assert {row["name"] for row in page["results"] + rest["results"]} == {"topics", "more"}
    assert curator.patch(f"labeling/queues/{key}", {"gold_rate": 0.9}).status_code == 400
    assert curator.patch(f"labeling/queues/{key}", {"branch": "x"}).status_code == 400
    bad = curator.get("labeling/queues?cursor=Imhlbdoi")
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid_cursor")


def test_assign__examples_to_a_person__only_that_person_gets_them(
    api_of: Any, person: Any, queue: LabelingQueue
) -> None:
    curator, labeler, other = api_of("curator"), api_of("labeler", name="one"), api_of("labeler", name="two")
    items = curator.get(f"labeling/queues/{queue.pk}/items").json()["results"]
    assert [item["external_id"] for item in items] == ["t1", "t2", "t3"]
    examples = [item["example"] for item in items[:2]]
    assigned = curator.post(f"labeling/queues/{queue.pk}/assign", {"examples": examples, "user": "two"})
    assert assigned.json() == {"examples": 2}

    def gets(api: Api) -> list[str]:
        session = api.post(f"labeling/queues/{queue.pk}/sessions").json()["session"]
        tasks = api.post(f"labeling/sessions/{session}/next", {"count": 5}).json()["tasks"]
        return [task["external_id"] for task in tasks]

    assert gets(labeler) == ["t3"]
    assert gets(other) == ["t1", "t2"]
    unknown = curator.post(f"labeling/queues/{queue.pk}/assign", {"examples": examples, "user": "nobody"})
    assert (unknown.status_code, unknown.json()["message"]) == (400, "There is no user “nobody”.")


def test_suggestions__pushed__are_shown_with_the_task(api_of: Any, queue: LabelingQueue) -> None:
    curator, labeler = api_of("curator"), api_of("labeler")
    items = curator.get(f"labeling/queues/{queue.pk}/items").json()["results"]
    one = {"example": items[0]["example"], "value": {"label": "a"}, "confidence": 0.75}
    address = f"labeling/queues/{queue.pk}/suggestions"
    assert curator.put(address, {"source": "model 1", "suggestions": [one]}).json() == {"examples": 1}
    session = labeler.post(f"labeling/queues/{queue.pk}/sessions").json()["session"]
    (task,) = labeler.post(f"labeling/sessions/{session}/next").json()["tasks"]
    assert task["suggestions"] == [{"source": "model 1", "value": {"label": "a"}, "confidence": 0.75}]
    wrong = curator.put(address, {"source": "model 1", "suggestions": [{**one, "value": {"label": 1}}]})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "schema_violation")
    twice = curator.put(address, {"source": "model 1", "suggestions": [one, one]})
    assert (twice.status_code, twice.json()["code"]) == (400, "bad_input")
    assert curator.delete(f"{address}?source=model%201").json() == {"examples": 1}


def test_labels_and_history__of_a_reviewer__tell_who_said_what(api_of: Any, queue: LabelingQueue) -> None:
    labeler, reviewer = api_of("labeler", name="labeler"), api_of("reviewer")
    session = labeler.post(f"labeling/queues/{queue.pk}/sessions").json()["session"]
    for task in labeler.post(f"labeling/sessions/{session}/next", {"count": 2}).json()["tasks"]:
        labeler.post(f"labeling/leases/{task['lease']}/submit", {"value": {"label": "a"}, "notes": "sure"})
    page = reviewer.get(f"labeling/queues/{queue.pk}/labels?limit=1").json()
    (label,) = page["results"]
    assert (label["annotator"], label["value"], label["notes"]) == ("labeler", {"label": "a"}, "sure")
    assert label["external_id"] == "t1"
    rest = reviewer.get(f"labeling/queues/{queue.pk}/labels?cursor={page['next_cursor']}").json()
    assert len(rest["results"]) == 1 and rest["next_cursor"] is None
    history = reviewer.get(f"labeling/queues/{queue.pk}/history?annotator=labeler").json()["results"]
    assert [(row["event"], row["label_value"]) for row in history] == [("submitted", {"label": "a"})] * 2
    (card,) = reviewer.get(f"labeling/queues/{queue.pk}/scorecards").json()["results"]
    assert (card["annotator"], card["labels"]) == ("labeler", 2)


def test_gold__set_listed_and_taken_away(api_of: Any, queue: LabelingQueue) -> None:
    reviewer = api_of("reviewer")
    items = reviewer.get(f"labeling/queues/{queue.pk}/items").json()["results"]
    gold = {"answers": [{"example": items[0]["example"], "value": {"label": "a"}}], "explanation": "why"}
    address = f"labeling/queues/{queue.pk}/gold"
    assert reviewer.put(address, gold).json() == {"examples": 1}
    (row,) = reviewer.get(address).json()["results"]
    assert (row["example"], row["value"], row["explanation"], row["checks"]) == (
        items[0]["example"],
        {"label": "a"},
        "why",
        0,
    )
    assert reviewer.delete(f"{address}?example={items[0]['example']}").status_code == 204
    assert reviewer.delete(f"{address}?example={items[0]['example']}").status_code == 404
    assert reviewer.get(address).json()["results"] == []


def test_pause__labeler_is_told_why(api_of: Any, queue: LabelingQueue) -> None:
    reviewer, labeler = api_of("reviewer"), api_of("labeler", name="labeler")
    session = labeler.post(f"labeling/queues/{queue.pk}/sessions").json()["session"]
    body = {"labeler": "labeler", "reason": "Read the instructions again."}
    assert reviewer.post(f"labeling/queues/{queue.pk}/pause", body).status_code == 204
    answer = labeler.post(f"labeling/sessions/{session}/next")
    assert (answer.status_code, answer.json()["code"]) == (403, "labeler_paused")
    assert "Read the instructions again." in answer.json()["message"]
    assert reviewer.post(f"labeling/queues/{queue.pk}/go-on", {"labeler": "labeler"}).status_code == 204
    assert labeler.post(f"labeling/sessions/{session}/next").status_code == 200


# --- webhooks ---------------------------------------------------------------------------------------------------------
def test_webhooks__over_the_api__show_the_secret_once(api_of: Any, queue: LabelingQueue) -> None:
    manager = api_of("administrator")
    body = {"name": "trainer", "url": "https://python.org/hook", "events": ["label.submitted"]}
    made = manager.post("labeling/webhooks", {**body, "dataset": "texts"})
    assert made.status_code == 201, made.content
    secret, key = made.json()["secret"], made.json()["id"]
    assert secret.startswith("whsec_")
    for shown in (manager.get("labeling/webhooks"), manager.get(f"labeling/webhooks/{key}")):
        assert secret not in shown.content.decode()
    assert manager.patch(f"labeling/webhooks/{key}", {"is_active": False}).json()["is_active"] is False
    assert manager.post(f"labeling/webhooks/{key}/rotate").json()["secret"] != secret
    inside = manager.post("labeling/webhooks", {**body, "name": "inside", "url": "http://127.0.0.1/"})
    assert (inside.status_code, inside.json()["code"]) == (400, "webhook_address_refused")
    assert manager.post("labeling/webhooks", {**body, "events": ["x"], "name": "y"}).status_code == 400
    assert manager.get(f"labeling/webhooks/{key}/deliveries").json()["results"] == []
    assert manager.delete(f"labeling/webhooks/{key}").status_code == 204
    assert manager.get(f"labeling/webhooks/{key}").json()["code"] == "unknown_webhook"


def test_webhooks__test_and_resend__answer_what_became_of_it(
    api_of: Any, queue: LabelingQueue, receiver: Any
) -> None:
    manager = api_of("administrator")
    body = {"name": "trainer", "url": receiver.url, "events": ["label.submitted"]}
    key = manager.post("labeling/webhooks", body).json()["id"]
    receiver.statuses = [503]
    sent = manager.post(f"labeling/webhooks/{key}/test").json()
    assert (sent["state"], sent["response_status"], sent["attempts"]) == ("waiting", 503, 1)
    again = manager.post(f"labeling/webhooks/{key}/deliveries/{sent['id']}/resend").json()
    assert (again["state"], again["id"]) == ("delivered", sent["id"])
    (listed,) = manager.get(f"labeling/webhooks/{key}/deliveries").json()["results"]
    assert (listed["id"], listed["event"]) == (sent["id"], "webhook.test")
