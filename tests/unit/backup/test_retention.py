"""Which backups are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports_app.backup.retention import Retention, kept, parse_retention
from exports_app.errors import InvalidRetention

MOMENTS = st.sets(
    st.datetimes(datetime(2019, 12, 20), datetime(2027, 1, 10)).map(lambda d: d.replace(tzinfo=UTC)),
    max_size=60,
)
COUNTS = st.integers(0, 5)
RETENTIONS = st.builds(
    Retention, hourly=COUNTS, daily=COUNTS, weekly=COUNTS, monthly=COUNTS, yearly=COUNTS, last=COUNTS
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_kept__daily_backups_of_a_year__keeps_the_newest_of_each_period() -> None:
    days = [at("2026-11-21 02:00") - timedelta(days=n) for n in range(366)]
    found = kept(days, parse_retention("daily=3,weekly=3,monthly=3,yearly=2"))
    assert sorted(found, reverse=True) == [
        at("2026-11-21 02:00"),  # the newest: of the day, the week, the month, the year
        at("2026-11-20 02:00"),
        at("2026-11-19 02:00"),
        at("2026-11-15 02:00"),  # a Sunday, the last day of an ISO week
        at("2026-11-08 02:00"),
        at("2026-10-31 02:00"),
        at("2026-09-30 02:00"),
        at("2025-12-31 02:00"),
    ]


def test_kept__week_over_the_end_of_a_year__is_one_week() -> None:
    moments = [at("2026-12-31 02:00"), at("2027-01-01 02:00"), at("2027-01-03 02:00"), at("2027-01-04 02:00")]
    assert kept(moments, Retention(weekly=2)) == {at("2027-01-04 02:00"), at("2027-01-03 02:00")}


def test_kept__months_without_a_backup__do_not_count() -> None:
    moments = [at("2026-11-01 02:00"), at("2026-03-01 02:00"), at("2025-07-01 02:00")]
    assert kept(moments, Retention(monthly=2)) == {at("2026-11-01 02:00"), at("2026-03-01 02:00")}


def test_kept__moments_of_another_time_zone__go_by_the_calendar_of_utc() -> None:
    tokyo = timezone(timedelta(hours=9))
    morning, noon = datetime(2026, 11, 21, 8, tzinfo=tokyo), datetime(2026, 11, 21, 12, tzinfo=tokyo)
    assert kept([morning, noon], Retention(daily=2)) == {morning, noon}  # 23:00 and 03:00 UTC


def test_kept__hourly__keeps_one_an_hour() -> None:
    moments = [at("2026-11-21 10:05"), at("2026-11-21 10:55"), at("2026-11-21 11:00")]
    assert kept(moments, Retention(hourly=9)) == {at("2026-11-21 10:55"), at("2026-11-21 11:00")}


@given(MOMENTS, RETENTIONS)
def test_kept__anything__keeps_the_newest_and_is_idempotent(
    moments: set[datetime], retention: Retention
) -> None:
    found = kept(moments, retention)
    assert found <= moments
    assert kept(found, retention) == found
    if moments:
        assert max(moments) in found
    if not retention:
        assert found == moments


@given(MOMENTS, RETENTIONS)
def test_kept__more_of_a_period__keeps_no_less(moments: set[datetime], retention: Retention) -> None:
    more = Retention(**{name: count + 1 for name, count in vars(retention).items()})
    assert kept(moments, retention) <= kept(moments, more) or not retention


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("daily", "found 'daily', expected one of hourly, daily, weekly, monthly, yearly with a number"),
        ("daily=0", "found 'daily=0'"),
        ("daily=-1", "found 'daily=-1'"),
        ("sometimes=4", "found 'sometimes=4'"),
        ("daily=1,daily=2", "daily is given twice"),
    ],
)
def test_parse_retention__not_a_rule__says_what_was_found(text: str, told: str) -> None:
    with pytest.raises(InvalidRetention, match=told):
        parse_retention(text)


def test_parse_retention__rules__are_read() -> None:
    assert parse_retention("daily=7, yearly=3", 5) == Retention(daily=7, yearly=3, last=5)
    assert not parse_retention("")
    with pytest.raises(InvalidRetention, match="--keep-last: found 0"):
        parse_retention("", 0)
