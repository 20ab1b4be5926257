"""A calibration as others read it: JSON, and sentences."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from analysis.calibration.injections import NO_HARM, points
from analysis.calibration.judges import Judge, Setting
from analysis.calibration.outcome import Outcome, Rate
from analysis.calibration.replay import Replay, Scenario
from flows.instants import instant
from flows.spec import Experiment


class Share(BaseModel):
    """A share of the runs, with its Monte Carlo standard error."""

    value: float
    standard_error: float

    @classmethod
    def of(cls, rate: Rate) -> Self:
        """The same numbers."""
        return cls(value=rate.value, standard_error=rate.standard_error)


class JudgeOutcome(BaseModel):
    """One judge in one scenario; a time is None where no run was rolled back."""

    judge: Judge
    rolled_back: Share
    promoted: Share
    held: Share = Field(description="Without a decision at the plan's end.")
    median_s: float | None = Field(description="Until the rollback, of the runs rolled back.")
    p90_s: float | None
    false_alarm: Share | None = Field(
        description="Rollbacks; null where harm is beyond the margin and they are right."
    )
    wrong_promote: Share | None = Field(
        description="Promotes; null where harm is below the margin and they are right."
    )

    @classmethod
    def of(cls, judge: Judge, outcome: Outcome, excess: float) -> Self:
        """The document's form of one outcome; excess: harm beyond the margin."""
        return cls(
            judge=judge,
            rolled_back=Share.of(outcome.rolled_back),
            promoted=Share.of(outcome.promoted),
            held=Share.of(outcome.held),
            median_s=_seconds(outcome.median_ms),
            p90_s=_seconds(outcome.p90_ms),
            false_alarm=Share.of(outcome.rolled_back) if excess <= 0 else None,
            wrong_promote=Share.of(outcome.promoted) if excess >= 0 else None,
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


class CalibrationDocument(BaseModel):
    """What a gate sees on its own history."""

    model_config = ConfigDict(title="Calibration", ser_json_inf_nan="null")

    experiment: str
    spec_hash: str
    software_version: str
    runs: int
    seed: int
    alpha: float
    plan_s: float = Field(description="Length of the plan.")
    looks: int = Field(description="Looks that were taken in each run.")
    planned_looks: int
    kayenta_value_s: float = Field(description="Each of Kayenta's values covers so much time.")
    thresholds: dict[str, float] = Field(description="By metric, of the fixed threshold.")
    history: HistoryDocument
    notes: tuple[str, ...]
    scenarios: tuple[ScenarioDocument, ...]

    @classmethod
    def of(
        cls,
        spec: Experiment,
        replay: Replay,
        scenarios: tuple[Scenario, ...],
        *,
        runs: int,
        planned_looks: int,
        notes: tuple[str, ...],
    ) -> Self:
        """The document of a finished replay."""
        setting = replay.setting
        return cls(
            experiment=spec.experiment,
            spec_hash=spec.spec_hash,
            software_version=version("split-verdict"),
            runs=runs,
            seed=replay.seed,
            alpha=setting.plan.alpha,
            plan_s=setting.plan.end_ms / 1000,
            looks=len(setting.looks_ms),
            planned_looks=planned_looks,
            kayenta_value_s=setting.kayenta_step * setting.plan.bucket_ms / 1000,
            thresholds=_thresholds(setting),
            history=_history(spec, replay),
            notes=notes,
            scenarios=tuple(ScenarioDocument.of(scenario) for scenario in scenarios),
        )

    def to_json(self) -> str:
        """The JSON text, byte for byte the same for the same seed and history."""
        return self.model_dump_json(indent=2) + "\n"

    def sentences(self) -> tuple[str, ...]:
        """What our judge can see, a sentence a scenario; then both errors of every judge."""
        return (*map(_sentence, self.scenarios), *self._errors())

    def _errors(self) -> Iterator[str]:
        first = self.scenarios[0]
        shares = [(found.judge, found.rolled_back.value) for found in first.judges]
        yield f"Rolled back without a difference: {_by_judge(shares)}."
        harmful = [scenario for scenario in self.scenarios if scenario.excess > 0]
        if harmful:
            worst = [
                (judge, max(scenario.by(judge).promoted.value for scenario in harmful))
                for judge in Judge
            ]
            yield f"Promoted despite harm beyond the margin, at worst: {_by_judge(worst)}."


def _by_judge(shares: list[tuple[Judge, float]]) -> str:
    return ", ".join(f"{judge.value} {share:.1%}" for judge, share in shares)


def _thresholds(setting: Setting) -> dict[str, float]:
    names = [metric.name for metric in setting.plan.metrics]
    return dict(zip(names, setting.thresholds.tolist(), strict=True))


def _history(spec: Experiment, replay: Replay) -> HistoryDocument:
    history = replay.history
    return HistoryDocument(
        variant=spec.baseline,
        first=instant(int(history.starts_ms[0])),
        last=instant(int(history.starts_ms[-1])),
        buckets=len(history.starts_ms),
        requests=history.requests,
        failed_share=history.failed_share,
        bursts=replay.bursts,
        median_latency_ms=history.median_ms or None,
    )


def _sentence(scenario: ScenarioDocument) -> str:
    ours = scenario.by(Judge.VERDICT)
    rolled_back, promoted = ours.rolled_back.value, ours.promoted.value
    when = f", median {span(ours.median_s)}" if ours.median_s is not None else ""
    text = (
        f"A canary that {scenario.text} is rolled back in {rolled_back:.1%} of runs{when}; "
        f"it is promoted in {promoted:.1%}."
    )
    return f"{text} {_beside_margin(scenario)}".rstrip()


def _beside_margin(scenario: ScenarioDocument) -> str:
    """Says where an injection is no harm by the spec's own margins."""
    if scenario.excess >= 0 or scenario.scenario == NO_HARM.name:
        return ""
    name, harm = max(scenario.harm.items(), key=lambda item: item[1])
    if harm <= 0:
        return "No metric of the spec sees a difference."
    return f"{name} rises by {points(harm)}, within its margin of {points(scenario.margin[name])}."


def span(seconds: float | None) -> str:
    """A time as a person says it: 40 s, 21 min, 3.5 h; a dash for none."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000
