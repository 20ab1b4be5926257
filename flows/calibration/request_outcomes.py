"""What became of one kind of harm to requests, and of what history, as others read it."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from analysis.calibration.judges import Judge
from analysis.calibration.outcome import Outcome, Rate
from analysis.calibration.replay import Scenario


class JudgeOutcome(BaseModel):
    """One judge in one scenario; a time is None where no run was rolled back."""

    judge: Judge
    rolled_back: Rate
    promoted: Rate
    held: Rate = Field(description="Without a decision at the plan's end.")
    median_s: float | None = Field(description="Until the rollback, of the runs rolled back.")
    p90_s: float | None
    false_alarm: Rate | None = Field(
        description="Rollbacks; null where harm is beyond the margin and they are right."
    )
    wrong_promote: Rate | None = Field(
        description="Promotes; null where harm is below the margin and they are right."
    )

    @classmethod
    def of(cls, judge: Judge, outcome: Outcome, excess: float) -> Self:
        """The document's form of one outcome; excess: harm beyond the margin."""
        return cls(
            judge=judge,
            rolled_back=outcome.rolled_back,
            promoted=outcome.promoted,
            held=outcome.held,
            median_s=_seconds(outcome.median_ms),
            p90_s=_seconds(outcome.p90_ms),
            false_alarm=outcome.rolled_back if excess <= 0 else None,
            wrong_promote=outcome.promoted if excess >= 0 else None,
        )


class ScenarioDocument(BaseModel):
    """One kind of harm, and what became of it."""

    scenario: str
    label: str
    text: str = Field(description="What the candidate does: 'fails 1 point more often'.")
    harm: dict[str, float] = Field(description="By metric, the rise of its share of bad requests.")
    margin: dict[str, float] = Field(description="By metric, the rise that is allowed.")
    excess: float = Field(description="Largest harm beyond a margin; above 0 is too much.")
    judges: tuple[JudgeOutcome, ...]

    @classmethod
    def of(cls, scenario: Scenario) -> Self:
        """The document's form of one scenario."""
        return cls(
            scenario=scenario.injection.name,
            label=scenario.injection.label,
            text=scenario.injection.text,
            harm=dict(scenario.harm),
            margin=dict(scenario.margin),
            excess=scenario.excess,
            judges=tuple(
                JudgeOutcome.of(judge, outcome, scenario.excess)
                for judge, outcome in scenario.outcomes.items()
            ),
        )

    def by(self, judge: Judge) -> JudgeOutcome:
        """What one judge made of it."""
        return next(found for found in self.judges if found.judge is judge)


class HistoryDocument(BaseModel):
    """What was replayed."""

    variant: str
    first: datetime
    last: datetime = Field(description="Start of the last bucket.")
    buckets: int
    requests: int
    failed_share: float
    bursts: dict[str, float] = Field(
        description="By metric, variance of bad requests over the binomial one: about the size "
        "of the bursts that go to one version whole."
    )
    median_latency_ms: float | None


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000
