"""The pages of queues in a browser: from the first start to the first label, making and running a queue, and how each looks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from datasets_app.models import Example
from datasets_app.services.demo import load_demo
from goldenproject.kit.clock import frozen, now
from labeling_app.models import GoldAnswer, Label, LabelerStanding, LabelingQueue, QueueItem
from labeling_app.services.demo_labels import load_demo_labels
from labeling_app.services.gold import pause_labeler
from labeling_app.services.leasing import next_examples
from labeling_app.services.queues import progress_of
from labeling_app.services.sessions import start_session
from labeling_app.services.submitting import submit_label
from tests.browser.conftest import Visitor, make_person
from tests.browser.labeling_scene import WAITING_IS_0

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def demo(live_site: str) -> LabelingQueue:
    """The demo queue, in which a labeler has worked in two weeks and another one is paused."""
    people = {name: make_person(name, role) for name, role in ROLES.items()}
    load_demo(actor=None, count=110)
    queue = load_demo_labels(actor=None)
    assert queue is not None
    truth = dict(Example.objects.filter(branch=queue.branch).values_list("identity_id", "expected_output"))
    for week in (1, 0):
        moment = now() - timedelta(days=7 * week, minutes=20)
        with frozen(moment):
            session = start_session(labeler=people["labeler"], queue=queue)
        for number in range(9):
            with frozen(moment + timedelta(seconds=8 * number)):
                (task,) = next_examples(session=session)
                value = truth[task.shown.example] if number % 4 else {"label": "billing"}
                submit_label(lease_id=task.lease, labeler=people["labeler"], value=value)
    pause_labeler(
        queue=queue, labeler=people["second-labeler"], actor=None, reason="Please read the instructions."
    )
    progress_of(queue, fresh=True)
    return queue


ROLES = {
    "owner": "superuser",
    "curator": "curator",
    "reviewer": "reviewer",
    "labeler": "labeler",
    "second-labeler": "labeler",
}


def pages(queue: LabelingQueue) -> dict[str, str]:
    here = f"/admin/label/{queue.pk}"
    gold = GoldAnswer.objects.filter(queue=queue).select_related("item")[0]
    return {
        "label": "/admin/label/",
        "queues": "/admin/label/queues/",
        "new": f"/admin/label/new/?dataset={queue.dataset_id}",
        "overview": f"{here}/overview/",
        "overview-filtered": f"{here}/overview/?state=adopted&q=question",
        "settings": f"{here}/settings/",
        "gold": f"{here}/gold/",
        "gold-answer": f"{here}/gold/?example={gold.item.example_id}",
        "labelers": f"{here}/labelers/",
        "of-dataset": f"/admin/datasets_app/dataset/{queue.dataset_id}/labeling/",
        "home": "/admin/",
        "history": "/admin/labeling_app/labelhistory/",
        "sessions": "/admin/labeling_app/labelingsession/",
        "help": "/admin/help/labeling/",
    }


@pytest.mark.parametrize(
    ("dark", "size"),
    [(False, (1280, 800)), (True, (1280, 800)), (False, (820, 1180))],
    ids=["light", "dark", "tablet"],
)
def test_labeling_pages__each__fits_the_window(
    visitor: Callable[..., Visitor], demo: LabelingQueue, dark: bool, size: tuple[int, int]
) -> None:
    one = visitor(f"labeling-pages-{'dark' if dark else size[0]}", dark=dark)
    one.page.set_viewport_size({"width": size[0], "height": size[1]})
    one.sign_in("owner")
    one.walk(pages(demo))


def test_newcomer__after_the_first_start__labels_with_three_clicks_and_two_keys(
    visitor: Callable[..., Visitor], demo: LabelingQueue
) -> None:
    one = visitor("labeling-first-label")
    one.sign_in("owner")
    one.page.get_by_role("link", name="Label", exact=True).first.click()
    one.shot("home-of-labeling")
    card = one.page.locator(".lb-card", has_text="Label the rest")
    card.get_by_role("link", name="Start labeling").click()
    expect(one.page.locator("#lc-answer").get_by_text("billing").first).to_be_visible()
    one.shot("console")
    one.page.keyboard.press("1")
    one.page.keyboard.press("Enter")
    expect(one.page.get_by_text("Saved: billing")).to_be_visible()
    one.page.wait_for_function(WAITING_IS_0)
    assert Label.objects.filter(queue=demo, annotator="owner").count() == 1


def pause(queue: LabelingQueue) -> None:
    labeler = User.objects.get(username="second-labeler")
    pause_labeler(queue=queue, labeler=labeler, actor=None, reason="Please read the instructions.")


def test_labeler__who_is_paused__reads_why(visitor: Callable[..., Visitor], demo: LabelingQueue) -> None:
    pause(demo)
    one = visitor("labeling-paused")
    one.sign_in("second-labeler")
    one.shot("home")
    one.page.get_by_role("link", name="Label", exact=True).last.click()
    expect(one.page.get_by_text("You are paused here. Please read the instructions.")).to_be_visible()
    one.shot("paused")
    one.go(f"/admin/label/{demo.pk}/labelers/")
    one.shot("own-figures")


def test_reviewer__lets_a_paused_labeler_go_on(visitor: Callable[..., Visitor], demo: LabelingQueue) -> None:
    pause(demo)
    one = visitor("labeling-go-on")
    one.sign_in("reviewer")
    one.go(f"/admin/label/{demo.pk}/labelers/")
    one.shot("paused")
    row = one.page.locator("tbody tr", has=one.page.get_by_text("labeler", exact=True)).first
    row.get_by_text("Pause…").click()
    row.get_by_label("Why (the labeler reads it)").fill("Let us talk first.")
    one.shot("why")
    one.page.get_by_role("button", name="Let go on").last.click()
    expect(one.page.get_by_text("may go on; the checks so far do not count any more.")).to_be_visible()
    assert not LabelerStanding.objects.exclude(paused_at=None).exists()


def test_curator__makes_a_queue__sees_how_many_match_and_how_instructions_look(
    visitor: Callable[..., Visitor], demo: LabelingQueue
) -> None:
    one = visitor("labeling-new-queue")
    one.sign_in("curator")
    one.go(f"/admin/datasets_app/dataset/{demo.dataset_id}/labeling/")
    one.page.get_by_role("link", name="New queue").click()
    one.page.get_by_label("Name").fill("Only what waits")
    expect(one.page.locator("#lb-matching")).to_have_text("110 examples match")
    one.page.get_by_label("Validated", exact=True).check()
    expect(one.page.locator("#lb-matching")).to_have_text("60 examples match")
    one.page.get_by_label("Text", exact=True).fill("no message holds this")
    expect(one.page.locator("#lb-matching")).to_have_text("0 examples match")
    one.page.get_by_label("Text", exact=True).fill("")
    one.page.get_by_label("Instructions").fill("Take **one** topic.")
    expect(one.page.locator("#lb-preview strong")).to_have_text("one")
    one.page.get_by_text("By a priority field").click()
    one.shot("filled", whole=True)
    one.page.get_by_role("button", name="Make the queue").click()
    expect(one.page.get_by_text("Say where in an example its priority is")).to_be_visible()
    one.shot("refused")
    expect(one.page.get_by_label("Instructions")).to_have_value("Take **one** topic.")
    one.page.get_by_text("Random", exact=True).click()
    one.page.get_by_role("button", name="Make the queue").click()
    one.page.wait_for_url("**/overview/")
    expect(one.page.get_by_text("Queue “Only what waits” has been made.")).to_be_visible()
    one.shot("made")
    made = LabelingQueue.objects.get(name="Only what waits")
    assert (made.order, made.filters, made.items.count()) == ("random", {"status": ["validated"]}, 60)
    _give_two_to_a_labeler(one, made)


def _give_two_to_a_labeler(one: Visitor, queue: LabelingQueue) -> None:
    boxes = one.page.locator("[data-select]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    expect(one.page.get_by_text("2 selected")).to_be_visible()
    labeler = User.objects.get(username="labeler")
    one.page.get_by_label("Give them to").select_option(f"user:{labeler.pk}")
    one.page.get_by_role("button", name="Give to").click()
    expect(one.page.get_by_text("2 examples given to labeler.")).to_be_visible()
    one.shot("given")
    assert QueueItem.objects.filter(queue=queue, assignee__username="labeler").count() == 2


def test_reviewer__chooses_gold__and_corrects_an_answer(
    visitor: Callable[..., Visitor], demo: LabelingQueue
) -> None:
    before = GoldAnswer.objects.filter(queue=demo).count()
    one = visitor("labeling-gold")
    one.sign_in("reviewer")
    one.go(f"/admin/label/{demo.pk}/gold/")
    table: Any = one.page.locator("form[data-selectable]").last
    table.locator("[data-select]").first.check()
    one.page.get_by_role("button", name="Make hidden checks").click()
    expect(one.page.get_by_text("1 example is a hidden check now.")).to_be_visible()
    assert GoldAnswer.objects.filter(queue=demo).count() == before + 1
    one.page.get_by_role("link", name="Correct").first.click()
    one.page.get_by_label("technical").check()
    one.shot("correct")
    one.page.get_by_role("button", name="Save the answer").click()
    expect(one.page.get_by_text("the right answer is “technical”.")).to_be_visible()
