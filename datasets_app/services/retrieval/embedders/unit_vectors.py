"""What every embedder gives back: finite vectors of length 1 and of the dimension that is expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets_app.errors import EmbeddingTrouble, WrongDimension

Vectors = NDArray[np.float32]
"""float32, shape (texts, dimension), each row of length 1."""


def unit_vectors(
    rows: Sequence[Any] | NDArray[Any], *, count: int, dimension: int | None, where: str
) -> Vectors:
    """Return `rows` as float32 unit vectors, shape (count, dimension).

    `dimension` None accepts any that all rows share; `where` names the source in messages. Raises EmbeddingTrouble for
    another count, for what is not a number, not finite or all zero, and WrongDimension for another dimension.
    """
    if len(rows) != count:
        raise EmbeddingTrouble(f"{where}: found {len(rows)} vectors, expected {count}, one a text.")
    if count == 0:
        return np.empty((0, dimension or 0), np.float32)
    lengths = {len(row) for row in rows}
    expected = dimension or min(lengths)
    if lengths != {expected} or expected == 0:
        found = ", ".join(map(str, sorted(lengths)))
        raise WrongDimension(
            f"{where}: found vectors of dimension {found}, expected {expected or 'at least 1'}.",
            hint="A model has one dimension for life: register what gives another one under another name.",
        )
    try:
        wide = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise EmbeddingTrouble(f"{where}: found a vector that is not all numbers ({error}).") from error
    finite = np.isfinite(wide).all(axis=1)
    if not finite.all():
        raise EmbeddingTrouble(
            f"{where}: found NaN, Infinity or null in vector {int(np.argmin(finite))}, expected finite numbers."
        )
    largest = np.abs(wide).max(axis=1, keepdims=True)
    if not largest.all():
        raise EmbeddingTrouble(
            f"{where}: vector {int(np.argmin(largest))} is all zero, so it has no direction to compare."
        )
    wide /= largest  # first to at most 1, so that the squares neither overflow nor vanish
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    return wide.astype(np.float32)
