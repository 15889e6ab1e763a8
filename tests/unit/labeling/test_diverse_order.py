"""Orders that are spread over all there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling_app.domain import diverse_order as diverse_order_module
from labeling_app.domain.diverse_order import (
    Vectors,
    centres,
    diverse_order,
    farthest_first,
    in_turn,
    representatives,
)


def at_angles(*degrees: float) -> Vectors:
    radians = np.radians(degrees)
    return np.column_stack([np.cos(radians), np.sin(radians)]).astype(np.float32)


def test_farthest_first__points_on_a_circle__each_is_the_farthest_from_those_before() -> None:
    # from 0° the farthest is 180°; then 90° (90 away from both) before 100° (80 away) and 10°
    assert farthest_first(at_angles(0, 10, 90, 100, 180), 4).tolist() == [0, 4, 2, 1]


def test_farthest_first__all_alike__none_twice_and_ties_by_place() -> None:
    assert farthest_first(at_angles(0, 0, 0), 5, first=1).tolist() == [1, 0, 2]


def test_farthest_first__nothing__is_nothing() -> None:
    assert farthest_first(at_angles()[:0], 3).tolist() == []
    assert diverse_order(at_angles()[:0], 1).tolist() == []


def test_representatives__groups__one_of_each_by_size_and_from_its_middle() -> None:
    # 10° stands best for the three about it; then the pair; then what lies alone; then what adds most of the rest
    vectors = at_angles(240, 0, 10, 20, 121, 120)
    assert representatives(vectors, 3).tolist() == [2, 4, 0]
    assert sorted(representatives(vectors, 10)) == [0, 1, 2, 3, 4, 5]


def test_representatives__lazily__are_those_of_the_plain_greedy_way() -> None:
    vectors = np.random.default_rng(3).normal(size=(60, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = np.maximum(vectors @ vectors.T, 0)
    covered, plain = np.zeros(60, np.float32), []
    for _ in range(12):
        plain.append(int(np.maximum(similarity - covered, 0).sum(axis=1).argmax()))
        covered = np.maximum(covered, similarity[plain[-1]])
    assert representatives(vectors, 12).tolist() == plain


def test_representatives__nothing__is_nothing() -> None:
    assert representatives(at_angles()[:0], 3).tolist() == []


def test_centres__more_than_are_looked_at__come_from_a_seeded_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diverse_order_module, "SAMPLED", 4)
    vectors = at_angles(*range(0, 100, 5))
    assert len(centres(vectors, seed=1, count=9)) == 4
    assert (centres(vectors, seed=1) == centres(vectors, seed=1)).all()


def test_in_turn__clusters_of_unlike_size__one_of_each_then_what_is_left() -> None:
    cluster = np.array([0, 0, 0, 1, 2, 2])
    similarity = np.array([0.5, 1.0, 0.7, 1.0, 0.9, 1.0], np.float32)
    order = in_turn(cluster, similarity, seed=3).tolist()
    assert order[:3] == [1, 3, 5]  # the centres, by cluster
    assert sorted(order[3:5]) in ([0, 4], [2, 4])
    assert sorted(order) == [0, 1, 2, 3, 4, 5]
    assert in_turn(cluster, similarity, seed=3).tolist() == order


def test_diverse_order__three_groups__first_three_are_one_of_each() -> None:
    vectors = at_angles(*(n / 10 for n in range(50)), *(120 + n / 10 for n in range(5)), 240)
    first = diverse_order(vectors, seed=1)[:3]
    assert {0 if place < 50 else 1 if place < 55 else 2 for place in first} == {0, 1, 2}


@given(
    st.lists(st.floats(0, 360), min_size=1, max_size=40),
    st.integers(0, 5),
)
def test_diverse_order__any_vectors__is_a_permutation_and_the_same_twice(
    angles: list[float], seed: int
) -> None:
    vectors = at_angles(*angles)
    order = diverse_order(vectors, seed)
    assert sorted(order) == list(range(len(angles)))
    assert (order == diverse_order(vectors, seed)).all()
