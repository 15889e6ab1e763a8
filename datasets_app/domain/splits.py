"""Splits of a dataset into named parts, the same each time and stable when examples are added.

An example's place is the first 8 bytes of SHA-256(seed, UUID), read as a number from 0 to 2^64. Without classes the
parts are fixed ranges of places: no example ever changes its part because others come or go. With classes each class
is cut by itself at its own places, so that each part holds the wanted share of it, exact to one example; an added
example then moves a cut by at most one neighbour, and all others stay.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from goldenproject.kit.errors import BadInput

PLACES = 2**64
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
# Windows takes these for devices, with whatever ending
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))})


class InvalidSplit(BadInput):
    """A split cannot be made."""

    code = "invalid_split"


@dataclass(frozen=True)
class SplitPart:
    """A part and its share of the examples, above 0 and at most 1."""

    name: str
    share: Fraction


@dataclass(frozen=True)
class SplitPlan:
    """Parts whose shares are together at most 1; what is left over belongs to none. Raises InvalidSplit."""

    parts: tuple[SplitPart, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        _check_parts(self.parts)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)

    @property
    def cuts(self) -> tuple[int, ...]:
        """The end of each part's range of places (exclusive)."""
        ends, total = [], Fraction(0)
        for part in self.parts:
            total += part.share
            ends.append(int(total * PLACES))
        return tuple(ends)

    def part_of(self, example: uuid.UUID) -> str | None:
        """Return the name of the example's part, or None when it belongs to none."""
        return part_at(self, self.cuts, place(example, self.seed))


def parse_split(text: str, seed: int = 0) -> SplitPlan:
    """Read train=.8,val=.1,test=.1 (or 8/10, or 80%). Raises InvalidSplit."""
    parts = []
    for piece in text.split(","):
        name, equals, share = piece.strip().partition("=")
        if not equals:
            raise InvalidSplit(
                f"“{piece.strip()}” is no part of a split: expected NAME=SHARE, such as train=.8."
            )
        parts.append(SplitPart(name.strip(), _share(share.strip(), piece.strip())))
    return SplitPlan(tuple(parts), seed)


def place(example: uuid.UUID, seed: int) -> int:
    """Return the place of an example under a seed: an integer from 0 to 2^64 - 1."""
    return int.from_bytes(hashlib.sha256(b"%d:%b" % (seed, example.bytes)).digest()[:8], "big")


def part_at(plan: SplitPlan, cuts: Sequence[int], at: int) -> str | None:
    """Return the part whose range of places holds `at`; `cuts` are the ends of the ranges."""
    for part, end in zip(plan.parts, cuts, strict=True):
        if at < end:
            return part.name
    return None


def class_cuts(plan: SplitPlan, places: Iterable[int]) -> tuple[int, ...]:
    """Return cuts that give each part its share of exactly these places (of one class), to within one example.

    The k-th cut lies before the place of rank round(n × cumulated share). No places: the cuts of the plan.
    """
    ranked = np.sort(np.fromiter(places, dtype=np.uint64))
    if not len(ranked):
        return plan.cuts
    ends, total = [], Fraction(0)
    for part in plan.parts:
        total += part.share
        rank = int(total * len(ranked) + Fraction(1, 2))
        ends.append(int(ranked[rank]) if rank < len(ranked) else PLACES)
    return tuple(ends)


def _share(text: str, piece: str) -> Fraction:
    try:
        return Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise InvalidSplit(f"“{piece}”: found “{text}”, expected a share such as .8, 4/5 or 80%.") from error


def _check_parts(parts: Sequence[SplitPart]) -> None:
    if not parts:
        raise InvalidSplit("A split needs at least one part, such as train=.8.")
    seen: set[str] = set()
    for part in parts:
        folded = part.name.lower()
        if not _NAME.fullmatch(part.name) or folded in _DEVICES:
            raise InvalidSplit(
                f"“{part.name}” cannot name a part, because a file will be called so.",
                hint="Use 1 to 60 letters, digits and _, beginning with a letter.",
            )
        if folded in seen:
            raise InvalidSplit(f"The part “{part.name}” is named twice.")
        seen.add(folded)
        if not 0 < part.share <= 1:
            raise InvalidSplit(
                f"{part.name}: found share {float(part.share):g}, expected more than 0 and at most 1."
            )
    total = sum(part.share for part in parts)
    if total > 1:
        raise InvalidSplit(f"The shares are {float(total):g} together; at most 1 is there to share.")
