"""The consensus of items by each method, from labels in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test.utils import CaptureQueriesContext

from datasets_app.models import Dataset
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from labeling_app.models import LabelingQueue, Suggestion
from labeling_app.services.consensus_models import fitted_consensus
from labeling_app.services.consensus_report import consensus_of
from labeling_app.services.method_advice import trusted_method
from labeling_app.services.queues import QueueOptions, create_queue
from tests.integration.labeling.labeling_data import text_rows
from tests.integration.labeling.rated_queue import gold, rate
from tests.integration.labeling.vector_data import add_groups, current_model, give_vectors

MakeQueue = Callable[..., LabelingQueue]


def label(name: str) -> dict[str, str]:
    return {"label": name}


def lead(score: float, priority: str = "hot", **more: Any) -> dict[str, Any]:
    return {"lead_score": score, "priority": priority, **more}


@pytest.fixture
def leads(db: None) -> LabelingQueue:
    """A queue over three leads."""
    dataset = create_dataset(name="leads", actor=None, default_type=get_type("lead_score"))
    rows = [{"id": f"l{n}", "input": {"fit_score": 1, "engagement_score": n}} for n in range(1, 4)]
    bulk_upsert(branch=dataset.main, documents=rows, actor=None)
    return create_queue(dataset=dataset, name="leads", actor=None, options=QueueOptions(overlap=3))


def many_texts(count: int) -> Dataset:
    dataset = create_dataset(name="many", actor=None, default_type=get_type("text_classification"))
    bulk_upsert(branch=dataset.main, documents=text_rows(count), actor=None)
    return dataset


# --- votes ----------------------------------------------------------------------------------------------------------
def test_consensus_of__two_of_three_agree__has_their_answer_share_and_pairs(queue_factory: MakeQueue) -> None:
    queue = queue_factory(overlap=3)
    items = rate(queue, {"t1": {"x": label("a"), "y": label("b"), "z": label("b")}, "t2": {"x": label("c")}})

    found = consensus_of(queue=queue, item_ids=list(items.values()))

    first, second = found[items["t1"]], found[items["t2"]]
    assert first.value == label("b")
    assert first.confidence == pytest.approx(2 / 3)
    assert first.agreement == pytest.approx(1 / 3)
    assert first.labels == 3
    assert (second.value, second.confidence, second.agreement, second.labels) == (label("c"), 1.0, None, 1)
    assert items["t3"] not in found


def test_consensus_of__many_items__is_one_query(
    queue_factory: MakeQueue, django_assert_num_queries: Callable[..., CaptureQueriesContext]
) -> None:
    queue = queue_factory(overlap=2)
    items = rate(queue, {f"t{n}": {"x": label("a"), "y": label("b")} for n in range(1, 11)})
    queue = LabelingQueue.objects.select_related("example_type").get(pk=queue.pk)

    with django_assert_num_queries(1):
        assert len(consensus_of(queue=queue, item_ids=list(items.values()))) == 10


def test_consensus_of__same_class_in_other_words__agrees_and_takes_the_answer_given_most_often(
    leads: LabelingQueue,
) -> None:
    items = rate(
        leads,
        {
            "l1": {
                "x": lead(80, reasoning="wants it now"),
                "y": lead(70, reasoning="asked for a price"),
                "z": lead(70, reasoning="asked for a price"),
            }
        },
    )

    found = consensus_of(queue=leads, item_ids=[items["l1"]], method="majority")[items["l1"]]

    assert found.value == lead(70, reasoning="asked for a price")
    assert found.agreement == 1.0


# --- averages -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("method", "score"), [("mean", 60), ("median", 70), ("trimmed_mean", 70)])
def test_consensus_of__averages__replace_the_number_and_vote_on_the_class(
    leads: LabelingQueue, method: str, score: float
) -> None:
    items = rate(leads, {"l1": {"x": lead(30, "cold"), "y": lead(70), "z": lead(80)}})

    found = consensus_of(queue=leads, item_ids=[items["l1"]], method=method)[items["l1"]]

    assert found.value == lead(score, "hot")
    assert found.confidence == pytest.approx(2 / 3)
    # deviations −30, 10, 20 from 60: √(1400 / 2)
    assert found.spread == pytest.approx(700**0.5)


def test_consensus_of__numbers_alone_on_a_scale__agree_by_how_near_they_are(leads: LabelingQueue) -> None:
    queue = create_queue(
        dataset=leads.dataset,
        name="scores",
        actor=None,
        options=QueueOptions(overlap=3, field_path="lead_score"),
    )
    items = rate(queue, {"l1": {"x": 50, "y": 60, "z": 80}})

    near = consensus_of(queue=queue, item_ids=[items["l1"]], method="median")[items["l1"]]
    voted = consensus_of(queue=queue, item_ids=[items["l1"]], method="majority")[items["l1"]]

    assert near.value == 60
    # distances 10, 30, 20 of 100: mean 20
    assert near.agreement == pytest.approx(0.8)
    assert voted.agreement == 0.0


# --- methods that learn ---------------------------------------------------------------------------------------------
def noisy(count: int) -> dict[str, dict[str, Any]]:
    """Two good labelers who are right nine times of ten, three bad ones who say “b” nearly always."""
    found = {}
    for n in range(1, count + 1):
        truth = "ab"[n % 2]
        other = "ba"[n % 2]
        found[f"t{n}"] = {
            "good": label(other if n % 10 == 0 else truth),
            "second good": label(other if n % 10 == 5 else truth),
            "bad": label("b"),
            "second bad": label("a" if n % 9 == 0 else "b"),
            "third bad": label("a" if n % 7 == 0 else "b"),
        }
    return found


@pytest.mark.parametrize("method", ["weighted", "dawid_skene"])
def test_consensus_of__labelers_who_always_say_the_same__are_outvoted_by_two_good_ones(
    db: None, method: str
) -> None:
    queue = create_queue(dataset=many_texts(60), name="noisy", actor=None, options=QueueOptions(overlap=5))
    items = rate(queue, noisy(60))
    gold(queue, {f"t{n}": label("ab"[n % 2]) for n in range(1, 13)})

    voted = consensus_of(queue=queue, item_ids=list(items.values()), method="majority")
    learned = consensus_of(queue=queue, item_ids=list(items.values()), method=method)

    truth = {items[f"t{n}"]: label("ab"[n % 2]) for n in range(1, 61)}
    right = sum(learned[item].value == answer for item, answer in truth.items())
    assert right > sum(voted[item].value == answer for item, answer in truth.items())
    assert right >= 48  # 54 would be as good as one good labeler; six of the others cannot be told


def test_consensus_of__a_labeler_who_is_new_since_it_learned__the_majority_speaks(
    queue_factory: MakeQueue,
) -> None:
    queue = queue_factory(overlap=3)
    rate(queue, {f"t{n}": {"x": label("a"), "y": label("ab"[n % 2])} for n in range(1, 9)})
    fitted_consensus(queue, "dawid_skene")
    items = rate(queue, {"t9": {"new": label("c"), "x": label("a"), "newer": label("c")}})

    found = consensus_of(queue=queue, item_ids=[items["t9"]], method="dawid_skene")[items["t9"]]

    assert found.value == label("c")
    assert found.confidence == pytest.approx(2 / 3)


def test_fitted_consensus__nothing_new__is_not_fitted_again(queue_factory: MakeQueue) -> None:
    queue = queue_factory(overlap=2)
    rate(queue, {"t1": {"x": label("a"), "y": label("b")}})
    first = fitted_consensus(queue, "weighted")

    assert fitted_consensus(queue, "weighted", fresh=True) is first
    rate(queue, {"t2": {"x": label("a")}})
    assert fitted_consensus(queue, "weighted", fresh=True) is not first


@pytest.mark.slow  # imports cleanlab
def test_crowdlab__suggestions_of_a_model__are_one_more_voice(queue_factory: MakeQueue) -> None:
    queue = queue_factory(overlap=2)
    ratings = {f"t{n}": {"x": label("ab"[n % 2]), "y": label("ab"[n % 2])} for n in range(1, 10)}
    items = rate(queue, {**ratings, "t10": {"x": label("a"), "y": label("b")}})
    Suggestion.objects.bulk_create(
        Suggestion(item_id=items[f"t{n}"], source="model", value=label("ab"[n % 2]), confidence="0.95")
        for n in range(1, 11)
    )

    found = consensus_of(queue=queue, item_ids=list(items.values()), method="crowdlab")

    assert found[items["t10"]].value == label("a")
    assert 0.5 < found[items["t10"]].confidence < found[items["t2"]].confidence


def test_crowdlab__no_model_at_all__says_why_and_the_majority_speaks(queue_factory: MakeQueue) -> None:
    queue = queue_factory(overlap=2)
    items = rate(queue, {f"t{n}": {"x": label("ab"[n % 2]), "y": label("ab"[n % 2])} for n in range(1, 5)})

    why = fitted_consensus(queue, "crowdlab").why_none
    found = consensus_of(queue=queue, item_ids=[items["t1"]], method="crowdlab")

    assert "embedding model" in why or "vector" in why
    assert found[items["t1"]].value == label("b")


@pytest.mark.slow  # imports cleanlab and scikit-learn
def test_crowdlab__vectors_of_the_examples__teach_the_model_that_votes(dataset: Dataset) -> None:
    model = current_model()
    groups = add_groups(dataset, {"a": 25, "b": 25})
    give_vectors(model, groups)
    queue = create_queue(dataset=dataset, name="groups", actor=None, options=QueueOptions(overlap=2))
    ratings = {f"{g}{n}": {"x": label(g), "y": label(g)} for g in "ab" for n in range(24)}
    # of the last of each group the two say different things; its vector tells which
    items = rate(
        queue,
        {**ratings, "a24": {"x": label("b"), "y": label("a")}, "b24": {"x": label("a"), "y": label("b")}},
    )

    found = consensus_of(queue=queue, item_ids=[items["a24"], items["b24"]], method="crowdlab")

    assert found[items["a24"]].value == label("a")
    assert found[items["b24"]].value == label("b")
    advice = trusted_method(queue, with_crowdlab=True)
    assert next(one for one in advice.evidence if one.method == "crowdlab").why_not == ""
