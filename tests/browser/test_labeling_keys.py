"""Keys are shown and chosen; suggestions are accepted by one; other roles and sizes of the window."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from datasets_app.models import Example, ExampleType
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import save_type
from labeling_app.models import KeyMap, Label, QueueItem, Suggestion
from labeling_app.services.queues import QueueOptions, create_queue
from tests.browser.conftest import Visitor
from tests.browser.labeling_scene import (
    INSTRUCTIONS,
    MESSAGE,
    Labeling,
    bank_queue,
    made,
    stored,
    ticket_queue,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_keys__shown_and_chosen__clashes_are_refused(visitor: Callable[..., Visitor]) -> None:
    labeler = made("labeler", "labeler")
    queue = ticket_queue("keyed")
    one = visitor("labeling-keys")
    one.sign_in("labeler")
    console = Labeling(one, queue)
    page = console.open()
    console.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_contain_text("Skip, with a reason")
    one.shot("keys")
    for _ in range(6):  # the focus stays in the dialog
        console.press("Tab")
        assert page.evaluate("!document.activeElement.closest('main')")
    dialog.get_by_role("link", name="Choose other keys").click()

    # a clash is told before it is saved, and is not
    page.get_by_role("button", name="Choose a key: Skip").click()
    console.press("u")
    expect(page.get_by_text("“Undo the last answer” has this key.")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    one.shot("clash")
    assert not KeyMap.objects.exists()
    page.get_by_role("button", name="Choose a key: Skip").click()
    console.press("w")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your keys are saved.")).to_be_visible()
    one.shot("saved")
    assert KeyMap.objects.get(user=labeler).keys == {"skip": "w"}

    console.open()
    console.press("w")
    expect(page.get_by_role("dialog", name="Why do you skip it?")).to_be_visible()
    console.press("Escape", "k")
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("dark", [False, True])
def test_suggestion__accepted_by_one_key__is_stored_as_accepted(
    visitor: Callable[..., Visitor], dark: bool
) -> None:
    labeler = made(f"labeler-{dark}", "labeler")
    queue = ticket_queue(f"suggested-{dark}", instructions=INSTRUCTIONS)
    value = {"priority": "high", "refund": True, "topics": ["billing"]}
    for item in QueueItem.objects.filter(queue=queue):
        Suggestion.objects.create(item=item, source="rules-v2", value=value, confidence=0.92)
    one = visitor(f"labeling-suggested-{'dark' if dark else 'light'}", dark=dark)
    one.sign_in(labeler.username)
    console = Labeling(one, queue)
    page = console.open()
    first = console.shown
    expect(page.locator("#lc-suggestions")).to_contain_text("Suggested by rules-v2")
    one.shot("suggested")
    console.press("a")
    expect(page.locator("#lc-name")).not_to_have_text(first)
    second = console.shown
    page.get_by_role("button", name="Edit first").click()
    page.get_by_role("radio", name="low").click()
    one.shot("edited")
    console.press("Enter")
    expect(page.locator("#lc-name")).not_to_have_text(second)
    console.wait_sent()
    assert stored(queue, labeler) == {first: value, second: {**value, "priority": "low"}}
    sources = Label.objects.filter(queue=queue).order_by("labeled_at").values_list("source", flat=True)
    assert list(sources) == ["accepted", "human"]
    console.press("?")
    one.shot("keys")
    console.press("Escape")


def test_validation__shows_the_answer_that_is_there(visitor: Callable[..., Visitor]) -> None:
    labeler = made("reviewer", "reviewer")
    queue = ticket_queue("validated", count=2)
    answer = {"priority": "normal", "refund": False}
    Example.objects.filter(branch=queue.branch).update(expected_output=answer)
    one = visitor("labeling-validation")
    one.sign_in("reviewer")
    console = Labeling(one, queue)
    page = console.open("?type=validation")
    first = console.shown
    expect(page.get_by_text("Validation: the answer that is there is filled in.")).to_be_visible()
    expect(page.get_by_role("radio", name="normal")).to_be_checked()
    one.shot("validation")
    console.press("Enter")
    expect(page.locator("#lc-name")).not_to_have_text(first)
    console.wait_sent()
    assert stored(queue, labeler) == {first: answer}


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (768, 1024)])
def test_tablet__nothing_is_cut_off(visitor: Callable[..., Visitor], width: int, height: int) -> None:
    labeler = made(f"labeler-{width}", "labeler")
    queue = ticket_queue(f"tablet-{width}", instructions=INSTRUCTIONS)
    bank, _ = bank_queue(f"tablet-bank-{width}", 5)
    one = visitor(f"labeling-tablet-{width}")
    one.page.set_viewport_size({"width": width, "height": height})
    one.sign_in(labeler.username)
    console = Labeling(one, queue)
    page = console.open()
    one.shot("instructions")
    console.press("i")
    one.shot("ticket")
    assert one.overflow() <= 0
    for name in ("Submit", "Skip", "Flag", "Undo"):
        expect(page.locator(".lc-actions").get_by_role("button", name=name)).to_be_in_viewport()
    console = Labeling(one, bank)
    console.open()
    console.press("Alt+i")
    one.shot("many-classes")
    assert one.overflow() <= 0


def test_console__says_nothing_about_content_in_address_or_log(visitor: Callable[..., Visitor]) -> None:
    made("labeler", "labeler")
    queue = ticket_queue("secrets")
    one = visitor("labeling-quiet")
    one.sign_in("labeler")
    seen: list[str] = []
    one.page.on("request", lambda request: seen.append(request.url))
    one.page.on("console", lambda message: seen.append(message.text))
    one.page.on("framenavigated", lambda frame: seen.append(frame.url))
    console = Labeling(one, queue)
    page = console.open()
    console.press("3", "y", "m")
    page.keyboard.type("a note that nobody else reads")
    console.press("Control+Enter")
    console.wait_sent()
    console.press("r")
    expect(page.get_by_role("dialog")).to_contain_text("high")
    told = "\n".join(seen)
    assert not [word for word in ("high", "note", "ticket-1", "Charged") if word in told]


CONVERSATION = {
    "title": "Parcel that does not arrive",
    "turns": [
        {"speaker": "customer", "said": "Where is my parcel? It was due on Tuesday."},
        {"speaker": "agent", "said": f"Let me look. {MESSAGE}", "seconds": 41},
        {"speaker": "customer", "said": "Thank you."},
    ],
    "article": "A paragraph that is as long as those that people read. " * 60,
    "query": "SELECT id\n  FROM parcels\n WHERE due < now() (\n  arrived IS NULL\n);\n",
    "facts": {
        "weights": [{"item": "A", "grams": 1200}, {"item": "B", "grams": 80}],
        "route": {"from": {"city": "Bremen", "country": "DE"}, "to": {"city": "Graz", "country": "AT"}},
        "events": [{"at": "08:00", "where": {"hall": n, "shelf": None}} for n in range(3)],
        "insured": False,
        "note": None,
    },
    "score": 0.000123,
}


@pytest.mark.parametrize("dark", [False, True])
def test_example__nested_and_long__is_drawn_to_be_read(visitor: Callable[..., Visitor], dark: bool) -> None:
    labeler = made("labeler", "labeler")
    example_type = ExampleType.objects.filter(name="conversation").first() or save_type(
        example_type=ExampleType(
            name="conversation",
            title="Conversation",
            input_schema={"type": "object"},
            output_schema={
                "type": "object",
                "properties": {"solved": {"type": "boolean"}},
                "required": ["solved"],
            },
            presentation={"shown_as": {"article": "text"}, "keys": {"solved": {"yes": "s"}}},
        ),
        actor=None,
    )
    dataset = create_dataset(name=f"talks-{dark}", actor=None, default_type=example_type)
    bulk_upsert(branch=dataset.main, documents=[{"id": "talk", "input": CONVERSATION}], actor=None)
    queue = create_queue(dataset=dataset, name=f"talks-{dark}", actor=None, options=QueueOptions())
    one = visitor(f"labeling-nested-{'dark' if dark else 'light'}", dark=dark)
    one.sign_in("labeler")
    console = Labeling(one, queue)
    page = console.open()
    view = page.locator("#lc-view")
    expect(view).not_to_contain_text("{")
    one.shot("above")
    view.evaluate("view => view.scrollTo(0, view.scrollHeight)")
    one.shot("below")
    # what is folded is found, and opened
    console.press("/")
    page.keyboard.type("shelf")
    expect(page.locator(".lc-hit-here")).to_be_visible()
    assert page.evaluate("document.scrollingElement.scrollTop + document.body.scrollTop") == 0
    one.shot("found-inside")
    console.press("Escape", "s", "Enter")  # the key that the type fixes
    expect(page.get_by_role("heading", name="Nothing left for you here")).to_be_visible()
    console.wait_sent()
    assert stored(queue, labeler) == {"talk": {"solved": True}}
