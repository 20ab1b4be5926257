"""Users of a ramp: compared among those first exposed under the same split, by its own share.

Covers flows.look.user_strata.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.verdict import Decision
from flows.look.evaluate import score_experiment
from flows.look.user_statistics import read_user_statistics
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer
from tests.builders.user_specs import (
    START,
    Rows,
    day,
    numbers,
    pull,
    spec_of,
    write_csv,
    write_exposures,
    write_outcomes,
)

SHARES = (0.05, 0.25, 0.5)
A_DAY = 4000


def _spec(shares: tuple[float, ...] = SHARES, **bought: Any) -> Experiment:
    metrics: dict[str, dict[str, Any]] = {
        "bought": {"kind": "proportion", "outcome": "purchase", "window": "12h"},
        "spend": {
            "kind": "mean",
            "outcome": "purchase",
            "window": "12h",
            "adjust": [{"before": "1d"}],
        },
        "median": {"kind": "quantile", "outcome": "visit", "quantile": 0.5, "window": "12h"},
    }
    stages = [{"duration": "2d", "weights": {"a": 100 - 100 * s, "b": 100 * s}} for s in shares]
    for metric in metrics.values():
        metric |= {"role": "guardrail", "margin": "2%"}
    metrics["bought"] |= bought
    plan = {"start": START.isoformat(), "stages": stages, "bucket": "1h", "look_every": "1h"}
    return spec_of(metrics=metrics, plan=plan)


def _fill(
    folder: Path, spec: Experiment, rates: tuple[float, ...], *, lift: float = 0.0, seed: int = 1
) -> None:
    """Users over three stages of two days; rates: who buys in each, whatever the variant."""
    rng = np.random.default_rng(seed)
    exposures: Rows = []
    outcomes: Rows = []
    for user in range(6 * A_DAY):
        at = user / A_DAY
        arm = "b" if rng.random() < SHARES[int(at // 2)] else "a"
        exposures.append((user, arm, at))
        rate = rates[int(at // 2)] * (1 + lift * (arm == "b"))
        if rng.random() < rate:
            outcomes.append((user, "purchase", at + 0.1, round(float(rng.gamma(2, 10)), 2)))
        if rng.random() < 0.3:
            outcomes.append((user, "purchase", at - 0.1, round(20 * rates[int(at // 2)], 2)))
        outcomes.append(
            (user, "visit", at + 0.2, round(float(rng.gamma(5, rates[int(at // 2)])), 4))
        )
    write_exposures(folder, exposures)
    write_outcomes(folder, outcomes)
    pull(spec, folder)


def _look(folder: Path, spec: Experiment, at: float) -> VerdictDocument:
    return score_experiment(spec, folder / "w.duckdb", at=day(at))


def test_rates_that_fall_during_a_ramp_are_no_harm(tmp_path: Path) -> None:
    """Pooled, the candidate has 15 % and the baseline 18 %: its users came when fewer bought."""
    spec = _spec()
    _fill(tmp_path, spec, (0.20, 0.17, 0.14))
    for at in (3.0, 4.5, 6.0):
        found = _look(tmp_path, spec, at)
        assert found.decision in {Decision.HOLD, Decision.PROMOTE}, found.reasons
    by_name = {metric.metric: metric for metric in found.metrics}
    for name in ("bought", "spend", "median"):
        ratio = by_name[name].candidate / by_name[name].baseline
        assert ratio == pytest.approx(1, abs=0.1), name
    users = by_name["bought"].exposure_baseline + by_name["bought"].exposure_candidate
    assert users == pytest.approx(5.5 * A_DAY, abs=1)


def test_rates_that_rise_hide_no_harm(tmp_path: Path) -> None:
    """Pooled, a candidate that sells 30 % less would sell nearly as much."""
    spec = _spec()
    _fill(tmp_path, spec, (0.10, 0.15, 0.20), lift=-0.3)
    assert _look(tmp_path, spec, 6.0).decision is Decision.ROLLBACK


def test_every_split_is_held_against_its_own_share(tmp_path: Path) -> None:
    """Users were divided as the stages say; a spec that says otherwise of one stage is invalid."""
    spec = _spec()
    _fill(tmp_path, spec, (0.2, 0.2, 0.2))
    check = {c.name: c for c in _look(tmp_path, spec, 6.0).quality}["split of users"]
    assert check.passed
    assert "no split is configured" not in check.detail
    wrong = _look(tmp_path, _spec((0.05, 0.5, 0.5)), 6.0)
    assert wrong.decision is Decision.INVALID
    assert any("split of users" in reason for reason in wrong.reasons)
    assert any("by day" in reason and "2026-01-03" in reason for reason in wrong.reasons)


def test_a_candidate_without_users_yet_hides_nothing_of_another(tmp_path: Path) -> None:
    """What a split says of one pair of variants doesn't depend on a third one that isn't in it."""
    rng = np.random.default_rng(3)
    exposures: Rows = []
    outcomes: Rows = []
    for user in range(6000):
        at = user / 3000
        arm = str(rng.choice(list("abc"), p=[0.5, 0.5, 0.0] if at < 1 else [0.45, 0.45, 0.1]))
        exposures.append((user, arm, at))
        rate = 0.2 if arm == "a" else 0.1
        if rng.random() < rate:
            outcomes.append((user, "purchase", at + 0.1, float(rng.gamma(2, 10))))
        outcomes.append((user, "visit", at + 0.2, float(rng.gamma(5, 1.0))))
    write_exposures(tmp_path, exposures)
    write_outcomes(tmp_path, outcomes)
    stages = [
        {"duration": "1d", "weights": {"a": 50, "b": 50, "c": 0}},
        {"duration": "1d", "weights": {"a": 45, "b": 45, "c": 10}},
    ]
    metrics = {
        "bought": {"kind": "proportion", "outcome": "purchase", "window": "3h"},
        "spend": {
            "kind": "mean",
            "outcome": "purchase",
            "window": "12h",
            "adjust": [{"before": "1d"}],
        },
        "median": {"kind": "quantile", "outcome": "visit", "quantile": 0.5, "window": "12h"},
    }
    plan = {"start": START.isoformat(), "bucket": "1h", "look_every": "1h"}
    three = spec_of(
        variants={v: {} for v in "abc"}, metrics=metrics, plan=plan | {"stages": stages}
    )
    pull(three, tmp_path)
    # The same users without c, under the same splits.
    with open_writer(tmp_path / "w.duckdb") as con:
        pair = three.model_copy(update={"variants": {v: three.variants[v] for v in "ab"}})
        splits = [day(1.0)]
        whole = read_user_statistics(con, three, day(2.5), splits=splits)
        alone = read_user_statistics(con, pair, day(2.5), splits=splits)
        early = read_user_statistics(con, three, day(0.9), splits=splits)
    for name in metrics:
        for found, expected in zip(whole.samples[name]["b"], alone.samples[name]["b"], strict=True):
            assert numbers(found) == pytest.approx(numbers(expected)), name
    left, right = early.samples["bought"]["b"]
    assert float(left.n) + float(right.n) > 2000
    assert float(right.mean - left.mean) == pytest.approx(-0.1, abs=0.03)
    assert float(whole.samples["bought"]["c"][1].n) < 400
    verdict = _look(tmp_path, three, 0.9)
    assert verdict.decision is Decision.ROLLBACK, verdict.reasons
    assert all(check.passed for check in verdict.quality)


def test_small_strata_of_a_split_are_put_together_and_no_user_is_lost(tmp_path: Path) -> None:
    """At 5 % most of twelve countries have fewer than ten users of the candidate."""
    rng = np.random.default_rng(4)
    exposures: Rows = []
    outcomes: Rows = []
    for user in range(3000):
        at = user / 1500
        arm = "b" if rng.random() < (0.05 if at < 1 else 0.5) else "a"
        country = int(rng.integers(12))
        exposures.append((user, arm, day(at).isoformat(), f"c{country}"))
        outcomes.append((user, "purchase", at + 0.1, country + float(rng.gamma(2, 1))))
    write_csv(tmp_path / "exposures.csv", "user_id,variant,exposed_at,country", exposures)
    write_outcomes(tmp_path, outcomes)
    spend = {"kind": "mean", "outcome": "purchase", "window": "12h"}
    spec = spec_of(
        {
            "exposures": {"files": "exposures*", "segments": ["country"]},
            "outcomes": {"files": "outcomes*"},
        },
        metrics={"plain": spend, "within": spend | {"stratify": True}},
        plan={"start": START.isoformat(), "bucket": "1h", "look_every": "1h", "duration": "3d"},
    )
    pull(spec, tmp_path)
    with open_writer(tmp_path / "w.duckdb") as con:
        found = read_user_statistics(con, spec, day(3), splits=[day(1.0)])
    plain, within = (found.samples[name]["b"] for name in ("plain", "within"))
    # A split's information is n_b n_c / (n_b + n_c); strata share it out, and lose next to none.
    worth = [float(p[0].n) * float(p[1].n) / float(p[0].n + p[1].n) for p in (plain, within)]
    assert worth[1] == pytest.approx(worth[0], rel=0.03)
    assert found.variance_removed["within"] > 0.7
