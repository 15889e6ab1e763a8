"""The tree of a version: shape by set, cost by change, nothing lost."""

from __future__ import annotations

import hashlib
import random
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.domain import tree


def example(n: int) -> bytes:
    return uuid.uuid5(uuid.NAMESPACE_OID, str(n)).bytes


def content(n: int) -> bytes:
    return hashlib.sha256(str(n).encode()).digest()


def state_of(root: bytes, source: tree.DictSource) -> dict[bytes, bytes]:
    return dict(tree.entries(root, source))


def apply(source: tree.DictSource, root: bytes, changes: dict[bytes, bytes | None]) -> bytes:
    written = tree.update(root, changes, source)
    source.nodes.update(written.nodes)
    return written.root


states = st.dictionaries(st.integers(0, 400), st.integers(0, 5), max_size=300)


def as_entries(state: dict[int, int]) -> dict[bytes, bytes]:
    return {example(k): content(v) for k, v in state.items()}


def test_build__no_examples__is_the_empty_leaf() -> None:
    built = tree.build({})
    assert built.root == tree.EMPTY_ROOT == hashlib.sha256(b"\x00").digest()
    assert built.count == 0


def test_build__three_examples__has_the_pinned_root() -> None:
    built = tree.build({example(n): content(n) for n in range(3)})
    body = b"\x00" + b"".join(
        example(n) + content(n)
        for n in sorted(range(3), key=lambda n: hashlib.sha256(example(n)).digest()[:16])
    )
    assert built.root == hashlib.sha256(body).digest()
    assert built.root.hex() == "cd5ab989da6731623041c05d75484fc7ddb619f4c6e62f12eb9621fcd5692007"


@pytest.mark.parametrize("count", [64, 65])
def test_build__at_the_leaf_limit__is_leaf_up_to_64(count: int) -> None:
    built = tree.build({example(n): content(n) for n in range(count)})
    assert tree.is_leaf(built.nodes[built.root]) is (count <= 64)
    assert tree.node_count(built.nodes[built.root]) == count


def test_build__same_example_twice__is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        tree.build([(example(1), content(1)), (example(1), content(2))])


@settings(max_examples=60, deadline=None)
@given(state=states, seed=st.integers(0, 1000))
def test_update__any_order_of_operations__gives_the_root_of_the_set(state: dict[int, int], seed: int) -> None:
    source = tree.DictSource()
    root = tree.EMPTY_ROOT
    rng = random.Random(seed)
    operations = [*state.items(), *((k + 1000, 1) for k in range(20))]
    rng.shuffle(operations)
    for start in range(0, len(operations), 37):
        root = apply(source, root, {example(k): content(v) for k, v in operations[start : start + 37]})
    root = apply(source, root, {example(k + 1000): None for k in range(20)})
    assert root == tree.build(as_entries(state)).root
    assert state_of(root, source) == as_entries(state)


@settings(max_examples=60, deadline=None)
@given(a=states, b=states)
def test_diff__applied_to_a__gives_b(a: dict[int, int], b: dict[int, int]) -> None:
    built_a, built_b = tree.build(as_entries(a)), tree.build(as_entries(b))
    source = tree.DictSource({**built_a.nodes, **built_b.nodes})
    changes = list(tree.diff(built_a.root, built_b.root, source))
    assert len({c.uuid for c in changes}) == len(changes)
    old, new = as_entries(a), as_entries(b)
    assert {(c.uuid, c.old, c.new) for c in changes} == {
        (u, old.get(u), new.get(u)) for u in old.keys() | new.keys() if old.get(u) != new.get(u)
    }
    assert apply(source, built_a.root, {c.uuid: c.new for c in changes}) == built_b.root


@settings(max_examples=40, deadline=None)
@given(a=states, b=states)
def test_update__reports_exactly_the_difference(a: dict[int, int], b: dict[int, int]) -> None:
    built = tree.build(as_entries(a))
    source = tree.DictSource(built.nodes)
    target = as_entries(b)
    wanted: dict[bytes, bytes | None] = {u: target.get(u) for u in as_entries(a).keys() | target.keys()}
    written = tree.update(built.root, wanted, source)
    assert written.count == len(b)
    source.nodes.update(written.nodes)
    assert sorted(written.changes) == sorted(tree.diff(built.root, written.root, source))


@settings(max_examples=40, deadline=None)
@given(state=states, asked=st.lists(st.integers(0, 500), max_size=50))
def test_lookup__finds_what_is_there_and_nothing_else(state: dict[int, int], asked: list[int]) -> None:
    built = tree.build(as_entries(state))
    found = tree.lookup(built.root, [example(n) for n in asked], tree.DictSource(built.nodes))
    assert found == {example(n): content(state[n]) for n in asked if n in state}


def test_update__one_change_in_ten_thousand__writes_only_its_path() -> None:
    built = tree.build({example(n): content(n) for n in range(10_000)})
    source = tree.DictSource(built.nodes)
    written = tree.update(built.root, {example(5): content(-1)}, source)
    assert 3 <= len(written.nodes) <= 5
    assert written.changes == [tree.TreeChange(example(5), content(5), content(-1))]


def test_update__nothing_really_changes__keeps_the_root_and_writes_nothing() -> None:
    built = tree.build({example(n): content(n) for n in range(200)})
    written = tree.update(
        built.root, {example(5): content(5), example(999): None}, tree.DictSource(built.nodes)
    )
    assert (written.root, written.count, written.nodes, written.changes) == (built.root, 200, {}, [])


def test_leaves__in_small_batches__come_in_the_order_of_keys() -> None:
    built = tree.build({example(n): content(n) for n in range(3000)})
    source = tree.DictSource(built.nodes)
    found = [
        u for bodies in tree.leaves(built.root, source, batch=7) for b in bodies for u in tree.leaf_entries(b)
    ]
    assert found == sorted(found, key=tree.key_of)
    assert len(found) == 3000


def test_inner_children__cut_body__is_told() -> None:
    built = tree.build({example(n): content(n) for n in range(100)})
    with pytest.raises(tree.MalformedNode):
        tree.inner_children(built.nodes[built.root][:-1])
