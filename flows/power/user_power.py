"""What an experiment can see in its metrics per user, and how soon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from analysis.evidence import UserEvidence
from analysis.plan import MetricPlan, Plan, Role, Unit
from analysis.power.arrivals import Intake, days_until_found, smallest_effect, users_arrived
from analysis.power.power import Design, power, users_needed
from flows.power.expected import Expected, NoHistory, expected_of
from flows.power.planning_document import EffectRow, UserPlan

DAY_MS = 86_400_000
_LEAST_DAYS = 1 / 1440
_MOST_LOOKS = 500
_RELATIVE_EFFECTS = (0.02, 0.05, 0.10)  # of the baseline's size
SHARES = (0.01, 0.05, 0.10, 0.25, 0.50)


def user_plans(
    plan: Plan, users: UserEvidence | None, expected: Expected, seen_rate: float | None
) -> Iterator[UserPlan]:
    """One per metric that something is known of. Raises NoHistory where a figure is missing.

    seen_rate: users a day in the warehouse, if any.
    """
    exposed = sum(users.exposed.values()) if users else 0
    rate = expected.users_per_day or seen_rate or 0.0
    length = (plan.end_ms - plan.start_ms) / DAY_MS
    # As the judge will be: by the spec's number of users, else by the rate of arrivals.
    tuned = replace(plan, users=plan.users or max(rate * length, exposed) or None)
    for metric in plan.metrics:
        if metric.unit is not Unit.USER:
            continue
        is_share = metric.name in expected.shares
        mean, variance = _mean_and_variance(metric, users, plan.candidates[0], expected)
        if not variance > 0:
            continue
        if not rate > 0:
            raise NoHistory(f"{metric.name}: how many users come isn't known; give --users-per-day")
        yield _user_plan(tuned, metric, mean, variance, rate, is_share=is_share)


def _user_plan(
    plan: Plan, metric: MetricPlan, mean: float, variance: float, rate: float, *, is_share: bool
) -> UserPlan:
    """A goal's gain is also tested once, at the end; a guardrail's harm only at every look.

    A guardrail fails where harm is proven beyond its margin, which has to be found on top of it.
    """
    window = metric.window_ms / DAY_MS
    looks = _looks(plan)
    planned = _stages(plan)
    at_end = users_arrived(planned, rate, window, looks[-1:])
    wanted = metric.margin.absolute + metric.margin.relative * abs(mean)
    allowed = metric.allowed_harm.absolute + metric.allowed_harm.relative * abs(mean)
    once, watched, excluded = _designs(plan, metric, mean, variance)
    # A share can't change by more than what is left of it.
    room = max(mean, 1 - mean) if is_share else float("inf")
    effects = _effects(mean, wanted, allowed, room)
    rows = []
    for share in (*SHARES, None):
        stages = planned if share is None else [Intake(0.0, float(looks[-1]), 1 - share, share)]
        smallest = allowed + smallest_effect(watched, users_arrived(stages, rate, window, looks))
        at_once = (
            float("nan")
            if once is None
            else float(smallest_effect(once, users_arrived(stages, rate, window, looks[-1:]))[0])
        )
        rows.append(
            EffectRow(
                share=_mean_candidate(planned) if share is None else share,
                as_planned=share is None,
                effects=effects,
                days=days_until_found(smallest, looks, effects),
                smallest_fixed=_within(at_once, room),
                smallest_anytime=_within(float(smallest[-1]), room),
            )
        )
    split = float(at_end.share[0])
    anytime = _needed(watched if once is not None else excluded, split, wanted)
    users_at_end = float(at_end.users[0])
    both = users_at_end / max(rate * max(float(looks[-1]) - window, _LEAST_DAYS), 1e-9)
    known = wanted > 0 and users_at_end > 0
    return UserPlan(
        metric=metric.name,
        role=metric.role.value,
        users_per_day=rate,
        baseline=mean,
        users_at_end=users_at_end,
        detectable_fixed=rows[-1].smallest_fixed,
        detectable_anytime=rows[-1].smallest_anytime,
        margin=wanted,
        users_for_margin=float("nan") if once is None else _needed(once, split, wanted),
        users_for_margin_anytime=anytime,
        days_for_margin_anytime=window + anytime / (rate * both) if known else float("inf"),
        power_for_margin=(
            float(power(replace(once, share=split), wanted, users_at_end))
            if known and once is not None
            else float("nan")
        ),
        rows=tuple(rows),
    )


def _designs(
    plan: Plan, metric: MetricPlan, mean: float, variance: float
) -> tuple[Design | None, Design, Design]:
    """The one look at the end (of goals), harm watched at every look, and harm excluded at each.

    A relative margin moves with the baseline's mean, whose error counts for that (user_harm.py).
    """
    n_opt = plan.planned_users(metric, plan.candidates[0])
    sign = -1.0 if metric.higher_is_better else 1.0
    factor = 1 + sign * metric.allowed_harm.relative * float(np.sign(mean))
    of_baseline = factor**2 * variance
    watched = Design(of_baseline, variance, 0.5, plan.harm_alpha(metric), n_opt)
    once = Design(of_baseline, variance, 0.5, plan.promote_alpha)
    excluded = replace(once, n_opt=n_opt)
    return once if metric.role is Role.GOAL else None, watched, excluded


def _needed(design: Design, share: float, wanted: float) -> float:
    if not wanted > 0:
        return float("nan")
    return float(users_needed(replace(design, share=share), wanted))


def _looks(plan: Plan) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Days since the start of each look up to the plan's end; thinned where they are very many."""
    length = (plan.end_ms - plan.start_ms) / DAY_MS
    every = max(plan.look_every_ms / DAY_MS, length / _MOST_LOOKS)
    return np.append(np.arange(every, length * (1 - 1e-9), every), length)


def _stages(plan: Plan) -> list[Intake]:
    """The plan's stages; where no split is configured, all variants alike."""
    alike = 1 / (1 + len(plan.candidates))
    candidate = plan.candidates[0]
    return [
        Intake(
            (stage.start_ms - plan.start_ms) / DAY_MS,
            (stage.end_ms - plan.start_ms) / DAY_MS,
            stage.shares.get(plan.baseline, 0.0) if stage.shares else alike,
            stage.shares.get(candidate, 0.0) if stage.shares else alike,
        )
        for stage in plan.stages
    ]


def _mean_candidate(stages: Sequence[Intake]) -> float:
    """The candidate's mean share over the plan's time."""
    length = sum(stage.end - stage.start for stage in stages)
    return sum(stage.candidate * (stage.end - stage.start) for stage in stages) / length


def _effects(mean: float, margin: float, allowed: float, room: float) -> tuple[float, ...]:
    """The usual parts of the baseline, and the margin: ascending, only what can be, and be found.

    Harm that is allowed is none; of a guardrail it is twice its margin.
    """
    usual = {round(part * abs(mean), 12) for part in _RELATIVE_EFFECTS}
    found = usual | {round(margin + allowed, 12)}
    return tuple(sorted(effect for effect in found if allowed < effect <= room))


def _within(effect: float, room: float) -> float:
    return float("inf") if effect > room else effect


def _mean_and_variance(
    metric: MetricPlan, users: UserEvidence | None, candidate: str, expected: Expected
) -> tuple[float, float]:
    """Of one user's value: as expected (without a deviation, of a share), else as known."""
    mean, sd = (expected_of(given, metric.name) for given in (expected.mean, expected.sd))
    if metric.name in expected.quantiles:
        # Its error isn't that of a mean.
        mean = sd = None
    if mean is not None:
        return mean, _expected_variance(metric.name, mean, sd, expected)
    known = users.samples[metric.name][candidate][0] if users else None
    if known is None or not float(known.n) > 1:
        return float("nan"), float("nan")
    return float(known.mean), float(known.variance) if sd is None else sd**2


def _expected_variance(name: str, mean: float, sd: float | None, expected: Expected) -> float:
    is_share = name in expected.shares
    if is_share and not 0 < mean < 1:
        raise NoHistory(f"{name}: --mean is {mean:g}, a share's must be above 0 and below 1")
    if sd is not None:
        return sd**2
    if not is_share:
        raise NoHistory(f"{name}: --mean of a value needs its --sd, too ({name}=SD)")
    return mean * (1 - mean)
