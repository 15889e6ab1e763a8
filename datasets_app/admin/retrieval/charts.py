"""The geometry of the charts: numbers of runs → places in an SVG. Templates draw them; colours are classes of CSS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 960, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 16, 12, 28


def percent(share: float) -> str:
    """Return a place on an axis as SVG wants it."""
    return f"{100 * min(1.0, max(0.0, share)):.2f}%"


# --- one value with its interval, on a track as wide as its cell -----------------------------------------------------
@dataclass(frozen=True)
class Track:
    """Places of a mean and its interval on an axis from `start` to `stop`; `zero` is where 0 lies, if inside."""

    mean: str
    low: str
    high: str
    zero: str = ""


def track(mean: float, low: float, high: float, start: float = 0.0, stop: float = 1.0) -> Track:
    """Place a value on the axis from `start` to `stop`; what is outside lies at the edge."""
    span = (stop - start) or 1.0

    def place(value: float) -> str:
        return percent((value - start) / span)

    return Track(place(mean), place(low), place(high), place(0.0) if start < 0 < stop else "")


def nice_limit(values: Sequence[float]) -> float:
    """Return the smallest of .02, .05, .1, .2, .5, 1 that holds all `values` by their size."""
    greatest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return next((limit for limit in (0.02, 0.05, 0.1, 0.2, 0.5) if greatest <= limit), 1.0)


# --- runs over time -------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TrendPoint:
    """What one run has: the x label, an address, and by series its value (None: not measured) and interval.

    `is_alike`: it measured the same as the newest run, so that the two can be compared.
    """

    label: str
    title: str
    address: str
    values: dict[str, float | None]
    low: float | None = None
    high: float | None = None
    is_alike: bool = True


@dataclass(frozen=True)
class Dot:
    """A point of a line; one that is not `is_alike` is drawn hollow."""

    x: float
    y: float
    title: str
    address: str
    is_alike: bool


@dataclass(frozen=True)
class Line:
    """A line of the chart; `style` numbers its colour and its marks."""

    name: str
    style: int
    points: str
    dots: list[Dot]


@dataclass(frozen=True)
class Trend:
    """A chart of shares, 0 to 1, over runs, the oldest at the left. `band` is the interval of the first series."""

    width: int
    height: int
    lines: list[Line]
    band: str
    y_ticks: list[tuple[float, str]]
    x_ticks: list[tuple[float, str]]
    summary: str

    @property
    def has_others(self) -> bool:
        return any(not dot.is_alike for line in self.lines for dot in line.dots)


def trend(points: Sequence[TrendPoint], names: Sequence[str]) -> Trend | None:
    """Return the chart of `points`, the oldest first; None when there are fewer than two."""
    if len(points) < 2:
        return None
    inner = WIDTH - _LEFT - _RIGHT
    floor, ceiling = _axis(points)
    xs = [round(_LEFT + inner * place / (len(points) - 1), 1) for place in range(len(points))]

    def y(value: float) -> float:
        share = (value - floor) / (ceiling - floor)
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * share, 1)

    lines = []
    for style, name in enumerate(names, start=1):
        known = [
            (x, point, value)
            for x, point in zip(xs, points, strict=True)
            if (value := point.values.get(name)) is not None
        ]
        dots = [
            Dot(x, y(value), f"{point.title}: {name} {value:.3f}", point.address, point.is_alike)
            for x, point, value in known
        ]
        lines.append(Line(name, style, " ".join(f"{dot.x},{dot.y}" for dot in dots), dots))
    with_band = [
        (x, y(point.low), y(point.high))
        for x, point in zip(xs, points, strict=True)
        if point.low is not None and point.high is not None
    ]
    upper = [f"{x},{high}" for x, _, high in with_band]
    lower = [f"{x},{low}" for x, low, _ in reversed(with_band)]
    step = max(1, math.ceil(len(points) / 8))
    return Trend(
        width=WIDTH,
        height=HEIGHT,
        lines=lines,
        band=" ".join(upper + lower),
        y_ticks=[(y(value), f"{value:.0%}") for value in _ticks(floor, ceiling)],
        x_ticks=[(x, point.label) for x, point in zip(xs, points, strict=True)][::-1][::step][::-1],
        summary="; ".join(_told(name, points) for name in names),
    )


def _axis(points: Sequence[TrendPoint]) -> tuple[float, float]:
    """Return the ends of the axis: quarters, so that what moves is seen, and 100 % at the top unless all is far below."""
    values = [value for point in points for value in (*point.values.values(), point.low) if value is not None]
    tops = [value for point in points for value in (*point.values.values(), point.high) if value is not None]
    floor = math.floor(4 * min(values, default=0.0)) / 4
    ceiling = max(floor + 0.25, math.ceil(4 * max(tops, default=1.0) - 1e-9) / 4)
    return min(floor, 0.75), min(1.0, ceiling)


def _ticks(floor: float, ceiling: float) -> list[float]:
    step = 0.05 if ceiling - floor <= 0.25 else 0.25
    return [floor + step * number for number in range(round((ceiling - floor) / step) + 1)]


def _told(name: str, points: Sequence[TrendPoint]) -> str:
    values = [value for point in points if (value := point.values.get(name)) is not None]
    if not values:
        return f"{name}: not measured"
    return f"{name}: {values[0]:.3f} in the oldest, {values[-1]:.3f} in the newest of {len(values)} runs"
