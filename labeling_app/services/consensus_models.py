"""Methods of consensus that learn from a whole queue: fitted once, then asked for any of its items.

A fitted model is kept by this process and used for twenty times as long as fitting took, so that what it costs stays a
twentieth however fast labels come; then it is fitted again if anything has happened in the queue.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import numpy as np

from labeling_app.domain.answer_fields import deciding_fields, deciding_text
from labeling_app.domain.crowdlab import crowdlab, why_no_crowdlab
from labeling_app.domain.dawid_skene import DawidSkene, Errors, TooManyClasses, dawid_skene, posterior_of
from labeling_app.domain.ratings import RatingTable
from labeling_app.models import GoldAnswer, LabelingQueue
from labeling_app.services.class_probabilities import class_probabilities
from labeling_app.services.queue_fields import fields_of
from labeling_app.services.ratings import QueueRatings, newest_history_id, ratings_of

LEARNING_METHODS = ("weighted", "dawid_skene", "crowdlab")
_ERRORS = {"weighted": Errors.OWN_ACCURACY, "dawid_skene": Errors.FULL}
_TIMES_FITTING = 20
_MAX_KEPT = 8


@dataclass(frozen=True)
class FittedConsensus:
    """What a method learned from the labels of a queue up to a history row; `why_none` when it could learn nothing.

    `model` is of methods with error rates; `by_item` of CROWDLAB: (labels, class, quality) by item.
    """

    method: str
    history_id: int
    raters: Mapping[str, int]
    classes: Mapping[str, int]
    model: DawidSkene | None = None
    by_item: Mapping[int, tuple[int, str, float]] | None = None
    why_none: str = ""

    def choose(self, votes: Mapping[int, Sequence[tuple[str, str]]]) -> dict[int, tuple[str, float]]:
        """Return {item: (class, probability)} from {item: [(annotator, class)]}, of items that it can judge.

        Left out are items with an annotator or a class that is new since it learned, and for CROWDLAB those with other
        labels than then. Only a class that somebody gave to the item is chosen: its probability is low when the model
        believes in another.
        """
        if self.by_item is not None:
            found = {item: self.by_item[item] for item in votes if item in self.by_item}
            return {
                item: (name, quality)
                for item, (labels, name, quality) in found.items()
                if labels == len(votes[item]) and name in {vote for _, vote in votes[item]}
            }
        if self.model is None:
            return {}
        known = [
            item
            for item, given in votes.items()
            if given and all(name in self.raters and vote in self.classes for name, vote in given)
        ]
        rows = [
            (unit, self.raters[name], self.classes[vote])
            for unit, item in enumerate(known)
            for name, vote in votes[item]
        ]
        columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
        table = RatingTable(
            columns[:, 0], columns[:, 1], columns[:, 2], len(known), tuple(self.raters), tuple(self.classes)
        )
        shares = posterior_of(self.model, table)
        chosen = {}
        for unit, item in enumerate(known):
            given = sorted({vote for _, vote in votes[item]})
            best = max(given, key=lambda vote: round(float(shares[unit, self.classes[vote]]), 12))
            chosen[item] = best, float(shares[unit, self.classes[best]])
        return chosen


@dataclass
class _Kept:
    fitted: FittedConsensus
    until: float


_lock = threading.Lock()
_kept: dict[tuple[UUID, str], _Kept] = {}


def fitted_consensus(queue: LabelingQueue, method: str, *, fresh: bool = False) -> FittedConsensus:
    """Return the method fitted on the queue's labels; `fresh` fits it again if anything has happened since."""
    key = (queue.pk, method)
    with _lock:
        kept = _kept.get(key)
    if kept is not None and not fresh and time.monotonic() < kept.until:
        return kept.fitted
    newest = newest_history_id(queue)
    began = time.monotonic()
    if kept is not None and kept.fitted.history_id == newest:
        fitted = kept.fitted
    else:
        fitted = replace(fit_consensus(queue, ratings_of(queue), method), history_id=newest)
    ended = time.monotonic()
    with _lock:
        _kept[key] = _Kept(fitted, ended + _TIMES_FITTING * (ended - began))
        while len(_kept) > _MAX_KEPT:
            del _kept[min(_kept, key=lambda one: _kept[one].until)]
    return fitted


def fit_consensus(
    queue: LabelingQueue, ratings: QueueRatings, method: str, *, use_gold: bool = True
) -> FittedConsensus:
    """Fit a method on these labels; with `use_gold` the known answers of gold items teach how labelers err."""
    fields = deciding_fields(fields_of(queue))
    table = ratings.by_deciding(fields)
    raters = {name: code for code, name in enumerate(table.rater_names)}
    classes = {name: code for code, name in enumerate(table.value_names)}
    nothing = FittedConsensus(method, 0, raters, classes)
    if not len(table):
        return replace(nothing, why_none="There are no labels yet.")
    if method == "crowdlab":
        why = why_no_crowdlab(table)
        probabilities = None if why else class_probabilities(queue, table, ratings.item_ids, fields)
        if probabilities is None or probabilities.values is None:
            return replace(nothing, why_none=why or (probabilities.why_none if probabilities else ""))
        found = crowdlab(table, probabilities.values)
        names = table.value_names
        rows = zip(
            ratings.item_ids.tolist(),
            table.unit_sizes.tolist(),
            found.classes.tolist(),
            found.quality.tolist(),
            strict=True,
        )
        return replace(
            nothing,
            by_item={item: (size, names[code], score) for item, size, code, score in rows if code >= 0},
        )
    known = _known(queue, ratings, classes) if use_gold else {}
    try:
        model = dawid_skene(table, errors=_ERRORS[method], known=known)
    except TooManyClasses as error:
        return replace(nothing, why_none=str(error))
    return replace(nothing, model=model)


def gold_classes(queue: LabelingQueue) -> dict[int, str]:
    """Return by item the class of its gold answer (see `deciding_text`)."""
    fields = deciding_fields(fields_of(queue))
    golds: Sequence[tuple[int, Any]] = list(
        GoldAnswer.objects.filter(queue=queue).values_list("item_id", "value")
    )
    return {item: deciding_text(fields, value) for item, value in golds}


def _known(queue: LabelingQueue, ratings: QueueRatings, classes: Mapping[str, int]) -> dict[int, int]:
    truth = gold_classes(queue)
    return {
        unit: classes[truth[item]]
        for unit, item in enumerate(ratings.item_ids.tolist())
        if item in truth and truth[item] in classes
    }
