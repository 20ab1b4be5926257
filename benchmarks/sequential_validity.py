"""False alarms and power of every always-valid test under 100 looks, beside the naive test.

`python -m benchmarks.sequential_validity [--quick]`: each row simulates streams without and with
an effect and looks at them 100 times (20 where a look sorts raw values). A test alarms if it does
at any look. The naive test is what one would use for a single look, asked at every look. `fixed`
is the power of that naive test when it is asked only once, at the end: what a fixed horizon gives.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, ndtr, stdtr

from analysis.evidence import StageCounts
from analysis.quality.sample_ratio import ALARM_P_VALUE, check_sample_ratio
from analysis.sequential.bernoulli import compare_failures
from analysis.sequential.confidence_sequence import tuning
from analysis.sequential.group_sequential import spend_alpha
from analysis.sequential.multinomial import compare_rates, compare_shares
from analysis.sequential.ramp import compare_steps
from analysis.sequential.regression_t import anytime_t, planned_precision
from analysis.sequential.sprt import mixture_sprt, planned_mixture_variance

Floats = NDArray[np.float64]
Alarms = NDArray[np.bool_]  # [runs, looks]
Simulated = tuple[Alarms, Alarms]  # always-valid, naive

_ALPHA = 0.05
_LOOKS = 100
_AT = np.arange(1, _LOOKS + 1)
_SEED = 20261123


@dataclass(frozen=True, slots=True)
class Scenario:
    """A test on streams: simulate(rng, runs, effect) answers at every look."""

    name: str
    simulate: Callable[[np.random.Generator, int, bool], Simulated]
    runs: int
    quick_runs: int
    alpha: float = _ALPHA


def main() -> None:
    """Prints one row per test, then the sample ratio check against its chi-square."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs, under 20 s")
    quick = parser.parse_args().quick
    started = time.perf_counter()
    print(f"{'':<36} {'':>6}  false alarms %      found %             looks to find (median)")
    print(f"{'test':<36} {'runs':>6}  {'valid':>6} {'naive':>6}   {'valid':>6} {'naive':>6} fixed")
    for scenario in _SCENARIOS:
        runs = scenario.quick_runs if quick else scenario.runs
        print(_row(scenario, runs), flush=True)
    _print_real_checks(20 if quick else 100)
    print(f"{time.perf_counter() - started:.0f} s")


def _row(scenario: Scenario, runs: int) -> str:
    rng = np.random.default_rng(_SEED)
    valid, naive = scenario.simulate(rng, runs, False)
    found, naively = scenario.simulate(rng, runs, True)
    allowed = scenario.alpha + 3 * np.sqrt(scenario.alpha * (1 - scenario.alpha) / runs)
    shares = [100 * float(a.any(axis=1).mean()) for a in (valid, naive, found, naively)]
    hit = found.any(axis=1)
    look = f"{np.median(found[hit].argmax(axis=1) + 1):.0f}" if hit.any() else "-"
    mark = " " if shares[0] <= 100 * allowed else "!"
    fixed = 100 * float(naively[:, -1].mean())
    return (
        f"{scenario.name:<36} {runs:>6}  {shares[0]:>6.2f}{mark}{shares[1]:>6.1f}   "
        f"{shares[2]:>6.1f} {shares[3]:>6.1f} {fixed:>5.1f}   {look} of {valid.shape[1]}"
    )


def _normal(rng: np.random.Generator, runs: int, effect: bool) -> Simulated:
    n = _AT * 50.0
    total = (rng.normal(size=(runs, _LOOKS)) * np.sqrt(50)).cumsum(axis=1)
    mean = total / n + 0.055 * effect
    tau2 = planned_mixture_variance(_ALPHA, 1 / 2500)
    found = mixture_sprt(mean, 1 / n, mixture_variance=tau2, alpha=_ALPHA)
    return found.p_value <= _ALPHA, 2 * ndtr(-np.abs(mean) * np.sqrt(n)) <= _ALPHA


def _regression(rng: np.random.Generator, runs: int, effect: bool) -> Simulated:
    """Least squares on (1, arm, covariate), two units a look, from the fifth look on."""
    n, arm = 2 * _LOOKS, np.tile([0.0, 1.0], _LOOKS)
    x = rng.normal(size=(runs, n))
    y = 0.5 * effect * arm + x + rng.normal(size=(runs, n))
    design = np.stack([np.ones((runs, n)), np.broadcast_to(arm, (runs, n)), x], axis=-1)
    gram = (design[..., :, None] * design[..., None, :]).cumsum(axis=1)[:, 9::2]
    moments = (design * y[..., None]).cumsum(axis=1)[:, 9::2]
    inverse = np.linalg.inv(gram)
    beta = (inverse @ moments[..., None])[..., 0]
    dof = np.arange(10, n + 1, 2) - 3.0
    residual = (y**2).cumsum(axis=1)[:, 9::2] - (beta * moments).sum(axis=-1)
    information = 1 / inverse[..., 1, 1]
    error = np.sqrt(residual / dof / information)
    phi = planned_precision(_ALPHA, 25.0)
    found = anytime_t(
        beta[..., 1], error, dof, information=information, prior_precision=phi, alpha=_ALPHA
    )
    naive = 2 * stdtr(dof, -np.abs(beta[..., 1] / error))
    return found.p_value <= _ALPHA, naive <= _ALPHA


def _shares(rng: np.random.Generator, runs: int, effect: bool) -> Simulated:
    null = np.array([0.5, 0.3, 0.2])
    true = null + effect * np.array([-0.03, 0.01, 0.02])
    x = rng.multinomial(50, true, size=(runs, _LOOKS)).cumsum(axis=1)
    expected = null * (50 * _AT)[:, None]
    chi_square = ((x - expected) ** 2 / expected).sum(axis=-1)
    found = compare_shares(x, null, alpha=_ALPHA, n_opt=2500)
    return found.p_value <= _ALPHA, chdtrc(2, chi_square) <= _ALPHA


def _events(rng: np.random.Generator, runs: int, effect: bool) -> tuple[Floats, Floats]:
    """Events of two streams at 95 to 5 % of a traffic that comes in waves."""
    wave = 10 + 8 * np.sin(_AT / 9)
    b = rng.poisson(19 * wave, size=(runs, _LOOKS)).cumsum(axis=1)
    c = rng.poisson(wave * (1 + 0.12 * effect), size=(runs, _LOOKS)).cumsum(axis=1)
    return b.astype(float), c.astype(float)


def _naive_rate_z(b: Floats, c: Floats) -> Floats:
    share = 0.05
    return np.asarray((c - share * (b + c)) / np.sqrt(share * (1 - share) * (b + c)))


def _rates(rng: np.random.Generator, runs: int, effect: bool) -> Simulated:
    b, c = _events(rng, runs, effect)
    found = compare_rates(b, c, 19, 1, alpha=_ALPHA, n_opt=10_000)
    return found.p_value <= _ALPHA, 2 * ndtr(-np.abs(_naive_rate_z(b, c))) <= _ALPHA


def _proportion_z(*counts: ArrayLike) -> Floats:
    """Of failures and trials of the baseline, then of the candidate."""
    x_b, n_b, x_c, n_c = (np.asarray(a, np.float64) for a in counts)
    p = (x_b + x_c) / (n_b + n_c)
    error = np.sqrt(np.maximum(p * (1 - p) * (1 / n_b + 1 / n_c), 1e-300))
    return np.asarray((x_c / n_c - x_b / n_b) / error)


def _failures(rng: np.random.Generator, runs: int, effect: bool) -> Simulated:
    """Rare failures, ten trials of each version a look."""
    n = 10.0 * _AT
    b = rng.binomial(10, 0.01, size=(runs, _LOOKS)).cumsum(axis=1)
    c = rng.binomial(10, 0.01 + 0.035 * effect, size=(runs, _LOOKS)).cumsum(axis=1)
    found = compare_failures(b, n, c, n, alpha=_ALPHA)
    return found.p_value <= _ALPHA, 2 * ndtr(-np.abs(_proportion_z(b, n, c, n))) <= _ALPHA


def _ramp(rng: np.random.Generator, runs: int, effect: bool) -> Simulated:
    """Users through 2, 5, 10, 25, 50 %; naive: a chi-square of all against each step's split."""
    declared = np.repeat([0.02, 0.05, 0.1, 0.25, 0.5], 20)
    odds = declared / (1 - declared) * np.exp(0.12 * effect)
    c = rng.binomial(100, odds / (1 + odds), size=(runs, _LOOKS))
    # One step a look: a step's split is the same whether it is cut in one or in twenty.
    spread = float(tuning(_ALPHA, (100 * declared * (1 - declared)).sum()))
    looks = []
    for look in _AT:
        start = np.arange(0, look, 20)
        own = np.add.reduceat(c[:, :look], start, axis=1)
        size = np.diff([*start, look]) * 100
        steps = compare_steps(size - own, own, declared[start], spreads=(spread,), alpha=_ALPHA)
        looks.append(steps.p_value <= _ALPHA)
    expected = (100 * declared).cumsum()
    variance = (100 * declared * (1 - declared)).cumsum()
    naive = 2 * ndtr(-np.abs(c.cumsum(axis=1) - expected) / np.sqrt(variance))
    return np.stack(looks, axis=1), naive <= _ALPHA


def _group_sequential(looks: int) -> Callable[[np.random.Generator, int, bool], Simulated]:
    times = np.arange(1, looks + 1) / looks
    boundaries = spend_alpha(times.tolist(), alpha=_ALPHA)

    def simulate(rng: np.random.Generator, runs: int, effect: bool) -> Simulated:
        score = (rng.normal(size=(runs, looks)) / np.sqrt(looks)).cumsum(axis=1)
        z = score / np.sqrt(times) + 3.889 * effect * np.sqrt(times)
        return np.abs(z) >= boundaries, np.abs(z) >= 1.959964

    return simulate


def _split(rng: np.random.Generator, runs: int, effect: bool) -> Simulated:
    """The product's sample ratio check at its own level: 50/50, or 52/48. 300 users a look."""
    spreads = _production_spreads()
    c = rng.binomial(300, 0.5 + 0.02 * effect, size=(runs, _LOOKS)).cumsum(axis=1).astype(float)
    n = 300.0 * _AT
    found = compare_steps(
        (n - c)[..., None], c[..., None], 0.5, spreads=spreads, alpha=ALARM_P_VALUE
    )
    chi_square = (2 * c - n) ** 2 / n
    return found.p_value <= ALARM_P_VALUE, chdtrc(1, chi_square) <= ALARM_P_VALUE


def _production_spreads() -> tuple[float, ...]:
    stage = StageCounts({"a": 1.0, "b": 1.0}, {"a": 0.5, "b": 0.5})
    found = check_sample_ratio([stage], tolerance=0.01)
    return found.spreads if found else ()


def _print_real_checks(runs: int) -> None:
    """The whole check, tolerance included: users until 52/48 is called a mismatch."""
    rng = np.random.default_rng(_SEED)
    needed = np.array([_users_to_find(rng) for _ in range(runs)])
    check, chi_square = np.median(needed, axis=0)
    print(
        f"sample ratio, 52/48 of users, tolerance 1 %, {runs} runs: the check finds it after "
        f"{check:.0f} users (median), a chi-square at each look after {chi_square:.0f}"
    )


def _users_to_find(rng: np.random.Generator) -> tuple[float, float]:
    """Users until the check calls a mismatch, and until the chi-square does (or 60,000)."""
    check, chi_square = np.inf, np.inf
    for look, own in enumerate(rng.binomial(300, 0.52, size=200).cumsum().tolist(), start=1):
        n = 300.0 * look
        stage = StageCounts({"a": n - own, "b": own}, {"a": 0.5, "b": 0.5})
        found = check_sample_ratio([stage], tolerance=0.01)
        if found and found.chi_square_p_value < ALARM_P_VALUE:
            chi_square = min(chi_square, n)
        if found and found.mismatch:
            return n, min(chi_square, n)
    return check, chi_square


_SCENARIOS = (
    Scenario("mixture SPRT, normal mean", _normal, 10_000, 2000),
    Scenario("anytime t, with a covariate", _regression, 4000, 600),
    Scenario("multinomial, 3 shares", _shares, 4000, 600),
    Scenario("Poisson rates 95/5", _rates, 2000, 300),
    Scenario("Bernoulli, universal, rate 1 %", _failures, 600, 150),
    Scenario("ramp 2 to 50 %, users", _ramp, 1000, 200),
    Scenario("group sequential, 5 looks", _group_sequential(5), 100_000, 20_000),
    Scenario("group sequential, 100 looks", _group_sequential(100), 20_000, 2000),
    Scenario("sample ratio, level .001", _split, 6000, 500, ALARM_P_VALUE),
)

if __name__ == "__main__":
    main()
