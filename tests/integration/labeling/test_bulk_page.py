"""The page of bulk labeling: what it finds, what it does, what it says when something is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from datasets_app.models import Dataset, EmbeddingModel, JobRun
from labeling_app.models import BulkLabeling, Label, LabelingQueue
from labeling_app.services.bulk import label_in_bulk
from tests.integration.labeling.vector_data import add_groups, current_model, give_vectors

Make = Callable[..., Any]
Groups = dict[str, list[Any]]


@pytest.fixture
def groups(dataset: Dataset) -> Groups:
    return add_groups(dataset, {"card": 4, "rate": 3})


@pytest.fixture
def queue(queue_factory: Make, groups: Groups) -> LabelingQueue:
    return queue_factory(choices=["a", "b"])


@pytest.fixture
def client(person: Make) -> Client:
    client = Client()
    client.force_login(person("reviewer"))
    return client


def address(queue: LabelingQueue, query: str = "") -> str:
    return f"/admin/label/{queue.pk}/bulk/{query}"


def names(response: Any) -> list[str]:
    return [row.name for row in response.context["rows"]]


def send(client: Client, queue: LabelingQueue, query: str = "", **body: Any) -> Any:
    return client.post(address(queue, query), json.dumps(body), content_type="application/json")


def test_get__filter__shows_what_fits(client: Client, queue: LabelingQueue) -> None:
    response = client.get(address(queue, "?text=rate&limit=50"))
    assert names(response) == ["rate0", "rate1", "rate2"] and response.context["total"] == 3
    assert names(client.get(address(queue, "?text=nothing"))) == []
    assert len(names(client.get(address(queue)))) == 17


def test_get__like_an_example__most_similar_first(
    client: Client, queue: LabelingQueue, groups: Groups
) -> None:
    give_vectors(current_model(), groups)
    response = client.get(address(queue, f"?like={groups['card'][0]}"))
    assert {name[:4] for name in names(response)[:3]} == {"card"}
    assert response.context["like"]["name"] == "card0"
    assert response.context["rows"][0].percent > 70


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?like=no-uuid", "is not an id: expected a UUID."),
        ("?like=8d3ff2d3-5c5a-4a5c-9d3f-000000000000", "is not in the working copy any more"),
        ("?at_least=much", "found “much”, expected a number from 0 to 1."),
        ("?at_least=nan", "found “nan”, expected a number from 0 to 1."),
        ("?to=my+card", "There is no embedding model"),
    ],
)
def test_get__what_cannot_be__is_told_on_the_page(
    client: Client, queue: LabelingQueue, query: str, message: str
) -> None:
    EmbeddingModel.objects.update(is_current=False)
    response = client.get(address(queue, query))
    assert response.status_code == 200 and message in response.content.decode()


def test_get__like_an_example_without_a_vector__offers_to_make_them(
    client: Client, queue: LabelingQueue, groups: Groups
) -> None:
    page = client.get(address(queue, f"?like={groups['card'][0]}")).content.decode()
    assert "has no vector of “minilm” yet. They are made on the right." in page and "Make vectors" in page


def test_post__label_and_undo__answer_with_json(client: Client, queue: LabelingQueue, groups: Groups) -> None:
    ids = [str(one) for one in groups["card"][:2]]
    done = send(client, queue, "?text=card", do="label", value={"label": "a"}, examples=ids).json()
    bulk = BulkLabeling.objects.get()
    assert done == {"bulk": str(bulk.pk), "labeled": 2, "left_out": ""}
    assert bulk.rule == {"filters": {"text": "card"}, "left_out": {}}
    page = client.get(address(queue)).content.decode()
    assert "2 examples" in page and "contains “card”" in page and f'data-undo="{bulk.pk}"' in page
    done = send(client, queue, do="undo", bulk=str(bulk.pk)).json()
    assert done == {"bulk": str(bulk.pk), "taken_back": 2, "left": ""}
    assert not Label.objects.exists()
    again = send(client, queue, do="undo", bulk=str(bulk.pk))
    assert (again.status_code, again.json()["code"]) == (409, "bulk_undone")


def test_post__all_that_match__labels_beyond_what_is_shown(client: Client, queue: LabelingQueue) -> None:
    done = send(client, queue, "?text=question", do="label", value={"label": "a"}, all=True).json()
    assert done["labeled"] == 10
    assert set(Label.objects.values_list("example__external_id", flat=True)) == {
        f"t{n}" for n in range(1, 11)
    }


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"do": "label", "value": {"label": 1}, "examples": ["8d3ff2d3-5c5a-4a5c-9d3f-000000000000"]}, 400, "schema_violation"),
        ({"do": "label", "value": {"label": "a"}, "examples": "all"}, 400, "bad_input"),
        ({"do": "label", "value": {"label": "a"}, "examples": ["x"]}, 404, "not_found"),
        ({"do": "label", "value": {"label": "a"}, "examples": ["8d3ff2d3-5c5a-4a5c-9d3f-000000000000"]}, 409, "nothing_to_label"),
        ({"do": "undo", "bulk": "8d3ff2d3-5c5a-4a5c-9d3f-000000000000"}, 404, "unknown_bulk"),
        ({"do": "dance"}, 400, "bad_input"),
        ([], 400, "bad_input"),
    ],
)  # fmt: skip
def test_post__what_cannot_be__is_an_error_with_its_code(
    client: Client, queue: LabelingQueue, body: Any, status: int, code: str
) -> None:
    response = client.post(address(queue), json.dumps(body), content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert not Label.objects.exists()


def test_post__batch_of_another_queue__is_refused(
    client: Client, queue: LabelingQueue, queue_factory: Make, groups: Groups, person: Make
) -> None:
    other = queue_factory()
    bulk = label_in_bulk(
        queue=other, example_ids=groups["card"], value={"label": "a"}, actor=person("reviewer")
    )
    assert send(client, queue, do="undo", bulk=str(bulk.pk)).status_code == 400
    assert Label.objects.count() == 4


@pytest.mark.parametrize(("do", "kind"), [("embed", "label_embed"), ("errors", "label_errors")])
def test_post__button_of_a_job__starts_it_once(
    client: Client, queue: LabelingQueue, do: str, kind: str
) -> None:
    for _ in range(2):
        assert client.post(address(queue, "?text=a"), {"do": do}).url == address(queue, "?text=a")
    job = JobRun.objects.get(kind=kind)
    page = client.get(address(queue)).content.decode()
    assert f"/admin/datasets_app/jobrun/{job.pk}/change/" in page and "lk-running" in page


def test_post__reorder__sorts_a_simple_queue_at_once(client: Client, queue: LabelingQueue) -> None:
    assert client.post(address(queue), {"do": "reorder"}).status_code == 302
    queue.refresh_from_db()
    assert queue.ordered_at is not None


def test_get_and_post__labeler__may_not(queue: LabelingQueue, person: Make) -> None:
    client = Client()
    client.force_login(person("labeler"))
    assert client.get(address(queue)).status_code == 403
    assert send(client, queue, do="label", value={"label": "a"}, examples=[]).status_code == 403
