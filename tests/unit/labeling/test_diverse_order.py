"""Orders that are spread over all there is."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labeling_app.domain.diverse_order import (
    Vectors,
    centres,
    diverse_order,
    farthest_first,
    in_turn,
    most_central,
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


def test_most_central__cluster_and_outlier__is_in_the_cluster() -> None:
    assert most_central(at_angles(180, 0, 10, 20)) in (1, 2, 3)


def test_centres__begin_in_the_middle__and_cover() -> None:
    vectors = at_angles(0, 1, 2, 120, 121, 240)
    found = np.degrees(np.arctan2(*centres(vectors, seed=0, count=3).T[::-1])).round() % 360
    assert {int(angle) // 10 for angle in found} == {0, 12, 24}


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
