"""Users as they come through the stages of a plan, and when an effect among them is found.

Variants are compared within the stage of a user's first exposure, and the stages' differences are
combined with information weights n_b n_c / (n_b + n_c): so a ramp knows as much as the sum of these
says, which is less than its users at one mean split would know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from analysis.arrays import FloatArray
from analysis.power.power import Design, detectable_effect

_LEAST_USERS = 4.0  # two in each variant


@dataclass(frozen=True, slots=True)
class Intake:
    """A stretch of time with one split: days since the start, and both variants' user shares."""

    start: float
    end: float
    baseline: float
    candidate: float


@dataclass(frozen=True, slots=True)
class Arrived:
    """Users of both variants with a final value, and the split that would know as much.

    users, share: float64[times]; share is the candidate's, 0.5 where there is nobody yet.
    """

    users: FloatArray
    share: FloatArray


def users_arrived(
    stages: Sequence[Intake], users_per_day: float, window: float, days: ArrayLike
) -> Arrived:
    """Who can be compared so many days after the start; window: days until a value is final.

    Users of a stage in which a variant has no share are compared with nobody, and don't count.
    """
    until = np.asarray(days, dtype=np.float64) - window
    users, information = np.zeros(until.shape), np.zeros(until.shape)
    for stage in stages:
        if stage.baseline <= 0 or stage.candidate <= 0:
            continue
        came = users_per_day * np.clip(until - stage.start, 0.0, stage.end - stage.start)
        both = stage.baseline + stage.candidate
        users = users + came * both
        information = information + came * stage.baseline * stage.candidate / both
    part = np.divide(information, users, out=np.full(until.shape, 0.25), where=users > 0)
    # n s (1 - s) is what users at one split know.
    return Arrived(users, (1 - np.sqrt(np.maximum(1 - 4 * part, 0.0))) / 2)


def smallest_effect(design: Design, arrived: Arrived, *, wanted: float = 0.8) -> FloatArray:
    """The effect that is found with the wanted power, float64[times]; infinite for hardly anyone.

    design: its share is replaced by that of those who arrived.
    """
    enough = arrived.users >= _LEAST_USERS
    split = replace(design, share=np.where(enough, arrived.share, 0.5))
    users = np.where(enough, arrived.users, _LEAST_USERS)
    return np.where(enough, detectable_effect(split, users, wanted=wanted), np.inf)


def days_until_found(
    smallest: FloatArray, days: FloatArray, effects: Sequence[float]
) -> tuple[float, ...]:
    """The first of the looks, float64[looks], at which each effect is found; infinite if none."""
    found = smallest <= np.abs(np.asarray(effects, dtype=np.float64))[:, None]
    first = np.where(found.any(axis=1), days[found.argmax(axis=1)], np.inf)
    return tuple(float(day) for day in first)
