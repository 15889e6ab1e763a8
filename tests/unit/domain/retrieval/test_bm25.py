"""BM25 over packed segments: numbers worked out by hand, and the same results however chunks are cut into segments."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.domain.retrieval import bm25
from datasets_app.domain.retrieval.compaction import SegmentSize, next_merge
from datasets_app.domain.retrieval.postings import (
    MAX_CHUNKS,
    MergePart,
    PackedSegment,
    SegmentBuilder,
    merged,
    unpack,
)

Texts = dict[int, list[str]]


def packed(texts: Texts) -> PackedSegment:
    builder = SegmentBuilder()
    for number in sorted(texts):
        builder.add(number.to_bytes(16, "big"), texts[number])
    return builder.build()


def found(
    query: Sequence[str], parts: Sequence[PackedSegment], gone: Sequence[set[int]] = (), limit: int = 10
) -> list[tuple[int, float]]:
    segments, postings = [], []
    for place, part in enumerate(parts):
        ids = np.frombuffer(part.chunk_ids, "S16")
        missing = gone[place] if gone else set()
        mask = np.array(
            [int.from_bytes(part.chunk_ids[16 * n : 16 * n + 16], "big") in missing for n in range(len(ids))]
        )
        segment = bm25.Segment(
            ids, np.frombuffer(part.lengths, "<u4").astype(np.float64), mask if mask.any() else None
        )
        segments.append(segment)
        postings.append(
            {p.term: bm25.living(unpack(p.document_frequency, p.packed), segment) for p in part.terms}
        )
    hits = bm25.top(query, segments, postings, bm25.statistics(segments), limit)
    return [(int.from_bytes(hit.chunk_id, "big"), hit.score) for hit in hits]


def by_hand(query: Sequence[str], texts: Texts, limit: int = 10) -> list[tuple[int, float]]:
    """The formula, chunk by chunk."""
    average = sum(map(len, texts.values())) / len(texts) if texts else 0
    scores = {}
    for number, text in texts.items():
        score = 0.0
        for term, often in sorted(Counter(query).items()):
            frequency = text.count(term)
            if frequency:
                having = sum(term in other for other in texts.values())
                idf = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
                score += often * idf * frequency / (frequency + 0.9 * (0.6 + 0.4 * len(text) / average))
        if score:
            scores[number] = score
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:limit]


def test_top__three_chunks__score_by_hand() -> None:
    texts = {1: ["cat", "sat"], 2: ["cat", "cat", "mat", "mat"], 3: ["dog", "ran", "far"]}
    # N 3, df 2: idf = ln(1 + 1.5/2.5) = ln 1.6; average length 3
    first = math.log(1.6) * 2 / (2 + 0.9 * (0.6 + 0.4 * 4 / 3))
    second = math.log(1.6) * 1 / (1 + 0.9 * (0.6 + 0.4 * 2 / 3))
    assert found(["cat"], [packed(texts)]) == [(2, pytest.approx(first)), (1, pytest.approx(second))]
    assert found(["cat", "cat"], [packed(texts)])[0] == (2, pytest.approx(2 * first))


def test_top__no_term_known__nothing() -> None:
    assert found(["zebra"], [packed({1: ["cat"]})]) == []
    assert found([], [packed({1: ["cat"]})]) == []
    assert found(["cat"], []) == []


def test_top__equal_scores_beyond_the_limit__smallest_ids() -> None:
    texts = {number: ["same"] for number in range(1, 200)}
    halves = [
        packed({n: t for n, t in texts.items() if n % 2}),
        packed({n: t for n, t in texts.items() if not n % 2}),
    ]
    assert [number for number, _ in found(["same"], halves, limit=5)] == [1, 2, 3, 4, 5]


def test_segment__term_more_than_255_and_65535_times__wide_and_capped() -> None:
    part = packed({1: ["a"] * 300 + ["b"], 2: ["a"] * 70_000})
    (a, b) = part.terms
    assert (a.term, a.document_frequency, len(a.packed), len(b.packed)) == ("a", 2, 8, 3)
    assert unpack(2, a.packed).frequencies.tolist() == [300, 65_535]
    assert np.frombuffer(part.lengths, "<u4").tolist() == [301, 70_000]


def test_segment_builder__ids_not_ascending__refused() -> None:
    builder = SegmentBuilder()
    builder.add(bytes(15) + b"\x02", ["a"])
    with pytest.raises(ValueError, match="expected ascending ids"):
        builder.add(bytes(15) + b"\x01", ["a"])


def test_unpack__wrong_size__refused() -> None:
    with pytest.raises(ValueError, match="found 7 bytes of postings of 2 chunks, expected 3 or 4 bytes each"):
        unpack(2, bytes(7))


terms_of_chunk = st.lists(st.sampled_from("abcdefgh"), max_size=12)
texts_strategy = st.dictionaries(st.integers(0, 2**128 - 1), terms_of_chunk, max_size=25)


@settings(deadline=None, max_examples=50)
@given(texts_strategy, st.lists(st.sampled_from("abcdefghz"), max_size=5), st.integers(1, 4), st.randoms())
def test_top__any_cut_into_segments_with_old_copies__as_the_formula(
    texts: Texts, query: list[str], parts: int, chance: random.Random
) -> None:
    cut: list[Texts] = [{} for _ in range(parts)]
    gone: list[set[int]] = [set() for _ in range(parts)]
    for number, text in texts.items():
        home = chance.randrange(parts)
        cut[home][number] = text
        for other in range(parts):
            if other != home and chance.random() < 0.3:
                cut[other][number] = ["a", "z"]
                gone[other].add(number)
    segments = [packed(part) for part in cut]
    top = found(query, segments, gone, limit=30)
    assert dict(top) == {n: pytest.approx(score) for n, score in by_hand(query, texts, limit=30)}
    assert [score for _, score in top] == sorted((score for _, score in top), reverse=True)
    # and exactly the scores of one fresh segment, to the last bit
    assert top == found(query, [packed(texts)], limit=30)


@settings(deadline=None, max_examples=50)
@given(texts_strategy, st.integers(1, 4), st.randoms())
def test_merged__parts_with_gone_chunks__equals_a_fresh_segment(
    texts: Texts, parts: int, chance: random.Random
) -> None:
    cut: list[Texts] = [{} for _ in range(parts)]
    for number, text in texts.items():
        cut[chance.randrange(parts)][number] = text
    staying = {number: text for number, text in texts.items() if chance.random() < 0.7}
    merge_parts = []
    for part in cut:
        segment = packed(part)
        stays = np.array([number in staying for number in sorted(part)], np.bool_)
        merge_parts.append(MergePart(segment.chunk_ids, segment.lengths, stays, segment.terms))
    one, fresh = merged(merge_parts), packed(staying)
    assert (one.chunk_ids, one.lengths, list(one.terms)) == (
        fresh.chunk_ids,
        fresh.lengths,
        list(fresh.terms),
    )


@given(st.lists(st.integers(1, 70), min_size=1, max_size=200))
def test_next_merge__many_small_writes__segments_stay_few(writes: list[int]) -> None:
    sizes: list[SegmentSize] = []
    for number, count in enumerate(writes):
        sizes.append(SegmentSize(number, count, 0, count))
        while group := next_merge(sizes):
            alive = sum(size.alive for size in sizes if size.segment_id in group)
            assert alive <= MAX_CHUNKS
            sizes = [size for size in sizes if size.segment_id not in group]
            sizes.append(SegmentSize(max(group), alive, 0, alive))
    assert sum(size.alive for size in sizes) == sum(writes)
    assert len(sizes) <= 3 * 8


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([SegmentSize(1, 0, 5, 50)], [1]),
        ([SegmentSize(1, 79, 21, 50)], [1]),
        ([SegmentSize(1, 80, 20, 50)], []),
        ([SegmentSize(n, 5, 0, 50) for n in range(3)], []),
        ([SegmentSize(n, 5, 0, 50) for n in range(4)], [0, 1, 2, 3]),
        ([SegmentSize(n, 20_000, 0, 50) for n in range(4)], [0, 1, 2]),
        ([SegmentSize(n, 60_000, 0, 50) for n in range(9)], []),
    ],
)
def test_next_merge__sizes__group(sizes: list[SegmentSize], expected: list[int]) -> None:
    assert next_merge(sizes) == expected


def test_next_merge__work_bounded__big_groups_wait() -> None:
    sizes = [SegmentSize(n, 10_000, 0, 50) for n in range(4)]
    assert next_merge(sizes, 15_000) == []
    assert next_merge(sizes, 20_000) == [0, 1]
