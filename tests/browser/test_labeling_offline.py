"""A labeler whose connection comes and goes, who is signed out, and under whose hands examples and types change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, Route, expect

from datasets_app.models import Example, ExampleType
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import save_type
from goldenproject.kit.clock import now
from labeling_app.models import LabelerStanding, LabelHistory, LabelingSession, Lease, QueueMember
from labeling_app.services.leasing import next_examples
from labeling_app.services.queues import set_queue_state
from labeling_app.services.sessions import end_session, start_session
from labeling_app.services.submitting import submit_label
from tests.browser.conftest import PASSWORD, Visitor
from tests.browser.labeling_scene import (
    DRAWN_ANEW,
    MESSAGE,
    TICKET_OUTPUT,
    Labeling,
    Tolerated,
    bank_queue,
    made,
    stored,
    ticket_queue,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def label_some(console: Labeling, classes: dict[str, str], count: int) -> dict[str, object]:
    """Answer `count` examples by typing their class, as long as some are in hand."""
    given: dict[str, object] = {}
    for _ in range(count):
        expect(console.page.locator("#lc-main")).to_be_visible()
        name = console.shown
        console.page.keyboard.type(classes[name].replace("_", " "))
        console.press("Enter")
        given[name] = {"label": classes[name]}
        console.page.wait_for_function(DRAWN_ANEW, arg=name)
    return given


def test_labeling__without_a_connection__sends_all_later_exactly_once(
    visitor: Callable[..., Visitor],
) -> None:
    labeler = made("labeler", "labeler")
    queue, classes = bank_queue("bank", 30, instructions="")
    one = visitor("labeling-offline", dark=True)
    one.complaints = Tolerated("net::ERR_")
    one.sign_in("labeler")
    console = Labeling(one, queue)
    page = console.open()
    console.press("Alt+p")
    given = label_some(console, classes, 6)  # so fast that more are taken ahead
    console.wait_sent()
    page.wait_for_timeout(300)

    page.context.set_offline(True)
    given |= label_some(console, classes, 5)
    expect(page.locator("#lc-net")).to_contain_text("No connection, 5 answers kept")
    one.shot("no-connection")
    assert console.waiting() == 5
    page.context.set_offline(False)
    console.wait_sent()
    expect(page.locator("#lc-net")).to_be_hidden()
    assert stored(queue, labeler) == given

    # an answer not sent yet is taken back, one is given anew; then everything in hand is answered
    page.context.set_offline(True)
    expect(page.locator("#lc-main")).to_be_visible()
    name = console.shown
    label_some(console, classes, 1)
    console.press("Alt+u")
    expect(page.locator("#lc-name")).to_have_text(name)
    expect(page.locator(".lc-chosen")).to_contain_text(classes[name])
    assert console.waiting() == 0
    console.press("Enter")
    given[name] = {"label": classes[name]}
    assert console.waiting() == 1
    page.context.set_offline(False)
    console.wait_sent()
    assert stored(queue, labeler) == given


def test_labeling__undo_while_the_answer_is_being_sent_in_vain__brings_it_back(
    visitor: Callable[..., Visitor],
) -> None:
    labeler = made("third-labeler", "labeler")
    queue, classes = bank_queue("in-vain", 12, instructions="")
    one = visitor("labeling-in-vain")
    one.complaints = Tolerated("net::ERR_")
    one.sign_in("third-labeler")
    console = Labeling(one, queue)
    page = console.open()
    console.press("Alt+p")
    held: list[Route] = []
    page.route("**/submit", lambda route: held.append(route))
    name = console.shown
    label_some(console, classes, 1)
    console.press("Alt+u")
    expect(page.locator("#lc-name")).not_to_have_text(name)
    held[0].abort()
    expect(page.locator("#lc-name")).to_have_text(name)
    assert console.waiting() == 0
    page.unroute("**/submit")
    console.press("Enter")
    console.wait_sent()
    assert stored(queue, labeler) == {name: {"label": classes[name]}}


def test_labeling__loaded_anew_while_answers_wait__sends_them_then(visitor: Callable[..., Visitor]) -> None:
    labeler = made("second-labeler", "labeler")
    queue, classes = bank_queue("reloaded", 12, instructions="")
    one = visitor("labeling-reload")
    one.complaints = Tolerated("net::ERR_")
    one.sign_in("second-labeler")
    console = Labeling(one, queue)
    page = console.open()
    console.press("Alt+p")
    # the server cannot be reached for answers, and can for pages
    page.route("**/submit", lambda route: route.abort())
    given = label_some(console, classes, 3)
    expect(page.locator("#lc-net")).to_contain_text("No connection")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    assert asked == ["beforeunload"]
    expect(page.locator("#lc-main")).to_be_visible()
    assert console.waiting() == 3
    assert console.shown not in given  # what was answered is not shown again
    assert stored(queue, labeler) == {}
    page.unroute("**/submit")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    console.wait_sent()
    assert stored(queue, labeler) == given
    assert LabelHistory.objects.filter(queue=queue, event="submitted").count() == 3


def test_labeling__answer_lost_on_the_way_back__is_sent_again_and_stored_once(
    visitor: Callable[..., Visitor],
) -> None:
    labeler = made("labeler", "labeler")
    queue, classes = bank_queue("lost-answers", 8, instructions="")
    one = visitor("labeling-lost")
    one.complaints = Tolerated("net::ERR_")
    one.sign_in("labeler")
    console = Labeling(one, queue)
    page = console.open()
    console.press("Alt+p")
    lost: list[str] = []

    def lose(route: object) -> None:
        """Let the server store the answer, and the browser never hear of it."""
        if lost:
            route.continue_()  # type: ignore[attr-defined]
            return
        lost.append(route.fetch().status)  # type: ignore[attr-defined]
        route.abort()  # type: ignore[attr-defined]

    page.route("**/submit", lose)
    given = label_some(console, classes, 2)
    console.wait_sent()
    assert lost == [200]
    assert stored(queue, labeler) == given


def test_labeling__signed_out__keeps_all_until_one_is_signed_in_again(
    visitor: Callable[..., Visitor],
) -> None:
    labeler = made("third-labeler", "labeler")
    queue, classes = bank_queue("signed-out", 12, instructions="")
    one = visitor("labeling-signed-out")
    one.complaints = Tolerated("401 (Unauthorized)")
    one.sign_in("third-labeler")
    console = Labeling(one, queue)
    page = console.open()
    console.press("Alt+p")
    cookies = [c for c in page.context.cookies() if "session" in c["name"]]
    page.context.clear_cookies(name=cookies[0]["name"])
    given = label_some(console, classes, 2)
    expect(page.get_by_text("You are signed out.", exact=True)).to_be_visible()
    one.shot("signed-out")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in").first.click()
    sign_in_again(opened.value, "third-labeler")
    expect(opened.value.get_by_text("Close this tab and go on")).to_be_visible()
    opened.value.close()
    page.bring_to_front()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    console.wait_sent()
    expect(page.get_by_text("You are signed out.", exact=True)).to_be_hidden()
    assert stored(queue, labeler) == given


def sign_in_again(page: Page, name: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_labeling__example_changed_under_the_hands__is_shown_and_the_answer_kept(
    visitor: Callable[..., Visitor],
) -> None:
    labeler = made("labeler", "labeler")
    queue = ticket_queue("changing")
    one = visitor("labeling-changed")
    one.complaints = Tolerated("409 (Conflict)")
    one.sign_in("labeler")
    console = Labeling(one, queue)
    page = console.open()
    first = console.shown
    row = Example.objects.get(branch=queue.branch, identity__external_id=first)
    changed = {**row.input_data, "message": MESSAGE.replace("by Friday", "by Monday")}
    bulk_upsert(branch=queue.branch, documents=[{"id": first, "input": changed}], actor=None)

    console.press("4", "y", "Enter")
    expect(page.locator("#lc-toast")).to_contain_text(f"{first} comes back next")
    other = console.shown
    assert other != first  # the hands are on the next one already
    console.press("1", "y", "Enter")
    expect(page.get_by_text("The example was changed after it was given to you")).to_be_visible()
    expect(page.locator("#lc-name")).to_have_text(first)
    expect(page.get_by_role("region", name="What changed").locator("del")).to_have_text("Friday")
    expect(page.locator(".lc-change ins")).to_have_text("Monday")
    expect(page.get_by_role("radio", name="urgent")).to_be_checked()
    one.shot("example-changed")
    console.press("Enter")
    expect(page.locator("#lc-name")).not_to_have_text(first)
    console.wait_sent()
    assert stored(queue, labeler) == {
        other: {"priority": "low", "refund": True},
        first: {"priority": "urgent", "refund": True},
    }

    # an example that is taken away
    second = console.shown
    Example.objects.filter(branch=queue.branch, identity__external_id=second).delete()
    console.press("1", "n", "Enter")
    expect(page.get_by_role("heading", name="The example was removed")).to_be_visible()
    one.shot("example-removed")
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("heading", name="The example was removed")).to_be_hidden()


def test_labeling__type_changed_under_the_hands__what_still_fits_is_kept(
    visitor: Callable[..., Visitor],
) -> None:
    labeler = made("labeler", "labeler")
    queue = ticket_queue("reshaped", of_type="reshaped_ticket")
    one = visitor("labeling-type")
    one.complaints = Tolerated("409 (Conflict)")
    one.sign_in("labeler")
    console = Labeling(one, queue)
    page = console.open()
    first = console.shown
    example_type = ExampleType.objects.get(name="reshaped_ticket")
    properties = {**TICKET_OUTPUT["properties"], "priority": {"enum": ["soon", "later"], "title": "Priority"}}
    example_type.output_schema = {**TICKET_OUTPUT, "properties": properties}
    save_type(example_type=example_type, actor=None)

    console.press("4", "n", "Enter")
    # the form of the example that is shown now is the new one too
    expect(page.get_by_role("radio", name="soon")).to_be_visible()
    other = console.shown
    console.press("2", "y", "Enter")
    expect(page.get_by_text("The form was changed while you were answering")).to_be_visible()
    expect(page.get_by_role("radio", name="soon")).to_be_visible()
    expect(page.get_by_role("radio", name="No", exact=True)).to_be_checked()
    expect(page.get_by_label("What does not fit any more")).to_have_value("priority: urgent")
    one.shot("type-changed")
    console.press("1", "Enter")
    expect(page.locator("#lc-name")).not_to_have_text(first)
    console.wait_sent()
    assert stored(queue, labeler) == {
        other: {"priority": "later", "refund": True},
        first: {"priority": "soon", "refund": False},
    }


def test_labeling__paused_or_closed__is_said_with_what_to_do(visitor: Callable[..., Visitor]) -> None:
    labeler = made("labeler", "labeler")
    paused, closed = ticket_queue("pausing"), ticket_queue("closing")
    LabelerStanding.objects.create(
        queue=paused, labeler=labeler, paused_at=now(), pause_reason="3 of 10 checks were right."
    )
    set_queue_state(queue=closed, state="closed", actor=None)
    one = visitor("labeling-states")
    one.complaints = Tolerated("409 (Conflict)", "403 (Forbidden)")
    one.sign_in("labeler")
    one.go(f"/admin/label/{paused.pk}/")
    expect(one.page.get_by_role("heading", name="You are paused in this queue")).to_be_visible()
    one.shot("paused")
    one.go(f"/admin/label/{closed.pk}/")
    expect(one.page.get_by_role("heading", name="This queue is not open")).to_be_visible()
    one.shot("closed")
    one.page.get_by_role("link", name="Back to the queues").click()
    one.page.wait_for_url("**/admin/label/")


def test_labeling__a_second_tab__says_where_the_first_is(visitor: Callable[..., Visitor]) -> None:
    made("labeler", "labeler")
    queue = ticket_queue("two-tabs")
    one = visitor("labeling-tabs")
    one.sign_in("labeler")
    Labeling(one, queue).open()
    second = one.page.context.new_page()
    second.goto(f"{one.site}/admin/label/{queue.pk}/")
    expect(second.get_by_role("heading", name="You label in another tab")).to_be_visible()
    second.get_by_role("button", name="Label here").click()
    expect(second.locator("#lc-main")).to_be_visible()
    expect(one.page.get_by_role("heading", name="You label in another tab")).to_be_visible()


def test_labeling__taken_by_another_meanwhile__is_said_and_the_answer_kept(
    visitor: Callable[..., Visitor],
) -> None:
    labeler, other = made("labeler", "labeler"), made("second-labeler", "labeler")
    queue = ticket_queue("expired", count=5)
    one = visitor("labeling-late")
    one.complaints = Tolerated("409 (Conflict)")
    one.sign_in("labeler")
    console = Labeling(one, queue)
    page = console.open()
    first = console.shown
    Lease.objects.filter(labeler=labeler, queue=queue).update(expires_at=now() - timedelta(minutes=1))
    (task,) = next_examples(session=start_session(labeler=other, queue=queue))
    assert task.shown.external_id == first
    submit_label(lease_id=task.lease, labeler=other, value={"priority": "low", "refund": False})

    console.press("4", "y", "Enter")
    expect(page.get_by_role("heading", name="This answer came too late")).to_be_visible()
    expect(page.locator(".lc-trouble")).to_contain_text("priority: urgent · refund: yes")
    one.shot("too-late")
    page.reload()  # it stays until somebody has read it
    expect(page.get_by_role("heading", name="This answer came too late")).to_be_visible()
    page.get_by_role("button", name="Done").click()
    assert console.waiting() == 0
    late = LabelHistory.objects.get(queue=queue, labeler=labeler, event="late")
    assert late.label_value == {"priority": "urgent", "refund": True}


def test_labeling__session_ended_meanwhile__goes_on_in_a_new_one(visitor: Callable[..., Visitor]) -> None:
    labeler = made("labeler", "labeler")
    queue = ticket_queue("ended", count=8)
    one = visitor("labeling-ended")
    one.complaints = Tolerated("409 (Conflict)")
    one.sign_in("labeler")
    console = Labeling(one, queue)
    page = console.open()
    end_session(session=LabelingSession.objects.get(labeler=labeler, queue=queue))
    given = {}
    for _ in range(8):
        expect(page.locator("#lc-main")).to_be_visible()
        name = console.shown
        console.press("1", "n", "Enter")
        given[name] = {"priority": "low", "refund": False}
        page.wait_for_function(DRAWN_ANEW, arg=name)
    expect(page.get_by_role("heading", name="Nothing left for you here")).to_be_visible()
    console.wait_sent()
    assert stored(queue, labeler) == given
    assert len(given) == 8
    assert LabelingSession.objects.filter(labeler=labeler, queue=queue).count() == 2


def test_labeling__taken_off_the_queue__keeps_the_answer_until_one_is_back(
    visitor: Callable[..., Visitor],
) -> None:
    labeler, other = made("labeler", "labeler"), made("second-labeler", "labeler")
    queue = ticket_queue("removed", count=8)
    one = visitor("labeling-removed")
    one.complaints = Tolerated("403 (Forbidden)")
    one.sign_in("labeler")
    console = Labeling(one, queue)
    page = console.open()
    first = console.shown
    member = QueueMember.objects.create(queue=queue, user=other)
    console.press("3", "y", "Enter")
    expect(page.get_by_role("heading", name="This queue is not assigned to you any more")).to_be_visible()
    one.shot("not-assigned")
    assert stored(queue, labeler) == {}
    member.delete()
    page.get_by_role("button", name="Send again").click()
    console.wait_sent()
    assert stored(queue, labeler) == {first: {"priority": "high", "refund": True}}
