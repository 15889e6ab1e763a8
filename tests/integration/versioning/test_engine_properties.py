"""Random work on two branches against a plain model: dictionaries and Python's own three-way merge of keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets_app.errors import NothingToCommit
from datasets_app.models import Example
from datasets_app.services.curation.examples import delete_examples, update_example
from datasets_app.services.curation.manager import DatasetManager
from datasets_app.services.versioning.reading import page_at
from datasets_app.services.versioning.verifying import verify_database

pytestmark = pytest.mark.django_db

names = st.sampled_from([f"e{n}" for n in range(6)])
values = st.sampled_from(["a", "b", "c"])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), names, values),
        st.tuples(st.just("remove"), names, st.just("")),
        st.tuples(st.just("commit"), st.just(""), st.just("")),
    ),
    max_size=8,
)


@contextmanager
def undone() -> Iterator[None]:
    """Leave nothing of the block behind: each example of hypothesis begins with an empty database."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def put(manager: DatasetManager, name: str, value: str) -> None:
    manager.add_examples([{"id": name, "input": {"text": name}, "output": {"label": value}}])


def remove(manager: DatasetManager, name: str) -> None:
    row = Example.objects.filter(branch=manager.branch, identity__external_id=name).first()
    if row is not None:
        delete_examples(branch=manager.branch, uuids=[row.uuid], actor=None)


def play(manager: DatasetManager, state: dict[str, str], work: list[tuple[str, str, str]]) -> None:
    for kind, name, value in work:
        if kind == "put":
            put(manager, name, value)
            state[name] = value
        elif kind == "remove":
            remove(manager, name)
            state.pop(name, None)
        else:
            commit(manager)
    commit(manager)


def commit(manager: DatasetManager) -> None:
    try:
        manager.commit("step")
    except NothingToCommit:
        pass


def committed(manager: DatasetManager) -> dict[str, Any]:
    head = manager.branch.commit
    return {} if head is None else {row.name: row.content.output["label"] for row in page_at(head, limit=100)}


def working(manager: DatasetManager) -> dict[str, Any]:
    rows = Example.objects.filter(branch=manager.branch).select_related("identity")
    return {row.identity.external_id: row.expected_output["label"] for row in rows}


def merged_model(
    base: dict[str, str], ours: dict[str, str], theirs: dict[str, str]
) -> tuple[dict[str, str], set[str]]:
    result, conflicts = {}, set()
    for key in base.keys() | ours.keys() | theirs.keys():
        b, o, t = base.get(key), ours.get(key), theirs.get(key)
        if o == t or t == b:
            value = o
        elif o == b:
            value = t
        else:
            conflicts.add(key)
            value = o
        if value is not None:
            result[key] = value
    return result, conflicts


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=operations, ours=operations, theirs=operations)
def test_merge__random_work_on_both_sides__loses_nothing(
    db: None,
    start: list[tuple[str, str, str]],
    ours: list[tuple[str, str, str]],
    theirs: list[tuple[str, str, str]],
) -> None:
    with undone():
        main = DatasetManager.create("random", type="text_classification")
        put(main, "anchor", "a")
        commit(main)
        base: dict[str, str] = {"anchor": "a"}
        play(main, base, start)
        side = main.create_branch("side")
        mine, yours = dict(base), dict(base)
        play(side, yours, theirs)
        play(main, mine, ours)
        assert (committed(main), committed(side)) == (mine, yours)
        expected, conflicts = merged_model(base, mine, yours)
        outcome = main.merge("side")
        found = {c.example_id for c in outcome.merge.conflicts.all()} if outcome.merge else set()
        assert len(found) == len(conflicts)
        if not conflicts:
            assert committed(main) == working(main) == expected
            assert main.status().is_clean
        else:
            assert committed(main) == working(main) == mine
        assert verify_database(deep=True).errors == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(work=operations, later=operations)
def test_checkout__any_version__gives_its_state_and_head_gives_it_back(
    db: None, work: list[tuple[str, str, str]], later: list[tuple[str, str, str]]
) -> None:
    with undone():
        main = DatasetManager.create("random", type="text_classification")
        put(main, "anchor", "a")
        commit(main)
        state: dict[str, str] = {"anchor": "a"}
        play(main, state, work)
        main.tag("then")
        then = dict(state)
        play(main, state, later)
        main.checkout("then")
        assert working(main) == then
        status = main.status()
        assert status.added + status.modified + status.removed == len(
            {k for k in then.keys() | state.keys() if then.get(k) != state.get(k)}
        )
        main.checkout("main", discard=True)
        assert working(main) == state
        assert main.branch.dirty.count() == 0
        assert verify_database(deep=True).errors == []


def test_relabel__back_to_the_committed_value__is_clean_again(db: None) -> None:
    main = DatasetManager.create("random", type="text_classification")
    put(main, "e1", "a")
    commit(main)
    row = Example.objects.get(branch=main.branch)
    update_example(example=row, actor=None, expected_output={"label": "b"})
    update_example(example=row, actor=None, expected_output={"label": "a"})
    assert main.status().is_clean
    with pytest.raises(NothingToCommit):
        main.commit("nothing")
