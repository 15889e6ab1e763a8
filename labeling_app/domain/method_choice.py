"""Which method of consensus to trust on given data, and the reason in words.

Where the truth of some units is known (gold), the share of them that each method gets right decides, as far as it can
tell the methods apart. What gold leaves open is decided by prediction: each method stands for a model of raters
(majority: all are equally accurate; weighted vote: each has an accuracy; Dawid–Skene: each has error rates by class).
A model is fitted without a fifth of the ratings and says how likely these are, for each fifth in turn; a richer model
is taken only where it predicts them better beyond doubt. So with few ratings a rater the vote stays a vote.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from datasets_app.domain.intervals import wilson
from labeling_app.domain.consensus import mean, median, trimmed_mean
from labeling_app.domain.dawid_skene import Errors, dawid_skene
from labeling_app.domain.intervals import SEED
from labeling_app.domain.ratings import FloatArray, IntArray, RatingTable

FOLDS: Final = 5
MIN_GOLD: Final = 10  # gold units below which gold decides nothing
_SURE: Final = 2.0  # standard errors

# simplest first: what is no better than a simpler one is not taken
CLASS_METHODS: Final = {
    "majority": Errors.ONE_ACCURACY,
    "weighted": Errors.OWN_ACCURACY,
    "dawid_skene": Errors.FULL,
}
NUMBER_METHODS: Final = {"mean": mean, "median": median, "trimmed_mean": trimmed_mean}
TITLES: Final = {
    "majority": "majority",
    "weighted": "the weighted vote",
    "dawid_skene": "Dawid–Skene",
    "crowdlab": "CROWDLAB",
    "mean": "the mean",
    "median": "the median",
    "trimmed_mean": "the trimmed mean",
}


@dataclass(frozen=True, slots=True)
class MethodEvidence:
    """What is known of one method. `right` of `gold` units with known truth, with Wilson's interval.

    `predicted`: geometric mean of the probabilities that its model gave to ratings kept from it (classes), or the mean
    distance from them (numbers, lower is better); None when there was nothing to predict. `gold_error`: of numbers, the
    mean distance from gold. `why_not` says why a method was not tried.
    """

    method: str
    gold: int = 0
    right: float = 0.0
    low: float | None = None
    high: float | None = None
    gold_error: float | None = None
    predicted: float | None = None
    why_not: str = ""

    @property
    def accuracy(self) -> float | None:
        return self.right / self.gold if self.gold and self.gold_error is None else None


@dataclass(frozen=True, slots=True)
class MethodAdvice:
    """The method to trust, why (sentences for people), what it rests on (gold, prediction, nothing), all evidence."""

    method: str
    why: str
    rests_on: str
    evidence: tuple[MethodEvidence, ...]


def advise_on_classes(
    table: RatingTable,
    right: Mapping[str, FloatArray],
    why_not: Mapping[str, str] | None = None,
) -> MethodAdvice:
    """Return which method to trust for ratings that are classes.

    `right` has by method one number a gold unit, the same units for all: 1 where the method's class is the true one, 0
    where not, 1 / n where it is one of n tied. `why_not` names methods that cannot be tried here.
    """
    gold = len(next(iter(right.values()), ()))
    logs = _predictions(table)
    evidence = [
        _class_evidence(method, right.get(method), logs.get(method), (why_not or {}).get(method, ""))
        for method in [*CLASS_METHODS, "crowdlab"]
    ]
    candidates = [found.method for found in evidence if not found.why_not]
    by_gold = gold >= MIN_GOLD
    if by_gold:
        candidates = _not_worse_than_best(candidates, right)
    predicted = [method for method in candidates if method in logs]
    if by_gold and len(candidates) == 1:
        return MethodAdvice(candidates[0], _told_by_gold(evidence, gold), "gold", tuple(evidence))
    if not predicted:
        if by_gold:
            chosen = candidates[0]
            return MethodAdvice(chosen, _told_by_gold(evidence, gold), "gold", tuple(evidence))
        return MethodAdvice("majority", _NOTHING, "nothing", tuple(evidence))
    chosen = _best_predicting(predicted, logs)
    why = _told_by_prediction(chosen, evidence)
    if by_gold:
        told = _accuracies([found for found in evidence if found.method in candidates])
        why = f"On {gold:,} gold examples the best methods cannot be told apart ({told}), so prediction decides. {why}"
    elif gold:
        few = f"{gold:,} gold examples with labels are" if gold > 1 else "1 gold example with labels is"
        why = f"{few} too few to decide ({MIN_GOLD} would do). {why}"
    return MethodAdvice(chosen, why, "gold" if by_gold else "prediction", tuple(evidence))


def advise_on_numbers(
    units: Sequence[Sequence[float]], gold: Sequence[tuple[Sequence[float], float]]
) -> MethodAdvice:
    """Return which average to trust. `units` holds each unit's ratings; `gold` ratings and the true number.

    Without enough gold each rating of a unit of three or more is predicted by the average of the others.
    """
    errors = {
        name: np.array([abs(average(given).value - truth) for given, truth in gold if given])
        for name, average in NUMBER_METHODS.items()
    }
    count = len(errors["mean"])
    apart = {name: _left_out(units, name) for name in NUMBER_METHODS}
    evidence = tuple(
        MethodEvidence(
            name,
            gold=count,
            gold_error=float(errors[name].mean()) if count else None,
            predicted=float(apart[name].mean()) if len(apart[name]) else None,
        )
        for name in NUMBER_METHODS
    )
    if count >= MIN_GOLD:
        chosen = _least(errors)
        told = ", ".join(f"{TITLES[e.method]} {e.gold_error:.3g}" for e in evidence)
        why = f"On {count:,} gold examples it lies nearest to the truth, or no further than a simpler one (mean distance: {told})."
        return MethodAdvice(chosen, why, "gold", evidence)
    if len(apart["mean"]):
        chosen = _least(apart)
        told = ", ".join(f"{TITLES[e.method]} {e.predicted:.3g}" for e in evidence)
        why = (
            f"It comes nearest to a label that is left out, or no less near than a simpler one (mean distance over "
            f"{len(apart['mean']):,} labels: {told})."
        )
        return MethodAdvice(chosen, why, "prediction", evidence)
    return MethodAdvice("mean", _NOTHING_NUMBERS, "nothing", evidence)


def held_out_logs(table: RatingTable, errors: Errors) -> FloatArray:
    """Return by rating the logarithm of its probability under the model fitted without its fifth."""
    fold = np.random.default_rng(SEED).integers(0, FOLDS, len(table))
    logs = np.zeros(len(table))
    for number in range(FOLDS):
        kept, left_out = table.where(fold != number), table.where(fold == number)
        model = dawid_skene(kept, errors=errors, max_iterations=100, tolerance=1e-5)
        if not len(kept):
            continue
        likely = (model.posterior[left_out.units] * model.confusion[left_out.raters, :, left_out.values]).sum(
            1
        )
        logs[fold == number] = np.log(np.maximum(likely, 1e-12))
    return logs


_NOTHING: Final = "No example has labels of two labelers yet, so there is nothing to compare methods on; majority is the simplest."
_NOTHING_NUMBERS: Final = "No example has labels of three labelers yet, so there is nothing to compare averages on; the mean is the simplest."


def _predictions(table: RatingTable) -> dict[str, FloatArray]:
    pairable, _ = table.pairable().compact()
    if not len(pairable) or len(table.value_names) < 2:
        return {}
    return {method: held_out_logs(pairable, errors) for method, errors in CLASS_METHODS.items()}


def _class_evidence(
    method: str, right: FloatArray | None, logs: FloatArray | None, why_not: str
) -> MethodEvidence:
    if why_not:
        return MethodEvidence(method, why_not=why_not)
    predicted = None if logs is None else math.exp(float(logs.mean()))
    if right is None or not len(right):
        return MethodEvidence(method, predicted=predicted)
    low, high = wilson(float(right.mean()), len(right))
    return MethodEvidence(method, len(right), float(right.sum()), low, high, predicted=predicted)


def _not_worse_than_best(candidates: Sequence[str], right: Mapping[str, FloatArray]) -> list[str]:
    """Return the methods whose share of right gold units is not surely below the best one's (paired, 2 SE)."""
    tried = [method for method in candidates if method in right]
    best = max(tried, key=lambda method: float(right[method].mean()))
    return [method for method in tried if not _surely_greater(right[best] - right[method])]


def _best_predicting(methods: Sequence[str], logs: Mapping[str, FloatArray]) -> str:
    """Return the richest of the methods, simplest first, that predicts better than those before it beyond doubt."""
    chosen = methods[0]
    for method in methods[1:]:
        if _surely_greater(logs[method] - logs[chosen]):
            chosen = method
    return chosen


def _least(errors: Mapping[str, FloatArray]) -> str:
    chosen, *others = errors
    for method in others:
        if _surely_greater(errors[chosen] - errors[method]):
            chosen = method
    return chosen


def _surely_greater(differences: FloatArray) -> bool:
    """Tell whether the mean of paired differences lies more than two standard errors above 0."""
    if len(differences) < 2:
        return False
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return float(differences.mean()) > max(_SURE * error, 1e-12)


def _left_out(units: Sequence[Sequence[float]], name: str) -> FloatArray:
    average = NUMBER_METHODS[name]
    return np.array(
        [
            abs(average([*given[:place], *given[place + 1 :]]).value - value)
            for given in units
            if len(given) >= 3
            for place, value in enumerate(given)
        ]
    )


def _accuracies(evidence: Sequence[MethodEvidence]) -> str:
    return ", ".join(
        f"{TITLES[found.method]} {found.accuracy:.1%}" for found in evidence if found.accuracy is not None
    )


def _told_by_gold(evidence: Sequence[MethodEvidence], gold: int) -> str:
    return f"On {gold:,} gold examples it is right most often, beyond doubt: {_accuracies(evidence)}."


def _told_by_prediction(chosen: str, evidence: Sequence[MethodEvidence]) -> str:
    known = [found for found in evidence if found.predicted is not None]
    told = ", ".join(f"{TITLES[found.method]} {found.predicted:.3f}" for found in known)
    best = max(known, key=lambda found: found.predicted or 0.0)
    lead = {
        "majority": "Labelers' own accuracies or error rates do not predict left-out labels better than plain votes do",
        "weighted": "Labelers differ in how often they are right, and weighing them predicts left-out labels better than votes do",
        "dawid_skene": "Labelers take different classes for each other, and knowing who errs how predicts left-out labels best",
    }[chosen]
    doubt = "" if best.method == chosen else f"; {TITLES[best.method]} is not ahead beyond doubt"
    return f"{lead} (probability given to a left-out label: {told}{doubt})."


def tied_right(shares: FloatArray, truth: IntArray) -> FloatArray:
    """Return by unit 1 where the greatest share is that of the true class, 1 / n where n classes tie with it, else 0.

    `shares` (units, classes); `truth` (units) holds codes, −1 for a class that nobody gave.
    """
    best = shares >= shares.max(1, keepdims=True) - 1e-9
    hit = best[np.arange(len(truth)), np.maximum(truth, 0)] & (truth >= 0)
    return np.asarray(hit / best.sum(1), dtype=np.float64)
