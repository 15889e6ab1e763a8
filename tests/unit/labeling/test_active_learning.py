"""What is worth labeling next."""

from __future__ import annotations

import numpy as np
import pytest

from labeling_app.domain.active_learning import (
    SPREAD,
    drawn_apart,
    entropy,
    has_grown,
    learn,
    margins,
    why_not_yet,
)
from labeling_app.domain.diverse_order import Vectors

BLOBS = 12


def blobs(count: int, seed: int) -> tuple[Vectors, list[str]]:
    """Clusters that touch, some of them rare: where it matters which examples are labeled."""
    rng = np.random.default_rng(seed)
    middles = np.random.default_rng(99).normal(size=(BLOBS, 16))
    shares = np.linspace(1, 0.08, BLOBS)
    number = rng.choice(BLOBS, size=count, p=shares / shares.sum())
    vectors = middles[number] + rng.normal(scale=1.1, size=(count, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), [f"class {n:02}" for n in number]


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (["a"] * 5 + ["b"] * 5, ""),
        (
            ["a"] * 50 + ["b"] * 4,
            "2 classes need 5 answers each before anything can be learned; found 1 such class.",
        ),
        ([], "2 classes need 5 answers each before anything can be learned; found 0 such classes."),
    ],
)
def test_why_not_yet__answers__tells_what_is_missing(classes: list[str], told: str) -> None:
    assert why_not_yet(classes) == told


def test_margins__probabilities__best_less_second() -> None:
    found = margins(np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.1, 0.0, 0.9]]))
    assert found == pytest.approx([0.2, 0.0, 0.8])
    assert margins(np.ones((2, 1))).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("votes", "bits"),
    [([], 0), (["a"], 0), (["a", "a"], 0), (["a", "b"], 1), (["a", "a", "b", "c"], 1.5)],
)
def test_entropy__votes__in_bits(votes: list[str], bits: float) -> None:
    assert entropy(votes) == bits


@pytest.mark.parametrize(
    ("before", "now", "grown"),
    [
        (0, 9, False),
        (0, 10, True),
        (100, 109, False),
        (100, 110, True),
        (1000, 1099, False),
        (1000, 1100, True),
    ],
)
def test_has_grown__labels__a_tenth_and_ten_at_least(before: int, now: int, grown: bool) -> None:
    assert has_grown(before=before, now=now) is grown


def test_learn__clusters__tells_them_apart_and_is_deterministic() -> None:
    vectors, classes = blobs(300, seed=1)
    unseen, truth = blobs(300, seed=2)
    model = learn(vectors, classes)
    probabilities = model.probabilities(unseen)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    said = np.array(model.classes)[probabilities.argmax(axis=1)]
    assert (said == truth).mean() > 0.8
    assert (learn(vectors, classes).probabilities(unseen) == probabilities).all()
    assert model.probabilities(unseen[:0]).shape == (0, BLOBS)


def test_learn__one_class__cannot() -> None:
    with pytest.raises(ValueError, match="at least two classes"):
        learn(np.eye(3, dtype=np.float32), ["a"] * 3)


def test_drawn_apart__twins_in_a_row__are_separated() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 2]]
    order = np.array([10, 11, 12, 13, 14])
    assert drawn_apart(order, vectors).tolist() == [10, 12, 14, 11, 13]
    assert drawn_apart(order[:0], vectors[:0]).tolist() == []


@pytest.mark.slow
def test_least_confident_first__as_many_labels_as_at_random__gives_the_better_classifier() -> None:
    """20 labels to begin with, then 20 at a time to 200; accuracy on unseen examples, mean of three seeds.

    At 200 labels: .855 at random, .882 least confident first.
    """
    gained = []
    for seed in range(3):
        pool, classes = blobs(1500, seed=10 + seed)
        unseen, truth = blobs(1000, seed=20 + seed)
        at_random = labeled_in_rounds(pool, classes, unseen, truth, seed, uncertain=False)
        learned = labeled_in_rounds(pool, classes, unseen, truth, seed, uncertain=True)
        gained.append((at_random, learned))
    random_mean, learned_mean = np.mean(gained, axis=0)
    assert learned_mean > random_mean + 0.005


def labeled_in_rounds(
    pool: Vectors, classes: list[str], unseen: Vectors, truth: list[str], seed: int, *, uncertain: bool
) -> float:
    order = np.random.default_rng(seed).permutation(len(pool))
    labeled = list(order[:20])
    while True:
        model = learn(pool[labeled], [classes[place] for place in labeled])
        if len(labeled) == 200:
            said = np.array(model.classes)[model.probabilities(unseen).argmax(axis=1)]
            return float((said == truth).mean())
        rest = np.array([place for place in order if place not in set(labeled)])
        if uncertain:
            rest = rest[np.argsort(margins(model.probabilities(pool[rest])), kind="stable")]
            rest = drawn_apart(rest[:SPREAD], pool[rest[:SPREAD]])
        labeled += list(rest[:20])
