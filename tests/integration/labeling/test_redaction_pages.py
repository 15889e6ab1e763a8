"""The pages and the API tell that something was said of a redacted example, and not what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets_app.models import Dataset
from datasets_app.services.versioning.redacting import redact
from labeling_app.models import LabelHistory, LabelingQueue, Review
from tests.integration.labeling.redacted_data import SECRET, fill_with_secret


@pytest.fixture
def queue(
    queue_factory: Callable[..., LabelingQueue],
    labelers: list[Any],
    person: Callable[..., Any],
    dataset: Dataset,
) -> LabelingQueue:
    """A queue in which everything was said of t1, and t1 was redacted."""
    first, second = queue_factory("first", overlap=2), queue_factory("second", overlap=2)
    fill_with_secret(first, second, labelers, person("reviewer"))
    redact(dataset=dataset, example="t1", reason="personal data", actor=person("administrator"))
    return first


def test_pages__of_a_redacted_example__show_redacted_in_place_of_words(
    queue: LabelingQueue, client_of: Callable[..., Client]
) -> None:
    reviewer = client_of("reviewer")
    submitted = LabelHistory.objects.get(key="k1")
    decided = Review.objects.get(queue=queue, outcome="third_answer")
    shown = {
        "log": reviewer.get(reverse("admin:labeling_app_labelhistory_changelist")),
        "row": reviewer.get(reverse("admin:labeling_app_labelhistory_change", args=[submitted.pk])),
        "decided": reviewer.get(f"{reverse('label_review', args=[queue.pk])}?view=decided"),
        "bulk": reviewer.get(reverse("label_bulk", args=[LabelingQueue.objects.get(name="second").pk])),
        "queue": reviewer.get(reverse("label_queue", args=[queue.pk])),
        "history": reviewer.get(f"/api/v1/labeling/queues/{queue.pk}/history"),
        "review": reviewer.get(f"/api/v1/labeling/reviews/{decided.pk}"),
    }
    assert {name: page.status_code for name, page in shown.items()} == dict.fromkeys(shown, 200)
    assert [name for name, page in shown.items() if SECRET in page.content.decode()] == []
    for name in ("log", "row", "decided", "bulk"):
        assert "[redacted]" in shown[name].content.decode(), name
    assert ": personal data)" in shown["row"].content.decode()


def test_decided_reviews__of_a_redacted_example__offer_no_undo(
    queue: LabelingQueue, client_of: Callable[..., Client]
) -> None:
    address = f"{reverse('label_review', args=[queue.pk])}?view=decided"
    page = client_of("reviewer").get(address).content.decode()
    assert "Another answer" in page
    assert 'name="do" value="undo"' not in page
    Review.objects.filter(queue=queue).update(outcome="redacted")
    page = client_of("reviewer").get(address).content.decode()
    assert 'name="do" value="undo"' not in page
    assert "Redacted" in page
