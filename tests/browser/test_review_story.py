"""A reviewer goes through what labelers disagree about, by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from datasets_app.domain.canonical import canonical_bytes, content_hash
from datasets_app.models import Example
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import add_example
from datasets_app.services.curation.types import get_type
from goldenproject.kit.audit import acting
from goldenproject.kit.clock import now
from labeling_app.models import Label, LabelHistory, LabelingQueue, QueueItem, Review
from labeling_app.services.queues import QueueOptions, create_queue
from labeling_app.services.reviewing import open_review
from labeling_app.services.settling import settle
from labeling_app.services.slots import recount
from tests.browser.conftest import Visitor, make_person

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_TITLES = (
    "Head of Platform",
    "Engineer",
    "VP of Sales, EMEA",
    "Intern",
    "Chief Data Officer",
    "Buyer",
    "CTO",
)


def _queue(shade: str, people: list[Any]) -> LabelingQueue:
    """Seven contacts; the labelers disagree on c1 … c5, agree on c6, and c7 has a flag besides."""
    curator = people[0]
    dataset = create_dataset(name=f"contacts-{shade}", actor=curator)
    for number, title in enumerate(_TITLES, 1):
        add_example(
            branch=dataset.main,
            example_type=get_type("contact_tier"),
            external_id=f"c{number}",
            input_data={
                "title": title,
                "seniority": "Director",
                "department": "Data",
                "company_size": 40 * number,
                "industry": "Manufacturing of precision tools",
            },
            actor=curator,
        )
    queue = create_queue(
        dataset=dataset,
        name=f"tiers-{shade}",
        actor=curator,
        options=QueueOptions(example_type=get_type("contact_tier"), overlap=2, validates_adopted=True),
    )
    said: dict[str, list[dict[str, Any]]] = {
        "c1": [_said("A", 0.9, "Owns the budget."), _said("B", 0.6, "Small company.")],
        "c2": [_said("C", 0.7, "No say in it."), _said("D", 0.8, "Far from any decision.")],
        "c3": [_said("A", 1.0, "Decides alone."), _said("B", 0.5, "Sales does not buy this.")],
        "c4": [_said("D", 0.9, "Leaves soon."), _said("C", 0.4, "Asks around for others.")],
        "c5": [_said("A", 0.9, "The very person."), _said("B", 0.7, "Young company.")],
        "c6": [_said("B", 0.9, "Buys."), _said("B", 0.9, "Buys.")],
        "c7": [_said("A", 0.9, "Decides."), _said("A", 0.9, "Decides.")],
    }
    with acting(curator, "labels of a test"):
        items = [_label(queue, name, values, people[1:3]) for name, values in said.items()]
        recount(queue=queue)
        open_review(
            queue=queue, item_id=items[-1].pk, reason="flagged", detail="labeler: is this person still there?"
        )
        settle(queue=queue, item_ids=[item.pk for item in items], actor=curator)
    return queue


def _said(tier: str, confidence: float, reasoning: str) -> dict[str, Any]:
    return {"tier": tier, "confidence": confidence, "reasoning": reasoning}


def _label(queue: LabelingQueue, name: str, values: list[dict[str, Any]], people: list[Any]) -> QueueItem:
    item = QueueItem.objects.get(queue=queue, example__external_id=name)
    row = Example.objects.get(branch=queue.branch, identity=item.example_id)
    for number, (person, value) in enumerate(zip(people, values, strict=True)):
        said: dict[str, Any] = {
            "queue": queue,
            "example": item.example,
            "labeler": person,
            "annotator": person.username,
            "confidence": 0.9 - number / 4,
            "notes": "I know the company." if number else "",
            "duration_ms": 9000 + 4000 * number,
            "content_hash": content_hash(canonical_bytes(row.input_data)),
            "labeled_at": now(),
        }
        Label.objects.create(item=item, value=value, **said)
        LabelHistory.objects.create(event="submitted", label_type=queue.label_type, label_value=value, **said)
    return item


def _is_shown(page: Page, name: str) -> None:
    expect(page.locator("#lr-name")).to_have_text(name)


def _row(queue: LabelingQueue, name: str) -> Example:
    return Example.objects.get(branch=queue.branch, identity__external_id=name)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_reviewer__by_keyboard__every_decision_is_kept(visitor: Callable[..., Visitor], dark: bool) -> None:
    shade = "dark" if dark else "light"
    people = [make_person(f"{name}-{shade}", role) for name, role in _PEOPLE]
    queue = _queue(shade, people)
    one = visitor(f"review-{shade}", dark=dark)
    page = one.page
    one.sign_in(f"reviewer-{shade}")
    one.go(f"/admin/label/{queue.pk}/review/?view=list")
    expect(page.locator(".gd-table tbody tr")).to_have_count(6)
    one.shot("list")
    assert one.overflow() <= 0

    page.get_by_role("link", name="One at a time").click()
    page.locator("#lr-name").wait_for()
    one.shot("case")
    assert one.overflow() <= 0
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    one.shot("keys")
    page.keyboard.press("Escape")

    # c7 has the lowest score, because its flag has none; then the others in the order of their ids
    _is_shown(page, "c7")
    page.keyboard.press("k")
    _is_shown(page, "c1")
    page.keyboard.press("2")
    _is_shown(page, "c2")
    expect(page.locator("#lr-toast")).to_contain_text("c1:")
    page.keyboard.press("t")
    page.get_by_role("dialog").wait_for()
    one.shot("another-answer")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    _is_shown(page, "c3")
    page.keyboard.press("r")
    expect(page.locator("#lr-expect")).to_be_visible()
    page.keyboard.type("not a person")
    one.shot("reject")
    page.keyboard.press("Enter")
    _is_shown(page, "c4")
    page.keyboard.press("b")
    page.keyboard.type("Read the rule on interns.")
    page.keyboard.press("Enter")
    _is_shown(page, "c5")
    page.keyboard.press("h")
    expect(page.locator(".lr-who").first).to_have_text("Labeler 1")
    page.keyboard.press("1")
    page.get_by_role("heading", name="Nothing waits for a reviewer").wait_for()
    one.shot("nothing-left")
    page.keyboard.press("u")
    _is_shown(page, "c5")
    page.keyboard.press("h")
    expect(page.locator(".lr-who").first).to_have_text(f"labeler-{shade}")

    outcomes = dict(Review.objects.filter(queue=queue).values_list("item__example__external_id", "outcome"))
    assert outcomes == {
        "c1": "adopted",
        "c2": "third_answer",
        "c3": "rejected",
        "c4": "sent_back",
        "c5": "",
        "c7": "kept",
    }
    c1, c2, c3, c4, c5, c6 = (_row(queue, f"c{number}") for number in range(1, 7))
    assert (c1.expected_output, c1.validation_status) == (_said("B", 0.6, "Small company."), "validated")
    assert c1.provenance["label"]["origin"] == "adjudicated"
    assert (c2.expected_output["tier"], c2.validated_by) == ("B", people[3])
    assert (c3.expected_output, c3.validation_status) == (None, "rejected")
    assert (c4.expected_output, c5.expected_output, c5.validation_status) == (None, None, "pending")
    assert c6.provenance["label"]["origin"] == "unanimous"
    assert not Label.objects.filter(queue=queue, example=c4.identity).exists()
    back = LabelHistory.objects.filter(queue=queue, event="sent_back")
    assert {row.notes for row in back} == {"Read the rule on interns."}

    page.get_by_role("link", name="Decided").click()
    expect(page.locator(".gd-table tbody tr")).to_have_count(5)
    one.shot("decided")
    assert one.overflow() <= 0
    page.get_by_role("button", name="Undo the decision about c1").click()
    page.get_by_text("c1 is to be reviewed again.").wait_for()
    c1.refresh_from_db()
    assert (c1.expected_output, c1.provenance, c1.validation_status) == (None, {}, "pending")

    page.set_viewport_size({"width": 820, "height": 1180})
    one.go("/admin/label/review/")
    page.locator("#lr-name").wait_for()
    one.shot("tablet")
    assert one.overflow() <= 0


_PEOPLE = (
    ("curator", "curator"),
    ("labeler", "labeler"),
    ("second-labeler", "labeler"),
    ("reviewer", "reviewer"),
    ("second-reviewer", "reviewer"),
)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_reviewers__two_at_once__have_different_cases_and_one_takes_over(
    visitor: Callable[..., Visitor], dark: bool
) -> None:
    shade = "pair-dark" if dark else "pair-light"
    queue = _queue(shade, [make_person(f"{name}-{shade}", role) for name, role in _PEOPLE])
    one, two = (visitor(f"reviewers-{number}-{shade}", dark=dark) for number in (1, 2))
    for visitor_, name in ((one, "reviewer"), (two, "second-reviewer")):
        visitor_.sign_in(f"{name}-{shade}")
        visitor_.go(f"/admin/label/{queue.pk}/review/")
        visitor_.page.locator("#lr-name").wait_for()
    _is_shown(one.page, "c7")  # c7 and c1 are the first reviewer's
    _is_shown(two.page, "c2")
    with two.page.expect_response("**/review/"):
        two.page.keyboard.press("n")  # goes back into the pile
    _is_shown(two.page, "c3")
    one.go("/admin/label/review/?view=list")
    one.shot("list-of-all-queues")
    assert one.overflow() <= 0
    one.go(f"/admin/label/{queue.pk}/review/?view=list")
    expect(one.page.locator(".lr-open-with")).to_have_count(2)
    one.shot("list")
    assert one.overflow() <= 0

    one.page.get_by_role("link", name="c3").click()
    _is_shown(one.page, "c3")
    note = one.page.locator(".lr-elsewhere")
    expect(note).to_contain_text(f"second-reviewer-{shade} has this review open, until")
    expect(one.page.get_by_role("button", name="Adopt the answer of labeler").first).to_be_disabled()
    one.page.keyboard.press("1")
    expect(one.page.locator("#lr-toast")).to_contain_text("take it over with O")
    one.page.wait_for_timeout(300)
    one.shot("case-of-another")
    assert one.overflow() <= 0
    one.page.set_viewport_size({"width": 820, "height": 1180})
    one.shot("case-of-another-tablet")
    assert one.overflow() <= 0
    one.page.keyboard.press("o")
    expect(note).to_have_count(0)

    two.page.keyboard.press("c")
    two.page.keyboard.type("The title says it.")
    two.page.keyboard.press("Enter")
    two.page.keyboard.press("1")
    told = two.page.locator(".lr-elsewhere")
    expect(told).to_contain_text(f"reviewer-{shade} took this review over from you, and has it until")
    expect(two.page.locator("#lr-comment")).to_have_value("The title says it.")
    two.shot("taken-over")
    assert [complaint for complaint in two.complaints if "409" not in complaint] == []
    two.complaints.clear()  # the browser names every answer that is no success
    one.page.keyboard.press("1")
    expect(one.page.locator("#lr-toast")).to_contain_text("c3:")
    two.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # a sign of life
    two.page.get_by_text("Decided by reviewer").wait_for()
    two.page.keyboard.press("n")

    # what is sent back is taken back by the same key as any other decision
    name = two.page.locator("#lr-name").inner_text()
    two.page.keyboard.press("b")
    two.page.keyboard.type("Read the rule.")
    two.page.keyboard.press("Enter")
    expect(two.page.locator("#lr-toast")).to_contain_text(f"{name}: sent back.")
    two.shot("sent-back")
    two.page.keyboard.press("u")
    two.page.get_by_text(f"{name} is open again.").wait_for()
    _is_shown(two.page, name)
    expect(two.page.get_by_role("button", name="Adopt the answer of")).to_have_count(2)
    two.shot("taken-back")
    assert Label.objects.filter(queue=queue, example__external_id=name).count() == 2

    while two.page.locator("#lr-name").count():
        with two.page.expect_response("**/review/"):
            two.page.keyboard.press("n")
    two.page.get_by_text("2 examples are open with other reviewers").wait_for()
    two.shot("open-with-others")
    two.go("/admin/")  # left: given back
    for _ in range(20):  # the browser says so after the page is gone
        one.go(f"/admin/label/{queue.pk}/review/?view=list")
        if not one.page.locator(".lr-open-with").count():
            break
    expect(one.page.locator(".lr-open-with")).to_have_count(0)
