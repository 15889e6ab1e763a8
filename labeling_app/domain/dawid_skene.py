"""Dawid and Skene's model of raters: what is true of each unit, and how each rater errs, by expectation–maximisation.

A. P. Dawid, A. M. Skene, Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm, Applied
Statistics 28 (1979), 20–28.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np

from labeling_app.domain.ratings import FloatArray, Ratings, RatingTable, table_of

MAX_CELLS: Final = 20_000_000  # raters × classes², 160 MB
_NEVER: Final = 1e-300  # a probability of 0, so that its logarithm is a number


class Errors(StrEnum):
    """What the model knows of how raters err.

    FULL: each rater has a rate for each true and given class (Dawid and Skene). OWN_ACCURACY: each is right at a rate of
    their own, and errs to all other classes alike: the unit's class is then a vote in which a rater of accuracy a weighs
    log(a (K − 1) / (1 − a)). ONE_ACCURACY: all raters have the same accuracy: a majority vote.
    """

    FULL = "full"
    OWN_ACCURACY = "own_accuracy"
    ONE_ACCURACY = "one_accuracy"


class TooManyClasses(ValueError):
    """There are too many classes for error rates of each rater; such answers are not classes."""


@dataclass(frozen=True)
class DawidSkene:
    """The fitted model. Codes are those of the RatingTable it was fitted on.

    `posterior` (units, classes): how likely each class is for each unit. `confusion` (raters, true, given): how often a
    rater gives what when something is true; rows sum to 1. `class_prior` (classes). `log_likelihood` is that of the
    ratings (natural logarithm), without the smoothing's share.
    """

    posterior: FloatArray
    confusion: FloatArray
    class_prior: FloatArray
    iterations: int
    log_likelihood: float
    converged: bool


def dawid_skene(
    ratings: Ratings | RatingTable,
    *,
    errors: Errors = Errors.FULL,
    known: Mapping[int, int] | None = None,
    smoothing: float = 0.1,
    max_iterations: int = 500,
    tolerance: float = 1e-7,
) -> DawidSkene:
    """Fit the model to {unit: {rater: class}}. A rater may have rated a unit more than once in a RatingTable.

    It starts from the share of votes that each class has in each unit, so that the same ratings give the same result.
    `smoothing` is added to each count of a rater's answers before it becomes a rate, so that what a rater never did so
    far is not taken for impossible; 0 is the model of the paper. `known` gives the class of units (codes) whose truth is
    known: they teach how raters err, and their posterior is certain. It ends when the log-likelihood grows by less than
    `tolerance` of itself, or after `max_iterations` (then `converged` is false). All sums are of logarithms.

    A unit without ratings has the prior for its posterior. No ratings at all give empty arrays. Raises TooManyClasses when
    raters × classes² is above 20 million.
    """
    table = table_of(ratings)
    raters, classes = len(table.rater_names), len(table.value_names)
    if raters * classes**2 > MAX_CELLS:
        raise TooManyClasses(
            f"Found {classes} classes and {raters} raters, expected at most {MAX_CELLS} raters × classes²."
        )
    if not len(table):
        empty = np.zeros((table.unit_count, classes))
        return DawidSkene(empty, np.zeros((raters, classes, classes)), np.zeros(classes), 0, 0.0, True)
    given = _indicator(table)
    posterior = vote_shares(table)
    units = np.array(list(known or {}), dtype=np.int64)
    truth = np.eye(classes)[np.array(list((known or {}).values()), dtype=np.int64)]
    posterior[units] = truth
    before = -np.inf
    rated = table.unit_sizes > 0
    for iteration in range(1, max_iterations + 1):  # noqa: B007 (the number is part of the result)
        prior, confusion = _maximised(posterior[rated], given[rated], raters, errors, smoothing)
        posterior, likelihood = _expected(given, prior, confusion)
        posterior[units] = truth
        converged = abs(likelihood - before) <= tolerance * abs(likelihood)
        if converged:
            break
        before = likelihood
    return DawidSkene(posterior, confusion, prior, iteration, likelihood, bool(converged))


def posterior_of(model: DawidSkene, ratings: RatingTable) -> FloatArray:
    """Return (units, classes) for other ratings with the same codes of raters and classes: one step, no fitting."""
    return _expected(_indicator(ratings), model.class_prior, model.confusion)[0]


def _indicator(table: RatingTable) -> Any:
    """Return the sparse (units, raters · classes) matrix of how often each rater gave each class to each unit."""
    from scipy.sparse import csr_array

    columns = table.raters * len(table.value_names) + table.values
    shape = (table.unit_count, len(table.rater_names) * len(table.value_names))
    return csr_array((np.ones(len(table)), (table.units, columns)), shape=shape)


def vote_shares(table: RatingTable) -> FloatArray:
    """Return (units, classes): the share of its ratings that say so; 0 for a unit without any."""
    shares = np.zeros((table.unit_count, len(table.value_names)))
    counts = table.counts
    shares[counts.units, counts.values] = counts.counts / table.unit_sizes[counts.units]
    return shares


def _maximised(
    posterior: FloatArray, given: Any, raters: int, errors: Errors, smoothing: float
) -> tuple[FloatArray, FloatArray]:
    classes = posterior.shape[1]
    counts = (given.T @ posterior).reshape(raters, classes, classes).transpose(0, 2, 1)
    if errors == Errors.FULL:
        counts = counts + smoothing
        totals = counts.sum(2, keepdims=True)
        # of a rater who never met a class nothing is known: all answers alike
        rates = np.where(totals > 0, counts / np.where(totals > 0, totals, 1), 1 / classes)
        return posterior.mean(0), rates
    if classes == 1:
        return np.ones(1), np.ones((raters, 1, 1))
    right, total = np.einsum("rcc->r", counts), counts.sum((1, 2))
    if errors == Errors.ONE_ACCURACY:
        right, total = np.full(raters, right.sum()), np.full(raters, total.sum())
    # as if each rater had been right once and wrong once more, so that nobody is infallible
    accuracy = ((right + 1) / (total + 2))[:, None, None]
    same = np.eye(classes, dtype=bool)
    return np.full(classes, 1 / classes), np.where(same, accuracy, (1 - accuracy) / (classes - 1))


def _expected(given: Any, prior: FloatArray, confusion: FloatArray) -> tuple[FloatArray, float]:
    raters, classes, _ = confusion.shape
    logs = np.log(np.maximum(confusion, _NEVER)).transpose(0, 2, 1).reshape(raters * classes, classes)
    joint = given @ logs + np.log(np.maximum(prior, _NEVER))
    greatest = joint.max(1, keepdims=True)
    exponents = np.exp(joint - greatest)
    sums = exponents.sum(1, keepdims=True)
    likelihood = float((np.log(sums[:, 0]) + greatest[:, 0]).sum())
    return exponents / sums, likelihood
