"""Hidden checks: how often they come, what counts as right, when it is too few."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import RFC_4122

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling_app.domain.answer_fields import answer_fields
from labeling_app.domain.gold_checks import gold_due, is_right, lease_of_check, missed_too_many

TIER = answer_fields(
    {
        "properties": {
            "tier": {"enum": ["A", "B"]},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            "reasoning": {"type": "string"},
        }
    },
    class_path=("tier",),
)
SCORE = answer_fields(
    {
        "properties": {
            "score": {"type": "number", "minimum": 0, "maximum": 100},
            "count": {"type": "integer"},
            "reasoning": {"type": "string"},
        }
    },
)


def test_gold_due__same_arguments__same_answer() -> None:
    first = [gold_due(b"7", 1, item, 0.2) for item in range(50)]
    assert first == [gold_due(b"7", 1, item, Decimal("0.2")) for item in range(50)]
    assert first != [gold_due(b"8", 1, item, 0.2) for item in range(50)]
    assert first != [gold_due(b"7", 2, item, 0.2) for item in range(50)]


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.4, 0.5])
def test_gold_due__many_examples__checks_have_that_share_of_all(rate: float) -> None:
    checks = sum(gold_due(b"1", 1, item, rate) for item in range(20_000))
    assert abs(checks / (20_000 + checks) - rate) < 0.01


@given(st.binary(), st.integers(0), st.integers(0))
def test_gold_due__rate_of_nought__never(secret: bytes, labeler: int, item: int) -> None:
    assert not gold_due(secret, labeler, item, 0)
    assert gold_due(secret, labeler, item, 0.5)


@given(st.binary(), st.integers(0), st.integers(0))
def test_lease_of_check__looks_like_any_random_id(secret: bytes, labeler: int, item: int) -> None:
    leases = [lease_of_check(secret, labeler, item, time) for time in range(8)]
    assert len(set(leases)) == 8
    assert {(lease.version, lease.variant) for lease in leases} == {(4, RFC_4122)}
    assert leases[0] == lease_of_check(secret, labeler, item, 0)


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ({"tier": "A", "confidence": 0.2, "reasoning": "x"}, {"tier": "A", "confidence": 0.9}, True),
        ({"tier": "B", "confidence": 0.9}, {"tier": "A", "confidence": 0.9}, False),
        ({"confidence": 0.9}, {"tier": "A"}, False),
    ],
)
def test_is_right__type_with_a_class__the_class_decides(answer: Any, gold: Any, right: bool) -> None:
    assert is_right(answer, gold, TIER) is right


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ({"score": 75, "count": 3, "reasoning": "x"}, {"score": 80, "count": 3}, True),
        ({"score": 74.9, "count": 3}, {"score": 80, "count": 3}, False),
        ({"score": 75, "count": 4}, {"score": 75, "count": 3}, False),
        ({"score": 75, "count": 4}, {"score": 75}, True),
        ({"score": 1, "reasoning": "one"}, {"score": 1, "reasoning": "another"}, True),
        ({"reasoning": "one "}, {"reasoning": "one"}, True),
        ({"reasoning": "two"}, {"reasoning": "one"}, False),
        ({}, {"score": 75}, False),
        (None, {"score": 75}, False),
    ],
)
def test_is_right__no_class__only_what_gold_gives_counts(answer: Any, gold: Any, right: bool) -> None:
    assert is_right(answer, gold, SCORE) is right


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("billing ", "billing", True),
        ("billing", "account", False),
        (75.0, 75, True),
        (75.1, 75, False),
        (True, 1, False),
        (["a", "b"], ["b", "a"], False),
        (None, "x", False),
        (None, None, True),
    ],
)
def test_is_right__a_plain_value__must_be_the_same_content(answer: Any, gold: Any, right: bool) -> None:
    assert is_right(answer, gold, answer_fields({})) is right


def test_missed_too_many__few_checks__says_nothing_yet() -> None:
    assert not missed_too_many([False] * 4, below=0.8, after=5)
    assert missed_too_many([False] * 5, below=0.8, after=5)
    assert not missed_too_many([False] * 5, below=None, after=5)
    assert not missed_too_many([], below=0.8, after=0)


def test_missed_too_many__exactly_the_threshold__goes_on() -> None:
    assert not missed_too_many([True] * 8 + [False] * 2, below=Decimal("0.8"), after=10)
    assert missed_too_many([True] * 7 + [False] * 3, below=Decimal("0.8"), after=10)


def test_missed_too_many__a_good_record_of_long_ago__hides_nothing() -> None:
    assert missed_too_many([False] * 25 + [True] * 500, below=0.8, after=10)
