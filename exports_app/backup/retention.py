"""Which backups to keep: the newest of each of the last hours, days, weeks, months and years that have one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from exports_app.errors import InvalidRetention

_PERIODS: dict[str, Callable[[datetime], tuple[int, ...]]] = {
    "hourly": lambda moment: (moment.year, moment.month, moment.day, moment.hour),
    "daily": lambda moment: (moment.year, moment.month, moment.day),
    "weekly": lambda moment: tuple(moment.isocalendar())[:2],
    "monthly": lambda moment: (moment.year, moment.month),
    "yearly": lambda moment: (moment.year,),
}
_RULE = re.compile(r"([a-z]+)=([1-9][0-9]{0,5})")


@dataclass(frozen=True)
class Retention:
    """How many to keep; 0 says nothing about a period. A Retention that says nothing at all keeps everything."""

    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    last: int = 0

    def __bool__(self) -> bool:
        return any((self.hourly, self.daily, self.weekly, self.monthly, self.yearly, self.last))


def parse_retention(text: str, last: int | None = None) -> Retention:
    """Read "daily=7,weekly=4", in any order, and `last`, how many of the newest to keep. Raises InvalidRetention."""
    counts: dict[str, int] = {}
    for rule in filter(None, (part.strip() for part in text.split(","))):
        match = _RULE.fullmatch(rule)
        if match is None or match[1] not in _PERIODS:
            raise InvalidRetention(
                f"--keep: found {rule!r}, expected one of {', '.join(_PERIODS)} with a number from 1, such as daily=7."
            )
        if match[1] in counts:
            raise InvalidRetention(f"--keep: {match[1]} is given twice.")
        counts[match[1]] = int(match[2])
    if last is not None and last < 1:
        raise InvalidRetention(f"--keep-last: found {last}, expected a number from 1.")
    return Retention(**counts, last=last or 0)


def kept(moments: Iterable[datetime], retention: Retention) -> set[datetime]:
    """Return the moments to keep of those of all backups, which must know their time zones.

    Periods are UTC's, weeks are ISO 8601's. A period without a backup does not count, so an interruption makes nothing
    vanish. The newest is always kept. Applied to what it kept, it keeps all of it: each period's newest is there still.
    """
    newest_first = sorted({moment.astimezone(UTC) for moment in moments}, reverse=True)
    if not retention:
        return set(newest_first)
    keep = set(newest_first[: max(retention.last, 1)])
    for name, period_of in _PERIODS.items():
        newest: dict[tuple[int, ...], datetime] = {}
        for moment in newest_first:
            newest.setdefault(period_of(moment), moment)
        keep.update(list(newest.values())[: getattr(retention, name)])
    return keep
