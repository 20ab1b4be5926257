"""Splits that are right over all and off in their parts, over looks and days."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.evidence import StageCounts
from analysis.quality.sample_ratio import ALARM_P_VALUE, check_sample_ratio
from analysis.quality.split_by_part import PartRatios, check_parts

HALF = {"a": 0.5, "b": 0.5}
# Eight days, of which five are off, to either side: 8,077 users, as good as halves in all.
OFF_DAYS = (
    (1690, 325),
    (378, 725),
    (341, 363),
    (390, 420),
    (350, 722),
    (301, 660),
    (317, 560),
    (239, 296),
)


def _days(counts: tuple[tuple[float, float], ...]) -> dict[str, list[StageCounts]]:
    return {
        f"2020-07-{day:02}": [StageCounts({"a": a, "b": b}, HALF)]
        for day, (a, b) in enumerate(counts, start=3)
    }


def _check(parts: dict[str, list[StageCounts]], tolerance: float = 0.01) -> PartRatios:
    found = check_parts(parts, tolerance=tolerance)
    assert found is not None
    return found


def test_days_that_are_off_and_cancel_are_found() -> None:
    days = _days(OFF_DAYS)
    whole = {name: sum(stages[0].counts[name] for stages in days.values()) for name in HALF}
    over_all = check_sample_ratio([StageCounts(whole, HALF)], tolerance=0.01)
    assert over_all is not None
    assert not over_all.mismatch
    found = _check(days)
    assert found.mismatch
    assert found.p_value < 1e-100
    assert (found.parts, len(found.off), found.off[0][0]) == (8, 5, "2020-07-03")


@pytest.mark.parametrize("days", [2, 8, 60, 400])
def test_one_day_that_is_off_among_many_is_found(days: int) -> None:
    found = _check(_days(((650, 350), *((500, 500),) * (days - 1))))
    assert found.mismatch
    assert [name for name, _ in found.off] == ["2020-07-03"]


def test_a_deviation_of_every_day_within_the_tolerance_is_none() -> None:
    days = ((502_000, 498_000), (498_000, 502_000)) * 20
    found = _check(_days(days), tolerance=0.05)
    assert found.p_value < 1e-6
    assert not found.mismatch


def test_parts_of_three_variants_and_of_a_ramp_are_each_held_against_their_split() -> None:
    thirds = {"a": 0.4, "b": 0.3, "c": 0.3}
    sound = {"ke": [StageCounts({"a": 4010, "b": 2990, "c": 3000}, thirds)]}
    swapped = {"ph": [StageCounts({"a": 4000, "b": 3500, "c": 2500}, thirds)]}
    assert not _check(sound | {"in": sound["ke"]}).mismatch
    assert [name for name, _ in _check(sound | swapped).off] == ["ph"]
    ramp = {
        "first": [StageCounts({"a": 950, "b": 50}, {"a": 0.95, "b": 0.05})],
        "second": [
            StageCounts({"a": 480, "b": 20}, {"a": 0.95, "b": 0.05}),
            StageCounts({"a": 1000, "b": 1010}, HALF),
        ],
    }
    assert not _check(ramp).mismatch
    never = [StageCounts({"a": 1900, "b": 100}, HALF)]
    assert _check(ramp | {"third": never}).mismatch


def test_nothing_is_checked_where_fewer_than_two_parts_can_be() -> None:
    one = _days(((500, 500),))
    assert check_parts(one, tolerance=0.01) is None
    unsaid = {"day": [StageCounts({"a": 5, "b": 50}, {})]}
    assert check_parts(unsaid | {"other": unsaid["day"]}, tolerance=0.01) is None


def test_looks_at_every_half_day_of_sound_experiments_hardly_ever_alarm() -> None:
    """The level holds over all looks and days: 0 or 1 of 100 is what one in a thousand gives."""
    rng = np.random.default_rng(11)
    alarms = 0
    for _ in range(100):
        seen: dict[str, list[StageCounts]] = {}
        alarmed = False
        for day in range(6):
            b = 0
            for half in (1, 2):
                b += int(rng.binomial(400, 0.5))
                counts = {"a": 400.0 * half - b, "b": float(b)}
                seen[str(day)] = [StageCounts(counts, HALF)]
                found = check_parts(seen, tolerance=0.0)
                alarmed |= found is not None and found.p_value < ALARM_P_VALUE
        alarms += alarmed
    assert alarms <= 1
