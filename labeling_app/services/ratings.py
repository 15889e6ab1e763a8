"""The labels of a queue in columns, read by the database in sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.db import transaction

from datasets_app.domain.canonical import canonical_text, loads_stored
from goldenproject.kit.database_io import binary_cursor
from labeling_app.domain.answer_fields import AnswerField, deciding_text
from labeling_app.domain.ratings import FloatArray, IntArray, RatingTable, table_from_columns
from labeling_app.models import LabelHistory, LabelingQueue
from labeling_app.services.annotators import NAME_NOW

_MONDAY_BEFORE_1970_S = 3 * 86_400
_WEEK_S = 7 * 86_400

# One row for each annotator and answer (one whose name was changed has two, told by the same name), with its items and weeks packed as bytes: a queue of classes sends a few hundred
# rows however many labels it has. Reads label_newest_of_queue, or the whole table where most of it is this queue's.
_PACKED = f"""
SELECT {NAME_NOW}, value::text,
       string_agg(int8send(item_id) || int4send(floor((extract(epoch FROM labeled_at) + %s) / %s)::int4), ''::bytea)
FROM labeling_app_label
WHERE queue_id = %s
  AND (%s::timestamptz IS NULL OR labeled_at >= %s)
  AND (%s::timestamptz IS NULL OR labeled_at < %s)
  AND (%s::text[] IS NULL OR labeler_id IN (SELECT id FROM auth_user WHERE username = ANY(%s))
       OR (labeler_id IS NULL AND annotator = ANY(%s)))
GROUP BY labeler_id, annotator, value::text
"""
_RECORD = np.dtype([("item", ">i8"), ("week", ">i4")])


@dataclass(frozen=True)
class QueueRatings:
    """The labels of a queue: codes of `table.values` stand for `answers` (JSON values), of its units for `item_ids`.

    `weeks` has for each rating the number of weeks since that of 1 January 1970 (Mondays, UTC).
    """

    table: RatingTable
    item_ids: IntArray
    answers: tuple[Any, ...]
    weeks: IntArray

    def by_deciding(self, fields: Sequence[AnswerField]) -> RatingTable:
        """The ratings with what decides whether two answers agree (see `deciding_text`) for values."""
        return _renamed(self.table, [deciding_text(fields, answer) for answer in self.answers])

    def by_class(self, field: AnswerField) -> RatingTable:
        """The ratings of one field: canonical texts of its values; labels without a value are left out."""
        values = [field.of(answer) for answer in self.answers]
        return _renamed(self.table, [None if value is None else canonical_text(value) for value in values])

    def by_number(self, field: AnswerField) -> tuple[RatingTable, FloatArray]:
        """The ratings of one field that is measured, and the number of each code."""
        table = _renamed(self.table, [field.number_of(answer) for answer in self.answers])
        return table, np.array(table.value_names, dtype=np.float64)

    def week_of_units(self) -> IntArray:
        """By unit the week of its newest label."""
        weeks = np.zeros(self.table.unit_count, dtype=np.int64)
        np.maximum.at(weeks, self.table.units, self.weeks)
        return weeks


def newest_history_id(queue: LabelingQueue) -> int:
    """Return the id of the newest history row of the queue, 0 without any: what was computed before it may be stale."""
    newest = LabelHistory.objects.filter(queue=queue).order_by("-id").values_list("id", flat=True)
    return newest.first() or 0


def ratings_of(
    queue: LabelingQueue,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    labelers: Sequence[str] | None = None,
) -> QueueRatings:
    """Return the labels that hold now, given from `since` to before `until`, of these annotators; one query.

    A person is one rater, by the name that they have now, whatever they were called when they labeled. Labels of gold checks are among them: they are independent answers like all others.
    """
    names = list(labelers) if labelers is not None else None
    parameters = [_MONDAY_BEFORE_1970_S, _WEEK_S, queue.pk, since, since, until, until, names, names, names]
    with transaction.atomic(), binary_cursor() as cursor:
        cursor.execute("SELECT set_config('work_mem', '256MB', true)")
        rows = cursor.execute(_PACKED, parameters).fetchall()
    rows.sort(key=lambda row: (row[0], row[1]))
    annotators = sorted({row[0] for row in rows})
    place = {name: code for code, name in enumerate(annotators)}
    answers: dict[str, int] = {}
    codes: dict[str, int] = {}
    values: list[Any] = []
    for _, text, _ in rows:
        if text not in codes:
            value = loads_stored(text)
            codes[text] = answers.setdefault(canonical_text(value), len(answers))
            if codes[text] == len(values):
                values.append(value)
    packed = [np.frombuffer(records, _RECORD) for _, _, records in rows]
    sizes = [len(part) for part in packed]
    whole = np.concatenate(packed) if packed else np.zeros(0, _RECORD)
    raters = np.repeat(np.array([place[row[0]] for row in rows], dtype=np.int64), sizes)
    given = np.repeat(np.array([codes[row[1]] for row in rows], dtype=np.int64), sizes)
    order = _newest_of_each(whole, raters)
    table, ids = table_from_columns(
        whole["item"][order].astype(np.int64), raters[order], given[order], annotators, list(answers)
    )
    return QueueRatings(table, ids, tuple(values), whole["week"][order].astype(np.int64))


def _newest_of_each(given: Any, raters: IntArray) -> IntArray:
    """Return the places of the ratings by item, one for each item and rater: the newest, to the week.

    Somebody whose name was changed may have said something of an item under both names; a rater is no pair with itself.
    """
    order = np.lexsort((given["week"], raters, given["item"]))
    items, who = given["item"][order], raters[order]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = (items[1:] != items[:-1]) | (who[1:] != who[:-1])
    found: IntArray = order[last].astype(np.int64)
    return found


def _renamed(table: RatingTable, names: Sequence[Any]) -> RatingTable:
    """Return the table with values that have the same name made one; None leaves the rating out."""
    distinct: dict[Any, int] = {}
    codes = [-1 if name is None else distinct.setdefault(name, len(distinct)) for name in names]
    return table.recoded(np.array(codes, dtype=np.int64), list(distinct))
