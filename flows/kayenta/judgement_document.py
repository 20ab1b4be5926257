"""What `verdict judge --json` prints, and its JSON Schema."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version
from typing import Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema

from analysis.kayenta.config import CanaryConfig
from analysis.kayenta.score import GroupScore
from flows.formats.exit_codes import exit_code
from flows.formats.json_schema import JsonDocument, document_schema
from flows.kayenta.metric_document import JudgedMetric


class JudgeKind(StrEnum):
    """kayenta: as Netflix's judge; verdict: ours, by paired intervals."""

    KAYENTA = "kayenta"
    VERDICT = "verdict"


class Judgement(StrEnum):
    """What all metrics say together."""

    PASS = "pass"
    MARGINAL = "marginal"
    UNCERTAIN = "uncertain"
    FAIL = "fail"
    NO_DATA = "no_data"


class JudgedLook(BaseModel):
    """One look of several: what the values of its window say."""

    start: datetime
    end: datetime
    decision: Judgement
    score: float
    reason: str

    @classmethod
    def of(cls, document: JudgementDocument, start: datetime, end: datetime) -> Self:
        """The look whose window this document judges."""
        return cls(
            start=start,
            end=end,
            decision=document.decision,
            score=document.score,
            reason=document.reason,
        )


class JudgementDocument(JsonDocument):
    """One judgement of series of values, with everything that is needed to understand it."""

    model_config = ConfigDict(title="Judgement")

    judge: JudgeKind
    config: str
    decision: Judgement
    exit_code: int = Field(description="What `verdict judge` exits with.")
    score: float = Field(description="0 to 100.")
    pass_threshold: float = Field(description="Of the score; without a part in our judge.")
    marginal_threshold: float
    reason: str
    warnings: tuple[str, ...] = Field(description="What the score can't show; of the metrics, too.")
    groups: tuple[GroupScore, ...]
    metrics: tuple[JudgedMetric, ...] = Field(description="Of several looks, the last one's.")
    looks: tuple[JudgedLook, ...] = Field(default=(), description="With --every: up to the end.")
    software_version: str

    @classmethod
    def of(
        cls,
        *,
        judge: JudgeKind,
        config: CanaryConfig,
        decision: Judgement,
        score: float,
        reason: str,
        groups: Sequence[GroupScore],
        metrics: Sequence[JudgedMetric],
        warnings: Sequence[str],
    ) -> Self:
        """The document of a judgement by this config."""
        return cls(
            judge=judge,
            config=config.name,
            decision=decision,
            exit_code=exit_code(decision),
            score=score,
            pass_threshold=config.pass_threshold,
            marginal_threshold=config.marginal_threshold,
            reason=reason,
            warnings=(
                *warnings,
                *(f"{metric.title}: {w.message}" for metric in metrics for w in metric.warnings),
            ),
            groups=tuple(groups),
            metrics=tuple(metrics),
            software_version=version("split-verdict"),
        )


def judgement_schema() -> str:
    """JSON Schema (draft 2020-12) of a judgement."""
    return document_schema("judgement", JudgementDocument, GenerateJsonSchema)
