"""A reviewer looks at how far labelers agree, and a curator follows the advice on their consensus."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest
from playwright.sync_api import expect

from datasets_app.models import JobRun
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from goldenproject.kit.clock import now
from labeling_app.models import LabelingQueue
from labeling_app.services.queues import QueueOptions, create_queue
from tests.browser.conftest import Visitor, make_person
from tests.integration.labeling.rated_queue import gold, rate

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def queue_of_leads(name: str, weeks: int = 6) -> LabelingQueue:
    """Leads with a priority and a score over some weeks: two good labelers, one careless, one who swaps hot and warm."""
    random = Random(11)
    dataset = create_dataset(name=name, actor=None, default_type=get_type("lead_score"))
    count = 30 * weeks
    rows = [
        {"id": f"l{n}", "input": {"fit_score": n % 100, "engagement_score": n % 90}} for n in range(count)
    ]
    bulk_upsert(branch=dataset.main, documents=rows, actor=None)
    queue = create_queue(
        dataset=dataset, name=f"{name} priorities", actor=None, options=QueueOptions(overlap=4)
    )
    swapped = {"hot": "warm", "warm": "hot", "cold": "cold"}
    truth = [random.choice(("hot", "warm", "cold")) for _ in range(count)]

    def answer(said: str, score: float, noise: float) -> dict[str, object]:
        return {"priority": said, "lead_score": round(min(100, max(0, random.gauss(score, noise))))}

    for week in range(weeks):
        ratings = {}
        for n in range(30 * week, 30 * (week + 1)):
            true, score = truth[n], 20 + 3 * (n % 25)
            careless = true if random.random() < 0.6 else random.choice(("hot", "warm", "cold"))
            ratings[f"l{n}"] = {
                "labeler": answer(true if random.random() < 0.95 else "cold", score, 5),
                "second-labeler": answer(true if random.random() < 0.9 else "warm", score, 5),
                "third-labeler": answer(careless, score, 25),
                "fourth-labeler": answer(swapped[true], score + 10, 6),
            }
        rate(queue, ratings, at=now() - timedelta(weeks=weeks - 1 - week))
    known = {f"l{n}": {"priority": truth[n], "lead_score": 20 + 3 * (n % 25)} for n in range(40)}
    gold(queue, known)
    return queue


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_agreement__figures_fields_and_advice__are_read_and_followed(
    visitor: Callable[..., Visitor], dark: bool
) -> None:
    shade = "dark" if dark else "light"
    make_person(f"curator-{shade}", "curator")
    queue = queue_of_leads(f"leads-{shade}")
    one = visitor(f"agreement-{shade}", dark=dark)
    page = one.page
    one.sign_in(f"curator-{shade}")

    # the page is there at once, its figures come after it
    one.go(f"/admin/label/{queue.pk}/agreement/")
    verdict = page.locator(".ag-verdict")
    expect(verdict).to_contain_text("Krippendorff's alpha · Priority")
    method = page.locator("#ag-method")
    expect(method).to_contain_text("Dawid–Skene")
    expect(page.get_by_role("heading", name="Pairs: Cohen's kappa")).to_be_visible()
    expect(page.get_by_role("img", name="Krippendorff's alpha by week")).to_be_visible()
    expect(page.locator(".ag-most")).to_contain_text("hot and warm")
    assert one.overflow() <= 0
    one.shot("classes", whole=True)

    # a number is measured by distances
    page.get_by_role("navigation", name="Field of the answer").get_by_role("link", name="Lead score").click()
    expect(verdict).to_contain_text("Lead score")
    row = page.get_by_role("row", name="fourth-labeler").first
    expect(row).to_contain_text("+")
    one.shot("numbers", whole=True)

    # the advice is followed; then there is nothing left to switch to, and the consensus is worked out anew
    page.get_by_role("button", name="Use Dawid–Skene").click()
    expect(page.get_by_text("The consensus of this queue is by Dawid–Skene from now on.")).to_be_visible()
    expect(page.get_by_role("button", name="Use Dawid–Skene")).to_have_count(0)
    queue.refresh_from_db()
    assert queue.consensus_method == "dawid_skene"
    page.get_by_role("button", name="Work the consensus out anew").click()
    expect(page.locator(".gd-job")).to_be_visible()
    assert JobRun.objects.filter(kind="label_consensus", arguments__queue=str(queue.pk)).exists()

    # on a tablet nothing is cut off
    page.set_viewport_size({"width": 820, "height": 1180})
    one.go(f"/admin/label/{queue.pk}/agreement/")
    expect(page.locator(".ag-verdict")).to_be_visible()
    assert one.overflow() <= 0
    one.shot("tablet", whole=True)
