"""Replays users: assigned to variants anew, without an effect and with known ones.

Every run keeps who came when and what they did, and draws each user's variant afresh by the
configured split, so that no difference is real (an A/A test by re-randomisation, Fisher 1935). A
lift is then given to the candidate's users alone: amounts grow by it; of shares, so many users more
(or fewer) have the outcome. Then three judges look: production's bounds, a t-test at each look, and
one t-test at the end.

Not preserved: a lift that differs between users, or that changes with time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from analysis.arrays import FloatArray, IntArray
from analysis.calibration.outcome import Decisions
from analysis.calibration.user_history import UserHistory
from analysis.fixed.comparison import Sample, compare_means, proportion_sample
from analysis.judge.user_harm import bound_harm
from analysis.plan import MetricPlan, Plan, Role
from analysis.users.estimates import adjust, sample_of
from analysis.users.splits import combine_within_splits
from analysis.users.sums import Moments, Sums

# Of a group of runs: users times runs that are assigned at once.
_MOST_CELLS = 8_000_000
OPEN, BETTER, WORSE = 0, 1, 2


class UserJudge(StrEnum):
    """Who decides."""

    VERDICT = "verdict"
    T_TEST = "t-test"
    FIXED_TEST = "fixed t-test"


@dataclass(frozen=True, slots=True)
class UserSetting:
    """What all runs have in common; the plan starts at 0, with the first exposure.

    looks_ms: int64[looks], the last one at the plan's end. n_opt: users of both variants for whom
    the bounds are tuned.
    """

    plan: Plan
    metric: MetricPlan
    history: UserHistory
    looks_ms: IntArray
    n_opt: float
    seed: int

    @property
    def shares(self) -> FloatArray:
        """Of the baseline and the first candidate under each split: float64[splits, 2].

        Equal parts where no split is configured.
        """
        plan = self.plan
        equal = 1 / (1 + len(plan.candidates))
        names = (plan.baseline, plan.candidates[0])
        return np.array([[s.shares.get(name, equal) for name in names] for s in plan.splits])

    @property
    def splits(self) -> IntArray:
        """Under which of the plan's splits each user with a final value came: int64[users]."""
        starts = [split.start_ms for split in self.plan.splits[1:]]
        exposed_ms = self.history.final_ms - self.metric.window_ms
        return np.searchsorted(starts, exposed_ms, "right").astype(np.int64)


def replay_users(
    setting: UserSetting, lifts: tuple[float, ...], runs: int
) -> dict[float, dict[UserJudge, Decisions]]:
    """What every judge decides in each run, by lift; a lift is relative to the baseline.

    A decision is BETTER, WORSE, or OPEN at the last look where none came.

    A run has the same assignment whatever the lift is, and however many runs there are.
    """
    size = max(1, min(runs, _MOST_CELLS // max(setting.history.users, 1)))
    parts: dict[float, list[dict[UserJudge, Decisions]]] = {lift: [] for lift in lifts}
    for first in range(0, runs, size):
        group = range(first, min(first + size, runs))
        variants = _assign(setting, group)
        for number, lift in enumerate(lifts):
            rng = np.random.default_rng([setting.seed, 1, number, first])
            samples = _samples(setting, (variants[0], _lifted(setting, variants[1], lift, rng)))
            parts[lift].append({judge: _decide(setting, judge, samples) for judge in UserJudge})
    return {
        lift: {j: Decisions.joined([p[j] for p in parts[lift]]) for j in UserJudge}
        for lift in lifts
    }


def _assign(setting: UserSetting, group: range) -> tuple[Sums, Sums]:
    """Sums of values that became final between looks, by variant: [runs, looks, splits, ...]."""
    history, splits = setting.history, setting.splits
    low, width = setting.shares[splits].T
    draws = np.stack(
        [np.random.default_rng([setting.seed, 0, run]).random(history.users) for run in group]
    )
    masks = (draws < low, (draws >= low) & (draws < low + width))
    cuts = np.searchsorted(history.final_ms, setting.looks_ms, "right")
    q = history.values.shape[1]
    products = history.values[:, :, None] * history.values[:, None, :]
    features = np.hstack([np.ones((history.users, 1)), history.values, products.reshape(-1, q * q)])
    variants = []
    for mask in masks:
        found = np.zeros((len(group), len(cuts), len(setting.shares), features.shape[1]))
        for look, (begin, end) in enumerate(zip((0, *cuts[:-1]), cuts, strict=True)):
            for split in np.unique(splits[begin:end]):
                users = begin + np.flatnonzero(splits[begin:end] == split)
                found[:, look, split] = mask[:, users].astype(np.float64) @ features[users]
        variants.append(_as_sums(found, history.shift))
    return variants[0], variants[1]


def _as_sums(found: FloatArray, shift: FloatArray) -> Sums:
    q = len(shift)
    products = found[..., 1 + q :].reshape(*found.shape[:-1], q, q)
    shifts = np.broadcast_to(shift, (*found.shape[:-1], q))
    return Sums(found[..., 0], np.array(shifts), found[..., 1 : 1 + q], products)


def _lifted(setting: UserSetting, variant: Sums, lift: float, rng: np.random.Generator) -> Sums:
    """The candidate's sums, between looks, after its users changed."""
    history = setting.history
    if lift == 0:
        return variant
    i = history.value.numerator
    plain = variant.at(0.0)
    total, products = plain.total.copy(), plain.products.copy()
    if not history.is_share:
        total[..., i] *= 1 + lift
        products[..., i, :] *= 1 + lift
        products[..., :, i] *= 1 + lift
        return Sums(plain.n, plain.shift, total, products).at(history.shift)
    return _converted(setting, plain, lift, rng).at(history.shift)


def _converted(setting: UserSetting, plain: Sums, lift: float, rng: np.random.Generator) -> Sums:
    """Users without the outcome who now have it, or with it who now don't, drawn among them.

    Which of them is independent of what is known from before.
    """
    i, p = setting.history.value.numerator, setting.history.mean
    ones = np.round(plain.total[..., i])
    zeros = np.round(plain.n) - ones
    total, products = plain.total.copy(), plain.products.copy()
    if lift > 0:
        change = rng.binomial(zeros.astype(np.int64), min(1.0, lift * p / max(1 - p, 1e-12)))
        rest = plain.total - products[..., i, :]  # of the users without the outcome
        share = np.divide(change, zeros, out=np.zeros_like(ones), where=zeros > 0)
    else:
        change = -rng.binomial(ones.astype(np.int64), min(1.0, -lift))
        rest = products[..., i, :]
        share = np.divide(change, ones, out=np.zeros_like(ones), where=ones > 0)
    crossed = products[..., i, :] + share[..., None] * rest
    products[..., i, :] = crossed
    products[..., :, i] = crossed
    products[..., i, i] = ones + change
    total[..., i] = ones + change
    return Sums(plain.n, plain.shift, total, products)


def _samples(setting: UserSetting, variants: tuple[Sums, Sums]) -> tuple[Sample, Sample]:
    """What each look sees: float64[runs, looks] of both variants.

    Under several splits production adjusts, and divides ratios, over all of them at once; here
    each does for itself, which takes less time and says nearly the same.
    """
    history = setting.history
    moments = [_so_far(variant) for variant in variants]
    if history.covariates:
        by_split = adjust(moments, history.value, history.covariates).samples
    else:
        by_split = tuple(sample_of(each, history.value) for each in moments)
        if history.is_share:
            by_split = tuple(proportion_sample(s.n, np.round(s.n * s.mean)) for s in by_split)
    if len(setting.shares) > 1:
        first, second = combine_within_splits(*by_split)
    else:
        first, second = (Sample(s.n[..., 0], s.mean[..., 0], s.variance[..., 0]) for s in by_split)
    return first, second


def _so_far(part: Sums) -> Moments:
    sums = Sums(
        part.n.cumsum(axis=1), part.shift, part.total.cumsum(axis=1), part.products.cumsum(axis=1)
    )
    return sums.moments


def _decide(setting: UserSetting, judge: UserJudge, samples: tuple[Sample, Sample]) -> Decisions:
    found = _verdict(setting, samples) if judge is UserJudge.VERDICT else _tests(setting, samples)
    if judge is UserJudge.FIXED_TEST:
        found[:, :-1] = OPEN
    is_decided = found != OPEN
    first = np.where(is_decided.any(axis=1), is_decided.argmax(axis=1), found.shape[1] - 1)
    return Decisions(found[np.arange(len(found)), first], setting.looks_ms[first])


def _verdict(setting: UserSetting, samples: tuple[Sample, Sample]) -> IntArray:
    """Production's classification of the metric at each look, were it the only one: [runs, looks].

    Its risk is that in the whole plan. Worse: it fails; better: it passes, when a promote may come.
    """
    plan, metric, looks = setting.plan, setting.metric, setting.looks_ms
    at_end = looks >= plan.last_look_ms
    is_share = setting.history.is_share and not setting.history.covariates
    harm = bound_harm(plan, metric, samples, is_share=is_share, n_opt=setting.n_opt, at_end=at_end)
    least = np.minimum(samples[0].n, samples[1].n) >= plan.minimum_exposure
    may_pass = least & (looks >= plan.minimum_ms) & (at_end | (metric.role is Role.GUARDRAIL))
    with np.errstate(invalid="ignore"):
        found = np.where((harm.upper <= 0) & may_pass, BETTER, OPEN)
        return np.where(harm.lower > 0, WORSE, found).astype(np.int64)


def _tests(setting: UserSetting, samples: tuple[Sample, Sample]) -> IntArray:
    """Welch's test at the plan's alpha, two-sided, of no difference: [runs, looks]."""
    comparison = compare_means(*samples)
    with np.errstate(invalid="ignore"):
        significant = comparison.p_value < setting.plan.alpha
        gained = (comparison.difference > 0) == setting.metric.higher_is_better
    return np.where(significant, np.where(gained, BETTER, WORSE), OPEN).astype(np.int64)
