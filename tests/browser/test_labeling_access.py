"""The labeling console by finger, by keyboard alone and for screen readers, in light and dark."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type, save_type
from labeling_app.models import LabelingQueue
from labeling_app.services.queues import QueueOptions, create_queue
from tests.browser.access_checks import troubles, unseen_focus
from tests.browser.conftest import Visitor
from tests.browser.labeling_scene import INSTRUCTIONS, Labeling, Tolerated, made, ticket_queue, ticket_type

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def tablet(browser: Browser, live_site: str) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors with a tablet: tablet("story", 768, 1024)."""
    contexts, visitors = [], []

    def make(story: str, width: int, height: int, *, dark: bool = False) -> Visitor:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            has_touch=True,
            is_mobile=True,
            color_scheme="dark" if dark else "light",
        )
        contexts.append(context)
        visitors.append(Visitor(context, live_site, story))
        visitors[-1].complaints = Tolerated("ERR_INTERNET_DISCONNECTED")
        return visitors[-1]

    yield make
    for context in contexts:
        context.close()
    assert [complaint for one in visitors for complaint in one.complaints] == []


def topics(name: str) -> LabelingQueue:
    """A queue of messages with four topics."""
    dataset = create_dataset(name=name, actor=None, default_type=get_type("text_classification"))
    rows = [{"id": f"m{n}", "input": {"text": f"Where is parcel {n}?"}} for n in range(1, 9)]
    bulk_upsert(branch=dataset.main, documents=rows, actor=None)
    options = QueueOptions(choices=["billing", "delivery", "account", "technical"], instructions=INSTRUCTIONS)
    return create_queue(dataset=dataset, name=name, actor=None, options=options)


@pytest.mark.parametrize(
    ("width", "height", "dark"), [(768, 1024, False), (1024, 768, True)], ids=["upright-light", "lying-dark"]
)
def test_tablet__labels_skips_flags_and_takes_back__by_finger(
    tablet: Callable[..., Visitor], width: int, height: int, dark: bool
) -> None:
    made("labeler", "labeler")
    queue = topics(f"tablet-{width}")
    one = tablet(f"labeling-finger-{width}", width, height, dark=dark)
    page = one.page
    one.sign_in("labeler")
    one.go("/admin/label/")
    assert troubles(page, finger=True) == {}
    page.get_by_role("link", name="Start labeling").first.tap()
    expect(page.locator("#lc-main")).to_be_visible()
    console = Labeling(one, queue)
    console.open()
    assert troubles(page, finger=True) == {}
    one.shot("console")

    first = console.shown
    page.get_by_role("radio", name="delivery").tap()
    page.locator(".lc-submit").tap()
    expect(page.locator("#lc-name")).not_to_have_text(first)
    expect(page.locator("#lc-live")).to_have_text("Saved. Next example.")
    expect(page.get_by_text("Saved: delivery")).to_be_visible()
    assert troubles(page, finger=True) == {}
    one.shot("saved")
    console.wait_sent()
    page.locator(".lc-minor [data-act=undo]").tap()
    expect(page.locator("#lc-name")).to_have_text(first)
    expect(page.locator("#lc-live")).to_contain_text("Taken back.")
    assert troubles(page, finger=True) == {}

    for act in ("skip", "flag", "help", "recent"):
        page.locator(f"[data-act={act}]").first.tap()
        expect(page.locator("dialog[open]")).to_be_visible()
        assert troubles(page, finger=True) == {}, act
        one.shot(act)
        page.locator("dialog[open]").get_by_role("button", name=re.compile("Close")).tap()
        expect(page.locator("dialog[open]")).to_have_count(0)

    page.context.set_offline(True)
    page.locator(".lc-submit").tap()
    expect(page.locator("#lc-live")).to_contain_text("Kept here until you are online.")
    expect(page.get_by_role("button", name="No connection, 1 answer kept")).to_be_visible()
    assert troubles(page, finger=True) == {}
    one.shot("offline")
    page.context.set_offline(False)
    expect(page.locator("#lc-live")).to_have_text(
        "The connection is back, and everything is stored.", timeout=20_000
    )
    assert queue.labels.count() == 1
    one.go("/admin/label/keys/")
    assert troubles(page, finger=True) == {}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_console__every_kind_of_control__has_a_name_contrast_and_a_ring_of_focus(
    visitor: Callable[..., Visitor], dark: bool
) -> None:
    made("labeler", "labeler")
    queue = ticket_queue(f"access-{dark}", instructions=INSTRUCTIONS)
    one = visitor(f"labeling-access-{'dark' if dark else 'light'}", dark=dark)
    one.sign_in("labeler")
    for address in ("/admin/label/", "/admin/label/keys/"):
        one.go(address)
        assert troubles(one.page) == {}, address
    console = Labeling(one, queue)
    page = console.open()
    assert troubles(page) == {}
    page.get_by_role("radio", name="high").click()
    assert troubles(page) == {}
    assert unseen_focus(page, 45) == []
    for key in ("?", "k", "f", "r"):
        page.locator("#lc-answer").focus()
        console.press(key)
        expect(page.locator("dialog[open]")).to_be_visible()
        assert troubles(page) == {}, key
        console.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_type_form__key_that_is_taken__is_told_as_it_is_typed(
    visitor: Callable[..., Visitor], dark: bool
) -> None:
    made("administrator", "superuser")
    kind = ticket_type()
    one = visitor(f"type-form-{'dark' if dark else 'light'}", dark=dark)
    one.sign_in("administrator")
    one.go(f"/admin/datasets_app/exampletype/{kind.pk}/change/")
    page = one.page
    page.get_by_label("Key of low (Priority)").fill("k")
    expect(
        page.get_by_text("k is the console’s own key for “Skip, with a reason”: choose another.")
    ).to_be_visible()
    page.get_by_label("Key of low (Priority)").fill("x")
    page.get_by_label("Key of high (Priority)").fill("X")
    expect(page.get_by_text("“high” has the key x too: choose another for one of them.")).to_be_visible()
    page.locator("[data-type-form]").scroll_into_view_if_needed()
    assert troubles(page).keys() & {"without a name", "pale", "too wide"} == set()
    one.shot("clash")
    page.get_by_label("Key of high (Priority)").fill("h")
    page.get_by_label("Message", exact=True).select_option("plain text")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_label("Key of high (Priority)")).to_have_value("h")
    one.shot("saved")
    kind.refresh_from_db()
    assert kind.presentation == {
        "keys": {"priority": {"low": "x", "high": "h"}},
        "shown_as": {"message": "text"},
    }
    kind.presentation = {}
    save_type(example_type=kind, actor=None)
