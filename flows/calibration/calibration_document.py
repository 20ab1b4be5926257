"""A calibration as others read it: JSON, and sentences."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Self

from pydantic import ConfigDict, Field

from analysis.calibration.injections import NO_HARM, points
from analysis.calibration.judges import Judge
from analysis.calibration.replay import Replay, Scenario
from analysis.explain.spans import span_s
from flows.calibration.request_outcomes import HistoryDocument, ScenarioDocument
from flows.calibration.user_outcomes import UserHistoryDocument, UserMetricCalibration
from flows.formats.json_schema import JsonDocument, document_schema
from flows.formats.time import instant
from flows.spec.experiment import Experiment


class CalibrationDocument(JsonDocument):
    """What a gate sees on its own history."""

    model_config = ConfigDict(title="Calibration")

    experiment: str
    spec_hash: str
    software_version: str
    runs: int
    seed: int
    alpha: float
    plan_s: float = Field(description="Length of the plan.")
    looks: int = Field(description="Looks that were taken in each run.")
    planned_looks: int
    kayenta_value_s: float | None = Field(
        description="Each of Kayenta's values covers so much time; null without request metrics."
    )
    thresholds: dict[str, float] = Field(description="By metric, of the fixed threshold.")
    history: HistoryDocument | None = Field(description="Of requests; null without such metrics.")
    notes: tuple[str, ...]
    scenarios: tuple[ScenarioDocument, ...] = Field(description="Of requests.")
    user_history: UserHistoryDocument | None = None
    users: tuple[UserMetricCalibration, ...] = Field(
        (), description="Metrics per user, each on its own."
    )

    @classmethod
    def of(
        cls,
        spec: Experiment,
        replay: Replay | None,
        scenarios: tuple[Scenario, ...],
        *,
        runs: int,
        seed: int,
        plan_s: float,
        planned_looks: int,
        notes: tuple[str, ...],
        users: tuple[UserMetricCalibration, ...],
        user_history: UserHistoryDocument | None,
    ) -> Self:
        """The document of a finished replay of requests, of users, or of both."""
        setting = replay.setting if replay else None
        return cls(
            experiment=spec.experiment,
            spec_hash=spec.spec_hash,
            software_version=version("split-verdict"),
            runs=runs,
            seed=seed,
            alpha=spec.plan.alpha,
            plan_s=plan_s,
            looks=len(setting.looks_ms) if setting else users[0].looks,
            planned_looks=planned_looks,
            kayenta_value_s=setting.kayenta_step * setting.plan.bucket_ms / 1000
            if setting
            else None,
            thresholds={
                metric.name: float(limit)
                for metric, limit in zip(setting.deciding, setting.thresholds, strict=True)
            }
            if setting
            else {},
            history=_history(spec, replay) if replay else None,
            notes=notes,
            scenarios=tuple(ScenarioDocument.of(scenario) for scenario in scenarios),
            users=users,
            user_history=user_history,
        )

    def sentences(self) -> tuple[str, ...]:
        """What our judge can see, a sentence a scenario; then both errors of every judge."""
        of_users = [sentence for metric in self.users for sentence in metric.sentences()]
        return (*map(_sentence, self.scenarios), *self._errors(), *of_users)

    def _errors(self) -> Iterator[str]:
        if not self.scenarios:
            return
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
    when = f", median {span_s(ours.median_s)}" if ours.median_s is not None else ""
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


def calibration_schema() -> str:
    """JSON Schema (draft 2020-12) of a calibration document."""
    return document_schema("calibration", CalibrationDocument)
