"""The one gate that every vector passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from datasets_app.errors import EmbeddingTrouble, WrongDimension
from datasets_app.services.retrieval.embedders.unit_vectors import unit_vectors


def test_unit_vectors__rows__have_length_one() -> None:
    vectors = unit_vectors([[3, 4], [0, -2]], count=2, dimension=2, where="x")
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [pytest.approx([0.6, 0.8]), [0, -1]]


@pytest.mark.parametrize("size", [1e-200, 1e-30, 1e30, 1e200])
def test_unit_vectors__very_small_and_large_numbers__keep_their_direction(size: float) -> None:
    vectors = unit_vectors([[3 * size, 4 * size]], count=1, dimension=2, where="x")
    assert vectors.tolist() == [pytest.approx([0.6, 0.8])]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0]], "m: found 1 vectors, expected 2, one a text."),
        ([[1.0], [float("nan")]], "m: found NaN, Infinity or null in vector 1, expected finite numbers."),
        ([[1.0], [None]], "m: found NaN, Infinity or null in vector 1, expected finite numbers."),
        ([[float("-inf")], [1.0]], "m: found NaN, Infinity or null in vector 0, expected finite numbers."),
        ([[1.0], [0.0]], "m: vector 1 is all zero, so it has no direction to compare."),
        (
            [[1.0], ["a"]],
            "m: found a vector that is not all numbers (could not convert string to float: 'a').",
        ),
        (
            [[1.0], [10**400]],
            "m: found a vector that is not all numbers (int too large to convert to float).",
        ),
    ],
)
def test_unit_vectors__unusable__is_told(rows: list[Any], message: str) -> None:
    with pytest.raises(EmbeddingTrouble) as caught:
        unit_vectors(rows, count=2, dimension=1, where="m")
    assert caught.value.message == message


@pytest.mark.parametrize(("dimension", "expected"), [(3, "3"), (None, "1")])
def test_unit_vectors__other_dimension__is_told(dimension: int | None, expected: str) -> None:
    with pytest.raises(WrongDimension) as caught:
        unit_vectors([[1.0], [1.0, 2.0]], count=2, dimension=dimension, where="m")
    assert caught.value.message == f"m: found vectors of dimension 1, 2, expected {expected}."
