"""Conversions from counters with a known truth."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from flows.formats.time import instant
from flows.ingest.sources.samples import SourceRefused
from flows.ingest.users.pull_users import pull_users
from flows.look.evaluate import score_experiment
from tests.builders.counted_service import SCRAPE, Service, counter_spec, pull
from tests.builders.user_specs import START, arms_of, read, rows_of, sample_in, spec_of

BUCKETS = "select bucket_start, variant, outcome, users from conversion_buckets order by all"


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
