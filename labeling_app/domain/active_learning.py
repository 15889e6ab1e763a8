"""What is worth labeling next: a classifier learned from the answers so far tells where it is least sure.

Logistic regression on the vectors of the examples: a fraction of a second to learn, its probabilities are fair, and on
sentence vectors it is hard to beat with few labels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labeling_app.domain.diverse_order import Places, Vectors, farthest_first

FEWEST_CLASSES = 2
FEWEST_OF_A_CLASS = 5
"""Answers that each of at least two classes needs before anything is learned."""

SPREAD = 2000
"""First places among which like ones are drawn apart; beyond, the next ordering comes before anybody gets there."""

_BLOCK = (5, 100)
_GROWTH = 0.1
_FEWEST_NEW = 10
_INVERSE_REGULARISATION = (
    10.0  # measured on banking77: at 1 the probabilities of few labels are too flat to rank by
)

Probabilities = npt.NDArray[np.float64]
"""float64, shape (examples, classes), each row sums to 1."""


@dataclass(frozen=True)
class ClassModel:
    """A learned classifier. `classes` are in the order of the columns of its probabilities."""

    classes: tuple[str, ...]
    learned_from: int
    _fitted: Any

    def probabilities(self, vectors: Vectors) -> Probabilities:
        """Return the probability of each class for each vector, shape (len(vectors), len(classes))."""
        if not len(vectors):
            return np.empty((0, len(self.classes)))
        found: Probabilities = self._fitted.predict_proba(vectors)
        return found


def why_not_yet(classes: Iterable[str]) -> str:
    """Return what is missing before a classifier can be learned from answers of these classes; empty: nothing is."""
    enough = sum(count >= FEWEST_OF_A_CLASS for count in Counter(classes).values())
    if enough >= FEWEST_CLASSES:
        return ""
    return (
        f"{FEWEST_CLASSES} classes need {FEWEST_OF_A_CLASS} answers each before anything can be learned; "
        f"found {enough} such {'class' if enough == 1 else 'classes'}."
    )


def learn(vectors: Vectors, classes: Sequence[str], *, seed: int = 0) -> ClassModel:
    """Learn to tell classes by vectors, shape (len(classes), dimension). Deterministic.

    Raises ValueError for fewer than two classes.
    """
    from sklearn.linear_model import LogisticRegression

    if len(set(classes)) < FEWEST_CLASSES:
        raise ValueError("A classifier needs at least two classes.")
    fitted = LogisticRegression(C=_INVERSE_REGULARISATION, tol=1e-3, max_iter=300, random_state=seed)
    fitted.fit(vectors, np.asarray(classes, dtype=object))
    return ClassModel(tuple(map(str, fitted.classes_)), len(classes), fitted)


def margins(probabilities: Probabilities) -> npt.NDArray[np.float64]:
    """Return how far the likeliest class is ahead of the second, 0–1: least confident first is smallest first.

    The margin (Scheffer 2001) rather than the greatest probability: with many classes that is low almost everywhere.
    One class alone is certain: 1.
    """
    if probabilities.shape[1] < 2:
        return np.ones(len(probabilities))
    best = -np.partition(-probabilities, 1, axis=1)[:, :2]
    found: npt.NDArray[np.float64] = best[:, 0] - best[:, 1]
    return found


def drawn_apart(order: Places, vectors: Vectors) -> Places:
    """Return `order` with its entries rearranged within blocks so that each differs from those before it in its block.

    `vectors` has a row for each entry of `order`. A block is a tenth of them, 5 to 100. What is about equally doubtful is often about the same question: the
    answer to the first tells the rest.
    """
    fewest, most = _BLOCK
    size = min(max(len(order) // 10, fewest), most)
    blocks = []
    for start in range(0, len(order), size):
        block = slice(start, start + size)
        blocks.append(order[block][farthest_first(vectors[block], size)])
    return np.concatenate(blocks) if blocks else order


def entropy(votes: Iterable[Hashable]) -> float:
    """Return the Shannon entropy of votes in bits: 0 when all agree or there is none, 1 for two against two."""
    counts = Counter(votes)
    total = counts.total()
    return -sum(n / total * math.log2(n / total) for n in counts.values()) if len(counts) > 1 else 0.0


def has_grown(*, before: int, now: int) -> bool:
    """Tell whether so many labels came in that an order learned from them is worth learning anew: 10 %, at least 10."""
    return now - before >= max(_FEWEST_NEW, _GROWTH * before)
