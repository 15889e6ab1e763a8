"""The engine end to end: import, commit, diff, branch, merge, checkout, revert, blame."""

from __future__ import annotations

import pytest

from datasets_app.errors import NothingToCommit, SchemaViolation, UncommittedChanges
from datasets_app.models import Example, ExampleChange
from datasets_app.services.curation.examples import update_example
from datasets_app.services.curation.manager import DatasetManager
from datasets_app.services.versioning import log, merging

pytestmark = pytest.mark.django_db


def documents(count: int, label: str = "a") -> list[dict]:
    return [{"id": f"e{n}", "input": {"text": f"text {n}"}, "output": {"label": label}} for n in range(count)]


@pytest.fixture
def manager() -> DatasetManager:
    return DatasetManager.create("words", type="text_classification")


def relabel(manager: DatasetManager, external_id: str, label: str) -> None:
    row = Example.objects.get(branch=manager.branch, identity__external_id=external_id)
    update_example(example=row, actor=None, expected_output={"label": label})


def labels(manager: DatasetManager, ref: str = "HEAD") -> list[str]:
    return [content.output["label"] for content in manager.examples(ref)]


def test_commit__after_import__has_all_examples_and_a_clean_copy(manager: DatasetManager) -> None:
    result = manager.add_examples(documents(100))
    assert (result.read, result.added, result.changed, result.unchanged) == (100, 100, 0, 0)
    commit = manager.commit("first")
    assert (commit.examples_added, commit.examples_modified, commit.examples_removed) == (100, 0, 0)
    assert commit.example_count == 100
    assert manager.status().is_clean
    assert ExampleChange.objects.filter(commit=commit).count() == 100


def test_import__same_documents_again__changes_nothing(manager: DatasetManager) -> None:
    manager.add_examples(documents(50))
    manager.commit("first")
    again = manager.add_examples(documents(50))
    assert (again.added, again.changed, again.unchanged) == (0, 0, 50)
    with pytest.raises(NothingToCommit):
        manager.commit("second")


def test_import__without_ids_twice__changes_nothing(manager: DatasetManager) -> None:
    rows = [{"input": {"text": "same"}, "output": {"label": str(n)}} for n in range(3)]
    manager.add_examples(rows)
    manager.commit("first")
    again = manager.add_examples(rows)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 3)


def test_diff__one_relabeled__names_the_field(manager: DatasetManager) -> None:
    manager.add_examples(documents(10))
    manager.commit("first")
    relabel(manager, "e3", "b")
    comparison = manager.diff()
    assert (comparison.added, comparison.modified, comparison.removed) == (0, 1, 0)
    [change] = comparison.page()
    assert change.name == "e3"
    assert [(f.path, f.kind, f.old, f.new) for f in change.fields] == [
        ("$.output.label", "changed", "a", "b")
    ]
    manager.commit("second")
    assert labels(manager) == ["a", "a", "a", "b"] + ["a"] * 6
    assert labels(manager, "HEAD~1") == ["a"] * 10
    assert len(manager.diff("HEAD~1", "HEAD")) == 1


def test_merge__different_examples__takes_both(manager: DatasetManager) -> None:
    manager.add_examples(documents(10))
    manager.commit("first")
    side = manager.create_branch("side")
    relabel(side, "e1", "side")
    side.commit("side edit")
    relabel(manager, "e2", "main")
    manager.commit("main edit")
    outcome = manager.merge("side")
    assert not outcome.has_conflicts
    assert labels(manager)[:3] == ["a", "side", "main"]
    assert manager.status().is_clean
    row = Example.objects.get(branch=manager.branch, identity__external_id="e1")
    assert row.expected_output == {"label": "side"}
    assert len(log.log(manager.dataset, manager.branch.commit)) == 4


def test_merge__same_field__waits_for_a_person(manager: DatasetManager) -> None:
    manager.add_examples(documents(5))
    manager.commit("first")
    side = manager.create_branch("side")
    relabel(side, "e1", "theirs")
    side.commit("side edit")
    relabel(manager, "e1", "ours")
    manager.commit("main edit")
    outcome = manager.merge("side")
    assert outcome.has_conflicts
    [conflict] = outcome.merge.conflicts.all()
    assert (conflict.path, conflict.base, conflict.ours, conflict.theirs) == (
        "$.output.label",
        {"value": "a"},
        {"value": "ours"},
        {"value": "theirs"},
    )
    merging.resolve_conflict(conflict=conflict, resolution="value", value="third", actor=None)
    commit = merging.complete_merge(merging=outcome.merge, actor=None)
    assert commit.merge_parent_hash == side.branch.commit.commit_hash
    assert labels(manager)[1] == "third"
    assert manager.status().is_clean


def test_complete_merge__resolution_that_breaks_the_type__is_refused_and_can_be_mended(
    manager: DatasetManager,
) -> None:
    manager.add_examples(documents(5))
    manager.commit("first")
    side = manager.create_branch("side")
    relabel(side, "e1", "theirs")
    side.commit("side edit")
    relabel(manager, "e1", "ours")
    manager.commit("main edit")
    outcome = manager.merge("side")
    [conflict] = outcome.merge.conflicts.all()
    merging.resolve_conflict(conflict=conflict, resolution="value", value=5, actor=None)
    with pytest.raises(SchemaViolation, match=r"\$\.output\.label of example"):
        merging.complete_merge(merging=outcome.merge, actor=None)
    merging.resolve_conflict(conflict=conflict, resolution="theirs", actor=None)
    merging.complete_merge(merging=outcome.merge, actor=None)
    assert labels(manager)[1] == "theirs"


def test_checkout__over_uncommitted_work__is_refused_unless_told(manager: DatasetManager) -> None:
    manager.add_examples(documents(5))
    manager.commit("first")
    relabel(manager, "e1", "b")
    manager.commit("second")
    relabel(manager, "e2", "half done")
    with pytest.raises(UncommittedChanges):
        manager.checkout("HEAD~1")
    manager.checkout("HEAD~1", discard=True)
    status = manager.status()
    assert (status.added, status.modified, status.removed) == (0, 1, 0)
    manager.checkout("HEAD", discard=True)
    assert manager.status().is_clean
    assert manager.branch.dirty.count() == 0


def test_checkout__with_stash__keeps_the_work_on_a_branch(manager: DatasetManager) -> None:
    manager.add_examples(documents(5))
    manager.commit("first")
    relabel(manager, "e2", "half done")
    result = manager.checkout("HEAD", stash=True)
    assert manager.status().is_clean
    assert result.stash is not None
    assert labels(manager, result.stash.name)[2] == "half done"
    assert labels(manager)[2] == "a"


def test_revert__undoes_one_commit_only(manager: DatasetManager) -> None:
    manager.add_examples(documents(5))
    manager.commit("first")
    relabel(manager, "e1", "wrong")
    manager.commit("wrong label")
    relabel(manager, "e2", "right")
    manager.commit("right label")
    merging.revert(branch=manager.branch, ref="HEAD~1", actor=None)
    assert labels(manager)[:3] == ["a", "a", "right"]
    assert manager.branch.commit.message.startswith("Revert “wrong label”")


def test_blame__names_the_commit_of_each_field(manager: DatasetManager) -> None:
    manager.add_examples(documents(5))
    first = manager.commit("first")
    relabel(manager, "e1", "b")
    second = manager.commit("second")
    identity = log.find_example(manager.dataset, "e1")
    lines = log.blame(manager.dataset, identity.pk, at=second)
    assert {line.path: line.commit.pk for line in lines} == {
        "$.input.text": first.pk,
        "$.output.label": second.pk,
        "$.type": first.pk,
    }


def test_two_branches__do_not_see_each_others_edits(manager: DatasetManager) -> None:
    manager.add_examples(documents(5))
    manager.commit("first")
    side = manager.create_branch("side")
    relabel(side, "e1", "side")
    assert manager.status().is_clean
    assert side.status().modified == 1
    assert Example.objects.get(branch=manager.branch, identity__external_id="e1").expected_output == {
        "label": "a"
    }


def test_fork__starts_with_the_examples_of_the_parent_version(manager: DatasetManager) -> None:
    manager.add_examples(documents(5))
    manager.commit("first")
    fork = DatasetManager.create("fork", parent_version="words@HEAD")
    assert labels(fork) == ["a"] * 5
    assert fork.status().is_clean
