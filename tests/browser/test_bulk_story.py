"""A reviewer finds like examples, labels them at once, and takes the batch back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from datasets_app.models import Example, JobRun
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from datasets_app.services.jobs import run_job
from labeling_app.models import BulkLabeling, Label, LabelHistory, LabelingQueue, Review
from labeling_app.services.bulk import label_in_bulk
from labeling_app.services.label_errors import find_label_errors
from labeling_app.services.queues import QueueOptions, create_queue
from labeling_app.services.reordering import reorder_queue
from tests.browser.conftest import Visitor, make_person

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_SAYINGS = {
    "lost_card": (
        "I lost my card {}",
        "My card was stolen {}",
        "I cannot find my bank card {}",
        "Somebody took my card {}",
    ),
    "exchange_rate": (
        "What exchange rate do I get {}?",
        "The currency exchange rate looks wrong {}",
        "How is the exchange rate worked out {}?",
        "Which rate applies when I change dollars {}?",
    ),
    "change_pin": (
        "How do I change my PIN {}?",
        "I want to set a new PIN {}",
        "Where can I choose another PIN {}?",
        "I forgot my PIN and need a new one {}",
    ),
}
_WHERE = ("abroad", "since Monday", "at the airport", "on holiday", "today")


def make_queue(name: str, **options: Any) -> LabelingQueue:
    """Make a queue of 60 questions of three kinds, one kind after the other in turn."""
    dataset = create_dataset(name=name, actor=None, default_type=get_type("text_classification"))
    rows = [
        {"id": f"{kind}-{n * len(_WHERE) + m}", "input": {"text": saying[n].format(where)}}
        for n in range(4)
        for m, where in enumerate(_WHERE)
        for kind, saying in _SAYINGS.items()
    ]
    bulk_upsert(branch=dataset.main, documents=rows, actor=None)
    made = QueueOptions(**{"choices": list(_SAYINGS), **options})
    return create_queue(dataset=dataset, name=f"{name} intents", actor=None, options=made)


def run_waiting_jobs() -> None:
    for job in JobRun.objects.filter(state=JobRun.State.QUEUED).order_by("created_at"):
        run_job(job_id=job.pk)


def ticked(page: Page) -> list[str]:
    rows = page.locator(".lk-row:has(.lk-tick:checked) .lk-id")
    return rows.all_inner_texts()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_bulk__like_one__is_labeled_at_once_and_taken_back(
    visitor: Callable[..., Visitor], dark: bool
) -> None:
    shade = "dark" if dark else "light"
    queue = make_queue(f"bank-{shade}")
    make_person(f"reviewer-{shade}", "reviewer")
    one = visitor(f"bulk-{shade}", dark=dark)
    page = one.page
    one.sign_in(f"reviewer-{shade}")
    one.go(f"/admin/label/{queue.pk}/bulk/")
    expect(page.locator(".lk-row")).to_have_count(60)
    expect(page.get_by_label("Like this text")).to_be_disabled()
    one.shot("without-vectors")

    # vectors are made by a job
    page.get_by_role("button", name="Make vectors").click()
    expect(page.get_by_text("The vectors are being made.")).to_be_visible()
    run_waiting_jobs()
    page.reload()
    expect(page.get_by_text("All 60 examples can be compared")).to_be_visible()

    # like one of them
    page.locator(".lk-row").first.get_by_role("link", name="Like this").click()
    expect(page.locator(".lk-like")).to_contain_text("lost_card-0")
    page.get_by_label("At least").fill("0.5")
    chosen = ticked(page)
    assert len(chosen) >= 8 and sum(name.startswith("lost_card") for name in chosen) >= 0.8 * len(chosen)
    # what is ticked by mistake is unticked, by keyboard
    for name in [name for name in chosen if not name.startswith("lost_card")]:
        page.locator(f".lk-row:has-text('{name}') .lk-tick").focus()
        page.keyboard.press("Space")
    wanted = ticked(page)
    page.get_by_role("radio", name="lost_card").click()
    page.evaluate("window.scrollTo(0, 0)")
    one.shot("like-one")
    page.get_by_role("button", name=f"Label {len(wanted)} examples").click()
    expect(page.locator("#lk-done")).to_contain_text(f"{len(wanted)} examples labeled.")
    expect(page.locator(f".lk-row:has-text('{wanted[0]}')")).to_have_count(0)
    one.shot("labeled")
    labels = Label.objects.filter(queue=queue)
    assert sorted(str(label.example) for label in labels) == sorted(wanted)
    rows = Example.objects.filter(branch=queue.branch, identity__in=labels.values("example"))
    assert {row.expected_output["label"] for row in rows} == {"lost_card"}
    bulk = BulkLabeling.objects.get(queue=queue)
    assert bulk.rule["at_least"] == 0.5 and bulk.rule["similar_to"]

    # and back
    page.locator("#lk-done").get_by_role("button", name="Undo").click()
    expect(page.locator("#lk-done")).to_contain_text(f"{len(wanted)} labels taken back.")
    expect(page.locator(f".lk-row:has-text('{wanted[0]}')")).to_have_count(1)
    assert not Label.objects.filter(queue=queue).exists()
    assert not Example.objects.filter(branch=queue.branch).exclude(expected_output=None).exists()
    assert LabelHistory.objects.filter(queue=queue, event="bulk_undone").count() == len(wanted)
    assert sorted(ticked(page)) == sorted(wanted)  # to be labeled otherwise
    expect(page.locator(".lk-undone")).to_have_count(1)
    one.shot("undone", whole=True)
    assert one.overflow() <= 0


def test_bulk__filter_and_keys__label_all_that_match(visitor: Callable[..., Visitor]) -> None:
    queue = make_queue("bank-filter")
    make_person("reviewer", "reviewer")
    one = visitor("bulk-filter")
    page = one.page
    one.sign_in("reviewer")
    one.go(f"/admin/label/{queue.pk}/bulk/?limit=50")
    page.keyboard.press("/")
    page.keyboard.type("pin")
    page.keyboard.press("Enter")
    expect(page.locator("#lk-count")).to_have_text("0 of 20 ticked")
    # j, space and a tick; a answer by its key; Ctrl+Enter labels; u takes back
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Space")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Shift+Space")
    expect(page.locator("#lk-count")).to_have_text("3 of 20 ticked")
    page.keyboard.press("3")
    expect(page.get_by_role("radio", name="change_pin")).to_be_checked()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Label what is ticked")
    one.shot("keys")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#lk-done")).to_contain_text("3 examples labeled.")
    page.keyboard.press("u")
    expect(page.locator("#lk-done")).to_contain_text("3 labels taken back.")
    page.keyboard.press("a")
    expect(page.locator("#lk-count")).to_have_text("20 of 20 ticked")
    page.keyboard.press("a")

    # nothing is sent without an answer, and everything that matches can be taken, shown or not
    one.go(f"/admin/label/{queue.pk}/bulk/?limit=50")
    page.get_by_label("all 60 that match, not only these 50").check()
    page.get_by_role("button", name="Label all 60").click()
    expect(page.locator(".lc-problem:visible")).to_have_text("Pick one.")
    assert not Label.objects.filter(queue=queue).exists()
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#lk-done")).to_contain_text("60 examples labeled.")
    expect(page.get_by_text("Nothing is left to label")).to_be_visible()
    one.shot("all-labeled")


def test_bulk__learned_queue__shows_suggestions_and_puts_errors_to_review(
    visitor: Callable[..., Visitor],
) -> None:
    queue = make_queue("bank-learned", order="least_confident")
    curator = make_person("curator", "curator")
    run_waiting_jobs()
    mistaken = set()
    for kind in _SAYINGS:
        known = Example.objects.filter(branch=queue.branch, identity__external_id__startswith=kind)
        ids = list(known.order_by("ordinal").values_list("identity", flat=True)[:12])
        label_in_bulk(queue=queue, example_ids=ids[:11], value={"label": kind}, actor=curator)
        wrong = "change_pin" if kind != "change_pin" else "lost_card"
        label_in_bulk(queue=queue, example_ids=ids[11:], value={"label": wrong}, actor=curator)
        mistaken.update(ids[11:])
    assert reorder_queue(queue=queue).used == "least_confident"
    one = visitor("bulk-learned")
    page = one.page
    one.sign_in("curator")
    one.go(f"/admin/label/{queue.pk}/bulk/")
    expect(page.locator(".lk-suggested").first).to_be_visible()
    one.shot("suggested")
    page.get_by_label("Suggested").fill("exchange_rate")
    page.get_by_role("button", name="Find").click()
    names = page.locator(".lk-id").all_inner_texts()
    assert names and all(name.startswith("exchange_rate") for name in names)
    page.get_by_role("button", name="Look for errors").click()
    run_waiting_jobs()
    page.reload()
    expect(page.get_by_role("link", name="new for review")).to_be_visible()
    found = Review.objects.filter(queue=queue, reason="label_error")
    assert mistaken <= set(found.values_list("item__example", flat=True))
    assert find_label_errors(queue=queue, actor=None).opened == 0
    page.set_viewport_size({"width": 820, "height": 1180})
    one.go(
        f"/admin/label/{queue.pk}/bulk/?like={Example.objects.filter(branch=queue.branch).first().identity_id}&all=1"
    )
    page.get_by_label("At least").fill("0.3")
    one.shot("tablet")
    assert one.overflow() <= 0
