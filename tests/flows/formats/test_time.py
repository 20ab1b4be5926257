"""Instants and durations: as a spec writes them, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.formats.time import (
    as_plausible_utc,
    as_utc,
    instant,
    milliseconds,
    milliseconds_of,
    parse_duration,
    shown_duration,
)


@given(st.integers(0, 520 * 7 * 86_400_000))
def test_duration_is_read_as_it_is_shown(ms: int) -> None:
    duration = timedelta(milliseconds=ms)

    assert parse_duration(shown_duration(duration)) == duration


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5 m", "-5m", "5x", "1h 30m", "1e3s", "5m!", 5, None, ["5m"]]
)
def test_anything_else_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="must be a duration such as"):
        parse_duration(text)


def test_more_than_ten_years_are_refused() -> None:
    assert parse_duration("520w") == timedelta(weeks=520)
    with pytest.raises(ValueError, match="must be at most 520w"):
        parse_duration("521w")


@given(st.integers(-62_135_596_800_000, 10**14))  # from the year 1 on
def test_instant_and_milliseconds_are_inverse(ms: int) -> None:
    assert milliseconds_of(instant(ms)) == ms


def test_time_without_a_zone_is_utc() -> None:
    noon = datetime(2026, 1, 1, 12)  # noqa: DTZ001

    assert as_utc(noon) == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert as_utc(noon.replace(tzinfo=timezone(timedelta(hours=2)))).hour == 10


def test_durations_are_whole_milliseconds() -> None:
    assert milliseconds(timedelta(seconds=1.5)) == 1500


@pytest.mark.parametrize(
    "zone", [None, UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=12))]
)
def test_a_time_without_traffic_is_refused_before_it_is_reckoned_with(
    zone: timezone | None,
) -> None:
    for year in (1, 1969, 3000, 9999):
        with pytest.raises(ValueError, match="must be a time of the years 1970 to 2999"):
            as_plausible_utc(datetime(year, 1 if year < 2000 else 12, 31, 23, tzinfo=zone))
    known = datetime(2026, 1, 31, 12, tzinfo=zone)
    assert as_plausible_utc(known) == as_utc(known)
