"""The geometry of the pictures of agreement: places in an SVG. Templates draw them; colours are classes of CSS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labeling_app.domain.agreement import Coefficient
from labeling_app.services.agreement import WeekAgreement

WIDTH, HEIGHT = 960, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 14, 28
_MOST_TICKS = 9
_LIMITS = ((0.8, ".80 reliable"), (0.667, ".667 tentative"))


@dataclass(frozen=True)
class Track:
    """Places, in percent, of a value and its interval on an axis, and of marks on it."""

    value: float
    low: float | None
    high: float | None
    zero: float | None


def track(coefficient: Coefficient, start: float = 0.0) -> Track | None:
    """Return the places on an axis from `start` to 1; None when there is no value."""
    if coefficient.value is None:
        return None

    def place(value: float | None) -> float | None:
        return None if value is None else round(100 * min(1.0, max(0.0, (value - start) / (1 - start))), 2)

    return Track(
        place(coefficient.value) or 0.0,
        place(coefficient.low),
        place(coefficient.high),
        place(0.0) if start < 0 else None,
    )


def axis_start(coefficients: Sequence[Coefficient | None]) -> float:
    """Return where an axis for these begins: 0, or −1 / −.5 when something lies below."""
    lowest = min(
        (c.low if c.low is not None else c.value or 0.0 for c in coefficients if c is not None), default=0.0
    )
    return 0.0 if lowest >= 0 else -0.5 if lowest >= -0.5 else -1.0


@dataclass(frozen=True)
class Dot:
    """A week: its place, what to say of it, and its interval."""

    x: float
    y: float
    title: str
    low: float | None
    high: float | None


@dataclass(frozen=True)
class WeekChart:
    """Agreement over weeks, the oldest at the left."""

    width: int
    height: int
    left: int
    right: int
    line: str
    band: str
    dots: list[Dot]
    y_ticks: list[tuple[float, str]]
    limits: list[tuple[float, str]]
    x_ticks: list[tuple[float, str]]
    summary: str


def week_chart(weeks: Sequence[WeekAgreement]) -> WeekChart | None:
    """Return the chart of the weeks that have a value, placed by date; None when there are fewer than two."""
    known = [week for week in weeks if week.alpha.value is not None]
    if len(known) < 2:
        return None
    first, span = known[0].monday, (known[-1].monday - known[0].monday).days
    floor = _floor([week.alpha for week in known])

    def x(week: WeekAgreement) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * (week.monday - first).days / span, 1)

    def y(value: float) -> float:
        share = (min(1.0, max(floor, value)) - floor) / (1 - floor)
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * share, 1)

    dots = [
        Dot(
            x(week),
            y(week.alpha.value or 0.0),
            f"Week of {week.monday:%b %-d, %Y}: {week.alpha.value:.3f}"
            + (f" ({week.alpha.low:.3f} to {week.alpha.high:.3f})" if week.alpha.low is not None else "")
            + f", {week.labels:,} labels of {week.alpha.units:,} examples",
            None if week.alpha.low is None else y(week.alpha.low),
            None if week.alpha.high is None else y(week.alpha.high),
        )
        for week in known
    ]
    banded = [dot for dot in dots if dot.low is not None]
    step = math.ceil(len(known) / _MOST_TICKS)
    values = [week.alpha.value or 0.0 for week in known]
    return WeekChart(
        WIDTH,
        HEIGHT,
        _LEFT,
        WIDTH - _RIGHT,
        line=" ".join(f"{dot.x},{dot.y}" for dot in dots),
        band=" ".join(
            [f"{dot.x},{dot.high}" for dot in banded] + [f"{dot.x},{dot.low}" for dot in reversed(banded)]
        ),
        dots=dots,
        y_ticks=[(y(value), f"{value:.2g}") for value in _ticks(floor)],
        limits=[(y(value), words) for value, words in _LIMITS if value > floor],
        x_ticks=[(x(week), f"{week.monday:%b %-d}") for week in known[::-1][::step][::-1]],
        summary=f"From {values[0]:.3f} in the first to {values[-1]:.3f} in the last of {len(values)} weeks, "
        f"lowest {min(values):.3f}, highest {max(values):.3f}",
    )


def _floor(alphas: Sequence[Coefficient]) -> float:
    lowest = min(alpha.low if alpha.low is not None else alpha.value or 0.0 for alpha in alphas)
    return max(-1.0, min(0.5, math.floor(lowest * 4) / 4))


def _ticks(floor: float) -> list[float]:
    step = 0.25 if floor >= 0 else 0.5
    first = math.ceil(floor / step - 1e-9)
    return [step * number for number in range(first, round(1 / step) + 1)]
