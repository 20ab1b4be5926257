"""User metrics: harm watched always, gain tested at the end, and nothing certain from a few."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import UserEvidence
from analysis.fixed.comparison import Pair, Sample, mean_sample, proportion_sample
from analysis.judge.user_metrics import judge_users
from analysis.metric_result import Classification, MetricResult
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.sequential.confidence_sequence import one_sided_multiplier

END = 100_000
NO_MARGIN = Margin()


def _plan(metric: MetricPlan, *, end_ms: int = END) -> Plan:
    return Plan("test", "a", ("b",), (metric,), (Stage(0, end_ms, {}),), 10_000, 0.05, 0, 1, 10_000)


def _metric(
    role: Role = Role.GOAL, margin: Margin = NO_MARGIN, *, higher_is_better: bool = True
) -> MetricPlan:
    return MetricPlan("value", Unit.USER, role, margin, higher_is_better)


def _evidence(samples: Mapping[str, Sample]) -> dict[str, dict[str, Pair]]:
    nobody = mean_sample(0, math.nan, math.nan)
    return {"value": {"b": (samples.get("a", nobody), samples.get("b", nobody))}}


def _judge(
    metric: MetricPlan, samples: Mapping[str, Sample], *, at_ms: int = END, share: bool = False
) -> MetricResult:
    evidence = UserEvidence(_evidence(samples), frozenset({"value"} if share else ()), {})
    return judge_users(_plan(metric), evidence, "b", at_ms=at_ms)[0]


RISE = {"a": proportion_sample(4000, 400), "b": proportion_sample(4000, 480)}
FALL = {"a": proportion_sample(4000, 480), "b": proportion_sample(4000, 280)}


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize("margin", [0.02, 0.05, 0.2])
def test_relative_harm_is_on_the_side_of_a_relative_margin_that_decides(
    margin: float, higher_is_better: bool
) -> None:
    """From a certain fall over nothing known to a certain rise."""
    metric = _metric(Role.GUARDRAIL, Margin(relative=margin), higher_is_better=higher_is_better)
    sides = set()
    for successes in range(250, 750, 10):
        samples = {"a": proportion_sample(4000, 480), "b": proportion_sample(4000, successes)}
        found = _judge(metric, samples, share=True)
        harm = found.relative_harm
        assert found.margin_relative == margin
        assert harm is not None
        assert (harm.lower > margin) is (found.classification is Classification.FAIL)
        assert (harm.upper <= margin) is (found.classification is Classification.PASS)
        assert harm.value * 0.12 == pytest.approx(found.excess.value + found.margin)
        sides.add(found.classification)
    assert len(sides) == 3
    absolute = _judge(_metric(Role.GUARDRAIL, Margin(absolute=0.01)), RISE, share=True)
    assert absolute.relative_harm is None


def test_gain_is_decided_at_the_planned_end_only() -> None:
    early = _judge(_metric(), RISE, at_ms=END - 1, share=True)
    late = _judge(_metric(), RISE, share=True)
    assert early.classification is Classification.UNCERTAIN
    assert late.classification is Classification.PASS
    assert late.difference.lower > 0
    # The end's test is a fixed one: 1.96 standard errors at 2.5 %.
    assert (late.excess.upper - late.excess.value) / late.standard_error == pytest.approx(
        1.96, abs=0.01
    )


def test_end_that_falls_inside_a_bucket_is_reached_by_its_last_look() -> None:
    plan = _plan(_metric(), end_ms=END + 4_000)
    evidence = UserEvidence(_evidence(RISE), frozenset({"value"}), {})
    assert plan.last_look_ms == END
    found = judge_users(plan, evidence, "b", at_ms=END)[0]
    assert found.classification is Classification.PASS


def test_harm_is_found_before_the_end() -> None:
    found = _judge(_metric(), FALL, at_ms=20_000, share=True)
    assert found.classification is Classification.FAIL
    assert found.difference.upper < 0
    assert found.relative.upper < 0


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_direction_of_gain_is_respected(higher_is_better: bool) -> None:
    found = _judge(_metric(higher_is_better=higher_is_better), RISE, share=True)
    expected = Classification.PASS if higher_is_better else Classification.FAIL
    assert found.difference.value == pytest.approx(0.02)
    assert found.excess.value == pytest.approx(-0.02 if higher_is_better else 0.02)
    if higher_is_better:
        assert found.classification is expected
    else:
        assert found.classification is not Classification.PASS


def test_thirty_users_of_whom_none_bought_prove_no_harm() -> None:
    rng = np.random.default_rng(1)
    spend = np.where(rng.random(3000) < 0.02, 50.0, 0.0)
    baseline = mean_sample(3000, spend.mean(), spend.var(ddof=1))
    found = _judge(_metric(), {"a": baseline, "b": mean_sample(30, 0, 0)}, at_ms=20_000)
    assert found.classification is Classification.UNCERTAIN


@pytest.mark.parametrize("share", [True, False])
def test_equal_values_alone_decide_nothing(share: bool) -> None:
    metric = _metric(Role.GUARDRAIL, Margin(absolute=0.01), higher_is_better=False)
    for candidate in (0.0, 1.0):
        samples = {"a": mean_sample(5, 0.0, 0.0), "b": mean_sample(5, candidate, 0.0)}
        found = _judge(metric, samples, share=share)
        assert found.classification is Classification.UNCERTAIN


def test_an_estimate_of_unknown_variance_decides_nothing() -> None:
    """As a quantile's that too few users bound."""
    known, unknown = mean_sample(5000, 1.0, 1.0), mean_sample(50, 9.0, math.inf)
    for margin, higher_is_better in ((NO_MARGIN, False), (Margin(absolute=100.0), True)):
        metric = _metric(Role.GUARDRAIL, margin, higher_is_better=higher_is_better)
        for samples in ({"a": known, "b": unknown}, {"a": unknown, "b": known}):
            found = _judge(metric, samples)
            assert found.classification is Classification.UNCERTAIN
            assert (found.excess.lower, found.excess.upper) == (-math.inf, math.inf)
            assert (found.relative.lower, found.relative.upper) == (-math.inf, math.inf)


def test_relative_margin_of_a_loss_is_a_part_of_its_size() -> None:
    metric = _metric(Role.GUARDRAIL, Margin(relative=0.1))
    samples = {"a": mean_sample(9e5, -10.0, 4.0), "b": mean_sample(9e5, -10.5, 4.0)}
    found = _judge(metric, samples)
    assert found.classification is Classification.PASS
    assert found.margin == pytest.approx(1.0)
    assert found.excess.value == pytest.approx(-0.5)
    assert found.relative.value == pytest.approx(-0.05)
    assert found.relative.lower < -0.05 < found.relative.upper < 0


def test_metric_without_users_has_no_data() -> None:
    for samples in (
        {},
        {"a": proportion_sample(100, 10)},
        {"a": mean_sample(0, math.nan, math.nan)},
    ):
        found = _judge(_metric(), samples, share=True)
        assert found.classification is Classification.NO_DATA
        assert math.isnan(found.probability_within_margin)


def test_single_user_decides_nothing() -> None:
    samples = {"a": mean_sample(1, 3.0, math.nan), "b": mean_sample(1, 9.0, math.nan)}
    assert _judge(_metric(), samples).classification is Classification.UNCERTAIN


def test_false_alarms_of_skewed_values_over_all_looks_stay_below_alpha() -> None:
    rng, runs, users = np.random.default_rng(5), 150, 2000
    metric = _metric(Role.GUARDRAIL)
    alarms = 0
    for _ in range(runs):
        arms = [rng.exponential(5, users) * (rng.random(users) < 0.1) for _ in range(2)]
        for n in range(50, users + 1, 50):
            samples = {
                name: mean_sample(n, values[:n].mean(), values[:n].var(ddof=1))
                for name, values in zip("ab", arms, strict=True)
            }
            if _judge(metric, samples).classification is Classification.FAIL:
                alarms += 1
                break
    assert alarms / runs <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / runs)


def test_bounds_are_tightest_for_the_users_that_the_plan_expects() -> None:
    """At 200,000 users the default of 5,000 costs an eighth of the width."""

    def width(users: float | None, n: int) -> float:
        samples = {"a": mean_sample(n / 2, 10.0, 4.0), "b": mean_sample(n / 2, 10.0, 4.0)}
        plan = replace(_plan(_metric(Role.GUARDRAIL)), users=users)
        found = judge_users(plan, UserEvidence(_evidence(samples), frozenset(), {}), "b", at_ms=1)
        return (found[0].excess.upper - found[0].excess.lower) / found[0].standard_error

    for n in (500, 200_000):
        tuned = width(float(n), n)
        for factor in (0.25, 0.5, 2.0, 4.0):
            assert tuned < width(n * factor, n) + 0.02, factor
    assert width(None, 200_000) / width(200_000.0, 200_000) == pytest.approx(1.13, abs=0.01)


def test_plan_tuned_at_the_first_look_alarms_at_most_as_often_as_promised() -> None:
    """A/A of 2000 experiments, 100 looks; arrivals vary, and the first look sets the tuning."""
    rng = np.random.default_rng(20)
    alpha, looks, alarms = 0.05, 100, 0
    for _ in range(2000):
        pace = rng.lognormal(3.0, 0.8, size=looks) * rng.uniform(0.3, 3.0)
        arrived = np.cumsum(rng.poisson(pace) + 2)
        n_opt = max(100.0, float(arrived[0]) * looks)
        steps = np.sqrt(np.diff(arrived, prepend=0)) * rng.standard_normal(looks)
        z = np.cumsum(steps) / np.sqrt(arrived)
        alarms += bool(np.any(z > one_sided_multiplier(arrived, alpha=alpha, n_opt=n_opt)))
    assert alarms / 2000 <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / 2000)


@pytest.mark.parametrize(("higher_is_better", "factor"), [(True, 0.9), (False, 1.1)])
def test_a_relative_margin_moves_with_the_baselines_mean(
    higher_is_better: bool, factor: float
) -> None:
    """Harm is the candidate less the scaled baseline, whose error is scaled alike."""
    samples = {"a": mean_sample(4000, 10.0, 100.0), "b": mean_sample(4000, 10.0, 100.0)}
    metric = _metric(Role.GUARDRAIL, Margin(relative=0.1), higher_is_better=higher_is_better)
    found = _judge(metric, samples)
    assert found.excess.value == pytest.approx(-1.0)
    assert found.standard_error**2 == pytest.approx((1 + factor**2) * 100 / 4000, rel=1e-3)
