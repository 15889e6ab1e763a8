"""Which of many examples one person may label at once, and why the others are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class LeftOut(StrEnum):
    """Why an example gets no label of a bulk. The value is the reason as people read it, after a number of examples."""

    UNKNOWN = "not in this queue any more"
    GOLD = "hidden gold checks, which tell nothing when answered in bulk"
    MINE = "labeled by you already"
    DONE = "with all their labels already"
    IN_HAND = "open in your own labeling console"
    TAKEN = "with somebody else just now"
    ASSIGNED = "assigned to somebody else"


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What matters of an item for a person who labels in bulk."""

    is_open: bool
    is_gone: bool
    is_gold: bool
    open_slots: int
    labeled_by_me: bool
    held_by_me: bool
    held_by_others: bool
    assigned_to_others: bool


def why_left_out(item: ItemFacts) -> LeftOut | None:
    """Return why the item gets no label; None when it does. The reason that tells most comes first."""
    if item.is_gone:
        return LeftOut.UNKNOWN
    if item.is_gold:
        return LeftOut.GOLD
    if item.labeled_by_me:
        return LeftOut.MINE
    if not item.is_open:
        return LeftOut.DONE
    if item.held_by_me:
        return LeftOut.IN_HAND
    if item.open_slots < 1:
        return LeftOut.TAKEN if item.held_by_others else LeftOut.DONE
    if item.assigned_to_others:
        return LeftOut.ASSIGNED
    return None


def counted(reasons: Iterable[LeftOut]) -> dict[str, int]:
    """Return how many were left out by reason, in words, most first."""
    return {reason.value: count for reason, count in Counter(reasons).most_common()}


def told(left_out: dict[str, int]) -> str:
    """Return the reasons as a sentence; empty when nothing was left out."""
    if not left_out:
        return ""
    return "Left out: " + ", ".join(f"{count:,} {reason}" for reason, count in left_out.items()) + "."
