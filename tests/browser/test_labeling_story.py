"""A labeler labels questions to a bank by keyboard alone, takes answers back, and finds drafts again."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.labeling_scene import DRAWN_ANEW, Labeling, bank_queue, made, stored, ticket_queue

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_labeling__50_questions_by_keyboard_only__are_stored_once_each(
    visitor: Callable[..., Visitor],
) -> None:
    labeler = made("labeler", "labeler")
    queue, classes = bank_queue("bank", 50)
    one = visitor("labeling-light")
    one.sign_in("labeler")
    console = Labeling(one, queue)
    page = console.open()
    one.shot("first-question")
    assert one.overflow() <= 0
    console.press("Alt+p")
    expect(page.get_by_role("switch", name="A pick submits")).to_be_checked()

    given = {}
    for number in range(50):
        expect(page.locator("#lc-main")).to_be_visible()
        name = console.shown
        given[name] = {"label": classes[name]}
        page.keyboard.type(classes[name].replace("_", " "))
        if number == 20:
            one.shot("typing-ahead")
        console.press("Enter")
        if number < 49:
            page.wait_for_function(DRAWN_ANEW, arg=name)
    expect(page.get_by_role("heading", name="Nothing left for you here")).to_be_visible()
    console.wait_sent()
    one.shot("nothing-left")
    assert len(given) == 50
    assert stored(queue, labeler) == given


def test_labeling__undo_and_drafts__nothing_is_lost(visitor: Callable[..., Visitor]) -> None:
    labeler = made("second-labeler", "labeler")
    queue = ticket_queue("tickets", instructions="Read the **message** first.")
    one = visitor("labeling-ticket")
    one.sign_in("second-labeler")
    console = Labeling(one, queue)
    page = console.open()
    one.shot("every-kind-of-control")
    first = console.shown

    # what is missing is told at the control
    console.press("Enter")
    expect(page.get_by_text("Pick one.").first).to_be_visible()
    one.shot("told-what-is-missing")
    # digits go to the control that is answered: 3 is high, then y is yes
    console.press("3", "y", "c", "4")
    page.get_by_label("Anger", exact=True).fill("7.5")
    page.get_by_role("checkbox", name="billing").click()
    page.get_by_label("Keywords", exact=True).fill("refund")
    console.press("Enter")
    page.get_by_label("Reply", exact=True).fill("We are sorry.")
    expect(page.locator("#lc-draft")).to_have_text("Draft saved")
    one.shot("answered")

    # after a reload the draft is there
    page.reload()
    expect(page.get_by_label("Reply", exact=True)).to_have_value("We are sorry.")
    assert console.shown == first
    answer = {
        "priority": "high",
        "refund": True,
        "anger": 7.5,
        "topics": ["billing"],
        "keywords": ["refund"],
        "reply": "We are sorry.",
    }
    page.get_by_label("Reply", exact=True).focus()
    console.press("Control+Enter")
    expect(page.locator("#lc-name")).not_to_have_text(first)
    console.wait_sent()
    assert stored(queue, labeler) == {first: answer}

    # undo brings it back with the answer in the form
    console.press("u")
    expect(page.locator("#lc-name")).to_have_text(first)
    expect(page.get_by_label("Reply", exact=True)).to_have_value("We are sorry.")
    one.shot("taken-back")
    assert stored(queue, labeler) == {}
    console.press("1", "Enter")
    expect(page.locator("#lc-name")).not_to_have_text(first)
    console.wait_sent()
    assert stored(queue, labeler) == {first: {**answer, "priority": "low"}}

    # search in the example
    console.press("/")
    page.keyboard.type("refund")
    expect(page.get_by_text("1 of 2")).to_be_visible()
    one.shot("search")
    console.press("Escape")
    expect(page.locator("mark")).to_have_count(0)

    # skip, and take the skip back
    second = console.shown
    console.press("k")
    one.shot("skip")
    console.press("2")
    expect(page.locator("#lc-name")).not_to_have_text(second)
    console.press("u")
    expect(page.locator("#lc-name")).to_have_text(second)
    # flag
    console.press("f")
    page.get_by_label("What should a reviewer know?").fill("Two orders with one number")
    console.press("Enter")
    console.wait_sent()
    # the latest answers
    console.press("r")
    expect(page.get_by_role("dialog").get_by_role("button", name=re.compile("Undo"))).to_have_count(1)
    one.shot("latest-answers")
    console.press("Escape")
