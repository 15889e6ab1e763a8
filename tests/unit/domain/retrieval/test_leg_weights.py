"""Trying other weights of the legs on candidates that a search returned."""

import math
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain.retrieval.fusion import convex, ranked, rrf
from datasets_app.domain.retrieval.leg_weights import SHARES, Candidate, Weighing, ndcg_by_share
from datasets_app.domain.retrieval.pass_rules import ndcg

RRF = Weighing("rrf", 60)


def test_ndcg_by_share__legs_that_disagree__rank_the_chunk_as_derived_by_hand() -> None:
    # a: first of lexical, third of vector · b: first of vector alone · c: second of vector alone
    candidates = [
        Candidate(b"a", 1, 9.0, 3, 0.1),
        Candidate(b"b", None, None, 1, 0.9),
        Candidate(b"c", None, None, 2, 0.5),
    ]
    found = ndcg_by_share(candidates, {b"a": 1}, RRF)
    assert found[-1] == 1.0  # lexical alone: a is first
    assert found[0] == pytest.approx(1 / math.log2(4))  # vector alone: third
    assert found[5] == 1.0  # halves: 1/61 + 1/63 against 1/61


def test_ndcg_by_share__found_by_a_leg_without_weight__is_not_found() -> None:
    found = ndcg_by_share([Candidate(b"a", None, None, 1, 0.9)], {b"a": 2}, RRF)
    assert list(found) == [1.0] * 10 + [0.0]


def test_ndcg_by_share__boosts__multiply_the_fused_score() -> None:
    candidates = [Candidate(b"a", 1, 2.0, None, None), Candidate(b"b", 2, 1.0, None, None, boost=1.5)]
    assert ndcg_by_share(candidates, {b"b": 1}, RRF)[-1] == 1.0


def test_ndcg_by_share__nothing_found__is_zero() -> None:
    assert list(ndcg_by_share([], {b"a": 1}, RRF)) == [0.0] * len(SHARES)


def test_ndcg_by_share__nothing_relevant__is_no_number() -> None:
    with pytest.raises(ValueError, match="without a relevant chunk"):
        ndcg_by_share([], {b"a": 0}, RRF)


_KEYS = [uuid.UUID(int=number) for number in range(1, 15)]


@given(
    lexical=st.lists(st.sampled_from(_KEYS), unique=True, min_size=1),
    vector=st.lists(st.sampled_from(_KEYS), unique=True, min_size=1),
    grades=st.lists(st.integers(0, 3), min_size=14, max_size=14).filter(any),
    share=st.integers(1, 9),
    fusion=st.sampled_from(["rrf", "convex"]),
)
def test_ndcg_by_share__any_candidates__ranks_as_the_fusion_itself(
    lexical: list[uuid.UUID], vector: list[uuid.UUID], grades: list[int], share: int, fusion: str
) -> None:
    judgments = dict(zip(_KEYS, grades, strict=True))
    legs = {"lexical": lexical, "vector": vector}
    scores = {
        name: {key: 1.0 - 0.0625 * place for place, key in enumerate(found)} for name, found in legs.items()
    }
    weights = {"lexical": SHARES[share], "vector": 1 - SHARES[share]}
    fused = (
        rrf(legs, weights=weights)
        if fusion == "rrf"
        else convex({name: list(found.items()) for name, found in scores.items()}, weights=weights)
    )
    rounded = {key: round(score, 12) for key, score in fused.items()}
    if len(set(rounded.values())) < len(rounded):
        return  # a tie may fall either way by the last bit of a sum
    candidates = [
        Candidate(
            key.bytes,
            lexical.index(key) + 1 if key in lexical else None,
            scores["lexical"].get(key),
            vector.index(key) + 1 if key in vector else None,
            scores["vector"].get(key),
        )
        for key in set(lexical) | set(vector)
    ]
    found = ndcg_by_share(
        candidates, {key.bytes: grade for key, grade in judgments.items()}, Weighing(fusion, 60)
    )
    assert found[share] == pytest.approx(ndcg(judgments, [key for key, _ in ranked(fused)], 10))
