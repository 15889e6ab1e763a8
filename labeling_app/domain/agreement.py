"""How far raters agree: percent, Cohen's and Fleiss' kappa, Krippendorff's alpha, Gwet's AC1, each with an interval.

Input is {unit: {rater: value}} (None and NaN are missing), or a RatingTable. Nothing here raises for what the data lack:
a coefficient that is not defined has the value None and `why_none` in words. That is so when

- no unit was rated by two raters (units with one rating tell nothing of agreement and drop out), or
- a coefficient that corrects for chance meets one class only: then agreement by chance is sure, and 0/0 is no figure.

All is vectorised: sums over units, never a loop over ratings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from datasets_app.domain.intervals import wilson
from labeling_app.domain.intervals import (
    drawn_groups,
    draws,
    normal,
    percentile,
    wilson_of_mean,
)
from labeling_app.domain.ratings import FloatArray, IntArray, Ratings, RatingTable, table_of

Level = Literal["nominal", "ordinal", "interval", "ratio"]

NO_PAIRS: Final = "No example has answers of two or more labelers, so there is nothing to compare."
ONE_CLASS: Final = "Only one class was ever given: all agree, but chance alone would give that too, so it cannot be corrected for."
NOT_NUMBERS: Final = "The values are no numbers, so they have no order or distance."
NEGATIVE: Final = "A ratio scale has a zero and nothing below it, but there are negative values."
TOO_MANY_VALUES: Final = "There are more than 20,000 different values, too many to compare by ratio."

# a bootstrap of nominal values keeps so many classes apart; the share of rarer ones among what chance explains stays
_MAX_CLASSES_DRAWN: Final = 512
_MAX_RATIO_VALUES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A measure of agreement with its 95 % interval; `units` were rated by two or more of `raters`.

    `value` is None when it is not defined, and `why_none` says why; `low` and `high` are None where no interval is.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    units: int = 0
    raters: int = 0
    why_none: str = ""


def percent_agreement(ratings: Ratings | RatingTable) -> Coefficient:
    """Return the mean over units of the share of pairs of raters who say the same.

    Interval: Wilson's with the effective number of units (see `wilson_of_mean`).
    """
    table = table_of(ratings).pairable()
    if not len(table):
        return _undefined(table, NO_PAIRS)
    shares = _pair_shares(table)
    low, high = wilson_of_mean(shares)
    return _coefficient(table, float(shares.mean()), (low, high))


def cohen_kappa(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> Coefficient:
    """Return Cohen's kappa (1960) of two raters, each {unit: class}, over the units that both rated.

    Interval: the large-sample standard error of Fleiss, Cohen and Everitt (1969); where all agree, see `_all_agree`.
    """
    both = [unit for unit in a if unit in b]
    table = table_of({unit: {0: a[unit], 1: b[unit]} for unit in both}).pairable()
    if not len(table):
        return _undefined(table, NO_PAIRS)
    width = len(table.value_names)
    first, second = table.values[table.raters == 0], table.values[table.raters == 1]
    cells, counts = np.unique(first * width + second, return_counts=True)
    return kappa_of_cells(cells // width, cells % width, counts)


def kappa_of_cells(rows: IntArray, columns: IntArray, counts: IntArray) -> Coefficient:
    """Return Cohen's kappa of a table of two raters, given by its cells that are not empty."""
    total = int(counts.sum())
    if total == 0:
        return Coefficient(None, why_none=NO_PAIRS)
    width = int(max(rows.max(), columns.max())) + 1
    share = counts / total
    by_row = np.bincount(rows, weights=share, minlength=width)
    by_column = np.bincount(columns, weights=share, minlength=width)
    expected = float(by_row @ by_column)
    if expected >= 1 - 1e-12:
        return Coefficient(None, units=total, raters=2, why_none=ONE_CLASS)
    same = rows == columns
    observed = float(share[same].sum())
    kappa = (observed - expected) / (1 - expected)
    if bool(same.all()):
        return Coefficient(1.0, *_all_agree(total, expected), total, 2)
    on = float((share[same] * (1 - (by_row + by_column)[rows[same]] * (1 - kappa)) ** 2).sum())
    off = float((share[~same] * (by_column[rows[~same]] + by_row[columns[~same]]) ** 2).sum())
    variance = on + (1 - kappa) ** 2 * off - (kappa - expected * (1 - kappa)) ** 2
    error = math.sqrt(max(0.0, variance) / total) / (1 - expected)
    return Coefficient(kappa, *normal(kappa, error), total, 2)


def fleiss_kappa(ratings: Ratings | RatingTable) -> Coefficient:
    """Return Fleiss' kappa (1971), in the form for any number of raters a unit (Gwet 2014, chapter 2).

    Units with one rating say nothing of agreement but count for how frequent the classes are. Interval: linearised
    standard error (Gwet 2008); where all agree, see `_all_agree`.
    """
    return _chance_corrected(table_of(ratings), "fleiss")


def gwet_ac1(ratings: Ratings | RatingTable, *, classes: int | None = None) -> Coefficient:
    """Return Gwet's AC1 (2008): corrected for chance so that rare classes do not push it down as they do kappa.

    `classes` is how many classes there were to choose from; without it, how many were given. Units with one rating
    count for how frequent the classes are. Interval: linearised standard error (Gwet 2008).
    """
    return _chance_corrected(table_of(ratings), "ac1", classes)


def fleiss_by_class(ratings: Ratings | RatingTable) -> dict[Any, Coefficient]:
    """Return Fleiss' kappa of each class against all others (1971, section 4), by class in order of its name."""
    table = table_of(ratings)
    given = np.unique(table.values)
    found = {}
    for code in sorted(given.tolist(), key=lambda code: str(table.value_names[code])):
        codes = (np.arange(len(table.value_names)) == code).astype(np.int64)
        found[table.value_names[code]] = fleiss_kappa(table.recoded(codes, ("other", "this")))
    return found


def krippendorff_alpha(
    ratings: Ratings | RatingTable,
    level: Level = "nominal",
    *,
    numbers: FloatArray | None = None,
    with_interval: bool = True,
) -> Coefficient:
    """Return Krippendorff's alpha (2011): 1 − observed / expected disagreement, for any raters and missing values.

    `numbers` are the values' numbers by their codes (default: the values themselves, which must then be numbers unless
    the level is nominal); an ordinal value needs one for its order alone. Interval: 2.5 to 97.5 % of 1,000 seeded bootstrap
    replicates over units, the distances between ordinal values held as in the whole data; where all agree, see
    `_all_agree`.
    """
    table = table_of(ratings).pairable()
    if not len(table):
        return _undefined(table, NO_PAIRS)
    if len(np.unique(table.values)) == 1:
        return _undefined(table, ONE_CLASS)
    groups = _groups(table)
    if level == "nominal":
        return _alpha(table, groups, _nominal_parts(table, groups), with_interval)
    given = numbers_of(table) if numbers is None else numbers
    if given is None or not np.isfinite(given[table.values]).all():
        return _undefined(table, NOT_NUMBERS)
    if level == "ordinal":
        return _alpha(table, groups, _distance_parts(table, groups, midranks(table, given)), with_interval)
    if level == "interval":
        return _alpha(table, groups, _distance_parts(table, groups, given), with_interval)
    if (given[table.values] < 0).any():
        return _undefined(table, NEGATIVE)
    if len(np.unique(given[table.values])) > _MAX_RATIO_VALUES:
        return _undefined(table, TOO_MANY_VALUES)
    return _alpha(table, groups, _ratio_parts(table, groups, given), with_interval)


# --- what alpha is made of ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Groups:
    """The group of the bootstrap that each unit is in (see `drawn_groups`), for units with two ratings or more."""

    of_unit: IntArray
    count: int

    def sums(self, units: IntArray, weights: FloatArray | IntArray) -> FloatArray:
        """Sum weights, one a row of `units`, by group."""
        found = np.bincount(self.of_unit[units], weights, minlength=self.count)
        return found.astype(np.float64)

    def table(
        self, units: IntArray, columns: IntArray, weights: FloatArray | IntArray, width: int
    ) -> FloatArray:
        """Sum weights by group and column: (groups, width)."""
        places = self.of_unit[units] * width + columns
        found = np.bincount(places, weights, minlength=self.count * width)
        return found.reshape(self.count, width).astype(np.float64)


@dataclass(frozen=True)
class _Parts:
    """By group: disagreement (observed, times ratings), and the sums that expected disagreement is computed from.

    `expected(sums, n)` takes rows of sums and of numbers of ratings and returns n (n − 1) times the expected
    disagreement of each row.
    """

    disagreement: FloatArray
    sums: FloatArray
    expected: Callable[[FloatArray, FloatArray], FloatArray]


def _groups(table: RatingTable) -> _Groups:
    used = table.unit_sizes >= 2
    groups, count = drawn_groups(int(used.sum()))
    of_unit = np.zeros(table.unit_count, dtype=np.int64)
    of_unit[used] = groups
    return _Groups(of_unit, count)


def _alpha(table: RatingTable, groups: _Groups, parts: _Parts, with_interval: bool) -> Coefficient:
    sizes = groups.sums(table.units, np.ones(len(table)))

    def alphas(disagreement: FloatArray, sums: FloatArray, n: FloatArray) -> FloatArray:
        expected = parts.expected(sums, n)
        known = expected > 1e-9 * n
        return np.where(known, 1 - disagreement * (n - 1) / np.where(known, expected, 1.0), np.nan)

    whole = alphas(
        parts.disagreement.sum(keepdims=True), parts.sums.sum(0, keepdims=True), sizes.sum(keepdims=True)
    )
    value = float(whole[0])
    if not math.isfinite(value):
        return _undefined(table, ONE_CLASS)
    if not with_interval:
        return _coefficient(table, value, None)
    if not parts.disagreement.any():
        frequencies = np.bincount(table.values) / len(table)
        units = int((table.unit_sizes >= 2).sum())
        return _coefficient(table, 1.0, _all_agree(units, float(frequencies @ frequencies)))
    # one product, as the draws are far more than what they are multiplied with
    drawn = draws(groups.count) @ np.column_stack([parts.disagreement, sizes, parts.sums])
    replicates = alphas(drawn[:, 0], drawn[:, 2:], drawn[:, 1])
    return _coefficient(table, value, percentile(replicates, value))


def _nominal_parts(table: RatingTable, groups: _Groups) -> _Parts:
    counts = table.counts
    among = table.unit_sizes[counts.units]
    disagreement = groups.sums(counts.units, counts.counts * (among - counts.counts) / (among - 1))
    totals = np.bincount(counts.values, counts.counts, minlength=len(table.value_names))
    order = np.argsort(-totals, kind="stable")
    frequent, rare = order[:_MAX_CLASSES_DRAWN], order[_MAX_CLASSES_DRAWN:]
    columns = np.full(len(totals), -1)
    columns[frequent] = np.arange(len(frequent))
    rare_share = float((totals[rare] ** 2).sum() / totals.sum() ** 2)
    kept = columns[counts.values] >= 0
    sums = groups.table(counts.units[kept], columns[counts.values[kept]], counts.counts[kept], len(frequent))
    return _Parts(disagreement, sums, lambda sums, n: n**2 * (1 - rare_share) - (sums**2).sum(1))


def _distance_parts(table: RatingTable, groups: _Groups, numbers: FloatArray) -> _Parts:
    # Σ over ordered pairs of (x − y)² is 2 (m Σx² − (Σx)²): no pair has to be formed. Centred and scaled, so that
    # nothing is lost to rounding.
    given = numbers[table.values]
    given = given - given.mean()
    given = given / (np.abs(given).max() or 1.0)
    sizes = np.maximum(table.unit_sizes, 1)
    means = np.bincount(table.units, given, minlength=table.unit_count) / sizes
    deviations = (given - means[table.units]) ** 2
    among = table.unit_sizes[table.units]
    disagreement = groups.sums(table.units, 2 * deviations * among / (among - 1))
    if float(deviations.sum()) < 1e-24 * len(table):
        disagreement = np.zeros_like(disagreement)
    sums = np.column_stack([groups.sums(table.units, given), groups.sums(table.units, given**2)])
    return _Parts(disagreement, sums, lambda sums, n: 2 * (n * sums[:, 1] - sums[:, 0] ** 2))


def _ratio_parts(table: RatingTable, groups: _Groups, numbers: FloatArray) -> _Parts:
    distinct, codes = np.unique(numbers[table.values], return_inverse=True)
    disagreement = np.zeros(groups.count)
    for left, right in table.pairs():
        units = table.units[left]
        apart = _ratio_distance(distinct[codes[left]], distinct[codes[right]])
        disagreement += groups.sums(units, 2 * apart / (table.unit_sizes[units] - 1))
    if len(distinct) <= _MAX_CLASSES_DRAWN:
        between = _ratio_distance(distinct[:, None], distinct[None, :])
        sums = groups.table(table.units, codes, np.ones(len(table)), len(distinct))
        return _Parts(disagreement, sums, lambda sums, n: ((sums @ between) * sums).sum(1))
    totals = np.bincount(codes).astype(np.float64)
    whole = sum(
        float(total * (_ratio_distance(value, distinct) @ totals))
        for value, total in zip(distinct, totals, strict=True)
    )
    # so many values are drawn as if each replicate had the distances of the whole
    share = whole / (len(table) * (len(table) - 1))
    return _Parts(disagreement, np.zeros((groups.count, 1)), lambda sums, n: share * n * (n - 1))


def _ratio_distance(a: Any, b: Any) -> FloatArray:
    total = np.asarray(a + b, dtype=np.float64)
    return np.asarray(((a - b) / np.where(total == 0, 1.0, total)) ** 2)


def midranks(table: RatingTable, numbers: FloatArray) -> FloatArray:
    """Return the number of each value code on the ordinal scale.

    Krippendorff's ordinal distance of c and k, the ratings from c to k less half of both ends, is the difference of their
    mid-ranks: so ordinal alpha is interval alpha of mid-ranks.
    """
    distinct, codes = np.unique(numbers[table.values], return_inverse=True)
    totals = np.bincount(codes)
    ranks = np.cumsum(totals) - totals / 2
    places = np.clip(np.searchsorted(distinct, numbers), 0, len(distinct) - 1)
    return ranks[places].astype(np.float64)


def numbers_of(table: RatingTable) -> FloatArray | None:
    """Return the values as numbers, by their codes; None when one is no number."""
    if any(isinstance(name, bool) or not isinstance(name, int | float) for name in table.value_names):
        return None
    return np.array(table.value_names, dtype=np.float64)


# --- kappa and AC1 --------------------------------------------------------------------------------------------------
def _pair_shares(table: RatingTable) -> FloatArray:
    """Return by unit with two ratings or more the share of its pairs of raters who agree."""
    counts, sizes = table.counts, table.unit_sizes
    used = sizes >= 2
    agreeing = np.bincount(counts.units, counts.counts * (counts.counts - 1), minlength=table.unit_count)
    return agreeing[used] / (sizes[used] * (sizes[used] - 1))  # type: ignore[no-any-return]


def _chance_corrected(table: RatingTable, which: str, classes: int | None = None) -> Coefficient:
    """Return Fleiss' kappa or AC1: both (pa − pe) / (1 − pe) with pe from the mean frequencies of the classes."""
    pairable = table.pairable()
    if not len(pairable):
        return _undefined(pairable, NO_PAIRS)
    counts, sizes = table.counts, table.unit_sizes
    units = int((sizes >= 1).sum())
    shares = counts.counts / sizes[counts.units]
    frequencies = np.bincount(counts.values, shares, minlength=len(table.value_names)) / units
    given = max(int((frequencies > 0).sum()), classes or 0)
    if given == 1 or (which == "fleiss" and float(frequencies.max()) > 1 - 1e-12):
        return _undefined(pairable, ONE_CLASS)
    weight = frequencies if which == "fleiss" else (1 - frequencies) / (given - 1)
    chance = float(frequencies @ weight)
    pair_shares = _pair_shares(table)
    value = (float(pair_shares.mean()) - chance) / (1 - chance)
    if bool((pair_shares == 1).all()):
        return _coefficient(pairable, value, _all_agree(len(pair_shares), chance))
    # Gwet's linearised terms, one a unit; a unit with one rating has no agreement but moves the frequencies
    terms = np.zeros(table.unit_count)
    terms[sizes >= 2] = units / len(pair_shares) * (pair_shares - chance) / (1 - chance)
    own_chance = np.bincount(counts.units, shares * weight[counts.values], minlength=table.unit_count)
    terms -= 2 * (1 - value) * (own_chance - chance) / (1 - chance)
    spread = float(((terms[sizes >= 1] - value) ** 2).sum())
    return _coefficient(pairable, value, normal(value, math.sqrt(spread / (units * max(1, units - 1)))))


def _all_agree(units: int, chance: float) -> tuple[float, float]:
    """Return the interval of a coefficient that is 1, whose standard error and bootstrap would wrongly be 0.

    It is what the lower end of Wilson's interval of "all of `units`" gives when corrected for `chance`.
    """
    low, _ = wilson(1.0, units)
    return max(-1.0, (low - chance) / (1 - chance)), 1.0


def _undefined(table: RatingTable, why: str) -> Coefficient:
    return _coefficient(table, None, None, why)


def _coefficient(
    table: RatingTable, value: float | None, interval: tuple[float, float] | None, why: str = ""
) -> Coefficient:
    low, high = interval if interval is not None else (None, None)
    units = int((table.unit_sizes >= 2).sum())
    return Coefficient(value, low, high, units, table.raters_seen, why)
