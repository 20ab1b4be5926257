"""Power, detectable effects and sample sizes: against statsmodels, tea-tasting and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower, TTestIndPower
from tea_tasting.aggr import Aggregates
from tea_tasting.metrics import Mean

from analysis.fixed.comparison import compare_means, mean_sample
from analysis.power.power import Design, detectable_effect, power, users_needed
from analysis.sequential.confidence_sequence import one_sided_multiplier


@pytest.mark.parametrize("share", [0.5, 0.2, 0.01])
@pytest.mark.parametrize("effect", [0.02, 0.1, 0.5])
def test_power_of_large_samples_is_that_of_statsmodels(share: float, effect: float) -> None:
    users = 20_000.0
    design = Design(1.0, 1.0, share, 0.025)
    theirs = NormalIndPower().power(
        effect, users * (1 - share), 0.025, ratio=share / (1 - share), alternative="larger"
    )
    assert float(power(design, effect, users)) == pytest.approx(theirs, abs=0.004)  # t, not normal


@pytest.mark.parametrize("users", [12, 40, 200])
def test_power_of_small_samples_is_that_of_students_t(users: int) -> None:
    """Equal variances and arms: Welch's degrees of freedom are statsmodels' there."""
    design = Design(1.0, 1.0, 0.5, 0.025)
    theirs = TTestIndPower().power(0.8, users / 2, 0.025, ratio=1.0, alternative="larger")
    assert float(power(design, 0.8, users)) == pytest.approx(theirs, rel=1e-6)


def test_power_agrees_with_simulation() -> None:
    rng = np.random.default_rng(1)
    design = Design(4.0, 9.0, 0.3, 0.05)
    n = (70, 30)
    control, treatment = (rng.normal(m, s, (20_000, k)) for m, s, k in ((0, 2, 70), (1.2, 3, 30)))
    arms = [mean_sample(k, v.mean(1), v.var(1, ddof=1))
            for k, v in zip(n, (control, treatment), strict=True)]  # fmt: skip
    comparison = compare_means(*arms)
    lower = comparison.interval(comparison.fixed_multiplier(0.10))[0]
    assert float(power(design, 1.2, 100)) == pytest.approx(np.mean(lower > 0), abs=0.01)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("n_opt", [None, 5000.0])
def test_effect_and_sample_size_are_inverse(share: float, n_opt: float | None) -> None:
    design = Design(0.09, 0.11, share, 0.025, n_opt)
    for users in (2_000.0, 50_000.0, 3e6):
        effect = detectable_effect(design, users)
        assert float(users_needed(design, effect)) == pytest.approx(users, rel=1e-3, abs=2)


def test_sample_size_is_that_of_tea_tasting() -> None:
    data = Aggregates(count_=1000, mean_={"y": 5.0}, var_={"y": 16.0}, cov_={})
    theirs = Mean(
        "y", effect_size=0.25, ratio=1, power=0.8, use_t=False
    ).solve_power_from_aggregates(data, "n_obs")
    ours = users_needed(Design(16.0, 16.0, 0.5, 0.025), 0.25)
    assert float(ours) == pytest.approx(theirs[0].n_obs, rel=0.002)


def test_extreme_shares_have_an_answer_and_no_effect_needs_all_users() -> None:
    needed = users_needed(Design(1.0, 1.0, 0.001), [0.5, 0.0])
    assert np.isfinite(needed[0])
    assert np.isinf(needed[1])
    with pytest.raises(ValueError, match="share is 1"):
        Design(1.0, 1.0, 1.0)


def test_watching_at_every_look_costs_what_the_sequence_says() -> None:
    fixed, anytime = Design(1.0, 1.0), Design(1.0, 1.0, n_opt=5000.0)
    ratio = detectable_effect(anytime, 5000.0) / detectable_effect(fixed, 5000.0)
    multiplier = float(one_sided_multiplier(5000.0, alpha=0.025, n_opt=5000.0))
    assert float(ratio) == pytest.approx((multiplier + 0.8416) / 2.8016, rel=1e-3)


def test_a_sequences_power_at_the_end_is_a_lower_bound_of_finding_it() -> None:
    """Simulated users in a hundred lots: found at any look, at least as often as at the last."""
    design = Design(1.0, 1.0, 0.5, 0.025, 5000.0)
    rng = np.random.default_rng(2)
    n = np.arange(100, 10_001, 100) / 2
    sums = np.cumsum(rng.normal(0, np.sqrt(2 * 50), (4000, 100)), axis=1) / n + 0.08
    found = (sums - design.multiplier(2 * n) * np.sqrt(2 / n) > 0).any(axis=1).mean()
    promised = float(power(design, 0.08, 10_000))
    assert promised - 0.02 <= found <= promised + 0.1


def test_watching_at_every_look_never_costs_less() -> None:
    """Also with a handful of users, where Student's t is far from the normal."""
    users = np.geomspace(4, 1e7, 200)
    for share in (0.5, 0.05):
        fixed, anytime = Design(1.0, 1.0, share), Design(1.0, 1.0, share, n_opt=5000.0)
        once, always = detectable_effect(fixed, users), detectable_effect(anytime, users)
        assert np.all(always > once)
        assert np.all(np.diff(always) < 0)
