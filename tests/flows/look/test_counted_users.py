"""What counters tell at a look: no harm is hidden by one that stops, or by days before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.plan import Role
from flows.formats.time import instant
from flows.look.evaluate import score_experiment
from flows.spec.metric_fields import MarginSpec
from flows.warehouse.connection import open_writer
from tests.builders.counted_service import Service, counter_spec, pull
from tests.builders.user_specs import START, day, read

# What b's users do more of on the last day.
LATE = ("b", "finished")


@pytest.mark.parametrize("finishing", [20, 40])
def test_a_counter_that_stops_beside_exposures_hides_no_harm(
    tmp_path: Path, finishing: int
) -> None:
    """Users since then count as not finished, in both variants: they dilute whatever harm is."""
    service, metric = Service(), counter_spec().metrics["done"]
    for minute in range(41):
        done = 50 * min(minute, finishing)
        counts = {"exposed": 100.0 * minute, "finished": float(done)}
        service.scrape({(v, o): n for v in "ab" for o, n in counts.items()}, times=4)
        if not minute:
            service.scrape({(v, o): 0.0 for v in "ab" for o in counts}, times=20)
    margin = MarginSpec(absolute=0.1)
    guardrail = metric.model_copy(update={"role": Role.GUARDRAIL, "margin": margin})
    plan = {"start": START.isoformat(), "duration": "50m", "minimum_duration": "5m"}
    spec = counter_spec(plan=plan, metrics={"done": guardrail})
    pull(service, tmp_path, spec)
    (found,) = score_experiment(spec, tmp_path / "w.duckdb", at=instant(service.now_ms)).metrics
    is_stopped = "of 8,000 users who came later: has its source stopped?" in (found.unknown or "")
    assert is_stopped == (finishing == 20)
    assert found.classification.value == ("no_data" if is_stopped else "pass")


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_counter_that_stops_for_one_variant_flatters_nobody(tmp_path: Path, better: str) -> None:
    """Half of a's users finish and a quarter of b's, or the other way round."""
    service, metric = Service(), counter_spec().metrics["done"]
    stops, goes_on = ("a", "b") if better == "higher" else ("b", "a")
    for minute in range(41):
        counts = {
            (stops, "finished"): 50.0 * min(minute, 20),
            (goes_on, "finished"): 25.0 * minute,
            **{(v, "exposed"): 100.0 * minute for v in "ab"},
        }
        service.scrape(counts, times=4)
        if not minute:
            service.scrape(dict.fromkeys(counts, 0.0), times=20)
    changed = {"role": Role.GUARDRAIL, "margin": MarginSpec(absolute=0.1), "better": better}
    plan = {"start": START.isoformat(), "duration": "50m", "minimum_duration": "5m"}
    spec = counter_spec(plan=plan, metrics={"done": metric.model_copy(update=changed)})
    pull(service, tmp_path, spec)
    (found,) = score_experiment(spec, tmp_path / "w.duckdb", at=instant(service.now_ms)).metrics
    assert found.classification.value == "no_data"
    said = found.unknown or ""
    assert f"no outcome 'finished' of {stops}'s users after 2026-01-01 00:20 UTC" in said
    assert "of 4,000 users who came later: has its source stopped?" in said


def test_users_of_the_last_days_are_known_apart(tmp_path: Path) -> None:
    of_day = {"exposed": 100, "finished": 10}
    rows = [
        (day(number), variant, outcome, users + 40 * (number == 3 and (variant, outcome) == LATE))
        for number in range(4)
        for variant in "ab"
        for outcome, users in of_day.items()
    ]
    with open_writer(tmp_path / "w.duckdb") as con:
        for start, *counted in rows:
            values = ["quiz", start, start, *counted]
            con.execute("insert into conversion_buckets values (?, ?, ?, ?, ?, ?)", values)
    found = read(counter_spec(), tmp_path, day(4)).late["done"]
    assert [each.since for each in found] == ["2026-01-03", "2026-01-04"]
    (_, last), (_, before) = found[1].late["b"], found[1].before["b"]
    assert (float(last.n), float(last.mean)) == (100, 0.5)
    assert float(before.n) == 300
    assert float(before.mean) == pytest.approx(0.1)
    assert float(found[0].late["b"][1].mean) == pytest.approx(0.3)
