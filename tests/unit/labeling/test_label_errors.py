"""Likely label errors, found where wrong answers were put in."""

from __future__ import annotations

import numpy as np

from labeling_app.domain.diverse_order import Vectors
from labeling_app.domain.label_errors import LabelIssue, likely_errors, usable


def clusters(count: int, wrong: int, seed: int = 0) -> tuple[Vectors, list[str], set[int]]:
    """Return vectors of four classes, what they are said to be, and the places where that is wrong."""
    rng = np.random.default_rng(seed)
    middles = np.eye(4, 12)
    number = rng.integers(0, 4, size=count)
    vectors = middles[number] + rng.normal(scale=0.22, size=(count, 12))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    places = rng.permutation(count)[:wrong]
    number[places] = (number[places] + rng.integers(1, 4, size=wrong)) % 4
    return vectors.astype(np.float32), [f"class {n}" for n in number], set(map(int, places))


def test_likely_errors__one_in_twenty_wrong__most_are_found_and_little_else() -> None:
    """20 of 400 answers are wrong; 19 are found and nothing else: precision 1.00, recall .95."""
    vectors, classes, wrong = clusters(400, 20)
    found = likely_errors(vectors, classes, limit=400)
    hits = sum(issue.place in wrong for issue in found)
    assert hits / len(found) >= 0.9  # precision
    assert hits / len(wrong) >= 0.9  # recall
    assert [issue.quality for issue in found] == sorted(issue.quality for issue in found)
    worst = found[0]
    assert worst.suggested != worst.given == classes[worst.place]
    assert worst.alike >= 12 and worst.neighbours == 15 and worst.probability > 0.8


def test_likely_errors__limit__keeps_the_worst() -> None:
    vectors, classes, _ = clusters(400, 20)
    assert likely_errors(vectors, classes, limit=3) == likely_errors(vectors, classes, limit=400)[:3]


def test_likely_errors__nothing_wrong__finds_nothing() -> None:
    vectors, classes, _ = clusters(200, 0)
    assert likely_errors(vectors, classes) == []


def test_likely_errors__rare_classes__are_left_out() -> None:
    vectors, classes, _ = clusters(200, 0)
    classes[:4] = ["rare"] * 4
    assert 0 not in usable(classes) and len(usable(classes)) == 196
    assert all(issue.place >= 4 for issue in likely_errors(vectors, classes))


def test_likely_errors__one_class_or_none__finds_nothing() -> None:
    vectors, _, _ = clusters(20, 0)
    assert likely_errors(vectors, ["same"] * 20) == []
    assert likely_errors(vectors[:0], []) == []


def test_words__of_an_issue__name_neighbours_and_probabilities() -> None:
    issue = LabelIssue(3, "refund", "fee", 0.04, 0.934, 0.021, 12, 15)
    assert issue.words() == (
        "The answer is refund; 12 of its 15 nearest neighbours say fee; a classifier that has not seen it gives "
        "fee 0.93 and refund 0.02."
    )
