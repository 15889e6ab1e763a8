"""Who said what of which unit, in columns: what agreement and consensus are computed on."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ratings = Mapping[Any, Mapping[Any, Any]]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_PAIRS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class RatingTable:
    """Ratings in columns of equal length, sorted by unit.

    `units`, `raters` and `values` are codes from 0; `rater_names` and `value_names` say what the codes stand for.
    A unit without ratings, and a value that nobody gave, may be among the codes and count for nothing.
    """

    units: IntArray
    raters: IntArray
    values: IntArray
    unit_count: int
    rater_names: tuple[Any, ...]
    value_names: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.units)

    @cached_property
    def unit_sizes(self) -> IntArray:
        """Ratings of each unit."""
        return np.bincount(self.units, minlength=self.unit_count)

    @cached_property
    def counts(self) -> ValueCounts:
        """How often each value was given to each unit."""
        width = max(1, len(self.value_names))
        keys, counts = np.unique(self.units * width + self.values, return_counts=True)
        return ValueCounts(keys // width, keys % width, counts.astype(np.int64))

    @cached_property
    def raters_seen(self) -> int:
        return len(np.unique(self.raters))

    def where(self, chosen: BoolArray) -> RatingTable:
        """The ratings that are chosen; codes and names stay."""
        return RatingTable(
            self.units[chosen],
            self.raters[chosen],
            self.values[chosen],
            self.unit_count,
            self.rater_names,
            self.value_names,
        )

    def compact(self) -> tuple[RatingTable, IntArray]:
        """The same ratings without units that have none, and the former codes of the units that are left."""
        kept = np.flatnonzero(self.unit_sizes)
        codes = np.zeros(self.unit_count, dtype=np.int64)
        codes[kept] = np.arange(len(kept))
        table = RatingTable(
            codes[self.units], self.raters, self.values, len(kept), self.rater_names, self.value_names
        )
        return table, kept

    def pairable(self) -> RatingTable:
        """The ratings of units that have two or more."""
        chosen = self.unit_sizes[self.units] >= 2
        return self if bool(chosen.all()) else self.where(chosen)

    def recoded(self, new_codes: IntArray, value_names: Sequence[Any]) -> RatingTable:
        """The same ratings with `new_codes[code]` for each value; −1 leaves the rating out."""
        values = new_codes[self.values] if len(new_codes) else self.values
        chosen = values >= 0
        return RatingTable(
            self.units[chosen],
            self.raters[chosen],
            values[chosen],
            self.unit_count,
            self.rater_names,
            tuple(value_names),
        )

    def pairs(self) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield the places of the two ratings of each pair within a unit, in parts of about a million pairs."""
        starts = (
            np.concatenate(([0], np.cumsum(self.unit_sizes)[:-1])) if self.unit_count else np.empty(0, int)
        )
        for size in np.unique(self.unit_sizes):
            if size < 2:
                continue
            left, right = np.triu_indices(int(size), 1)
            firsts = starts[self.unit_sizes == size]
            step = max(1, _PAIRS_AT_ONCE // len(left))
            for begin in range(0, len(firsts), step):
                part = firsts[begin : begin + step, None]
                yield (part + left).ravel(), (part + right).ravel()


@dataclass(frozen=True)
class ValueCounts:
    """One row for each unit and value that occur together, sorted by unit, then value."""

    units: IntArray
    values: IntArray
    counts: IntArray


def table_of(ratings: Ratings | RatingTable) -> RatingTable:
    """Return {unit: {rater: value}} in columns; None and NaN are no ratings."""
    if isinstance(ratings, RatingTable):
        return ratings
    raters: dict[Hashable, int] = {}
    values: dict[Hashable, int] = {}
    rows = [
        (unit, raters.setdefault(rater, len(raters)), values.setdefault(value, len(values)))
        for unit, given in enumerate(ratings.values())
        for rater, value in given.items()
        if value is not None and value == value
    ]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return RatingTable(
        columns[:, 0], columns[:, 1], columns[:, 2], len(ratings), tuple(raters), tuple(values)
    )


def table_from_columns(
    units: NDArray[Any],
    raters: IntArray,
    values: IntArray,
    rater_names: Sequence[Any],
    value_names: Sequence[Any],
) -> tuple[RatingTable, NDArray[Any]]:
    """Return the table of ratings in any order, and the ids of its units: `units` holds ids, the others codes."""
    ids, codes = np.unique(units, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    table = RatingTable(
        codes[order].astype(np.int64),
        raters[order].astype(np.int64),
        values[order].astype(np.int64),
        len(ids),
        tuple(rater_names),
        tuple(value_names),
    )
    return table, ids
