"""Counters and queries that metrics name, on a real Prometheus: what each kind of data ends in.

By way of flows.ingest.measured.pull_measured, flows.ingest.measured.asked_series,
flows.look.measured_grid, flows.look.measured_doubts, analysis.judge.measured_metrics and
analysis.requests.value_pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from flows.formats.time import instant
from flows.ingest.measured.pull_measured import pull_measured
from flows.ingest.sources.samples import SourceRefused
from flows.look.look import look_at_experiment
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader
from flows.workspace.paths import Workspace
from tests.builders.scraped_source import ScrapedSource
from tests.servers.backfilled_prometheus import backfilled
from tests.servers.real_servers import program

SCRAPE_MS = 15_000
START_MS = 1_767_268_800_000  # 2026-01-01 12:00 UTC
SCRAPES = 4 * 40
TIMES = START_MS + SCRAPE_MS * np.arange(-20, SCRAPES + 1) + 7_000
AFTER = TIMES > START_MS
HALF = TIMES > START_MS + 15 * 60_000
RNG = np.random.default_rng(16)
Values = np.ndarray[Any, Any]


def counted(mean: float | Values) -> Values:
    """A counter that grows by about so much at each scrape."""
    return np.cumsum(RNG.poisson(mean, len(TIMES))).astype(float)


def noisy(mean: float | Values, sd: float) -> Values:
    return np.asarray(mean + RNG.normal(0, sd, len(TIMES)))


def until_half(mean: float) -> Values:
    """A counter that stands still from the middle on."""
    return counted(np.where(np.arange(len(TIMES)) < len(TIMES) / 2, mean, 0.0))


def both(stable: Values, canary: Values) -> dict[str, Values]:
    return {"v1": stable, "v2": canary}


@dataclass(frozen=True)
class Case:
    """series: by metric name and version, values (NaN: no sample); ends: the decision and a part
    of its reasons."""

    metric: Mapping[str, Any]
    series: Mapping[str, Mapping[str, Values]]
    decision: str
    said: str


def ratio(name: str, **more: Any) -> dict[str, Any]:
    bad, of = (f'{name}_{part}_total{{version="{{{{version}}}}"}}' for part in ("bad", "all"))
    return {"kind": "ratio", "bad": bad, "of": of, "margin": 0.02, **more}


def rate(name: str, **more: Any) -> dict[str, Any]:
    counter, per = (f'{name}_{part}_total{{version="{{{{version}}}}"}}' for part in ("n", "all"))
    return {"kind": "rate", "counter": counter, "per": per, "better": "lower", **more}


def gauge(name: str, **more: Any) -> dict[str, Any]:
    query = f'max({name}{{version="{{{{version}}}}"}})'
    return {"kind": "gauge", "query": query, "better": "lower", "margin": "10%", **more}


def where(keep: Values, values: Values) -> Values:
    return np.where(keep, values, np.nan)


def _divided(n: str, *, stable: int, canary: int, decision: str, better: str = "lower") -> Case:
    """A query that divides by 0 in so many buckets of each, spread over the plan."""
    by = [np.ones(len(TIMES)) for _ in range(2)]
    for values, zeros in zip(by, (stable, canary), strict=True):
        values[np.linspace(40, 120, zeros).astype(int)] = 0
    query = f"{gauge(n)['query']} / {gauge(f'{n}_by')['query']}"
    said = "infinite for canary in" if decision == "hold" else "harm"
    series = {n: both(noisy(500, 10), noisy(500, 10)), f"{n}_by": both(*by)}
    return Case({**gauge(n, better=better), "query": query}, series, decision, said)


def _counter_as_gauge(n: str, function: str, decision: str, said: str) -> Case:
    """A counter of a pod that began with the plan, and of one that has run for long."""
    name = f"{n}_total"
    query = f'sum({function}({name}{{version="{{{{version}}}}"}}{"[2m]" * bool(function)}))'
    # Numbers of its own: those of all others stay as they are.
    old, new = np.random.default_rng(3).poisson([[1000], [1400]], (2, len(TIMES))).cumsum(axis=1)
    series = {name: both(old + 2e6, new.astype(float))}
    return Case({**gauge(n), "query": query}, series, decision, said)


def _of_nothing(n: str) -> Case:
    """A query that divides 0 by 0 in two buckets of each after a quarter of an hour."""
    by = np.ones(len(TIMES))
    by[[100, 120]] = 0
    query = f"{gauge(n)['query']} / {gauge(f'{n}_by')['query']}"
    series = {n: both(by * noisy(500, 10), by * noisy(500, 10)), f"{n}_by": both(by, by)}
    return Case({**gauge(n), "query": query}, series, "promote", "harm")


ALL = counted(40)
CASES: dict[str, Callable[[str], Case]] = {
    "ratio_good": lambda n: Case(
        ratio(n),
        {f"{n}_bad_total": both(counted(1), counted(1)), f"{n}_all_total": both(ALL, counted(40))},
        "promote",
        "bad of ratio_good_all_total",
    ),
    "ratio_bad": lambda n: Case(
        ratio(n),
        {f"{n}_bad_total": both(counted(1), counted(5)), f"{n}_all_total": both(ALL, ALL)},
        "rollback",
        "harm at least",
    ),
    "ratio_objective": lambda n: Case(
        ratio(n, margin=0.5, objective=0.05),
        {f"{n}_bad_total": both(counted(1), counted(5)), f"{n}_all_total": both(ALL, ALL)},
        "rollback",
        "objective: at most 5.00 %",
    ),
    "ratio_of_good": lambda n: Case(
        {"good": ratio(n)["bad"], **{k: v for k, v in ratio(n).items() if k != "bad"}},
        {f"{n}_bad_total": both(ALL, ALL * 0.7 // 1), f"{n}_all_total": both(ALL, ALL)},
        "rollback",
        "not good of",
    ),
    "ratio_late": lambda n: Case(
        ratio(n),
        {
            f"{n}_bad_total": both(counted(1), counted(np.where(HALF, 6.0, 1.0))),
            f"{n}_all_total": both(ALL, ALL),
        },
        "rollback",
        "since 12:",
    ),
    "ratio_of_nothing": lambda n: Case(
        ratio(n),
        {f"{n}_bad_total": both(ALL * 0, ALL * 0), f"{n}_all_total": both(ALL, ALL * 0)},
        "hold",
        "0 of 0",
    ),
    "ratio_one_sided": lambda n: Case(
        ratio(n),
        {f"{n}_bad_total": {"v1": counted(1)}, f"{n}_all_total": both(ALL, ALL)},
        "hold",
        "canary has no series",
    ),
    "ratio_no_baseline": lambda n: Case(
        ratio(n),
        {f"{n}_bad_total": both(counted(1), ALL), f"{n}_all_total": {"v2": ALL}},
        "hold",
        "stable has no series",
    ),
    "ratio_beyond": lambda n: Case(
        ratio(n),
        {f"{n}_bad_total": both(ALL, ALL), f"{n}_all_total": both(ALL // 2, ALL // 2)},
        "hold",
        "must be a part of it",
    ),
    "ratio_all_bad": lambda n: Case(
        ratio(n),
        {f"{n}_bad_total": both(ALL, ALL), f"{n}_all_total": both(ALL, ALL)},
        "hold",
        "no harm can exceed the margin of 2.00 points (stable 100.00 %, canary 100.00 %)",
    ),
    "ratio_ended": lambda n: Case(
        ratio(n),
        {
            f"{n}_bad_total": both(counted(1), where(~HALF, counted(1))),
            f"{n}_all_total": both(ALL, where(~HALF, ALL)),
        },
        "hold",
        "old",
    ),
    "rate_good": lambda n: Case(
        rate(n, margin="20%"),
        {f"{n}_n_total": both(counted(20), counted(20)), f"{n}_all_total": both(ALL, ALL)},
        "promote",
        "per rate_good_all_total",
    ),
    "rate_bad": lambda n: Case(
        rate(n, margin="20%"),
        {f"{n}_n_total": both(counted(20), counted(30)), f"{n}_all_total": both(ALL, ALL)},
        "rollback",
        "harm at least",
    ),
    "rate_higher": lambda n: Case(
        rate(n, margin="20%", better="higher"),
        {f"{n}_n_total": both(counted(30), counted(20)), f"{n}_all_total": both(ALL, ALL)},
        "rollback",
        "harm at least",
    ),
    "rate_per_request": lambda n: Case(
        rate(n, margin="20%", per="request"),
        {
            f"{n}_n_total": both(counted(20), counted(15)),
            "istio_requests_total": both(counted(400), counted(100)),
        },
        "rollback",
        "per request",
    ),
    "rate_per_second": lambda n: Case(
        rate(n, margin="20%", per="second"),
        {f"{n}_n_total": both(counted(80), counted(40))},
        "rollback",
        "per second",
    ),
    "rate_still": lambda n: Case(
        rate(n, margin="20%", per="second"),
        {f"{n}_n_total": both(counted(80), ALL * 0)},
        "hold",
        "does not grow",
    ),
    "gauge_good": lambda n: Case(
        gauge(n), {n: both(noisy(500, 10), noisy(505, 10))}, "promote", "on average"
    ),
    "gauge_bad": lambda n: Case(
        gauge(n), {n: both(noisy(500, 10), noisy(600, 10))}, "rollback", "harm at least"
    ),
    "gauge_equal": lambda n: Case(gauge(n), {n: both(ALL * 0 + 5, ALL * 0 + 5)}, "promote", "5"),
    "gauge_zero": lambda n: Case(
        gauge(n, objective=0), {n: both(ALL * 0, ALL * 0)}, "promote", "harm at most 0 (margin 0)"
    ),
    "gauge_beside_zero": lambda n: Case(
        gauge(n),
        {n: both(ALL * 0, 1.0 * (np.arange(len(TIMES)) % 23 == 0))},
        "hold",
        "10% of stable's 0 allows nothing: set an absolute margin",
    ),
    "gauge_no_limit": lambda n: Case(
        gauge(n), {n: both(ALL * 0 + 1.797e308, noisy(500, 10))}, "hold", "no single finite value"
    ),
    "gauge_spike_before": lambda n: Case(
        gauge(n),
        {n: both(np.where(np.arange(len(TIMES)) == 60, 1e6, 500.0), noisy(600, 10))},
        "rollback",
        "(margin 50)",
    ),
    "gauge_late": lambda n: Case(
        gauge(n),
        {n: both(noisy(500, 10), noisy(np.where(HALF, 620.0, 480.0), 10))},
        "rollback",
        "since 12:",
    ),
    "gauge_leak": lambda n: Case(
        gauge(n),
        {n: both(noisy(500, 5), noisy(490 + np.arange(len(TIMES)) * 0.5, 5))},
        "hold",
        "harm",
    ),
    "gauge_higher": lambda n: Case(
        gauge(n, better="higher", margin=50),
        {n: both(noisy(-100, 10), noisy(-200, 10))},
        "rollback",
        "harm at least",
    ),
    "gauge_objective": lambda n: Case(
        gauge(n, better="higher", margin=1000, objective=90),
        {n: both(noisy(100, 1), noisy(80, 1))},
        "rollback",
        "objective: at least 90",
    ),
    "gauge_gaps": lambda n: Case(
        gauge(n),
        # Older servers carry a value for five minutes.
        {n: both(noisy(500, 10), where(np.arange(len(TIMES)) % 32 < 4, noisy(500, 10)))},
        "hold",
        "of the time",
    ),
    "gauge_infinite": lambda n: Case(
        {**gauge(n), "query": f"{gauge(n)['query']} / 0"},
        {n: both(noisy(500, 10), noisy(500, 10))},
        "hold",
        "no single finite",
    ),
    # What a query divides by 0, each for so many of 120 buckets: in healthy ones nothing is wrong.
    "gauge_infinite_in_few": lambda n: _divided(n, stable=0, canary=2, decision="promote"),
    "gauge_infinite_in_more": lambda n: _divided(n, stable=0, canary=4, decision="hold"),
    "gauge_infinite_in_many": lambda n: _divided(n, stable=0, canary=40, decision="hold"),
    "gauge_infinite_in_both": lambda n: _divided(n, stable=5, canary=5, decision="promote"),
    "gauge_infinite_in_stable": lambda n: _divided(n, stable=5, canary=0, decision="promote"),
    "gauge_infinite_is_good": lambda n: _divided(
        n, stable=0, canary=5, decision="promote", better="higher"
    ),
    "gauge_of_nothing": _of_nothing,
    "gauge_missing": lambda n: Case(
        gauge(n), {n: {"v1": noisy(500, 10)}}, "hold", "no single finite value for canary"
    ),
    "gauge_below_zero": lambda n: Case(
        gauge(n), {n: both(noisy(-500, 10), noisy(-500, 10))}, "promote", "harm"
    ),
    "info_only": lambda n: Case(
        gauge(n, role="info"), {n: both(noisy(500, 10), noisy(900, 10))}, "promote", "errors"
    ),
    "gauge_of_counter": lambda n: _counter_as_gauge(n, "", "hold", "only ever grows, as a counter"),
    "gauge_of_rate": lambda n: _counter_as_gauge(n, "rate", "rollback", "harm at least"),
}


OF_ISTIO = {
    "reporter": "destination",
    "destination_service_name": "shop",
    "destination_service_namespace": "default",
    "destination_workload": "shop",
    "response_code": "200",
}


# Requests come 80 to 20 (as of rate_per_request); what the split divides is new sessions.
STICKY = {
    "sticky_even": (both(counted(30), counted(30)), "promote", "harm at most"),
    "sticky_uneven": (both(counted(40), counted(20)), "invalid", "of new sessions; 50.0 %"),
    "sticky_unknown": ({"v1": counted(30)}, "invalid", "no new sessions of canary"),
    "sticky_stops": (both(until_half(30), until_half(30)), "invalid", "no new session in the last"),
    "sticky_not": (None, "invalid", "of requests; 50.0 % is configured"),
}


def build(names: Mapping[str, Case]) -> ScrapedSource:
    source = ScrapedSource()
    for version in ("v1", "v2"):
        target = {"job": "shop", "instance": f"{version}:80"}
        source.add({"__name__": "up", **target}, {int(t): 1.0 for t in TIMES})
        started = float(TIMES[0] - 3_600_000) / 1000
        source.add(
            {"__name__": "process_start_time_seconds", **target}, {int(t): started for t in TIMES}
        )
        for case in names.values():
            for metric, arms in case.series.items():
                if version not in arms:
                    continue
                values = zip(TIMES.tolist(), arms[version].tolist(), strict=True)
                samples = {t: v for t, v in values if not np.isnan(v)}
                labels = {"version": version} | (OF_ISTIO if metric.startswith("istio") else {})
                labels |= {"destination_version": version}
                source.add({"__name__": metric, **labels, **target}, samples)
    return source


@dataclass(frozen=True)
class Scene:
    root: Path
    cases: Mapping[str, Case]

    def look(self, name: str) -> VerdictDocument:
        at = instant(START_MS) + timedelta(minutes=30)
        return look_at_experiment(Workspace(self.root), name.replace("_", "-"), at=at)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    program("prometheus", "prometheus")
    root, folder = tmp_path_factory.mktemp("measured"), tmp_path_factory.mktemp("server")
    cases = {name: make(name) for name, make in CASES.items()}
    errors = ratio("errors")
    extra = {
        "errors": Case(
            errors,
            {"errors_bad_total": both(counted(1), counted(1)), "errors_all_total": both(ALL, ALL)},
            "",
            "",
        )
    }
    for name, (series, decision, said) in STICKY.items():
        extra[name] = Case({}, {f"{name}_total": series} if series else {}, decision, said)
    (root / "experiments").mkdir()
    with backfilled(build(cases | extra), folder) as url:
        for name, (series, *_) in STICKY.items():
            _write_sticky(root, name, url, counts_sessions=series is not None)
        for name, case in cases.items():
            others = {"errors": errors} if case.metric.get("role") == "info" else {}
            mesh = {}
            if case.metric.get("per") == "request":
                mesh, others = {"mesh": "istio"}, {"failed": {"kind": "error_share"}}
            spec = {
                "experiment": name.replace("_", "-"),
                "service": "shop",
                "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
                "split": {"stable": 80, "canary": 20},
                "metrics": {"measured": dict(case.metric), **others},
                "plan": {"start": instant(START_MS).isoformat(), "duration": "30m"},
                "sources": {"requests" if mesh else "metrics": {"url": url}},
                **mesh,
            }
            file = root / "experiments" / f"{name.replace('_', '-')}.yaml"
            file.write_text(yaml.safe_dump(spec, sort_keys=False))
        yield Scene(root, cases)


def _write_sticky(root: Path, name: str, url: str, *, counts_sessions: bool) -> None:
    counter = {"sessions": f'{name}_total{{version="{{{{version}}}}"}}'}
    spec = {
        "experiment": name.replace("_", "-"),
        "service": "shop",
        "mesh": "istio",
        "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
        "split": {"stable": 50, "canary": 50},
        **(counter if counts_sessions else {}),
        "metrics": {"failed": {"kind": "error_share"}},
        "plan": {"start": instant(START_MS).isoformat(), "duration": "30m"},
        "sources": {"requests": {"url": url}},
    }
    file = root / "experiments" / f"{name.replace('_', '-')}.yaml"
    file.write_text(yaml.safe_dump(spec, sort_keys=False))


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_data_ends_as_it_should(scene: Scene, name: str) -> None:
    found, case = scene.look(name), scene.cases[name]
    assert (found.decision, case.said in "\n".join(found.reasons)) == (case.decision, True), (
        found.reasons
    )


@pytest.mark.parametrize("name", ["gauge_of_nothing", "gauge_infinite_in_few"])
def test_values_that_are_none_keep_out_none_of_the_next_pull(scene: Scene, name: str) -> None:
    """As an answer that the server marks as partial does."""
    file = scene.root / "experiments" / f"{name.replace('_', '-')}.yaml"
    again = file.with_stem(f"again-{file.stem}")
    again.write_text(file.read_text().replace(file.stem, again.stem, 1))
    first = instant(START_MS) + timedelta(minutes=11)
    look_at_experiment(Workspace(scene.root), again.stem, at=first)
    found, whole = scene.look(again.stem), scene.look(name)
    assert (found.decision, found.metrics) == (whole.decision, whole.metrics)


@pytest.mark.parametrize(("said", "is_whole"), [("notes", True), ("warnings", False)])
def test_only_a_partial_answer_is_kept_out(tmp_path: Path, said: str, is_whole: bool) -> None:
    case = CASES["ratio_good"]("ratio_good")
    source = build({"ratio_good": case})
    spec = Experiment.model_validate(
        {
            "experiment": "told",
            "service": "shop",
            "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
            "split": {"stable": 80, "canary": 20},
            "metrics": {"measured": dict(case.metric)},
            "plan": {"start": instant(START_MS).isoformat(), "duration": "30m"},
            "sources": {"metrics": {"url": "http://localhost:9090"}},
        }
    )
    for minutes in (11, 30):
        pulled = pull_measured(
            spec, source, tmp_path / "w.duckdb", until_ms=START_MS + minutes * 60_000
        )
        setattr(source, said, ("of the answer",))
    assert any("of the answer" in text for text in pulled.warnings)
    with open_reader(tmp_path / "w.duckdb") as con:
        (last,) = con.execute("select max(bucket_start) from measured_buckets").fetchall()
    assert (last[0] > instant(START_MS) + timedelta(minutes=11)) is is_whole


def test_a_query_that_is_refused_is_named_with_its_metric(scene: Scene) -> None:
    file = scene.root / "experiments" / "gauge-good.yaml"
    wrong = file.with_stem("wrong")
    wrong.write_text(file.read_text().replace("gauge-good", "wrong").replace("max(", "maxx("))
    with pytest.raises(SourceRefused, match=r'measured: http.*"maxx"; the query is maxx\(gauge_'):
        scene.look("wrong")


@pytest.mark.parametrize("name", STICKY)
def test_split_of_sticky_sessions_is_checked_by_new_ones(scene: Scene, name: str) -> None:
    found, (_, decision, said) = scene.look(name), STICKY[name]
    assert (found.decision, said in "\n".join(found.reasons)) == (decision, True), found.reasons


def test_counts_are_the_raw_differences_and_again_changes_nothing(scene: Scene) -> None:
    (found,) = scene.look("ratio_good").metrics
    inside = (TIMES > START_MS) & (TIMES <= START_MS + 30 * 60_000)
    arms = scene.cases["ratio_good"].series
    for version, exposure, share in (
        ("v1", found.exposure_baseline, found.baseline),
        ("v2", found.exposure_candidate, found.candidate),
    ):
        bad, total = (
            arms[f"ratio_good_{part}_total"][version][inside][-1]
            - arms[f"ratio_good_{part}_total"][version][np.flatnonzero(inside)[0] - 1]
            for part in ("bad", "all")
        )
        assert exposure == total
        assert share == pytest.approx(bad / total, rel=0.2)
    assert scene.look("ratio_good").to_json() == scene.look("ratio_good").to_json()
