"""Fusion and boosts: numbers by hand."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain.retrieval.boosts import Boosts, Metadata, factors
from datasets_app.domain.retrieval.fusion import convex, ranked, rrf

A, B, C = (UUID(int=number) for number in (1, 2, 3))


def test_rrf__two_legs__sum_of_reciprocal_ranks() -> None:
    fused = rrf({"lexical": [A, B], "vector": [B, C]})
    assert fused == {A: pytest.approx(1 / 61), B: pytest.approx(1 / 62 + 1 / 61), C: pytest.approx(1 / 62)}


def test_rrf__weights_and_k__count() -> None:
    fused = rrf({"lexical": [A], "vector": [B]}, weights={"lexical": 2.0, "vector": 0.0}, k=1)
    assert fused == {A: 1.0, B: 0.0}


def test_convex__two_legs__mean_of_normalised_scores() -> None:
    fused = convex({"lexical": [(A, 10.0), (B, 6.0), (C, 2.0)], "vector": [(B, 0.9), (C, 0.1)]})
    assert fused == {A: pytest.approx(0.5), B: pytest.approx(0.75), C: pytest.approx(0.0)}


def test_convex__weights__shares_of_their_sum() -> None:
    fused = convex(
        {"lexical": [(A, 2.0), (B, 1.0)], "vector": [(B, 3.0)]}, weights={"lexical": 3.0, "vector": 1.0}
    )
    assert fused == {A: pytest.approx(0.75), B: pytest.approx(0.25)}


@pytest.mark.parametrize("legs", [{}, {"lexical": [], "vector": []}])
def test_fusion__nothing_found__nothing(legs: dict) -> None:
    assert convex(legs) == rrf(legs) == {}


def test_convex__all_weights_zero__all_scores_zero() -> None:
    assert convex({"lexical": [(A, 2.0)]}, weights={"lexical": 0.0}) == {A: 0.0}


def test_ranked__equal_scores__by_id() -> None:
    assert ranked({C: 1.0, A: 1.0, B: 2.0}) == [(B, 2.0), (A, 1.0), (C, 1.0)]


@given(
    st.dictionaries(st.uuids(), st.floats(-1, 1), max_size=20),
    st.dictionaries(st.uuids(), st.floats(0, 50), max_size=20),
)
def test_convex__any_scores__from_0_to_1(vector: dict[UUID, float], lexical: dict[UUID, float]) -> None:
    fused = convex({"vector": ranked(vector), "lexical": ranked(lexical)})
    assert fused.keys() == vector.keys() | lexical.keys()
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in fused.values())


def test_factors__title_and_path_and_type__shares_of_the_query() -> None:
    boosts = Boosts(title=0.5, path=0.2, content_types={"code": 1.3})
    chunk = Metadata("Encoding JSON", "library/json.html#json.dumps", "code")
    assert factors(boosts, ["json", "encod", "fast", "dump"], chunk) == {
        "title": pytest.approx(1.25),
        "path": pytest.approx(1.1),
        "content_type": 1.3,
    }


def test_factors__nothing_applies__none() -> None:
    assert factors(Boosts(title=1.0), ["json"], Metadata("", "", "")) == {}
    assert factors(Boosts(), ["json"], Metadata("json", "json", "code")) == {}
    assert factors(Boosts(title=1.0), [], Metadata("json", "", "")) == {}


def test_boosts__wrong_weights__named() -> None:
    assert Boosts(title=-1, path=float("nan"), content_types={"code": 0}).violations() == [
        "the boost “title” is -1; expected a number of 0 or more",
        "the boost “path” is nan; expected a number of 0 or more",
        "the boost of the content type “code” is 0; expected a number above 0",
    ]


def test_boosts__document__makes_the_same() -> None:
    boosts = Boosts(title=0.5, content_types={"code": 1.3})
    assert Boosts(**boosts.document()) == boosts
    assert not Boosts().active
