"""Three-way merge by field: what merges, what is a conflict, how one is resolved."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain.canonical import same_json
from datasets_app.domain.field_merge import Custom, FieldConflict, Merged, merge_fields, resolve
from datasets_app.domain.json_path import MISSING
from datasets_app.errors import MergeState

VALUES = st.recursive(
    st.sampled_from([None, True, 0, 1, 1.0, "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
SIDES = VALUES | st.just(MISSING)


def same(left: Any, right: Any) -> bool:
    return left is right if MISSING in (left, right) else same_json(left, right)


@given(SIDES, SIDES)
def test_merge_fields__only_one_side_changed__is_that_side(base: Any, changed: Any) -> None:
    assert same(merge_fields(base, base, changed).value, changed)
    assert same(merge_fields(base, changed, base).value, changed)
    assert merge_fields(base, changed, changed) == Merged(changed, ())
    assert merge_fields(base, base, changed).conflicts == ()


@given(SIDES, SIDES, SIDES)
def test_merge_fields__sides_swapped__differs_only_in_who_is_who(base: Any, ours: Any, theirs: Any) -> None:
    one, other = merge_fields(base, ours, theirs), merge_fields(base, theirs, ours)
    assert len(one.conflicts) == len(other.conflicts)
    for left, right in zip(one.conflicts, other.conflicts, strict=True):
        assert left.path == right.path
        assert same(left.base, right.base) and same(left.ours, right.theirs) and same(left.theirs, right.ours)
    by_theirs = resolve(one, {conflict.path: "theirs" for conflict in one.conflicts})
    assert same(by_theirs.value, other.value)
    assert by_theirs.conflicts == ()


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 2}, Merged({"a": 2, "b": 2}, ())),
        ({"a": 1}, {}, {"a": 1, "b": 2}, Merged({"b": 2}, ())),
        ({"a": 1}, {"a": 2}, {"a": 2}, Merged({"a": 2}, ())),
        ({"a": 1}, {"a": 2}, {"a": 3}, Merged({"a": 2}, (FieldConflict("$.a", 1, 2, 3),))),
        ({"a": 1}, {}, {"a": 3}, Merged({}, (FieldConflict("$.a", 1, MISSING, 3),))),
        ({"a": 1}, {}, {"a": None}, Merged({}, (FieldConflict("$.a", 1, MISSING, None),))),
        (
            {"a": [1]},
            {"a": [1, 2]},
            {"a": [0, 1]},
            Merged({"a": [1, 2]}, (FieldConflict("$.a", [1], [1, 2], [0, 1]),)),
        ),
        ({}, {"a": {"x": 1}}, {"a": {"y": 2}}, Merged({"a": {"x": 1, "y": 2}}, ())),
        (MISSING, {"x": 1}, {"x": 2}, Merged({"x": 1}, (FieldConflict("$.x", MISSING, 1, 2),))),
        ({"x": 1}, MISSING, {"x": 2}, Merged(MISSING, (FieldConflict("$", {"x": 1}, MISSING, {"x": 2}),))),
        ({"a": 1}, {"a": True}, {"a": 1.0}, Merged({"a": True}, ())),
    ],
)
def test_merge_fields__known_documents__gives_the_known_merge(
    base: Any, ours: Any, theirs: Any, merged: Merged
) -> None:
    assert repr(merge_fields(base, ours, theirs)) == repr(merged)


def test_resolve__each_way__settles_its_conflict_and_leaves_the_others() -> None:
    base = {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}
    merged = merge_fields(base, {"a": 2, "b": 2, "d": 2, "e": 2}, {"a": 3, "b": 3, "c": 3, "d": 3, "e": 3})
    done = resolve(merged, {"$.a": "theirs", "$.b": "base", "$.c": "ours", "$.d": Custom("ours")})
    assert done == Merged({"a": 3, "b": 1, "d": "ours", "e": 2}, (FieldConflict("$.e", 1, 2, 3),))
    assert resolve(done, {"$.e": 7}) == Merged({"a": 3, "b": 1, "d": "ours", "e": 7}, ())
    assert merged.value == {"a": 2, "b": 2, "d": 2, "e": 2}


def test_resolve__document_deleted_on_our_side__can_be_brought_back() -> None:
    merged = merge_fields({"x": 1}, MISSING, {"x": 2})
    assert resolve(merged, {"$": "theirs"}) == Merged({"x": 2}, ())
    assert resolve(merged, {"$": "ours"}) == Merged(MISSING, ())


def test_resolve__no_conflict_there__says_where_the_conflicts_are() -> None:
    merged = merge_fields({"a": 1}, {"a": 2}, {"a": 3})
    with pytest.raises(MergeState) as caught:
        resolve(merged, {"$.b": "ours"})
    assert caught.value.message == "There is no conflict to resolve at $.b: expected $.a."
