"""Which method of consensus a queue can trust, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from labeling_app.models import LabelingQueue
from labeling_app.services.method_advice import trusted_method
from labeling_app.services.queues import QueueOptions, create_queue
from tests.integration.labeling.labeling_data import text_rows
from tests.integration.labeling.rated_queue import gold, rate

MakeQueue = Callable[..., LabelingQueue]


def label(name: str) -> dict[str, str]:
    return {"label": name}


@pytest.fixture
def long_queue(db: None) -> LabelingQueue:
    """A queue over 120 texts, three labelers each."""
    dataset = create_dataset(name="many", actor=None, default_type=get_type("text_classification"))
    bulk_upsert(branch=dataset.main, documents=text_rows(120), actor=None)
    return create_queue(dataset=dataset, name="many", actor=None, options=QueueOptions(overlap=3))


@pytest.fixture
def scores(db: None) -> LabelingQueue:
    """A queue over 40 leads that asks for their score."""
    dataset = create_dataset(name="leads", actor=None, default_type=get_type("lead_score"))
    rows = [{"id": f"l{n}", "input": {"fit_score": 1, "engagement_score": n}} for n in range(1, 41)]
    bulk_upsert(branch=dataset.main, documents=rows, actor=None)
    return create_queue(
        dataset=dataset, name="scores", actor=None, options=QueueOptions(overlap=5, field_path="lead_score")
    )


def one_good_two_bad(count: int) -> dict[str, dict[str, Any]]:
    """The good labeler is always right; two others say “b” whatever is there, nine times of ten."""
    return {
        f"t{n}": {
            "good": label("abc"[n % 3]),
            "bad": label("b" if n % 10 else "c"),
            "second bad": label("b" if n % 10 != 5 else "a"),
        }
        for n in range(1, count + 1)
    }


def test_trusted_method__no_labels__is_majority_and_says_that_nothing_is_known(
    queue_factory: MakeQueue,
) -> None:
    advice = trusted_method(queue_factory())

    assert (advice.method, advice.rests_on) == ("majority", "nothing")
    assert advice.why.startswith("No example has labels of two labelers yet")


def test_trusted_method__labelers_of_two_kinds_and_gold__trusts_what_is_right_on_gold(
    long_queue: LabelingQueue,
) -> None:
    rate(long_queue, one_good_two_bad(120))
    gold(long_queue, {f"t{n}": label("abc"[n % 3]) for n in range(1, 41)})

    advice = trusted_method(long_queue)
    by_method = {found.method: found for found in advice.evidence}

    assert advice.method in ("weighted", "dawid_skene")
    assert advice.rests_on == "gold"
    assert "40 gold examples" in advice.why
    assert by_method["majority"].accuracy is not None
    assert by_method["majority"].accuracy < 0.5
    assert by_method[advice.method].gold == 40
    assert by_method["crowdlab"].why_not.startswith("Not tried")


def test_trusted_method__few_gold_examples__says_that_they_are_too_few(long_queue: LabelingQueue) -> None:
    rate(long_queue, one_good_two_bad(120))
    gold(long_queue, {"t1": label("b"), "t2": label("c")})

    advice = trusted_method(long_queue)

    assert advice.rests_on == "prediction"
    assert advice.why.startswith("2 gold examples with labels are too few to decide")


def test_trusted_method__answers_in_own_words__stays_with_majority(db: None) -> None:
    dataset = create_dataset(name="contacts", actor=None, default_type=get_type("contact_tier"))
    rows = [{"id": f"c{n}", "input": {"title": f"Engineer {n}"}} for n in range(1, 4)]
    bulk_upsert(branch=dataset.main, documents=rows, actor=None)
    queue = create_queue(
        dataset=dataset, name="why", actor=None, options=QueueOptions(overlap=2, field_path="reasoning")
    )
    rate(queue, {f"c{n}": {"x": f"because {n}", "y": f"as {n}"} for n in range(1, 4)})

    advice = trusted_method(queue)

    assert (advice.method, advice.rests_on) == ("majority", "nothing")
    assert "own words" in advice.why


@pytest.mark.parametrize(("outlier", "method"), [(0, "mean"), (400, "median")])
def test_trusted_method__numbers__takes_the_median_where_some_are_far_off(
    scores: LabelingQueue, outlier: int, method: str
) -> None:
    ratings = {
        f"l{n}": {
            f"labeler {k}": 20 + n + shift + (outlier if (n + k) % 5 == 0 else 0)
            for k, shift in enumerate((-2, -1, 0, 1, 2))
        }
        for n in range(1, 41)
    }
    rate(scores, ratings)
    gold(scores, {f"l{n}": 20 + n for n in range(1, 21)})

    advice = trusted_method(scores)

    assert (advice.method, advice.rests_on) == (method, "gold")
    assert "20 gold examples" in advice.why


def test_trusted_method__a_queue_with_labels__asks_four_queries(
    long_queue: LabelingQueue, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    rate(long_queue, one_good_two_bad(120))
    queue = LabelingQueue.objects.select_related("example_type").get(pk=long_queue.pk)

    with django_assert_max_num_queries(6):  # with the savepoint of the read
        trusted_method(queue)
