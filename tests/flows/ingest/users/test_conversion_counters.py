"""Conversions from counters with a known truth."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from analysis.plan import Role
from flows.formats.time import instant, milliseconds_of
from flows.ingest.sources.samples import SourceRefused
from flows.ingest.users.conversion_counters import pull_conversions
from flows.ingest.users.pull_report import ConversionPull
from flows.ingest.users.pull_users import pull_users
from flows.look.evaluate import score_experiment
from flows.spec.experiment import Experiment
from flows.spec.metric_fields import MarginSpec
from flows.warehouse.connection import open_writer
from tests.builders.scraped_source import ScrapedSource
from tests.builders.user_specs import START, arms_of, day, read, rows_of, sample_in, spec_of

SCRAPE = 15_000
BEGIN = milliseconds_of(START)
# What b's users do more of on the last day.
LATE = ("b", "finished")
BUCKETS = "select bucket_start, variant, outcome, users from conversion_buckets order by all"


def counter_spec(**changes: Any) -> Experiment:
    conversions = {"prometheus": {"url": "http://localhost:9090"}, "metric": "quiz_users_total"}
    metrics = {"done": {"kind": "proportion", "outcome": "finished"}}
    plan = {"start": START.isoformat(), "duration": "6h"}
    fields = {"metrics": metrics, "plan": plan, **changes}
    return spec_of({"conversions": conversions}, **fields)


class Service:
    """A service's counters, scraped every 15 s; counts are what a scrape sees."""

    def __init__(self) -> None:
        self.source = ScrapedSource()
        self.now_ms = BEGIN - 20 * SCRAPE
        self.started_s = self.now_ms // 1000 - 3600

    def scrape(self, counts: dict[tuple[str, str], float], *, times: int = 1, up: int = 1) -> None:
        for _ in range(times):
            self._add("up", up)
            if up:
                self._add("process_start_time_seconds", self.started_s)
                for (variant, outcome), value in counts.items():
                    labels = {"experiment": "quiz", "variant": variant, "outcome": outcome}
                    self._add("quiz_users_total", value, **labels)
            self.now_ms += SCRAPE

    def restart(self) -> None:
        self.started_s = self.now_ms // 1000 - 5

    def _add(self, name: str, value: float, **labels: str) -> None:
        where = {"__name__": name, "job": "quiz", "instance": "quiz:8080"}
        self.source.add({**where, **labels}, {self.now_ms: value})


def pull(service: Service, folder: Path, spec: Experiment | None = None) -> ConversionPull:
    return pull_conversions(
        spec or counter_spec(), service.source, folder / "w.duckdb", until_ms=service.now_ms
    )


def shares(service: Service, folder: Path) -> dict[str, tuple[int, float]]:
    found = read(counter_spec(), folder, instant(service.now_ms)).samples["done"]
    return {variant: (int(each.n), float(each.mean)) for variant, each in arms_of(found).items()}


@pytest.fixture
def service() -> Service:
    """Old counters with a past that doesn't belong to the experiment, then forty users."""
    service = Service()
    old = {("a", "exposed"): 1000.0, ("a", "finished"): 900.0}
    service.scrape(old, times=21)
    service.scrape({("a", "exposed"): 1020.0, ("a", "finished"): 905.0}, times=2)
    both = {("b", "exposed"): 20.0, ("b", "finished"): 10.0}
    service.scrape({("a", "exposed"): 1020.0, ("a", "finished"): 905.0, **both}, times=3)
    return service


def test_only_what_happened_since_is_counted(service: Service, tmp_path: Path) -> None:
    result = pull(service, tmp_path)
    assert result.users == {
        ("a", "exposed"): 20,
        ("a", "finished"): 5,
        ("b", "exposed"): 20,
        ("b", "finished"): 10,
    }
    assert shares(service, tmp_path) == {"a": (20, 0.25), "b": (20, 0.5)}
    found = read(counter_spec(), tmp_path, instant(service.now_ms))
    assert sample_in(found.samples, "done", "a").variance == 0.25 * 0.75
    assert found.exposed == {"a": 20, "b": 20}


def test_restarted_service_is_counted_exactly(service: Service, tmp_path: Path) -> None:
    service.restart()
    # More than before: only the start time tells that these are all new.
    service.scrape({("a", "exposed"): 2000.0, ("a", "finished"): 1.0})
    pull(service, tmp_path)
    assert shares(service, tmp_path)["a"] == (2020, 6 / 2020)


def test_missed_scrape_loses_nothing(service: Service, tmp_path: Path) -> None:
    service.scrape({}, up=0, times=2)
    service.scrape({("a", "exposed"): 1030.0, ("a", "finished"): 905.0})
    pull(service, tmp_path)
    assert shares(service, tmp_path)["a"][0] == 30


def test_pulling_again_changes_nothing(service: Service, tmp_path: Path) -> None:
    pull(service, tmp_path)
    before = rows_of(tmp_path, BUCKETS)
    pull(service, tmp_path)
    assert rows_of(tmp_path, BUCKETS) == before


def test_pulling_by_and_by_equals_pulling_at_once(service: Service, tmp_path: Path) -> None:
    for step in range(700):
        service.scrape({("a", "exposed"): 1020.0 + step, ("b", "exposed"): 20.0 + 2 * step})
        if step % 150 == 0:
            (tmp_path / "by").mkdir(exist_ok=True)
            pull(service, tmp_path / "by")
    pull(service, tmp_path / "by")
    pull(service, tmp_path)
    assert rows_of(tmp_path / "by", BUCKETS) == rows_of(tmp_path, BUCKETS)
    assert shares(service, tmp_path)["b"][0] == 20 + 2 * 699


def test_partial_answer_never_replaces_fuller_data(service: Service, tmp_path: Path) -> None:
    pull(service, tmp_path)
    before = rows_of(tmp_path, BUCKETS)
    for samples in service.source.series.values():
        for time_ms in [t for t in samples if t >= service.now_ms - 4 * SCRAPE]:
            del samples[time_ms]
    service.source.warnings = ("partial response",)
    assert "partial response" in pull(service, tmp_path).warnings
    assert rows_of(tmp_path, BUCKETS) == before


def test_series_that_are_gone_leave_what_was_counted_and_the_pull_says_so(
    service: Service, tmp_path: Path
) -> None:
    pull(service, tmp_path)
    before = rows_of(tmp_path, BUCKETS)
    for labels, samples in service.source.series.items():
        if dict(labels)["__name__"] == "quiz_users_total":
            samples.clear()
    assert any(
        "kept as loaded before: 0 good scrapes now" in text
        for text in pull(service, tmp_path).warnings
    )
    assert rows_of(tmp_path, BUCKETS) == before


def test_another_metric_without_series_leaves_what_was_counted_and_says_so(
    service: Service, tmp_path: Path
) -> None:
    pull(service, tmp_path)
    before = rows_of(tmp_path, BUCKETS)
    other = {"prometheus": {"url": "http://localhost:9090"}, "metric": "quiz_people_total"}
    spec = spec_of(
        {"conversions": other},
        metrics={"done": {"kind": "proportion", "outcome": "finished"}},
        plan={"start": START.isoformat(), "duration": "6h"},
    )
    said = pull(service, tmp_path, spec).warnings
    assert any("the source has nothing for the changed spec" in text for text in said)
    assert rows_of(tmp_path, BUCKETS) == before


def test_a_later_start_forgets_the_users_before_it(service: Service, tmp_path: Path) -> None:
    pull(service, tmp_path)
    assert rows_of(tmp_path, BUCKETS)
    later = {"start": (START + timedelta(minutes=30)).isoformat(), "duration": "6h"}
    service.scrape({("a", "exposed"): 1020.0}, times=150)
    pull(service, tmp_path, counter_spec(plan=later))
    assert rows_of(tmp_path, BUCKETS) == []


def test_look_sees_whole_buckets_only(service: Service, tmp_path: Path) -> None:
    pull(service, tmp_path)
    at = START + timedelta(seconds=14)
    assert read(counter_spec(), tmp_path, at).exposed == {"a": 0, "b": 0}
    # The scrape at 15 s belongs to the bucket that ends there.
    assert read(counter_spec(), tmp_path, START + timedelta(seconds=15)).exposed["a"] == 20


def test_more_outcomes_than_exposures_are_noted_and_nothing_is_claimed(
    service: Service, tmp_path: Path
) -> None:
    service.scrape({("a", "exposed"): 1020.0, ("a", "finished"): 1000.0})
    pull(service, tmp_path)
    found = score_experiment(counter_spec(), tmp_path / "w.duckdb", at=instant(service.now_ms))
    note = (
        "done, a: 100 users with 'finished' of 20 with 'exposed': "
        "one of the counters doesn't count users"
    )
    assert note in found.notes
    assert [metric.classification.value for metric in found.metrics] == ["no_data"]


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


def test_users_of_the_last_days_are_known_apart(service: Service, tmp_path: Path) -> None:
    """Of counts of four days; the first has those that were pulled as well."""
    pull(service, tmp_path)
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
    assert float(before.n) >= 300
    assert float(found[0].late["b"][1].mean) == pytest.approx(0.3)


def test_misspelt_metric_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    service = Service()
    service.scrape({}, times=30)
    with pytest.raises(SourceRefused, match=r'quiz_users_total\{experiment="quiz"\}: no such'):
        pull(service, tmp_path)
    assert rows_of(tmp_path, "select count(*) from pulls") == [(0,)]


def test_foreign_variants_are_refused_alone_and_reported_beside(
    service: Service, tmp_path: Path
) -> None:
    service.scrape({("c", "exposed"): 1.0})
    assert "1 conversion series name no variant of the spec" in pull(service, tmp_path).warnings
    (tmp_path / "alone").mkdir()
    alone = Service()
    alone.scrape({("c", "exposed"): 1.0}, times=30)
    with pytest.raises(SourceRefused, match="none of its 1 series has a `variant`"):
        pull(alone, tmp_path / "alone")


def test_units_are_pulled_with_their_counters(service: Service, tmp_path: Path) -> None:
    result = pull_users(
        counter_spec(),
        tmp_path / "w.duckdb",
        spec_dir=tmp_path,
        until_ms=service.now_ms,
        counters=service.source,
    )
    assert result.summary.startswith("conversion counters in 1 window: a exposed 20")
    assert shares(service, tmp_path)["a"] == (20, 0.25)
