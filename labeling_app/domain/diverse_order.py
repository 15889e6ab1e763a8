"""Orders in which what comes early is spread over all there is: farthest-first centres, then one of each in turn.

Farthest-first (k-centre greedy; Gonzalez 1985; Sener and Savarese 2018 for choosing what to label) is within twice the
best cover. Vectors are unit vectors, float32, shape (examples, dimension); distance is 1 − cosine similarity.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

MOST_CENTRES = 256
_SAMPLED = 20_000


def farthest_first(vectors: Vectors, count: int, first: int = 0) -> Places:
    """Return the places of `count` vectors, each the farthest from those before it; ties go to the smaller place.

    Starts with `first`. Fewer than `count` when there are no more vectors; none of none. Work: count × vectors.
    """
    count = min(count, len(vectors))
    if count <= 0:
        return np.empty(0, np.int64)
    chosen = [first]
    nearest = 1 - vectors @ vectors[first]
    nearest[first] = -1  # never twice, even where all are alike
    while len(chosen) < count:
        place = int(nearest.argmax())
        chosen.append(place)
        nearest = np.minimum(nearest, 1 - vectors @ vectors[place])
        nearest[place] = -1
    return np.asarray(chosen, np.int64)


def most_central(vectors: Vectors) -> int:
    """Return the place of the vector nearest to the mean of all: where a spread begins. 0 of none."""
    return int((vectors @ vectors.mean(axis=0)).argmax()) if len(vectors) else 0


def centres(vectors: Vectors, seed: int, count: int = MOST_CENTRES) -> Vectors:
    """Return up to `count` vectors that cover the others, in the order in which they were chosen.

    Of many vectors a seeded sample of 20,000 is looked at: enough to know where they lie.
    """
    if len(vectors) > _SAMPLED:
        vectors = vectors[np.random.default_rng(seed).permutation(len(vectors))[:_SAMPLED]]
    return vectors[farthest_first(vectors, count, most_central(vectors))]


def nearest_centre(vectors: Vectors, chosen: Vectors) -> tuple[Places, npt.NDArray[np.float32]]:
    """Return, for each vector, the place of its nearest centre and the similarity to it."""
    similarity = vectors @ chosen.T
    place = similarity.argmax(axis=1)
    return place, similarity[np.arange(len(vectors)), place]


def in_turn(cluster: Places, similarity: npt.NDArray[np.float32], seed: int) -> Places:
    """Return the order that takes one of each cluster in turn, clusters by number.

    In a cluster what is at its centre comes first, the others in a seeded random order: the first round is the spread
    of the centres, every later one a sample of all that is left. A cluster that is used up is passed over.
    """
    if not len(cluster):
        return np.empty(0, np.int64)
    chance = np.random.default_rng(seed).random(len(cluster))
    is_centre = np.zeros(len(cluster), bool)
    by_similarity = np.lexsort((np.arange(len(cluster)), -similarity, cluster))
    _, starts = np.unique(cluster[by_similarity], return_index=True)
    is_centre[by_similarity[starts]] = True
    within = np.lexsort((chance, ~is_centre, cluster))
    _, starts, sizes = np.unique(cluster[within], return_index=True, return_counts=True)
    turn = np.empty(len(cluster), np.int64)
    turn[within] = np.arange(len(cluster)) - np.repeat(starts, sizes)
    return np.lexsort((cluster, turn))


def diverse_order(vectors: Vectors, seed: int) -> Places:
    """Return the places of all vectors, spread first. Deterministic for a seed."""
    if not len(vectors):
        return np.empty(0, np.int64)
    cluster, similarity = nearest_centre(vectors, centres(vectors, seed))
    return in_turn(cluster, similarity, seed)
