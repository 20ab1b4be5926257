"""What a gate sees of metrics per user, as others read it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Self

import numpy as np
from pydantic import BaseModel, Field

from analysis.calibration.outcome import Decisions, Rate
from analysis.calibration.user_replay import (
    BETTER,
    OPEN,
    WORSE,
    UserJudge,
    UserSetting,
)
from analysis.explain.spans import span_s


class UserJudgeOutcome(BaseModel):
    """One judge at one lift; a time is None where no run was decided that way."""

    judge: UserJudge
    worse: Rate = Field(description="Runs in which the candidate was first found to be worse.")
    better: Rate = Field(
        description="Found to be better; of a guardrail by verdict: no worse than its margin."
    )
    undecided: Rate
    wrong: Rate = Field(
        description="Decided against the truth: harm within what is allowed found to be worse, or "
        "harm of at least that found to be better. The tests allow none."
    )
    median_s: float | None = Field(description="To the decision that is right; without lift, any.")
    p90_s: float | None

    @classmethod
    def of(cls, judge: UserJudge, decisions: Decisions, harm: float, allowed: float) -> Self:
        """harm, allowed: of the lift and of the margin, relative to the baseline."""
        worse, better, undecided = (decisions.decision == d for d in (WORSE, BETTER, OPEN))
        excess = round(harm - (allowed if judge is UserJudge.VERDICT else 0.0), 12)
        wrong = (worse & (excess <= 0)) | (better & (excess >= 0))
        right = ~undecided if harm == 0 else worse if harm > 0 else better
        times = decisions.at_ms[right] / 1000
        median, p90 = (
            float(np.quantile(times, q, method="inverted_cdf")) if times.size else None
            for q in (0.5, 0.9)
        )
        shares = [Rate.of(each) for each in (worse, better, undecided, wrong)]
        return cls(
            judge=judge,
            worse=shares[0],
            better=shares[1],
            undecided=shares[2],
            wrong=shares[3],
            median_s=median,
            p90_s=p90,
        )


class UserScenario(BaseModel):
    """One lift, and what became of it."""

    lift: float = Field(description="Of the candidate's metric, relative to the baseline's.")
    harm: float = Field(description="The lift, turned so that above 0 is worse.")
    judges: tuple[UserJudgeOutcome, ...]

    def by(self, judge: UserJudge) -> UserJudgeOutcome:
        """What one judge made of it."""
        return next(found for found in self.judges if found.judge is judge)


class UserMetricCalibration(BaseModel):
    """One metric per user."""

    metric: str
    kind: str
    role: str
    users: int = Field(description="With a final value by the end of the replayed plan.")
    mean: float
    allowed: float = Field(description="Harm that is allowed, relative to the mean.")
    plan_s: float = Field(description="Length that was replayed.")
    looks: int
    tightest_at_users: float
    scenarios: tuple[UserScenario, ...]

    @classmethod
    def of(
        cls,
        setting: UserSetting,
        kind: str,
        allowed: float,
        found: dict[float, dict[UserJudge, Decisions]],
    ) -> Self:
        """The document's form of one metric's replay."""
        sign = -1.0 if setting.metric.higher_is_better else 1.0
        final = setting.history.final_ms <= setting.looks_ms[-1]
        return cls(
            metric=setting.metric.name,
            kind=kind,
            role=setting.metric.role.value,
            users=int(final.sum()),
            mean=setting.history.mean,
            allowed=allowed,
            plan_s=setting.plan.end_ms / 1000,
            looks=len(setting.looks_ms),
            tightest_at_users=setting.n_opt,
            scenarios=tuple(
                UserScenario(
                    lift=lift,
                    harm=sign * lift + 0.0,
                    judges=tuple(
                        UserJudgeOutcome.of(judge, decisions, sign * lift + 0.0, allowed)
                        for judge, decisions in judges.items()
                    ),
                )
                for lift, judges in found.items()
            ),
        )

    def sentences(self) -> Iterator[str]:
        """What our judge sees of this metric."""
        for scenario in self.scenarios:
            ours, each = (scenario.by(j) for j in (UserJudge.VERDICT, UserJudge.T_TEST))
            if scenario.lift == 0:
                yield (
                    f"{self.metric}: without an effect {ours.judge.value} is wrong in "
                    f"{ours.wrong.value:.1%} of runs, a t-test at each look in "
                    f"{each.wrong.value:.1%}."
                )
                continue
            right = ours.worse if scenario.harm > 0 else ours.better
            when = f", median {span_s(ours.median_s)}" if ours.median_s is not None else ""
            word = "worse" if scenario.harm > 0 else "better"
            yield (
                f"{self.metric}: a change of {scenario.lift:+.1%} is found to be {word} in "
                f"{right.value:.1%} of runs{when}."
            )


class UserHistoryDocument(BaseModel):
    """Whose history was replayed: users of all variants, assigned anew."""

    first: datetime
    last: datetime = Field(description="Up to when outcomes are known.")
    users: int = Field(description="Exposed, those seen in two variants left out.")
