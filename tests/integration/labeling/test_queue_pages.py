"""The pages of queues: what each shows and does, to whom."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from datasets_app.admin.jobs import job_address
from datasets_app.models import Dataset, Example
from datasets_app.services.curation.examples import update_example
from datasets_app.services.jobs import kind_of
from labeling_app.models import GoldAnswer, LabelerStanding, LabelingQueue, QueueItem
from labeling_app.services import overlap
from labeling_app.services.assigning import set_members
from labeling_app.services.gold import pause_labeler
from labeling_app.services.overlap import unfinished_overlap_job
from labeling_app.services.queue_progress import forget_progress
from labeling_app.services.queues import create_queue, progress_of, set_queue_state
from tests.integration.labeling.labeling_data import answer, item_of
from tests.integration.labeling.queue_pages import queue
from tests.integration.labeling.test_gold import gold

__all__ = ["queue"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("page", ["overview", "settings", "gold", "labelers"])
def test_get__of_a_queue_that_is_not_there__is_told(client_of: Callable[..., Client], page: str) -> None:
    found = client_of("curator").get(f"/admin/label/00000000-0000-4000-8000-000000000000/{page}/")
    assert (found.status_code, "There is no labeling queue of this name." in found.content.decode()) == (
        404,
        True,
    )


# --- home -----------------------------------------------------------------------------------------------------------
def test_home__of_a_labeler__shows_the_own_queues(
    client_of: Callable[..., Client], queue: LabelingQueue, person: Callable[..., Any]
) -> None:
    other = create_queue(dataset=queue.dataset, name="for others", actor=None)
    set_members(queue=other, users=[person("labeler", "second-labeler")], actor=None)
    answer(queue, person("labeler", "a-labeler"))
    shown = client_of("labeler").get("/admin/label/").content.decode()
    assert f"/admin/label/{queue.pk}/" in shown
    assert ("1 by you today" in shown, "for others" in shown, "Overview" in shown) == (True, False, False)


def test_home__paused_in_a_queue__tells_why_and_offers_no_start(
    client_of: Callable[..., Client], queue: LabelingQueue, person: Callable[..., Any]
) -> None:
    pause_labeler(
        queue=queue, labeler=person("labeler", "a-labeler"), actor=None, reason="Read the <b>rules</b>."
    )
    shown = client_of("labeler").get("/admin/label/").content.decode()
    assert "You are paused here. Read the &lt;b&gt;rules&lt;/b&gt;." in shown
    assert "Start labeling" not in shown


def test_home__no_queue_yet__starts_one_with_a_click(
    client_of: Callable[..., Client], dataset: Dataset
) -> None:
    client = client_of("curator")
    assert "Label 10 examples" in client.get("/admin/label/").content.decode()
    found = client.post("/admin/label/", {"do": "start", "dataset": dataset.pk})
    queue = LabelingQueue.objects.get()
    assert (found.status_code, found["Location"]) == (302, f"/admin/label/{queue.pk}/")
    assert progress_of(queue).open == 10


def test_home__started_with_a_click__offers_the_answers_that_are_there(
    client_of: Callable[..., Client], dataset: Dataset
) -> None:
    for name, label in (("t1", "spam"), ("t2", "ham")):
        row = Example.objects.get(branch=dataset.main, identity__external_id=name)
        update_example(example=row, actor=None, expected_output={"label": label})
    client_of("curator").post("/admin/label/", {"do": "start", "dataset": dataset.pk})
    assert LabelingQueue.objects.get().choices == ["ham", "spam"]


def test_home__no_queue_and_no_right_to_make_one__says_whom_to_ask(
    client_of: Callable[..., Client], dataset: Dataset
) -> None:
    client = client_of("labeler")
    assert "A curator makes queues and gives them to you." in client.get("/admin/label/").content.decode()
    assert client.post("/admin/label/", {"do": "start", "dataset": dataset.pk}).status_code == 403
    assert not LabelingQueue.objects.exists()


def test_home__many_queues__asks_the_database_as_often_as_for_one(
    client_of: Callable[..., Client], queue: LabelingQueue
) -> None:
    client = client_of("reviewer")
    queues = [queue]
    counts = []
    for wanted in (1, 5, 20):
        for number in range(len(queues), wanted):
            queues.append(create_queue(dataset=queue.dataset, name=f"more {number}", actor=None))
        for one in queues:
            forget_progress(one)  # nothing is kept: the most that the page ever asks
        with CaptureQueriesContext(connection) as queries:
            page = client.get("/admin/label/").content.decode()
        assert page.count('<progress class="gd-bar"') == wanted
        counts.append(len(queries))
    assert counts[0] == counts[1] == counts[2]


def test_dataset_page__of_a_dataset_without_queues__offers_one(
    client_of: Callable[..., Client], dataset: Dataset
) -> None:
    client = client_of("curator")
    address = f"/admin/datasets_app/dataset/{dataset.pk}/labeling/"
    assert "Label all examples now" in client.get(address).content.decode()
    client.post(address, {"do": "start", "dataset": dataset.pk})
    assert "Start labeling" in client.get(address).content.decode()


# --- making and changing ------------------------------------------------------------------------------------------
def form(**fields: Any) -> dict[str, Any]:
    return {
        "name": "urgent ones",
        "field_path": "",
        "choices": "a\n\n b ",
        "overlap": "2",
        "order": "random",
        "seed": "7",
        "adopts": "consensus",
        "consensus_method": "majority",
        "threshold_percent": "66.7",
        "gold_percent": "5",
        "pause_percent": "80",
        "gold_pause_after": "12",
        "instructions": "Take **one**.",
        "lease_minutes": "7.5",
        "idle_minutes": "45",
        **fields,
    }


def test_new_queue__filled_in__is_made_as_it_was_typed(
    client_of: Callable[..., Client], dataset: Dataset, person: Callable[..., Any]
) -> None:
    labeler = person()
    typed = form(status=["pending"], tags="urgent, , new", text="question 1", users=[labeler.pk])
    found = client_of("curator").post(f"/admin/label/new/?dataset={dataset.pk}", typed)
    queue = LabelingQueue.objects.get()
    assert (found.status_code, found["Location"]) == (302, f"/admin/label/{queue.pk}/overview/")
    assert (queue.name, queue.choices, queue.overlap, queue.seed) == ("urgent ones", ["a", "b"], 2, 7)
    assert queue.filters == {"status": ["pending"], "tags": ["new", "urgent"], "text": "question 1"}
    shares = [str(queue.agreement_threshold), str(queue.gold_rate), str(queue.gold_pause_below)]
    assert shares == ["0.667", "0.050", "0.800"]
    assert (queue.lease_s, queue.idle_s, queue.gold_pause_after) == (450, 2700, 12)
    assert [member.user_id for member in queue.members.all()] == [labeler.pk]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": "topics"}, "has a queue “topics” already."),
        ({"overlap": "51"}, "Ensure this value is less than or equal to 50."),
        (
            {"order": "priority", "priority_field": ""},
            "Say where in an example its priority is, such as metadata.priority.",
        ),
        (
            {"order": "priority", "priority_field": "elsewhere"},
            "expected input., output., labels. or metadata.",
        ),
        ({"gold_percent": "51"}, "Ensure this value is less than or equal to 50."),
        ({"field_path": "nothing"}, "Select a valid choice."),
        ({"lease_minutes": "0.1"}, "Ensure this value is greater than or equal to 0.2."),
        ({"users": ["999999"]}, "Select a valid choice."),
    ],
)
def test_new_queue__something_wrong__is_told_at_its_field_and_what_was_typed_stays(
    client_of: Callable[..., Client], queue: LabelingQueue, typed: dict[str, Any], said: str
) -> None:
    found = client_of("curator").post(f"/admin/label/new/?dataset={queue.dataset_id}", form(**typed))
    shown = found.content.decode()
    assert (found.status_code, said in shown, "Take **one**." in shown) == (200, True, True)
    field = next(iter(reversed(typed)))
    assert re.search(rf'name="{field}"[^>]*aria-invalid="true"', shown) or field == "users"
    assert LabelingQueue.objects.count() == 1


def test_new_queue__of_a_dataset_without_the_right__is_refused(
    client_of: Callable[..., Client], dataset: Dataset, person: Callable[..., Any]
) -> None:
    from datasets_app.models import Membership
    from datasets_app.services.curation.datasets import create_dataset

    other = create_dataset(name="mine", actor=None)
    Membership.objects.create(dataset=other, user=person(None, "a-None"), role="curator")
    client = client_of(None)
    assert client.get("/admin/label/new/").status_code == 200
    assert client.post(f"/admin/label/new/?dataset={dataset.pk}", form()).status_code == 403
    assert not LabelingQueue.objects.exists()


def test_settings__changed__keeps_the_rest(client_of: Callable[..., Client], queue: LabelingQueue) -> None:
    client = client_of("curator")
    shown = client.get(f"/admin/label/{queue.pk}/settings/").content.decode()
    assert "This cannot change: labels were given for it." in shown
    found = client.post(
        f"/admin/label/{queue.pk}/settings/", form(name="renamed", overlap="3", pause_percent="")
    )
    assert (found.status_code, found["Location"]) == (302, f"/admin/label/{queue.pk}/overview/")
    queue.refresh_from_db()
    assert (queue.name, queue.overlap, queue.gold_pause_below) == ("renamed", 3, None)
    assert set(QueueItem.objects.values_list("open_slots", flat=True)) == {3}


def test_settings__overlap_of_a_big_queue__goes_on_at_the_job(
    client_of: Callable[..., Client], queue: LabelingQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "ITEMS_AT_ONCE", 5)
    client, page = client_of("curator"), f"/admin/label/{queue.pk}/settings/"
    found = client.post(page, form(overlap="3"))
    job = unfinished_overlap_job(queue)
    assert job is not None and found["Location"] == job_address(job)
    assert "Labelers each of a queue" in client.get(found["Location"]).content.decode()
    assert (
        "examples are being brought in line"
        in client.get(page.replace("settings", "overview")).content.decode()
    )
    kind_of(job.kind).work(job, lambda *told: None)
    again = client.post(page, form(overlap="3", instructions="Look twice."))
    assert again["Location"] == f"/admin/label/{queue.pk}/overview/"


def test_count__of_filters__follows_what_is_typed(
    client_of: Callable[..., Client], queue: LabelingQueue
) -> None:
    client = client_of("curator")
    base = f"/admin/label/count/?dataset={queue.dataset_id}&branch={queue.branch_id}&example_type=text_classification"
    assert "10</b> examples match" in client.get(base).content.decode()
    assert "2</b> examples match" in client.get(f"{base}&text=question+1").content.decode()
    assert "0</b> examples match" in client.get(f"{base}&status=validated").content.decode()
    assert "The filter status" in client.get(f"{base}&status=lost").content.decode()


def test_preview__of_instructions__shows_no_raw_html(client_of: Callable[..., Client]) -> None:
    typed = {"instructions": "**one** <script>alert(1)</script>"}
    shown = client_of("curator").post("/admin/label/preview/", typed).content.decode()
    assert ("<strong>one</strong>" in shown, "<script>" in shown) == (True, False)


# --- overview -----------------------------------------------------------------------------------------------------
def test_overview__filtered__shows_what_matches(
    client_of: Callable[..., Client], queue: LabelingQueue, labelers: list[Any]
) -> None:
    for labeler in labelers[:2]:
        answer(queue, labeler)
    client = client_of("reviewer")
    shown = client.get(f"/admin/label/{queue.pk}/overview/?state=adopted").content.decode()
    assert ("question 1<" in shown, "question 2<" in shown, "2 of 2" in shown) == (True, False, True)
    shown = client.get(f"/admin/label/{queue.pk}/overview/?q=question+10").content.decode()
    assert ("question 10<" in shown, "question 1<" in shown) == (True, False)
    assert 'value="refresh"' not in shown  # a reviewer looks, a curator runs it


def test_overview__buttons__run_the_queue(client_of: Callable[..., Client], queue: LabelingQueue) -> None:
    client = client_of("curator")
    address = f"/admin/label/{queue.pk}/overview/"
    for state in ("paused", "closed", "open"):
        assert client.post(address, {"do": state}).status_code == 302
        queue.refresh_from_db()
        assert queue.state == state
    found = client.post(address, {"do": "refresh"}, follow=True)
    assert "0 joined, 0 left, 0 came back." in found.content.decode()
    assert client.post(address, {"do": "nothing"}).status_code == 200
    assert client_of("reviewer").post(address, {"do": "closed"}).status_code == 403


def test_overview__examples_given_to_a_person__are_marked(
    client_of: Callable[..., Client], queue: LabelingQueue, labelers: list[Any]
) -> None:
    client = client_of("curator")
    chosen = item_of(queue, "t3")
    address = f"/admin/label/{queue.pk}/overview/"
    sent = {"do": "assign", "example": [chosen.example_id], "whom": f"user:{labelers[1].pk}"}
    assert "1 example given to second-labeler." in client.post(address, sent, follow=True).content.decode()
    chosen.refresh_from_db()
    assert chosen.assignee == labelers[1]
    shown = client.get(f"{address}?to=any").content.decode()
    assert ("question 3<" in shown, "→ second-labeler" in shown, "question 4<" in shown) == (
        True,
        True,
        False,
    )
    client.post(address, {**sent, "whom": "everybody"})
    chosen.refresh_from_db()
    assert chosen.assignee is None
    assert "Choose to whom" in client.post(address, {**sent, "whom": "user:0"}).content.decode()


def test_examples__chosen_in_the_list__are_given_to_a_labeler(
    client_of: Callable[..., Client], queue: LabelingQueue, labelers: list[Any]
) -> None:
    client = client_of("curator")
    base = f"/admin/datasets_app/dataset/{queue.dataset_id}/examples/"
    assert "Give to labelers…" in client.get(base).content.decode()
    sent: dict[str, Any] = {"action": "give", "query": "", "example": [item_of(queue, "t2").example_id]}
    asked = client.post(f"{base}bulk/", sent).content.decode()
    assert ("topics</option>" in asked, "second-labeler</option>" in asked) == (True, True)
    sent |= {"confirmed": "1", "queue": queue.pk, "whom": f"user:{labelers[1].pk}"}
    found = client.post(f"{base}bulk/", sent, follow=True)
    assert "1 example of the queue given." in found.content.decode()
    assert item_of(queue, "t2").assignee == labelers[1]
    assert (
        "Choose a queue of this branch."
        in client.post(f"{base}bulk/", {**sent, "queue": "x"}).content.decode()
    )
    assert client_of("reviewer").post(f"{base}bulk/", sent).status_code == 403
    set_queue_state(queue=queue, state="closed", actor=None)
    assert "Give to labelers…" not in client.get(base).content.decode()


# --- gold -----------------------------------------------------------------------------------------------------------
def test_gold_page__chosen_and_corrected_and_removed(
    client_of: Callable[..., Client], queue: LabelingQueue, dataset: Dataset
) -> None:
    client = client_of("reviewer")
    address = f"/admin/label/{queue.pk}/gold/"
    row = Example.objects.get(branch=dataset.main, identity__external_id="t1")
    update_example(example=row, actor=None, expected_output={"label": "a"})
    assert "question 1<" in client.get(f"{address}?status=").content.decode()
    client.post(address, {"do": "choose", "example": [row.identity_id]})
    assert GoldAnswer.objects.get().value == {"label": "a"}
    LabelingQueue.objects.update(choices=["a", "b"])
    assert "Correct the answer of" in client.get(f"{address}?example={row.identity_id}").content.decode()
    client.post(
        f"{address}?example={row.identity_id}", {"do": "answer", "class": "b", "explanation": "see rule 2"}
    )
    assert GoldAnswer.objects.values_list("value", "explanation").get() == ({"label": "b"}, "see rule 2")
    client.post(address, {"do": "remove", "gold": [row.identity_id]})
    assert not GoldAnswer.objects.exists()


def test_gold_page__answer_that_breaks_the_schema__is_told_and_kept(
    client_of: Callable[..., Client], queue: LabelingQueue
) -> None:
    key = item_of(queue, "t1").example_id
    found = client_of("reviewer").post(
        f"/admin/label/{queue.pk}/gold/?example={key}", {"do": "answer", "value": '{"label": 5}'}
    )
    shown = found.content.decode()
    assert (found.status_code, "$.output.label" in shown, "&quot;label&quot;: 5" in shown) == (
        200,
        True,
        True,
    )
    assert not GoldAnswer.objects.exists()


def test_gold_page__unanimous__are_counted_and_promoted(
    client_of: Callable[..., Client], queue: LabelingQueue, labelers: list[Any]
) -> None:
    for labeler in labelers[:2]:
        answer(queue, labeler)
    client = client_of("reviewer")
    assert "1 example<" in client.get(f"/admin/label/{queue.pk}/gold/").content.decode()
    client.post(f"/admin/label/{queue.pk}/gold/", {"do": "promote", "at_least": "2"})
    assert GoldAnswer.objects.get().origin == "promoted"


# --- labelers -------------------------------------------------------------------------------------------------------
def test_labelers_page__of_a_labeler__shows_nobody_else_and_no_checks(
    client_of: Callable[..., Client], queue: LabelingQueue, labelers: list[Any]
) -> None:
    LabelingQueue.objects.filter(pk=queue.pk).update(gold_rate="0.5")
    queue.refresh_from_db()
    gold(queue, "t1", "t2", "t3")
    for labeler in labelers[:2]:
        for _ in range(6):
            answer(queue, labeler)
    shown = client_of("labeler", name="labeler").get(f"/admin/label/{queue.pk}/labelers/").content.decode()
    assert ("second-labeler" in shown, "Checks right" in shown) == (False, False)
    assert re.search(r"<b>—</b><span>right, where it is known", shown)
    shown = client_of("reviewer").get(f"/admin/label/{queue.pk}/labelers/").content.decode()
    assert ("second-labeler" in shown, "Checks right" in shown) == (True, True)


def test_labelers_page__pause_and_go_on(
    client_of: Callable[..., Client], queue: LabelingQueue, labelers: list[Any]
) -> None:
    answer(queue, labelers[0])
    client, address, key = client_of("reviewer"), f"/admin/label/{queue.pk}/labelers/", labelers[0].pk
    assert "Say why" in client.post(address, {"do": f"pause:{key}"}).content.decode()
    client.post(address, {"do": f"pause:{key}", f"reason-{key}": "Let us talk first."})
    assert LabelerStanding.objects.get().pause_reason == "Let us talk first."
    assert "Let us talk first." in client.get(address).content.decode()
    client.post(address, {"do": f"go_on:{key}"})
    assert LabelerStanding.objects.get().paused_at is None
    assert client_of("labeler", name="labeler").post(address, {"do": f"go_on:{key}"}).status_code == 403
    assert client.post(address, {"do": "pause:x"}).status_code == 404


# --- ledgers --------------------------------------------------------------------------------------------------------
def test_label_history__searched__finds_labeler_and_example(
    client_of: Callable[..., Client], queue: LabelingQueue, labelers: list[Any]
) -> None:
    answer(queue, labelers[0], "first")
    answer(queue, labelers[1], "other")
    client, address = client_of("reviewer"), "/admin/labeling_app/labelhistory/"
    for query, found in (
        ("", 2),
        ("?q=labeler", 1),
        ("?q=t1", 2),
        ("?q=nobody", 0),
        ("?event__exact=undone", 0),
    ):
        shown = client.get(address + query).content.decode()
        assert shown.count("submitted</span>") + shown.count("Submitted</span>") == found, query
    assert client.post(f"{address}1/change/", {"annotator": "x"}).status_code in (302, 403)


def test_queue_list__closed_ones__are_there_too(
    client_of: Callable[..., Client], queue: LabelingQueue
) -> None:
    set_queue_state(queue=queue, state="closed", actor=None)
    client = client_of("reviewer")
    assert "topics" in client.get("/admin/label/queues/?state=closed&q=top").content.decode()
    assert "No queue matches" in client.get("/admin/label/queues/?state=open").content.decode()
