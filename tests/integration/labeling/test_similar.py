"""Examples to label together: by likeness and by filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datasets_app.models import Dataset, EmbeddingModel, Example
from datasets_app.services.retrieval.example_search import NoVector
from goldenproject.kit.errors import BadInput, Forbidden
from labeling_app.models import LabelingQueue
from labeling_app.services.bulk import label_in_bulk
from labeling_app.services.similar import (
    ItemFilter,
    filtered_examples,
    matching_ids,
    similar_examples,
    vector_state,
)
from labeling_app.services.suggestions import Suggested, set_suggestions
from tests.integration.labeling.labeling_data import answer
from tests.integration.labeling.vector_data import add_groups, current_model, give_vectors

Make = Callable[..., Any]


@pytest.fixture
def groups(dataset: Dataset) -> dict[str, list[Any]]:
    return add_groups(dataset, {"card": 5, "rate": 4})


@pytest.fixture
def queue(queue_factory: Make, groups: dict[str, list[Any]]) -> LabelingQueue:
    return queue_factory()


@pytest.fixture
def model(groups: dict[str, list[Any]]) -> EmbeddingModel:
    model = current_model()
    give_vectors(model, groups)
    return model


def names(found: Any) -> list[str]:
    return [one.external_id for one in found]


def test_similar_examples__of_an_example__its_likes_first_without_itself(
    queue: LabelingQueue, model: EmbeddingModel, groups: dict[str, list[Any]], person: Make
) -> None:
    found = similar_examples(queue=queue, actor=person("reviewer"), example_id=groups["card"][0], limit=6)
    assert {name[:4] for name in names(found[:4])} == {"card"} and "card0" not in names(found)
    assert names(found)[4].startswith("rate")
    assert found[0].similarity > found[3].similarity > 0.7 > found[4].similarity
    assert (found[0].state, found[0].answer, found[0].input["text"][:4]) == ("open", None, "card")
    assert found[0].document()["similarity"] == round(found[0].similarity, 4)


def test_similar_examples__what_was_labeled__is_left_out_unless_wanted(
    queue: LabelingQueue, model: EmbeddingModel, groups: dict[str, list[Any]], person: Make
) -> None:
    reviewer = person("reviewer")
    label_in_bulk(queue=queue, example_ids=groups["card"][1:3], value={"label": "a"}, actor=reviewer)
    like = {"queue": queue, "actor": reviewer, "example_id": groups["card"][0]}
    assert sorted(names(similar_examples(**like, limit=2))) == ["card3", "card4"]
    everything = similar_examples(**like, limit=4, unlabeled_only=False)
    assert sorted(names(everything)) == ["card1", "card2", "card3", "card4"]
    assert {one.external_id: one.answer for one in everything}["card1"] == "a"
    narrowed = similar_examples(**like, also=ItemFilter(text="RATE 1"))
    assert names(narrowed) == ["rate1"]


def test_similar_examples__without_vectors__say_so_plainly(
    queue: LabelingQueue, groups: dict[str, list[Any]], person: Make
) -> None:
    model, reviewer = current_model(), person("reviewer")
    assert not vector_state(queue).is_ready
    with pytest.raises(NoVector, match="has no vector of “made-up” yet"):
        similar_examples(queue=queue, actor=reviewer, example_id=groups["card"][0])
    EmbeddingModel.objects.filter(pk=model.pk).update(is_current=False)
    with pytest.raises(NoVector, match="There is no embedding model"):
        similar_examples(queue=queue, actor=reviewer, example_id=groups["card"][0])
    with pytest.raises(BadInput, match="Similar to what"):
        similar_examples(queue=queue, actor=reviewer)
    with pytest.raises(Forbidden):
        similar_examples(queue=queue, actor=person("labeler"), example_id=groups["card"][0])


def test_filtered_examples__each_filter__finds_what_fits_in_the_order_of_the_queue(
    queue: LabelingQueue, groups: dict[str, list[Any]], person: Make
) -> None:
    reviewer = person("reviewer")

    def found(**which: Any) -> list[str]:
        rows, count = filtered_examples(queue=queue, actor=reviewer, which=ItemFilter(**which))
        assert count == len(rows)
        ids = matching_ids(queue=queue, actor=reviewer, which=ItemFilter(**which))
        assert ids == [row.example for row in rows]
        return names(rows)

    assert found(text="Rate") == ["rate0", "rate1", "rate2", "rate3"]
    Example.objects.filter(identity__in=groups["rate"][:2]).update(
        expected_output={"label": "fees"}, validation_status="validated"
    )
    assert found(answer="fees") == found(status="validated") == ["rate0", "rate1"]
    assert found(answer="fees", text="1") == ["rate1"] and found(answer="nothing") == []
    set_suggestions(
        queue=queue,
        source="rules",
        suggestions=[
            Suggested(groups["card"][0], {"label": "card"}, 0.9),
            Suggested(groups["card"][1], {"label": "card"}, 0.4),
            Suggested(groups["card"][2], {"label": "other"}, 0.99),
        ],
        actor=None,
    )
    assert found(suggested="card") == ["card0", "card1"]
    assert found(suggested="card", at_least=0.5) == ["card0"]
    assert found(at_least=0.5) == ["card0", "card2"]
    rows, _ = filtered_examples(queue=queue, actor=reviewer, which=ItemFilter(suggested="other"))
    assert rows[0].suggestion == {
        "class": "other",
        "confidence": 0.99,
        "source": "rules",
        "value": {"label": "other"},
    }


def test_filtered_examples__more_than_the_limit__counts_them_all(queue: LabelingQueue, person: Make) -> None:
    rows, count = filtered_examples(queue=queue, actor=person("reviewer"), which=ItemFilter(), limit=3)
    assert (names(rows), count) == (["t1", "t2", "t3"], 19)
    answer(queue, person())
    rows, count = filtered_examples(queue=queue, actor=person("reviewer"), which=ItemFilter(), limit=1)
    assert (names(rows), count) == (["t2"], 18)


def test_filtered_examples__no_confidence__is_refused(queue: LabelingQueue, person: Make) -> None:
    with pytest.raises(BadInput, match="found 1.5, expected a number from 0 to 1"):
        filtered_examples(queue=queue, actor=person("reviewer"), which=ItemFilter(at_least=1.5))


def test_filtered_examples__queue_of_a_part__filters_by_the_part(
    queue_factory: Make, groups: dict[str, list[Any]], person: Make
) -> None:
    queue = queue_factory(field_path="label")
    Example.objects.filter(identity__in=groups["rate"][:1]).update(expected_output={"label": "fees"})
    rows, _ = filtered_examples(queue=queue, actor=person("reviewer"), which=ItemFilter(answer="fees"))
    assert names(rows) == ["rate0"] and rows[0].answer == "fees"
    set_suggestions(
        queue=queue, source="rules", suggestions=[Suggested(groups["card"][3], "card", 0.8)], actor=None
    )
    rows, _ = filtered_examples(queue=queue, actor=person("reviewer"), which=ItemFilter(suggested="card"))
    assert names(rows) == ["card3"]
