"""Signals on healthy canaries: how often they hold or roll one back, and which harm they find.

    python -m benchmarks.signals [RUNS]

Each run is the default spec's ramp (5, 25 and 50 % in 30 minutes) on Istio's families in a real
warehouse, read and judged by the code that a gate runs, at a look a minute and a half. Both
versions have bursts, shared shocks, clients that leave, limits that refuse and a latency that
drifts; the healthy candidate differs in nothing. Printed: runs with a rollback, or a signal that
holds, at any look; and for harms by size, how often and when the first look held or rolled back.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.evidence import Evidence
from analysis.judge.judge_metrics import judge_metrics
from flows.look.request_grid import RequestGrid
from flows.plan.from_spec import plan_of
from flows.spec.experiment import Experiment
from flows.warehouse.migrations import bring_up_to_date

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
BUCKET_S, BUCKETS, LOOK_EVERY = 15, 120, 6
EDGES_MS = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, np.inf)
# Outcome, code, flags and share of all requests.
OUTCOMES = (
    ("failure", "503", "UF", 0.003),
    ("abandoned", "0", "DC", 0.01),
    ("rejected", "429", "RL", 0.005),
    ("client_error", "404", "", 0.03),
)
SPEC = Experiment.model_validate(
    {
        "experiment": "web",
        "service": "web",
        "mesh": "istio",
        "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
        "plan": {"start": START},
        "sources": {"requests": {"prometheus": "http://localhost:9090"}},
    }
)


@dataclass(frozen=True, slots=True)
class Harm:
    """What the candidate does more: shares by outcome; how much slower; how its tail is slower."""

    name: str
    more: Mapping[str, float]
    slower: float = 1.0
    tail: float = 1.0


HEALTHY = Harm("none", {})
HARMS = (
    Harm("2 points abandoned", {"abandoned": 0.02}),
    Harm("30 points abandoned", {"abandoned": 0.3}),
    Harm("all abandoned", {"abandoned": 1.0}),
    Harm("5 points rejected", {"rejected": 0.05}),
    Harm("10 points client errors", {"client_error": 0.1}),
    Harm("all latencies doubled", {}, slower=2.0),
    Harm("slowest 3 % doubled", {}, tail=2.0),
)


def main(runs: int) -> None:
    """Prints healthy runs first, then every harm."""
    con = duckdb.connect()
    con.execute("begin")
    bring_up_to_date(con)
    con.execute("commit")
    for rate in (20.0, 200.0):
        print(f"{rate:g} requests a second, {runs} runs of 30 minutes")
        for harm in (HEALTHY, *HARMS):
            many = runs if harm is HEALTHY else max(10, runs // 10)
            ends = [_run(con, harm, rate, seed) for seed in range(many)]
            for what in ("rollback", "signal"):
                at = [end[what] for end in ends if what in end]
                when = f", first after {median(at):.1f} min (median)" if at else ""
                print(f"  {harm.name}: {what} in {len(at)} of {many}{when}")


def _run(con: DuckDBPyConnection, harm: Harm, rate: float, seed: int) -> dict[str, float]:
    """Minutes to the first look with a rollback, and to the first with a signal that holds."""
    _fill(con, harm, rate, np.random.default_rng((seed, round(rate))))
    plan = plan_of(SPEC, start_ms=round(START.timestamp() * 1000))
    found: dict[str, float] = {}
    for bucket in range(LOOK_EVERY, BUCKETS + 1, LOOK_EVERY):
        evidence = Evidence(RequestGrid(con, SPEC, plan, bucket).evidence(), None)
        at_ms = plan.start_ms + bucket * plan.bucket_ms
        metrics = judge_metrics(plan, evidence, at_ms=at_ms)
        minutes = bucket * BUCKET_S / 60
        if any(metric.holds for metric in metrics):
            found.setdefault("signal", minutes)
        if any(metric.rolls_back for metric in metrics):
            found.setdefault("rollback", minutes)
            break
    return found


def _fill(con: DuckDBPyConnection, harm: Harm, rate: float, rng: np.random.Generator) -> None:
    requests: list[list[object]] = []
    latencies: list[list[object]] = []
    # Shocks that both versions share, for a minute or so: more failures, and slower answers.
    shock = _persistent(rng, 0.8) * 0.5
    drift = 0.3 * np.sin(np.arange(BUCKETS) / BUCKETS * np.pi) + 0.1 * _persistent(rng, 0.8)
    for bucket in range(BUCKETS):
        share = (0.05, 0.25, 0.5)[np.searchsorted((20, 60), bucket, "right")]
        at = START + timedelta(seconds=BUCKET_S * bucket)
        for variant, part in (("stable", 1 - share), ("canary", share)):
            worse = harm if variant == "canary" else HEALTHY
            total = int(rng.poisson(rate * BUCKET_S * part))
            left = total
            cut = 0
            for outcome, code, flags, base in OUTCOMES:
                p = base * np.exp(shock[bucket] - 0.125) + worse.more.get(outcome, 0.0)
                # Bursts: one in three of them brings three at once.
                count = min(left, int(rng.poisson(p * total / 2) + 3 * rng.poisson(p * total / 6)))
                left -= count
                cut = count if outcome == "abandoned" else cut
                requests.append([at, variant, outcome, code, flags, count])
            requests.append([at, variant, "success", "200", "", left])
            latency = rng.lognormal(np.log(40) + drift[bucket], 0.7, total) * worse.slower
            latency = np.where(latency > 150 * worse.slower, latency * worse.tail, latency)
            cells = _at_most(latency)
            gone = _at_most(np.minimum(latency[:cut], rng.exponential(400, cut)))
            cells += gone - _at_most(latency[:cut])
            for edge, at_most, of_them in zip(EDGES_MS, cells, gone, strict=True):
                latencies.append([at, variant, edge, int(at_most), int(of_them)])
    con.execute("delete from request_buckets; delete from latency_buckets")
    _insert(
        con,
        "insert into request_buckets select 'web', ts, ts, variant, '', outcome, code, '', flags, "
        "n, '' from incoming where n > 0",
        pd.DataFrame(requests, columns=["ts", "variant", "outcome", "code", "flags", "n"]),
    )
    _insert(
        con,
        "insert into latency_buckets select 'web', ts, ts, variant, le, n, cut, '' from incoming",
        pd.DataFrame(latencies, columns=["ts", "variant", "le", "n", "cut"]),
    )


def _persistent(rng: np.random.Generator, coefficient: float) -> NDArray[np.float64]:
    """A stationary first-order autoregression of variance 1: float64[buckets]."""
    noise = rng.normal(size=BUCKETS)
    state = np.zeros(BUCKETS)
    state[0] = noise[0]
    for i in range(1, BUCKETS):
        state[i] = coefficient * state[i - 1] + np.sqrt(1 - coefficient**2) * noise[i]
    return state


def _at_most(latency: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.searchsorted(np.sort(latency), EDGES_MS, side="right").astype(np.int64)


def _insert(con: DuckDBPyConnection, statement: str, rows: pd.DataFrame) -> None:
    con.register("incoming", rows)
    con.execute(statement)
    con.unregister("incoming")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
