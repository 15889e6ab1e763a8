"""Words for coefficients, and the geometry of the chart of weeks."""

from __future__ import annotations

from datetime import date

import pytest

from labeling_app.console.agreement_chart import axis_start, track, week_chart
from labeling_app.domain.agreement import Coefficient
from labeling_app.domain.verdicts import landis_koch, of_alpha
from labeling_app.services.agreement import WeekAgreement


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (-0.1, "poor"),
        (0.0, "slight"),
        (0.2, "slight"),
        (0.21, "fair"),
        (0.4, "fair"),
        (0.6, "moderate"),
        (0.8, "substantial"),
        (0.81, "almost perfect"),
        (1.0, "almost perfect"),
    ],
)
def test_landis_koch__each_band__has_its_word(value: float, word: str) -> None:
    assert landis_koch(value) == word


@pytest.mark.parametrize(
    ("value", "word", "tone"),
    [(0.8, "reliable", "good"), (0.7, "tentative", "fair"), (0.6, "unreliable", "poor")],
)
def test_of_alpha__each_band_of_krippendorff__has_its_word(value: float, word: str, tone: str) -> None:
    verdict = of_alpha(Coefficient(value, value, value, 10, 2))

    assert (verdict.word, verdict.tone) == (word, tone)


def test_of_alpha__an_interval_that_reaches_into_the_band_below__says_so() -> None:
    verdict = of_alpha(Coefficient(0.85, 0.701, 0.95, 1200, 3))

    assert verdict.advice.endswith("With 1,200 examples the interval still reaches down to 0.701.")


def test_of_alpha__not_defined__says_why() -> None:
    verdict = of_alpha(Coefficient(None, why_none="Nothing to compare."))

    assert (verdict.word, verdict.advice, verdict.tone) == ("not known", "Nothing to compare.", "unknown")


def test_track__on_an_axis_from_minus_one__is_placed_in_percent() -> None:
    found = track(Coefficient(0.5, 0.0, 1.0), -1.0)

    assert found is not None
    assert (found.value, found.low, found.high, found.zero) == (75.0, 50.0, 100.0, 50.0)
    assert track(Coefficient(None)) is None


def test_axis_start__values_below_zero__makes_room() -> None:
    assert axis_start([Coefficient(0.5, 0.1, 0.9), None, Coefficient(None)]) == 0.0
    assert axis_start([Coefficient(0.1, -0.2, 0.4)]) == -0.5
    assert axis_start([Coefficient(-0.7)]) == -1.0


def week(day: int, value: float | None) -> WeekAgreement:
    alpha = Coefficient(value, None if value is None else value - 0.1, value, 5, 2)
    return WeekAgreement(date(2026, 3, day), 10, alpha)


def test_week_chart__three_weeks_with_a_gap__are_placed_by_date() -> None:
    chart = week_chart([week(2, 0.5), week(9, None), week(16, 0.9), week(30, 0.7)])

    assert chart is not None
    first, middle, last = chart.dots
    assert (first.x, last.x) == (chart.left, chart.right)
    assert middle.x == pytest.approx((chart.left + chart.right) / 2)
    assert first.y > last.y > middle.y
    assert middle.title == "Week of Mar 16, 2026: 0.900 (0.800 to 0.900), 10 labels of 5 examples"
    assert chart.summary.startswith("From 0.500 in the first to 0.700 in the last of 3 weeks")


def test_week_chart__one_week__is_none() -> None:
    assert week_chart([week(2, 0.5), week(9, None)]) is None
