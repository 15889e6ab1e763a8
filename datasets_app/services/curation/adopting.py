"""Write answers that were found elsewhere (by labelers, by a reviewer) into a working copy, as sets.

An answer is written only over what its finder saw: each row says what it must hold now, and a row that somebody
changed meanwhile is left alone and told.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from datasets_app.domain.canonical import loads_stored
from datasets_app.domain.strict_json import check_value
from datasets_app.errors import InvalidJson, WorktreeClosed
from datasets_app.models import Branch, ExampleType, ValidationStatus
from datasets_app.services.curation.types import violation_message
from datasets_app.services.versioning.compiled_types import compiled
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.database_io import json_or_null, prepared_cursor
from goldenproject.kit.errors import BadInput

# Of a working row `r`, in the order that `working_answer` reads.
WORKING_COLUMNS = """
    r.example_id, r.id, r.example_type_id, r.input_data::text, r.expected_output::text,
    (r.provenance -> 'label')::text, r.validation_status, r.validated_by_id, r.validated_at, r.updated_at
"""
_ROWS = (
    f"SELECT {WORKING_COLUMNS} FROM datasets_app_example r WHERE r.branch_id = %s AND r.example_id = ANY(%s)"
)
_ROWS_AT = f"""
    SELECT DISTINCT ON (r.id) {WORKING_COLUMNS}, r.history_type
      FROM unnest(%s::bigint[], %s::timestamptz[]) w(id, at)
      JOIN datasets_app_historicalexample r ON r.id = w.id AND r.history_date <= w.at
     ORDER BY r.id, r.history_date DESC, r.history_id DESC
"""
# One statement holds the working copy open, says who writes and why, and writes: labels arrive one at a time, each
# answer waits for this. {} is what a row without provenance holds; the key goes when there is nothing to tell.
_ADOPT = """
    WITH held AS (
        SELECT set_config('golden.actor', coalesce(nullif(%s, ''), current_setting('golden.actor', true), ''), true),
               set_config('golden.reason', %s, true)
          FROM datasets_app_branch WHERE id = %s AND worktree = 'open' FOR KEY SHARE
    ), given AS (
        SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[],
                             %s::timestamptz[])
               AS g(example_id, output, output_before, label, status, status_before, validated_by, validated_at)
    ), written AS (
        UPDATE datasets_app_example e
           SET expected_output = g.output::jsonb,
               provenance = CASE WHEN g.label IS NULL THEN e.provenance - 'label'
                                 ELSE e.provenance || jsonb_build_object('label', g.label::jsonb) END,
               validation_status = g.status, validated_by_id = g.validated_by, validated_at = g.validated_at,
               updated_at = statement_timestamp()
          FROM given g, held
         WHERE e.branch_id = %s AND e.example_id = g.example_id AND e.validation_status = g.status_before
           AND nullif(e.expected_output, 'null') IS NOT DISTINCT FROM nullif(g.output_before::jsonb, 'null')
     RETURNING e.example_id
    )
    SELECT example_id FROM written UNION ALL SELECT NULL FROM held
"""
_STILL_THERE = "SELECT example_id FROM datasets_app_example WHERE branch_id = %s AND example_id = ANY(%s)"


@dataclass(frozen=True, slots=True)
class WorkingAnswer:
    """What a working row holds now of what labels may change. `label` is its provenance of labels, if any."""

    example_id: uuid.UUID
    pk: int
    type_id: int
    input: Any
    output: Any
    label: dict[str, Any] | None
    status: str
    validated_by: int | None
    validated_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Adoption:
    """An answer to write over `before`: the whole expected output, the provenance of its label (None: none), the status.

    `validated_by` is None where the labelers together validate, not a person.
    """

    before: WorkingAnswer
    output: Any
    label: dict[str, Any] | None
    status: str
    validated_by: int | None = None
    validated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of each adoption: written, or not, because the row changed, is gone, or the answer does not fit its type."""

    written: frozenset[uuid.UUID]
    changed: frozenset[uuid.UUID]
    gone: frozenset[uuid.UUID]
    invalid: dict[uuid.UUID, str]


def working_answers(branch: Branch, example_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, WorkingAnswer]:
    """Return what the rows of the working copy hold now, by example; those without a row are left out."""
    with prepared_cursor() as cursor:
        cursor.execute(_ROWS, [branch.pk, list(example_ids)])
        return {row[0]: working_answer(row) for row in cursor}


def answers_at(moments: Iterable[tuple[WorkingAnswer, datetime]]) -> dict[uuid.UUID, WorkingAnswer]:
    """Return what each row held at its moment, from its history; rows that were not there then are left out."""
    wanted = list(moments)
    if not wanted:
        return {}
    with prepared_cursor() as cursor:
        cursor.execute(_ROWS_AT, [[row.pk for row, _ in wanted], [at for _, at in wanted]])
        return {row[0]: working_answer(row) for row in cursor if row[-1] != "-"}


def working_answer(row: Sequence[Any]) -> WorkingAnswer:
    """Return what a row of WORKING_COLUMNS says."""
    input_, output, label = (None if text is None else loads_stored(text) for text in row[3:6])
    return WorkingAnswer(row[0], row[1], row[2], input_, output, label, row[6], row[7], row[8], row[9])


def adopt_outputs(
    *,
    branch: Branch,
    adoptions: Sequence[Adoption],
    actor: Any,
    reason: str,
    checked: bool = True,
    known_types: Iterable[ExampleType] = (),
) -> Adopted:
    """Write answers with their provenance and status, in one statement; at the most one per example.

    Each row must hold the output and the status of `Adoption.before` still: one that was changed since is not touched.
    An output that its type does not allow is not written either; without `checked` (what was there before) it is.
    `known_types` need not be read again. In the transaction of a caller, what follows is recorded under the same actor
    and reason. Raises WorktreeClosed, and BadInput for an unknown status.
    """
    unknown = {a.status for a in adoptions} - set(ValidationStatus.values)
    if unknown:
        raise BadInput(f"“{unknown.pop()}”: expected one of {', '.join(ValidationStatus.values)}.")
    invalid = _invalid(adoptions, known_types) if checked else {}
    fitting = [a for a in adoptions if a.before.example_id not in invalid]
    if not fitting:
        return Adopted(frozenset(), frozenset(), frozenset(), invalid)
    with nullcontext() if connection.in_atomic_block else acting(actor, reason):
        written = _write(branch, fitting, actor, reason)
        left = [a.before.example_id for a in fitting if a.before.example_id not in written]
        there = _still_there(branch, left) if left else frozenset()
    return Adopted(written, there, frozenset(left) - there, invalid)


def _write(branch: Branch, adoptions: Sequence[Adoption], actor: Any, reason: str) -> frozenset[uuid.UUID]:
    """Write what may be written; return which examples that were."""
    person = known_person(actor)
    with prepared_cursor() as cursor:
        cursor.execute(
            _ADOPT,
            [
                "" if person is None else str(person.pk),
                reason,
                branch.pk,
                [a.before.example_id for a in adoptions],
                [json_or_null(a.output) for a in adoptions],
                [json_or_null(a.before.output) for a in adoptions],
                [json_or_null(a.label) for a in adoptions],
                [a.status for a in adoptions],
                [a.before.status for a in adoptions],
                [a.validated_by for a in adoptions],
                [a.validated_at for a in adoptions],
                branch.pk,
            ],
        )
        found = {row[0] for row in cursor}
    if None not in found:
        raise WorktreeClosed(
            f"Branch “{branch.name}” has no working copy to edit.", hint="Open it for editing first."
        )
    return frozenset(found - {None})


def _still_there(branch: Branch, example_ids: Sequence[uuid.UUID]) -> frozenset[uuid.UUID]:
    with prepared_cursor() as cursor:
        cursor.execute(_STILL_THERE, [branch.pk, list(example_ids)])
        return frozenset(row[0] for row in cursor)


def _invalid(adoptions: Sequence[Adoption], known_types: Iterable[ExampleType]) -> dict[uuid.UUID, str]:
    """Return why outputs cannot be written, by example."""
    types = {one.pk: one for one in known_types}
    types |= ExampleType.objects.in_bulk({a.before.type_id for a in adoptions} - types.keys())
    found = {}
    for adoption in adoptions:
        row = adoption.before
        try:
            check_value({"output": adoption.output})
        except InvalidJson as error:
            found[row.example_id] = str(error)
            continue
        violations = compiled(types[row.type_id]).validate(row.input, adoption.output, require_output=True)
        of_output = [v for v in violations if v.path.startswith("$.output")]
        if of_output:
            found[row.example_id] = violation_message(of_output, "the answer")
    return found
