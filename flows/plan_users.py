"""What an experiment can see in its metrics per user, and how soon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from analysis.evidence import UserEvidence
from analysis.plan import MetricPlan, Plan, Unit
from analysis.planning.arrivals import Intake, days_until_found, smallest_effect, users_arrived
from analysis.planning.power import Design, power, users_needed
from flows.plan_expected import Expected, NoHistory
from flows.planning_document import EffectRow, UserPlan

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
    window = metric.window_ms / DAY_MS
    looks = _looks(plan)
    planned = _stages(plan)
    at_end = users_arrived(planned, rate, window, looks[-1:])
    n_opt = plan.planned_users(metric, plan.candidates[0])
    fixed = Design(variance, variance, 0.5, plan.alpha / 2)
    anytime = Design(variance, variance, 0.5, plan.harm_alpha(metric), n_opt)
    wanted = metric.margin.absolute + metric.margin.relative * abs(mean)
    # A share can't change by more than what is left of it.
    room = max(mean, 1 - mean) if is_share else float("inf")
    effects = _effects(mean, wanted, room)
    rows = []
    for share in (*SHARES, None):
        stages = planned if share is None else [_constant(share, float(looks[-1]))]
        smallest = smallest_effect(anytime, users_arrived(stages, rate, window, looks))
        once = smallest_effect(fixed, users_arrived(stages, rate, window, looks[-1:]))
        rows.append(
            EffectRow(
                share=_mean_candidate(planned) if share is None else share,
                as_planned=share is None,
                effects=effects,
                days=days_until_found(smallest, looks, effects),
                smallest_fixed=_within(float(once[0]), room),
                smallest_anytime=_within(float(smallest[-1]), room),
            )
        )
    split = float(at_end.share[0])
    needed, needed_anytime = (
        float(users_needed(replace(design, share=split), wanted)) if wanted > 0 else float("nan")
        for design in (fixed, anytime)
    )
    users_at_end = float(at_end.users[0])
    both = users_at_end / max(rate * max(float(looks[-1]) - window, _LEAST_DAYS), 1e-9)
    known = wanted > 0 and users_at_end > 0
    return UserPlan(
        metric=metric.name,
        users_per_day=rate,
        baseline=mean,
        users_at_end=users_at_end,
        detectable_fixed=rows[-1].smallest_fixed,
        detectable_anytime=rows[-1].smallest_anytime,
        margin=wanted,
        users_for_margin=needed,
        users_for_margin_anytime=needed_anytime,
        days_for_margin_anytime=window + needed_anytime / (rate * both) if known else float("inf"),
        power_for_margin=(
            float(power(replace(fixed, share=split), wanted, users_at_end))
            if known
            else float("nan")
        ),
        rows=tuple(rows),
    )


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


def _constant(share: float, days: float) -> Intake:
    return Intake(0.0, days, 1 - share, share)


def _mean_candidate(stages: Sequence[Intake]) -> float:
    """The candidate's mean share over the plan's time."""
    length = sum(stage.end - stage.start for stage in stages)
    return sum(stage.candidate * (stage.end - stage.start) for stage in stages) / length


def _effects(mean: float, margin: float, room: float) -> tuple[float, ...]:
    """The usual parts of the baseline, and the margin: ascending, only what can be."""
    found = {round(part * abs(mean), 12) for part in _RELATIVE_EFFECTS} | {round(margin, 12)}
    return tuple(sorted(effect for effect in found if 0 < effect <= room))


def _within(effect: float, room: float) -> float:
    return effect if effect <= room else float("inf")


def _mean_and_variance(
    metric: MetricPlan, users: UserEvidence | None, candidate: str, expected: Expected
) -> tuple[float, float]:
    """Of one user's value: as expected (without a deviation, of a share), else as known."""
    mean, sd = expected.mean_of(metric.name), expected.sd_of(metric.name)
    if mean is not None:
        return mean, _expected_variance(metric.name, mean, sd, expected)
    known = users.samples[metric.name][candidate][0] if users else None
    if known is None or not float(known.n) > 1:
        return float("nan"), float("nan")
    return float(known.mean), float(known.variance) if sd is None else sd**2


def _expected_variance(name: str, mean: float, sd: float | None, expected: Expected) -> float:
    is_share = name in expected.shares
    if is_share and not 0 < mean < 1:
        raise NoHistory(f"{name}: --mean is {mean:g}, a share's must lie between 0 and 1")
    if sd is not None:
        return sd**2
    if not is_share:
        raise NoHistory(f"{name}: --mean of a value needs its --sd, too ({name}=SD)")
    return mean * (1 - mean)
