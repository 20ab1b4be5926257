"""Replays an experiment's users, to say what its gate can see of metrics per user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from analysis.calibration.replay import looks_of
from analysis.calibration.user_history import UserHistory
from analysis.calibration.user_replay import UserSetting, replay_users
from analysis.plan import MetricPlan, Plan, Role
from flows.calibration.known_users import LEAST_USERS, KnownUsers
from flows.calibration.user_outcomes import UserHistoryDocument, UserMetricCalibration
from flows.formats.time import instant
from flows.spec.experiment import Experiment

_MOST_LOOKS = 60
_LIFTS = (0.05, 0.1, 0.2)
_LEAST_USERS_SEEN = 2


def calibrate_users(
    spec: Experiment,
    whole: Plan,
    known: KnownUsers,
    *,
    runs: int,
    seed: int,
    progress: Callable[[int, int], None],
) -> tuple[UserMetricCalibration, ...]:
    """Every metric whose users are known. whole: the plan with all metrics, from 0."""
    plan = _as_long_as_known(whole, known.length_ms)
    looks = looks_of(plan, _MOST_LOOKS)
    found = []
    for number, (name, history) in enumerate(known.metrics.items()):
        metric = next(m for m in plan.metrics if m.name == name)
        expected = replace(plan, users=_expected(spec, plan, history, looks))
        setting = UserSetting(
            expected,
            metric,
            history,
            looks,
            expected.planned_users(metric, plan.candidates[0]),
            seed,
        )
        allowed = _allowed(metric, history)
        replayed = replay_users(setting, _lifts(metric, history, allowed), runs)
        kind = spec.user_metrics[name].kind
        found.append(UserMetricCalibration.of(setting, kind, allowed, replayed))
        progress((number + 1) * runs, len(known.metrics) * runs)
    return tuple(found)


def history_document(known: KnownUsers) -> UserHistoryDocument:
    """Whose history it is."""
    users = max((len(h.arrivals_ms) for h in known.metrics.values()), default=0)
    return UserHistoryDocument(
        first=instant(known.first_ms), last=instant(known.first_ms + known.length_ms), users=users
    )


def notes_on_users(spec: Experiment, whole: Plan, known: KnownUsers | None) -> Iterator[str]:
    """What a reader must know to trust the numbers of users."""
    if not spec.user_metrics:
        return
    metrics = {} if known is None else known.metrics
    missing = [name for name in spec.user_metrics if name not in metrics]
    if missing:
        yield (
            f"left out: {', '.join(missing)} (quantiles, what counters count, and metrics with "
            f"fewer than {LEAST_USERS} users with a final value)"
        )
    if known is None or not metrics:
        return
    if whole.planned_ms > known.length_ms:
        yield (
            f"the plan lasts {whole.planned_ms / 86_400_000:.1f} d, users are known for "
            f"{known.length_ms / 86_400_000:.1f} d: a plan of that length is replayed"
        )
    within = [n for n, m in spec.user_metrics.items() if n in metrics and spec.strata_of(m)]
    if within:
        yield (
            f"{', '.join(within)}: replayed without strata; with them the gate sees more, "
            "and sooner"
        )
    if len(spec.candidates) > 1:
        yield f"users of {spec.candidates[0]} alone are changed, and compared with the baseline's"


def _as_long_as_known(plan: Plan, length_ms: int) -> Plan:
    """The plan, cut off where the history ends, but at least a bucket long."""
    end = max(length_ms // plan.bucket_ms, 1) * plan.bucket_ms
    if plan.end_ms <= end:
        return plan
    kept = [s for s in plan.stages if s.start_ms < end]
    stages = (*kept[:-1], replace(kept[-1], end_ms=min(kept[-1].end_ms, end)))
    return replace(plan, stages=stages, tuned_ms=None)


def _expected(
    spec: Experiment, plan: Plan, history: UserHistory, looks: np.ndarray
) -> float | None:
    """As in production: what the spec says, else the rate at the first look that sees users."""
    if spec.plan.users is not None:
        return float(spec.plan.users)
    arrived = np.searchsorted(history.arrivals_ms, looks, "right")
    enough = np.flatnonzero(arrived >= _LEAST_USERS_SEEN)
    if not enough.size:
        return None
    return float(arrived[enough[0]]) * plan.planned_ms / float(looks[enough[0]])


def _allowed(metric: MetricPlan, history: UserHistory) -> float:
    """The harm that is allowed, relative to the mean of all users."""
    margin = metric.allowed_harm
    size = abs(history.mean)
    return margin.relative + (margin.absolute / size if size > 0 else 0.0)


def _lifts(metric: MetricPlan, history: UserHistory, allowed: float) -> tuple[float, ...]:
    """None, harms (the margin and twice it among them), and gains where they are looked for."""
    worse = -1.0 if metric.higher_is_better else 1.0
    harms = sorted({*_LIFTS, allowed, 2 * allowed} - {0.0})
    gains = _LIFTS if metric.role is Role.GOAL else ()
    lifts = [0.0, *(worse * h for h in harms), *(-worse * g for g in gains)]
    possible = [lift for lift in lifts if lift >= -1]
    if history.is_share:
        possible = [lift for lift in possible if history.mean * (1 + lift) <= 1]
    return tuple(possible)
