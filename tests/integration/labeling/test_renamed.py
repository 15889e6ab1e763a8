"""A labeler who was renamed: what they did before is found under the name of now, on pages and over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from labeling_app.models import LabelingQueue
from tests.integration.labeling.labeling_data import answer

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(queue_factory: Callable[..., LabelingQueue], labelers: list[Any]) -> LabelingQueue:
    """A queue with two labels of a labeler, one from before and one from after the name was changed, and one of another."""
    queue = queue_factory(overlap=2)
    answer(queue, labelers[0], "a")
    labelers[0].username = "renamed-labeler"
    labelers[0].save()
    answer(queue, labelers[0], "b")
    answer(queue, labelers[1], "a")
    return queue


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_my_figures__count_the_labels_of_before(queue: LabelingQueue, labelers: list[Any]) -> None:
    client = signed_in(labelers[0])
    page = client.get(f"/admin/label/{queue.pk}/labelers/")
    (row,) = page.context["rows"]
    assert (row.card.annotator, row.card.pace.labels) == ("renamed-labeler", 2)
    (card,) = client.get("/admin/label/").context["cards"]
    assert (card.mine, card.today) == (2, 2)
    mine = client.get(f"/api/v1/labeling/queues/{queue.pk}/my-labels").json()["results"]
    assert [one["value"]["label"] for one in mine] == ["b", "a"]


@pytest.mark.parametrize(("name", "count"), [("renamed-labeler", 2), ("labeler", 1), ("second-labeler", 1)])
def test_labels_and_history__of_a_name__find_the_person_and_the_name_of_then(
    queue: LabelingQueue, client_of: Callable[..., Client], name: str, count: int
) -> None:
    client = client_of("reviewer")
    for what in ("labels", "history"):
        found = client.get(f"/api/v1/labeling/queues/{queue.pk}/{what}?annotator={name}").json()["results"]
        assert len([one for one in found if one.get("event", "submitted") == "submitted"]) == count, what
    page = client.get("/admin/labeling_app/labelhistory/", {"q": name})
    assert [row.event for row in page.context["cl"].result_list].count("submitted") == count


def test_labelers_page__of_a_reviewer__has_one_row_for_each_person(
    queue: LabelingQueue, client_of: Callable[..., Client]
) -> None:
    rows = client_of("reviewer").get(f"/admin/label/{queue.pk}/labelers/").context["rows"]
    assert [(row.card.annotator, row.card.pace.labels) for row in rows] == [
        ("renamed-labeler", 2),
        ("second-labeler", 1),
    ]
