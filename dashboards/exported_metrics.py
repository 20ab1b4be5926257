"""What we measured and decided as Prometheus metrics: the guide's by its names, and our own."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from dashboards.gauges import gauge, labels_of
from dashboards.verdict_metrics import VerdictSamples, render_verdicts

# The guide's metrics, by the end of their names.
GUIDE_HELP = {
    "traffic_split_percentage": "Percentage of traffic routed to each service version",
    "ab_test_conversion_rate": "Conversion rate for A/B test variants",
    "canary_health_score": "Health score of canary deployments",
}
PREFIX_PATTERN = r"[a-zA-Z_:][a-zA-Z0-9_:]*"


@dataclass(frozen=True, slots=True)
class TrafficShare:
    """Percentage, 0..100, of the service's traffic that a version got."""

    service: str
    version: str
    namespace: str
    percentage: float


@dataclass(frozen=True, slots=True)
class ConversionRate:
    """Share, 0..1, of a variant's users with the outcome."""

    variant: str
    outcome: str
    rate: float


@dataclass(frozen=True, slots=True)
class HealthScore:
    """Health, 0..100, of a candidate."""

    service: str
    deployment_version: str
    score: float


@dataclass(frozen=True, slots=True)
class ExperimentMetrics:
    """What one look at one experiment exports; values that are not numbers are left out.

    verdict: the same look as metrics of our own.
    look_at_ms: milliseconds since the epoch. Two experiments can speak of the same version of a
        service, and the labels can't tell them apart: then the later look counts.
    """

    experiment: str
    look_at_ms: int
    shares: tuple[TrafficShare, ...] = ()
    conversions: tuple[ConversionRate, ...] = ()
    scores: tuple[HealthScore, ...] = ()
    verdict: VerdictSamples | None = None


@dataclass(frozen=True, slots=True)
class _Sample:
    labels: str
    value: float
    experiment: str


def render_metrics(experiments: Iterable[ExperimentMetrics], *, prefix: str = "edtech") -> str:
    """The guide's three metrics and our own in Prometheus' text format, in an order of their own.

    A sample that gives way to a later look's is named in a comment. Raises ValueError if the
    prefix can't begin a metric's name.
    """
    if not re.fullmatch(PREFIX_PATTERN, prefix):
        raise ValueError(f"metric prefix {prefix!r} must be letters, digits and underscores")
    looks = sorted(experiments, key=lambda look: (-look.look_at_ms, look.experiment))
    samples = (_shares, _conversions, _scores)
    families = (
        _family(f"{prefix}_{name}", said, [sample for look in looks for sample in of(look)])
        for (name, said), of in zip(GUIDE_HELP.items(), samples, strict=True)
    )
    return "".join(families) + render_verdicts(look.verdict for look in looks if look.verdict)


def _shares(look: ExperimentMetrics) -> list[_Sample]:
    return [
        _sample(
            look, share.percentage, service=share.service, version=share.version,
            namespace=share.namespace,
        )
        for share in look.shares
    ]  # fmt: skip


def _conversions(look: ExperimentMetrics) -> list[_Sample]:
    return [
        _sample(
            look, conversion.rate, experiment=look.experiment, variant=conversion.variant,
            outcome=conversion.outcome,
        )
        for conversion in look.conversions
    ]  # fmt: skip


def _scores(look: ExperimentMetrics) -> list[_Sample]:
    return [
        _sample(
            look, health.score, service=health.service,
            deployment_version=health.deployment_version,
        )
        for health in look.scores
    ]  # fmt: skip


def _sample(look: ExperimentMetrics, value: float, /, **labels: str) -> _Sample:
    return _Sample(labels=labels_of(labels), value=value, experiment=look.experiment)


def _family(name: str, help_text: str, samples: list[_Sample]) -> str:
    """One metric's lines, sorted; of the samples with the same labels the first counts.

    Empty without samples.
    """
    kept: dict[str, _Sample] = {}
    comments = []
    for sample in samples:
        if not math.isfinite(sample.value):
            continue
        winner = kept.setdefault(sample.labels, sample)
        if winner is not sample:
            comments.append(
                f"# {name}{{{sample.labels}}} of {sample.experiment} left out: "
                f"{winner.experiment} looked later"
            )
    return gauge(name, help_text, ((s.labels, float(s.value)) for s in kept.values()), comments)
