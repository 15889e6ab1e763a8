"""Answers that were found elsewhere are written over what their finder saw, and over nothing else."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from datasets_app.errors import WorktreeClosed
from datasets_app.models import Branch, Dataset, Example
from datasets_app.services.curation.adopting import (
    Adopted,
    Adoption,
    WorkingAnswer,
    adopt_outputs,
    answers_at,
    working_answers,
)
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import add_example, update_example
from datasets_app.services.curation.types import get_type
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput

NOTHING = frozenset[uuid.UUID]()


@pytest.fixture
def dataset(db: None) -> Dataset:
    """A dataset of two leads: l1 with a score of 75, l2 without an answer."""
    made = create_dataset(name="leads", actor=None)
    for name, output in (("l1", {"lead_score": 75, "priority": "warm"}), ("l2", None)):
        add_example(
            branch=made.main,
            example_type=get_type("lead_score"),
            input_data={"fit_score": 1, "engagement_score": 2},
            expected_output=output,
            external_id=name,
            actor=None,
        )
    return made


def _row(dataset: Dataset, name: str) -> Example:
    return Example.objects.get(branch=dataset.main, identity__external_id=name)


def _before(dataset: Dataset, name: str) -> WorkingAnswer:
    key = _row(dataset, name).identity_id
    return working_answers(dataset.main, [key])[key]


def _adopt(dataset: Dataset, *adoptions: Adoption, actor: Any = None, **more: Any) -> Adopted:
    return adopt_outputs(branch=dataset.main, adoptions=adoptions, actor=actor, reason="a test", **more)


def test_adopt_outputs__rows_as_they_were_seen__output_provenance_and_status_are_written(
    dataset: Dataset,
) -> None:
    reviewer = get_user_model().objects.create(username="reviewer")
    first, second = _before(dataset, "l1"), _before(dataset, "l2")
    hot = {"lead_score": 91.5, "priority": "hot"}
    at = now()
    found = _adopt(
        dataset,
        Adoption(first, hot, {"origin": "adjudicated"}, "validated", reviewer.pk, at),
        Adoption(second, hot, {"origin": "single"}, "pending"),
        actor=reviewer,
    )
    assert found == Adopted(frozenset({first.example_id, second.example_id}), NOTHING, NOTHING, {})
    row = _row(dataset, "l1")
    assert (row.expected_output, row.provenance) == (hot, {"label": {"origin": "adjudicated"}})
    assert (row.validation_status, row.validated_by, row.validated_at) == ("validated", reviewer, at)
    assert _row(dataset, "l2").validation_status == "pending"
    last = row.history.latest("history_id")
    assert (last.history_user, last.history_change_reason) == (reviewer, "a test")
    assert set(dataset.main.dirty.values_list("example_id", flat=True)) == found.written
    assert "hot" in row.search_text


def test_adopt_outputs__numbers_written_otherwise__are_the_same_output(dataset: Dataset) -> None:
    before = _before(dataset, "l1")
    same = replace(before, output={"priority": "warm", "lead_score": 75.0})
    assert _adopt(dataset, Adoption(same, {"lead_score": 1, "priority": "cold"}, None, "pending")).written


def test_adopt_outputs__row_changed_or_gone__is_left_alone_and_told(dataset: Dataset) -> None:
    first, second = _before(dataset, "l1"), _before(dataset, "l2")
    edited = {"lead_score": 10, "priority": "cold"}
    update_example(example=_row(dataset, "l1"), actor=None, expected_output=edited)
    Example.objects.filter(pk=second.pk).delete()
    wanted = {"lead_score": 99, "priority": "hot"}
    found = _adopt(dataset, Adoption(first, wanted, {}, "pending"), Adoption(second, wanted, {}, "pending"))
    assert found == Adopted(NOTHING, frozenset({first.example_id}), frozenset({second.example_id}), {})
    assert _row(dataset, "l1").expected_output == edited


def test_adopt_outputs__status_changed__is_left_alone(dataset: Dataset) -> None:
    before = _before(dataset, "l1")
    update_example(example=_row(dataset, "l1"), actor=None, validation_status="rejected")
    found = _adopt(dataset, Adoption(before, {"lead_score": 9, "priority": "hot"}, {}, "validated"))
    assert (found.changed, _row(dataset, "l1").validation_status) == (
        frozenset({before.example_id}),
        "rejected",
    )


def test_adopt_outputs__output_breaks_the_type__is_told_and_the_others_are_written(dataset: Dataset) -> None:
    first, second = _before(dataset, "l1"), _before(dataset, "l2")
    found = _adopt(
        dataset,
        Adoption(first, {"lead_score": 101, "priority": "hot"}, {}, "pending"),
        Adoption(second, {"lead_score": 1, "priority": "cold"}, {}, "pending"),
    )
    assert found.written == frozenset({second.example_id})
    assert found.invalid == {
        first.example_id: "$.output.lead_score in the answer: "
        "$.output.lead_score: found 101, expected a number of at most 100."
    }


def test_adopt_outputs__unchecked__puts_back_what_was_there(dataset: Dataset) -> None:
    before = replace(_before(dataset, "l1"))
    found = _adopt(dataset, Adoption(before, None, None, "pending"), checked=False)
    assert (found.written, _row(dataset, "l1").expected_output) == (frozenset({before.example_id}), None)


def test_adopt_outputs__no_working_copy__is_refused(dataset: Dataset) -> None:
    before = _before(dataset, "l1")
    Branch.objects.filter(pk=dataset.main.pk).update(worktree="closed")
    with pytest.raises(WorktreeClosed):
        _adopt(dataset, Adoption(before, before.output, {}, "pending"))


def test_adopt_outputs__unknown_status__is_refused(dataset: Dataset) -> None:
    with pytest.raises(BadInput, match="golden"):
        _adopt(dataset, Adoption(_before(dataset, "l1"), {}, {}, "golden"))


def test_answers_at__a_moment_of_the_past__tells_what_the_row_held_then(dataset: Dataset) -> None:
    moment = now()
    update_example(
        example=_row(dataset, "l1"), actor=None, expected_output={"lead_score": 1, "priority": "hot"}
    )
    row = _before(dataset, "l1")
    (then,) = answers_at([(row, moment)]).values()
    assert (then.output, row.output) == (
        {"lead_score": 75, "priority": "warm"},
        {"lead_score": 1, "priority": "hot"},
    )
    assert answers_at([(row, moment.replace(year=2000))]) == {}


def test_adopt_outputs__in_a_transaction_of_its_own__is_recorded_as_the_actors(committed_db: str) -> None:
    made = create_dataset(name="alone", actor=None)
    reviewer = get_user_model().objects.create(username="reviewer")
    row = add_example(
        branch=made.main,
        example_type=get_type("text_classification"),
        input_data={"text": "a"},
        external_id="a",
        actor=None,
    )
    before = working_answers(made.main, [row.identity_id])[row.identity_id]
    _adopt(made, Adoption(before, {"label": "x"}, {"origin": "single"}, "pending"), actor=reviewer)
    last = row.history.latest("history_id")
    assert (last.history_user, last.history_change_reason) == (reviewer, "a test")
