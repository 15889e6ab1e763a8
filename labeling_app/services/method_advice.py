"""Which method of consensus a queue can trust."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labeling_app.domain.answer_fields import AnswerField, Kind, deciding_fields
from labeling_app.domain.crowdlab import crowdlab, why_no_crowdlab
from labeling_app.domain.dawid_skene import MAX_CELLS, dawid_skene, vote_shares
from labeling_app.domain.intervals import SEED
from labeling_app.domain.method_choice import (
    CLASS_METHODS,
    MethodAdvice,
    advise_on_classes,
    advise_on_numbers,
    tied_right,
)
from labeling_app.domain.ratings import FloatArray, IntArray, RatingTable
from labeling_app.models import GoldAnswer, LabelingQueue
from labeling_app.services.class_probabilities import class_probabilities
from labeling_app.services.consensus_models import gold_classes
from labeling_app.services.queue_fields import fields_of
from labeling_app.services.ratings import QueueRatings, ratings_of

MAX_RATINGS_COMPARED = 100_000
MAX_UNITS_AVERAGED = 5_000
_NOT_TRIED = "Not tried: it trains a model first, which takes some seconds."
_OWN_WORDS = (
    "Answers are lists or in labelers' own words, so there are no classes whose errors could be learned; majority adopts what "
    "was given more than once, word for word."
)


def trusted_method(
    queue: LabelingQueue, *, ratings: QueueRatings | None = None, with_crowdlab: bool = False
) -> MethodAdvice:
    """Return which method to trust on the labels of this queue and why (see domain.method_choice).

    Methods are fitted without the gold answers that they are then judged by. Beyond 100,000 labels they are compared on
    as many, of examples chosen by chance (seeded) besides those with gold. `with_crowdlab` tries CROWDLAB too: slow, as
    it trains a model.
    """
    ratings = ratings or ratings_of(queue)
    deciding = deciding_fields(fields_of(queue))
    if all(field.kind == Kind.NUMBER for field in deciding):
        return _of_numbers(queue, ratings, deciding[0])
    table = ratings.by_deciding(deciding)
    is_class = any(field.kind == Kind.CLASS for field in deciding)
    if len(table) and (not is_class or len(table.rater_names) * len(table.value_names) ** 2 > MAX_CELLS):
        return MethodAdvice("majority", _OWN_WORDS, "nothing", ())
    units, truth = _gold_units(queue, ratings, table)
    table, kept = _sample(table, units).compact()
    units = np.searchsorted(kept, units)
    right: dict[str, FloatArray] = {}
    why_not = {"crowdlab": _NOT_TRIED}
    if len(units):
        shares = vote_shares(table)
        right["majority"] = tied_right(shares[units], truth)
        for method, errors in list(CLASS_METHODS.items())[1:]:
            # as consensus_of: only a class that somebody gave is chosen
            posterior = dawid_skene(table, errors=errors).posterior[units] * (shares[units] > 0)
            right[method] = tied_right(posterior, truth)
    if with_crowdlab:
        found, why = _crowdlab_classes(queue, ratings.item_ids[kept], table, deciding)
        why_not = {"crowdlab": why} if why else {}
        if found is not None and len(units):
            right["crowdlab"] = (found[units] == truth).astype(np.float64)
    return advise_on_classes(table, right, why_not)


def _of_numbers(queue: LabelingQueue, ratings: QueueRatings, field: AnswerField) -> MethodAdvice:
    table, numbers = ratings.by_number(field)
    ends = np.cumsum(table.unit_sizes)
    given = [part.tolist() for part in np.split(numbers[table.values], ends[:-1])] if len(table) else []
    places = np.random.default_rng(SEED).permutation(len(given))[:MAX_UNITS_AVERAGED]
    unit_of = {item: unit for unit, item in enumerate(ratings.item_ids.tolist())}
    answers: Sequence[tuple[int, Any]] = list(
        GoldAnswer.objects.filter(queue=queue).values_list("item_id", "value")
    )
    gold = [
        (given[unit_of[item]], number)
        for item, value in answers
        if item in unit_of
        and (number := field.number_of(value)) is not None
        and len(given[unit_of[item]]) >= 2
    ]
    return advise_on_numbers([given[place] for place in sorted(places)], gold)


def _gold_units(queue: LabelingQueue, ratings: QueueRatings, table: RatingTable) -> tuple[IntArray, IntArray]:
    """Return the units with gold and two labels or more, and the codes of their true classes (−1: nobody gave it)."""
    truth = gold_classes(queue)
    codes = {name: code for code, name in enumerate(table.value_names)}
    rows = [
        (unit, codes.get(truth[item], -1))
        for unit, item in enumerate(ratings.item_ids.tolist())
        if item in truth and table.unit_sizes[unit] >= 2
    ]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def _crowdlab_classes(
    queue: LabelingQueue, item_ids: IntArray, table: RatingTable, fields: list[AnswerField]
) -> tuple[IntArray | None, str]:
    why = why_no_crowdlab(table)
    if why:
        return None, why
    probabilities = class_probabilities(queue, table, item_ids, fields)
    if probabilities.values is None:
        return None, probabilities.why_none
    return crowdlab(table, probabilities.values).classes, ""


def _sample(table: RatingTable, always: IntArray) -> RatingTable:
    if len(table) <= MAX_RATINGS_COMPARED:
        return table
    chosen = np.random.default_rng(SEED).random(table.unit_count) < MAX_RATINGS_COMPARED / len(table)
    chosen[always] = True
    return table.where(chosen[table.units])
