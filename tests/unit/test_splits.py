"""Splits: known places, exact shares, stability, and names that are safe as files."""

from __future__ import annotations

import uuid
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain.splits import (
    PLACES,
    InvalidSplit,
    SplitPart,
    SplitPlan,
    class_cuts,
    parse_split,
    part_at,
    place,
)

FIRST = uuid.UUID(int=1)
PLAN = parse_split("train=.8,val=.1,test=.1")


def test_place__known_example_and_seed__is_pinned() -> None:
    # the first 16 digits of: printf '7:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1' | sha256sum
    assert place(FIRST, 7) == 0xF0DECB1A8E0C7189


def test_parse_split__decimal_fraction_and_percent__are_exact() -> None:
    assert parse_split("a=.1,b=1/3, c=50%").parts == (
        SplitPart("a", Fraction(1, 10)),
        SplitPart("b", Fraction(1, 3)),
        SplitPart("c", Fraction(1, 2)),
    )


def test_parse_split__three_tenths__fill_one_exactly() -> None:
    assert PLAN.cuts[-1] == PLACES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train", "“train” is no part of a split: expected NAME=SHARE, such as train=.8."),
        ("train=most", "“train=most”: found “most”, expected a share such as .8, 4/5 or 80%."),
        ("train=1/0", "“train=1/0”: found “1/0”, expected a share such as .8, 4/5 or 80%."),
        ("train=.8,test=.3", "The shares are 1.1 together; at most 1 is there to share."),
        ("train=0", "train: found share 0, expected more than 0 and at most 1."),
        ("train=-.1", "train: found share -0.1, expected more than 0 and at most 1."),
        ("a=.1,A=.1", "The part “A” is named twice."),
        ("../x=.5", "“../x” cannot name a part, because a file will be called so."),
        ("nul=.5", "“nul” cannot name a part, because a file will be called so."),
        ("=.5", "“” cannot name a part, because a file will be called so."),
        ("train=nan", "“train=nan”: found “nan”, expected a share such as .8, 4/5 or 80%."),
    ],
)
def test_parse_split__what_cannot_be__is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(InvalidSplit) as caught:
        parse_split(text)
    assert caught.value.message == message


def test_split_plan__no_parts__is_refused() -> None:
    with pytest.raises(InvalidSplit):
        SplitPlan(())


def test_part_of__ten_thousand_examples__shares_are_near() -> None:
    counts = Counter(PLAN.part_of(uuid.UUID(int=n)) for n in range(10_000))
    # four standard deviations of a binomial: 160 for train, 120 for the others
    assert abs(counts["train"] - 8000) < 160
    assert abs(counts["val"] - 1000) < 120
    assert counts[None] == 0


def test_part_of__shares_below_one__leaves_the_rest_out() -> None:
    half = parse_split("train=.5")
    counts = Counter(half.part_of(uuid.UUID(int=n)) for n in range(1000))
    assert set(counts) == {"train", None}


@given(st.uuids(), st.integers(-(2**70), 2**70))
def test_part_of__same_example_and_seed__same_part(example: uuid.UUID, seed: int) -> None:
    plan = SplitPlan(PLAN.parts, seed)
    assert plan.part_of(example) == plan.part_of(uuid.UUID(str(example)))
    assert plan.part_of(example) in PLAN.names


@given(st.sets(st.integers(0, PLACES - 1), min_size=1, max_size=300))
def test_class_cuts__any_class__each_part_gets_its_share_to_within_one(places: set[int]) -> None:
    cuts = class_cuts(PLAN, places)
    counts = Counter(part_at(PLAN, cuts, at) for at in places)
    for part in PLAN.parts:
        assert abs(counts[part.name] - part.share * len(places)) <= 1
    assert counts[None] == 0


@given(st.sets(st.integers(0, PLACES - 1), min_size=2, max_size=200), st.integers(0, PLACES - 1))
def test_class_cuts__one_example_more__moves_at_most_one_neighbour_a_cut(
    places: set[int], added: int
) -> None:
    before, after = class_cuts(PLAN, places), class_cuts(PLAN, places | {added})
    moved = [at for at in places if part_at(PLAN, before, at) != part_at(PLAN, after, at)]
    assert len(moved) <= len(PLAN.parts) - 1


def test_class_cuts__no_places__are_those_of_the_plan() -> None:
    assert class_cuts(PLAN, []) == PLAN.cuts
