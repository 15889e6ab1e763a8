"""Agreement taken apart: by pair of raters, by rater against the others, and which classes are taken for each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeling_app.domain.agreement import NO_PAIRS, ONE_CLASS, Coefficient, kappa_of_cells
from labeling_app.domain.intervals import wilson_of_mean
from labeling_app.domain.ratings import FloatArray, IntArray, RatingTable


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two raters over the units that both rated: share of equal ratings, and Cohen's kappa (of numbers: alpha)."""

    first: Any
    second: Any
    units: int
    share: float
    coefficient: Coefficient


@dataclass(frozen=True, slots=True)
class RaterAgreement:
    """One rater against the others over the units that they share.

    `share`: the mean share of the other raters who say the same, with its interval. `deviation` and `bias` are of numbers:
    the mean distance from the mean of the others, and the same with its sign.
    """

    rater: Any
    ratings: int
    units: int
    share: Coefficient
    deviation: float | None = None
    bias: float | None = None


@dataclass(frozen=True, slots=True)
class Confusion:
    """Two classes that were given to the same unit: how often, of all pairs of different ratings (0–1)."""

    first: Any
    second: Any
    count: float
    share: float


def busiest(table: RatingTable, limit: int) -> list[int]:
    """Return the codes of the raters with most ratings, the busiest first; equal ones by name."""
    counts = np.bincount(table.raters, minlength=len(table.rater_names))
    codes = list(np.flatnonzero(counts).tolist())
    return sorted(codes, key=lambda code: (-int(counts[code]), str(table.rater_names[code])))[:limit]


def pair_agreements(
    table: RatingTable, raters: Sequence[int], numbers: FloatArray | None = None
) -> list[PairAgreement]:
    """Return every pair of these raters (codes) that has units in common.

    With `numbers` by value code the coefficient is alpha of numbers for the two, without an interval.
    """
    chosen = np.isin(table.raters, np.array(raters, dtype=np.int64))
    part = table.where(chosen).pairable()
    if not len(part):
        return []
    cells = _cells(part)
    sums = _number_sums(part, numbers) if numbers is not None else {}
    found = []
    place = {code: number for number, code in enumerate(raters)}
    for (first, second), (rows, columns, counts) in cells.items():
        units = int(counts.sum())
        share = float(counts[rows == columns].sum() / units)
        coefficient = (
            kappa_of_cells(rows, columns, counts) if numbers is None else _pair_alpha(*sums[first, second])
        )
        if place[first] > place[second]:
            first, second = second, first
        found.append(
            PairAgreement(table.rater_names[first], table.rater_names[second], units, share, coefficient)
        )
    order = {table.rater_names[code]: number for code, number in place.items()}
    return sorted(found, key=lambda pair: (order[pair.first], order[pair.second]))


def rater_agreements(
    table: RatingTable, raters: Sequence[int], numbers: FloatArray | None = None
) -> list[RaterAgreement]:
    """Return how each of these raters (codes) agrees with all others, in the order that they are given."""
    counts = np.bincount(table.raters, minlength=len(table.rater_names))
    part = table.pairable()
    width = max(1, len(table.value_names))
    keys, inverse, same = np.unique(part.units * width + part.values, return_inverse=True, return_counts=True)
    others = part.unit_sizes[part.units] - 1 if len(part) else np.zeros(0, dtype=np.int64)
    shares = (same[inverse] - 1) / np.maximum(others, 1) if len(keys) else np.zeros(0)
    apart = _apart(part, numbers) if numbers is not None else None
    found = []
    for code in raters:
        own = part.raters == code
        units = int(own.sum())
        if not units:
            share = Coefficient(None, why_none=NO_PAIRS)
            found.append(RaterAgreement(table.rater_names[code], int(counts[code]), 0, share))
            continue
        low, high = wilson_of_mean(shares[own])
        share = Coefficient(float(shares[own].mean()), low, high, units, part.raters_seen)
        found.append(
            RaterAgreement(
                table.rater_names[code],
                int(counts[code]),
                units,
                share,
                None if apart is None else float(np.abs(apart[own]).mean()),
                None if apart is None else float(apart[own].mean()),
            )
        )
    return found


def coincidences(table: RatingTable, classes: Sequence[int]) -> FloatArray:
    """Return Krippendorff's coincidence matrix of these classes (codes): how often both are given to one unit.

    Each unit of m ratings counts m in all, as each of its pairs weighs 1 / (m − 1); the rest of a row is other classes.
    """
    from scipy.sparse import csr_array

    counts = table.pairable().counts
    sizes = table.unit_sizes[counts.units].astype(np.float64)
    shape = (table.unit_count, len(table.value_names))
    given = csr_array((counts.counts.astype(np.float64), (counts.units, counts.values)), shape=shape)
    weighted = csr_array((counts.counts / (sizes - 1), (counts.units, counts.values)), shape=shape)
    chosen = np.array(classes, dtype=np.int64)
    matrix = (given[:, chosen].T @ weighted[:, chosen]).toarray()
    itself = np.bincount(counts.values, counts.counts / (sizes - 1), minlength=shape[1])
    matrix[np.diag_indices(len(chosen))] -= itself[chosen]
    return np.asarray(matrix, dtype=np.float64)


def confusions(table: RatingTable, matrix: FloatArray, classes: Sequence[int], limit: int) -> list[Confusion]:
    """Return the classes that are most often given to the same unit, from their coincidences."""
    apart = np.triu(matrix, 1)
    total = float(apart.sum())
    order = np.argsort(-apart, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(place), len(classes)) for place in order]
    return [
        Confusion(
            table.value_names[classes[row]],
            table.value_names[classes[column]],
            float(apart[row, column]),
            float(apart[row, column]) / total,
        )
        for row, column in pairs
        if apart[row, column] > 1e-9
    ]


# --- sums over pairs ------------------------------------------------------------------------------------------------
def _cells(table: RatingTable) -> dict[tuple[int, int], tuple[IntArray, IntArray, IntArray]]:
    """Return by pair of raters (lesser code first) the cells of their table that are not empty."""
    raters, classes = len(table.rater_names), max(1, len(table.value_names))
    found: dict[tuple[int, int], dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    for left, right in table.pairs():
        swap = table.raters[left] > table.raters[right]
        first, second = np.where(swap, right, left), np.where(swap, left, right)
        pair = table.raters[first] * raters + table.raters[second]
        cell = table.values[first] * classes + table.values[second]
        # two keys into one would overflow for many raters and many texts, so they are numbered first
        pair_ids, pair_codes = np.unique(pair, return_inverse=True)
        cell_ids, cell_codes = np.unique(cell, return_inverse=True)
        keys, counts = np.unique(pair_codes * len(cell_ids) + cell_codes, return_counts=True)
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            pair_code, cell_code = divmod(key, len(cell_ids))
            found[divmod(int(pair_ids[pair_code]), raters)][divmod(int(cell_ids[cell_code]), classes)] += (
                count
            )
    return {
        pair: (
            np.array([row for row, _ in cells]),
            np.array([column for _, column in cells]),
            np.array(list(cells.values())),
        )
        for pair, cells in found.items()
    }


def _number_sums(
    table: RatingTable, numbers: FloatArray
) -> dict[tuple[int, int], tuple[float, float, float, float]]:
    """Return by pair of raters: units, Σ (x − y)², Σ (x + y), Σ (x² + y²), of centred numbers."""
    raters = len(table.rater_names)
    given = numbers - float(numbers[table.values].mean())
    sums = np.zeros((4, raters * raters))
    for left, right in table.pairs():
        a, b = table.raters[left], table.raters[right]
        pair = np.minimum(a, b) * raters + np.maximum(a, b)
        x, y = given[table.values[left]], given[table.values[right]]
        for row, weights in enumerate((np.ones(len(x)), (x - y) ** 2, x + y, x**2 + y**2)):
            sums[row] += np.bincount(pair, weights, minlength=raters * raters)
    return {
        divmod(int(pair), raters): (
            float(sums[0, pair]),
            float(sums[1, pair]),
            float(sums[2, pair]),
            float(sums[3, pair]),
        )
        for pair in np.flatnonzero(sums[0])
    }


def _pair_alpha(units: float, squares: float, total: float, total_squares: float) -> Coefficient:
    n = 2 * units
    expected = 2 * (n * total_squares - total**2) / (n * (n - 1))
    if expected < 1e-12:
        return Coefficient(None, units=int(units), raters=2, why_none=ONE_CLASS)
    return Coefficient(1 - squares / units / expected, units=int(units), raters=2)


def _apart(table: RatingTable, numbers: FloatArray) -> FloatArray:
    """Return by rating how far it lies from the mean of the unit's other ratings."""
    given = numbers[table.values]
    sums = np.bincount(table.units, given, minlength=table.unit_count)[table.units]
    others = table.unit_sizes[table.units] - 1
    return np.asarray(given - (sums - given) / np.maximum(others, 1))
