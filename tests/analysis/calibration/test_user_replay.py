"""Users assigned anew: nobody is lost, nothing real differs, and known lifts are found in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.calibration.outcome import Decisions
from analysis.calibration.replay import looks_of
from analysis.calibration.user_history import UserHistory
from analysis.calibration.user_replay import (
    BETTER,
    OPEN,
    WORSE,
    UserJudge,
    UserSetting,
    _as_sums,
    _assign,
    _lifted,
    _samples,
    _so_far,
    replay_users,
)
from analysis.evidence import UserEvidence
from analysis.fixed.comparison import Sample
from analysis.judge.user_metrics import judge_users
from analysis.metric_result import Classification
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.power.power import Design, power
from analysis.users.estimates import Quantity

DAY = 86_400_000


def _plan(metric: MetricPlan, days: int = 20) -> Plan:
    stage = Stage(0, days * DAY, {"a": 0.5, "b": 0.5})
    return Plan("test", "a", ("b",), (metric,), (stage,), DAY // 24, 0.05, 0, 1, DAY // 2)


def _setting(
    *,
    users: int = 4000,
    share: float | None = None,
    role: Role = Role.GOAL,
    margin: float = 0.0,
    covariates: bool = False,
    seed: int = 5,
) -> UserSetting:
    """Users over 19 days; amounts of gamma(2, 5), of which an earlier amount says a part."""
    rng = np.random.default_rng(7)
    final = np.sort(rng.integers(0, 19 * DAY, size=users)) + DAY
    before = rng.gamma(2, 5, size=users)
    amount = 0.6 * before + 0.4 * rng.gamma(2, 5, size=users)
    if share is not None:
        amount = (amount > np.quantile(amount, 1 - share)).astype(float)
    shift = np.array([0.0 if share is not None else 8.0, 8.0])
    history = UserHistory(
        "value",
        final,
        final - DAY,
        np.column_stack([amount, before]) - shift,
        shift,
        Quantity(0),
        (Quantity(1),) if covariates else (),
        share is not None,
    )
    metric = MetricPlan(
        "value", Unit.USER, role, Margin(relative=margin), higher_is_better=True, window_ms=DAY
    )
    plan = replace(_plan(metric), users=float(users * 20 / 19))
    looks = looks_of(plan, 60)
    return UserSetting(plan, metric, history, looks, plan.planned_users(metric, "b"), seed)


def _rates(found: Decisions) -> tuple[float, float, float]:
    worse, better, undecided = (float((found.decision == d).mean()) for d in (WORSE, BETTER, OPEN))
    return worse, better, undecided


def test_every_user_is_in_one_variant_and_no_value_is_lost() -> None:
    setting = _setting()
    arms = _assign(setting, range(4))
    history = setting.history
    both = [_so_far(arm) for arm in arms]
    assert (both[0].n[:, -1, 0] + both[1].n[:, -1, 0]).tolist() == [history.users] * 4
    total = sum(m.n[:, -1, 0] * m.mean[:, -1, 0, 0] for m in both)
    np.testing.assert_allclose(total, (history.values[:, 0] + 8.0).sum(), rtol=1e-12)
    draws = np.random.default_rng([setting.seed, 0, 2]).random(history.users)
    seen = (draws >= 0.5) & (history.final_ms <= setting.looks_ms[10])
    values = history.values[seen, 0] + 8.0
    assert both[1].n[2, 10, 0] == seen.sum()
    assert both[1].mean[2, 10, 0, 0] == pytest.approx(values.mean(), rel=1e-12)
    assert both[1].covariance[2, 10, 0, 0, 0] == pytest.approx(values.var(ddof=1), rel=1e-9)


@pytest.mark.parametrize("share", [None, 0.1])
@pytest.mark.parametrize("covariates", [False, True])
def test_only_a_t_test_at_each_look_raises_more_false_alarms_than_alpha(
    share: float | None, covariates: bool
) -> None:
    found = replay_users(_setting(share=share, covariates=covariates), (0.0,), 1000)[0.0]
    bound = 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)
    worse, better, undecided = _rates(found[UserJudge.VERDICT])
    assert worse + better <= bound
    assert worse <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 1000)
    assert worse + better + undecided == pytest.approx(1)
    once = 1 - _rates(found[UserJudge.FIXED_TEST])[2]
    assert once == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 1000))
    assert 1 - _rates(found[UserJudge.T_TEST])[2] > 0.2


def test_a_ramp_is_replayed_as_such_and_rates_that_drift_are_no_effect() -> None:
    """The share falls from 30 to 10 % while the candidate's part grows from 5 to 50 %."""
    setting = _setting(users=12_000, share=0.2)
    rng = np.random.default_rng(3)
    days = setting.history.final_ms / DAY - 1
    falling = rng.random(12_000) < 0.3 - 0.2 * days / 19
    values = np.column_stack([falling.astype(float), setting.history.values[:, 1]])
    history = replace(setting.history, values=values, shift=np.array([0.0, 8.0]))
    ends = (0, 5 * DAY, 10 * DAY, 20 * DAY)
    stages = tuple(
        Stage(begin, end, {"a": 1 - share, "b": share})
        for begin, end, share in zip(ends, ends[1:], (0.05, 0.25, 0.5), strict=False)
    )
    ramp = replace(setting, history=history, plan=replace(setting.plan, stages=stages))
    found = replay_users(ramp, (0.0,), 300)[0.0]
    worse, better, _ = _rates(found[UserJudge.VERDICT])
    assert worse <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 300)
    assert better <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 300)
    once = 1 - _rates(found[UserJudge.FIXED_TEST])[2]
    # Falling within a stage, too, the share varies less than at random: never more than it says.
    assert once <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_fixed_test_detects_as_often_as_the_power_formula_says() -> None:
    setting = _setting()
    values = setting.history.values[:, 0]
    lifts = (0.02, 0.04, 0.06)
    found = replay_users(setting, lifts, 1000)
    final = int((setting.history.final_ms <= setting.looks_ms[-1]).sum())
    for lift in lifts:
        variance = float(values.var())
        design = Design(variance, variance * (1 + lift) ** 2, 0.5, 0.025)
        expected = float(power(design, lift * setting.history.mean, final))
        better = _rates(found[lift][UserJudge.FIXED_TEST])[1]
        assert better == pytest.approx(expected, abs=0.05), lift


def test_larger_harm_is_found_more_often_and_sooner_and_never_called_a_gain() -> None:
    found = replay_users(_setting(users=8000), (-0.05, -0.1, -0.2), 300)
    rates = [_rates(found[lift][UserJudge.VERDICT]) for lift in (-0.05, -0.1, -0.2)]
    assert rates[0][0] < rates[1][0] <= rates[2][0] == 1.0
    assert max(better for _, better, _ in rates) <= 0.01
    medians = [
        np.median(d.at_ms[d.decision == WORSE])
        for d in (found[lift][UserJudge.VERDICT] for lift in (-0.05, -0.1, -0.2))
    ]
    assert medians[0] > medians[1] > medians[2]


def test_guardrail_passes_within_its_margin_and_fails_beyond_it() -> None:
    setting = _setting(users=16_000, role=Role.GUARDRAIL, margin=0.1)
    found = replay_users(setting, (0.0, -0.1, -0.25), 200)
    assert _rates(found[0.0][UserJudge.VERDICT])[1] > 0.95
    at_margin = _rates(found[-0.1][UserJudge.VERDICT])
    assert at_margin[0] <= 0.05
    assert at_margin[1] <= 0.05
    assert _rates(found[-0.25][UserJudge.VERDICT])[0] > 0.95


@pytest.mark.parametrize("lift", [0.0, 0.2, -0.2])
def test_decisions_are_those_that_production_takes_on_the_same_users(lift: float) -> None:
    setting = _setting(share=0.2)
    decisions = replay_users(setting, (lift,), 12)[lift][UserJudge.VERDICT]
    arms = _assign(setting, range(12))
    rng = np.random.default_rng([setting.seed, 1, 0, 0])
    samples = _samples(setting, (arms[0], _lifted(setting, arms[1], lift, rng)))
    words = {Classification.FAIL: WORSE, Classification.PASS: BETTER}
    for run in range(12):
        expected, at = OPEN, int(setting.looks_ms[-1])
        for number, look in enumerate(setting.looks_ms.tolist()):
            left, right = (
                Sample(*(np.array(x[run, number]) for x in (s.n, s.mean, s.variance)))
                for s in samples
            )
            evidence = UserEvidence({"value": {"b": (left, right)}}, frozenset({"value"}), {})
            (result,) = judge_users(setting.plan, evidence, "b", at_ms=look)
            if result.classification in words:
                expected, at = words[result.classification], look
                break
        assert (decisions.decision[run], decisions.at_ms[run]) == (expected, at)


@pytest.mark.parametrize("lift", [0.3, -0.3])
def test_lifted_shares_are_those_of_users_who_changed_their_mind(lift: float) -> None:
    """Moments of many users, against those of users changed one by one."""
    setting = _setting(users=60_000, share=0.2, covariates=True)
    history = setting.history
    arm = _assign(setting, range(1))[1]
    moments = _so_far(_lifted(setting, arm, lift, np.random.default_rng(1)))
    rng = np.random.default_rng(2)
    y = history.values[:, 0].copy()
    chance = lift * 0.2 / 0.8 if lift > 0 else -lift
    changed = (y == (0 if lift > 0 else 1)) & (rng.random(len(y)) < chance)
    y[changed] = 1 - y[changed]
    mean, covariance = moments.mean[0, -1, 0], moments.covariance[0, -1, 0]
    expected = np.cov(y, history.values[:, 1])
    assert mean[0] == pytest.approx(0.2 * (1 + lift), abs=0.01)
    np.testing.assert_allclose(covariance, expected, rtol=0.06)


def test_lifted_amounts_grow_with_everything_that_is_known_of_them() -> None:
    setting = _setting(covariates=True)
    arm = _assign(setting, range(1))[1]
    plain = _so_far(arm)
    moved = _so_far(_lifted(setting, arm, 0.25, np.random.default_rng(1)))
    np.testing.assert_allclose(moved.mean[..., 0], 1.25 * plain.mean[..., 0], rtol=1e-9)
    np.testing.assert_allclose(moved.mean[..., 1], plain.mean[..., 1], rtol=1e-9)
    factors = np.array([[1.25**2, 1.25], [1.25, 1.0]])
    np.testing.assert_allclose(
        moved.covariance[0, -1], factors * plain.covariance[0, -1], rtol=1e-9
    )


def test_same_seed_gives_the_same_runs_however_many_there_are() -> None:
    few, many, other = (
        replay_users(_setting(share=0.1, seed=seed), (0.0, 0.1), runs)[0.1][UserJudge.T_TEST]
        for seed, runs in ((1, 20), (1, 50), (2, 20))
    )
    assert few.at_ms.tolist() == many.at_ms[:20].tolist()
    assert few.at_ms.tolist() != other.at_ms.tolist()


def test_sums_without_users_are_zeros() -> None:
    found = _as_sums(np.zeros((2, 3, 1 + 2 + 4)), np.zeros(2))
    assert (found.n.shape, found.total.shape) == ((2, 3), (2, 3, 2))
    assert found.products.shape == (2, 3, 2, 2)
