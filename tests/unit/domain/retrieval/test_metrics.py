"""Retrieval metrics against values derived by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain.retrieval.metrics import (
    cutoff_of,
    depth_for,
    in_reading_order,
    means,
    score_queries,
    standard_metrics,
)
from datasets_app.domain.retrieval.pass_rules import ndcg
from datasets_app.errors import UnknownMetric

RANKING = [f"c{n}" for n in range(1, 11)]


def _of(judgments: dict[str, int], ranking: list[str], *names: str) -> dict[str, float]:
    return score_queries({"q": judgments}, {"q": ranking}, names).by_query["q"]


def test_score_queries__binary_relevance__as_derived_by_hand() -> None:
    # relevant: c2, c5 and one that was not found
    found = _of(
        {"c2": 1, "c5": 1, "absent": 1},
        RANKING,
        "precision@5",
        "recall@5",
        "mrr",
        "map",
        "success@1",
        "success@5",
        "ndcg@5",
    )
    assert found == pytest.approx(
        {
            "precision@5": 2 / 5,
            "recall@5": 2 / 3,
            "mrr": 1 / 2,
            "map": (1 / 2 + 2 / 5) / 3,  # precision at each relevant hit, over all three relevant ones
            "success@1": 0,
            "success@5": 1,
            # DCG = 1/log2(3) + 1/log2(6); ideal 1 + 1/log2(3) + 1/log2(4)
            "ndcg@5": (1 / math.log2(3) + 1 / math.log2(6)) / (1 + 1 / math.log2(3) + 1 / 2),
        }
    )


def test_score_queries__graded_relevance__counts_as_gain_in_ndcg_alone() -> None:
    # the same ranking as in test_pass_rules: 2.392789 / 4.761860
    found = _of({"b": 3, "c": 1, "z": 2}, ["a", "b", "c"], "ndcg@3", "recall@3", "mrr")
    assert found == pytest.approx({"ndcg@3": 0.502490, "recall@3": 2 / 3, "mrr": 0.5}, abs=1e-6)


def test_score_queries__wikipedias_worked_ndcg_example__with_its_order() -> None:
    # "Discounted cumulative gain", Wikipedia: relevances 3 2 3 0 1 2 with 3 and 2 not retrieved: DCG6 = 6.861,
    # IDCG6 = 8.740, nDCG6 = .785
    grades = {"c1": 3, "c2": 2, "c3": 3, "c4": 0, "c5": 1, "c6": 2, "c7": 3, "c8": 2}
    assert _of(grades, RANKING[:6], "ndcg@6")["ndcg@6"] == pytest.approx(0.785, abs=5e-4)


def test_score_queries__a_cut_off_reciprocal_rank__forgets_what_is_below() -> None:
    assert _of({"c4": 1}, RANKING, "mrr", "mrr@3", "mrr@4", "map@3") == {
        "mrr": 0.25,
        "mrr@3": 0,
        "mrr@4": 0.25,
        "map@3": 0,
    }


def test_score_queries__relevance_zero__is_not_relevant() -> None:
    assert _of({"c1": 0, "c2": 1}, RANKING, "mrr", "precision@2", "recall@2") == {
        "mrr": 0.5,
        "precision@2": 0.5,
        "recall@2": 1,
    }


def test_score_queries__no_relevant_chunk__is_skipped_not_scored() -> None:
    scores = score_queries({"a": {}, "b": {"c1": 0}, "c": {"c1": 1}}, {"a": RANKING, "c": RANKING}, ["mrr"])
    assert scores.by_query == {"c": {"mrr": 1.0}}
    assert scores.skipped == ("a", "b")


def test_score_queries__nothing_found__scores_zero() -> None:
    names = standard_metrics(10)
    assert _of({"c1": 1}, [], *names) == dict.fromkeys(names, 0.0)
    assert score_queries({"q": {"c1": 1}}, {}, ["mrr"]).by_query == {"q": {"mrr": 0.0}}


def test_score_queries__fewer_hits_than_k__divides_precision_by_k() -> None:
    assert _of({"c1": 1}, ["c1", "c2"], "precision@10") == {"precision@10": pytest.approx(0.1)}


def test_score_queries__set_precision__divides_by_what_was_retrieved() -> None:
    names = ("setprecision@3", "precision@3", "setprecision@1")
    assert _of({"c1": 1}, ["c1", "c2"], *names) == pytest.approx(
        {"setprecision@3": 1 / 2, "precision@3": 1 / 3, "setprecision@1": 1}
    )
    assert _of({"c1": 1}, [], *names) == dict.fromkeys(names, 0.0)


def test_score_queries__no_queries__gives_nothing() -> None:
    assert score_queries({}, {}, ["mrr"]).by_query == {}


def test_score_queries__an_id_twice_in_a_ranking__is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        score_queries({"q": {"a": 1}}, {"q": ["a", "a"]}, ["mrr"])


@given(st.permutations(["z", "m", "a", "10", "9", "é", "B"]))
def test_score_queries__whatever_the_ids_are__keeps_the_rankings_own_order(ranking: list[str]) -> None:
    expected = {ranking[4]: 1}  # the fifth, however its name sorts
    assert _of(expected, ranking, "mrr")["mrr"] == pytest.approx(1 / 5)


@given(
    st.dictionaries(st.sampled_from([*RANKING, "x", "y"]), st.integers(0, 3), min_size=1),
    st.permutations(RANKING),
    st.integers(1, 12),
)
def test_score_queries__ndcg__is_that_of_the_pass_rules(
    judgments: dict[str, int], ranking: list[str], k: int
) -> None:
    scores = score_queries({"q": judgments}, {"q": ranking}, [f"ndcg@{k}"])
    if not any(judgments.values()):
        assert scores.skipped == ("q",)
        return
    assert scores.by_query["q"][f"ndcg@{k}"] == pytest.approx(ndcg(judgments, ranking, k))


@pytest.mark.parametrize(
    "name", ["", "ndcg", "recall", "NDCG@10", "ndcg@0", "ndcg@1001", "ndcg@", "f1@3", "mrr@-1", "pass_rate"]
)
def test_cutoff_of__not_a_metric__is_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(UnknownMetric, match="expected ndcg@k, precision@k, recall@k, success@k, mrr"):
        cutoff_of(name)


def test_depth_for__the_deepest_metric__decides() -> None:
    assert depth_for(["ndcg@10", "recall@20"]) == 20
    assert depth_for(["ndcg@10", "mrr@5"]) == 10
    assert depth_for(["ndcg@10", "map"]) == 100
    assert depth_for(standard_metrics(200)) == 200


def test_standard_metrics__at_ten__names_each_once() -> None:
    assert standard_metrics(10) == (
        "ndcg@10",
        "precision@10",
        "recall@10",
        "success@10",
        "mrr",
        "map",
        "recall@100",
    )


def test_means__of_some_and_of_none() -> None:
    assert means([{"mrr": 1.0, "map": 0.5}, {"mrr": 0.0, "map": 0.25}]) == {"mrr": 0.5, "map": 0.375}
    assert means([]) == {}


def test_in_reading_order__names_as_a_database_returns_them__are_sorted_for_a_reader() -> None:
    names = [
        "map",
        "mrr",
        "recall@100",
        "vector.ndcg@10",
        "recall@5",
        "lexical.ndcg@10",
        "ndcg@10",
        "pass_rate",
        "ndcg@5",
    ]
    assert in_reading_order(names) == [
        "pass_rate",
        "ndcg@5",
        "ndcg@10",
        "recall@5",
        "recall@100",
        "mrr",
        "map",
        "lexical.ndcg@10",
        "vector.ndcg@10",
    ]
