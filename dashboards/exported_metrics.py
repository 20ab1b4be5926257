"""What we measured and decided as Prometheus metrics: their text, or a push to a Pushgateway."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote as quote_url

import requests
import urllib3

from dashboards.promql import quote

PREFIX_PATTERN = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
# Bytes of an answer that a message quotes.
_MOST_SAID = 2048
_JOB = "split-verdict"


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

    look_at_ms: milliseconds since the epoch. Two experiments can speak of the same version of a
        service, and the labels can't tell them apart: then the later look counts.
    """

    experiment: str
    look_at_ms: int
    shares: tuple[TrafficShare, ...] = ()
    conversions: tuple[ConversionRate, ...] = ()
    scores: tuple[HealthScore, ...] = ()


class PushFailed(Exception):
    """The Pushgateway did not take the metrics."""


@dataclass(frozen=True, slots=True)
class _Sample:
    labels: str
    value: float
    experiment: str


def render_metrics(experiments: Iterable[ExperimentMetrics], *, prefix: str = "edtech") -> str:
    """The three metrics in Prometheus' text format, the same text whatever the input's order.

    A sample that gives way to a later look's is named in a comment. Raises ValueError if the
    prefix can't begin a metric's name.
    """
    if not re.fullmatch(PREFIX_PATTERN, prefix):
        raise ValueError(f"metric prefix {prefix!r} must be letters, digits and underscores")
    looks = sorted(experiments, key=lambda look: (-look.look_at_ms, look.experiment))
    families = (
        _family(
            f"{prefix}_traffic_split_percentage",
            "Percentage of traffic routed to each service version",
            [sample for look in looks for sample in _shares(look)],
        ),
        _family(
            f"{prefix}_ab_test_conversion_rate",
            "Conversion rate for A/B test variants",
            [sample for look in looks for sample in _conversions(look)],
        ),
        _family(
            f"{prefix}_canary_health_score",
            "Health score of canary deployments",
            [sample for look in looks for sample in _scores(look)],
        ),
    )
    return "".join(families)


class _Direct(requests.Session):
    """Follows no redirect, and reads none: requests reads all of its text otherwise."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: the redirect is the answer."""


def push_metrics(
    look: ExperimentMetrics,
    url: str,
    *,
    prefix: str = "edtech",
    timeout_s: float = 5.0,
    login: tuple[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
) -> None:
    """Replaces the experiment's group on the Pushgateway at the URL.

    login: user and password. parameters: of every request, such as a token.

    Scrape the gateway with honor_labels. Raises PushFailed if it can't be reached or refuses.
    """
    target = (
        f"{url.rstrip('/')}/metrics/job/{_JOB}/experiment/{quote_url(look.experiment, safe='')}"
    )
    body = render_metrics([look], prefix=prefix).encode()
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    try:
        with (
            _Direct() as session,
            session.put(
                target,
                data=body,
                headers=headers,
                timeout=timeout_s,
                auth=login,
                params=parameters,
                stream=True,
            ) as answer,
        ):
            if 200 <= answer.status_code < 300:
                return
            said = b"" if answer.is_redirect else answer.raw.read1(_MOST_SAID, decode_content=True)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise PushFailed(f"Pushgateway {url} can't be reached: {error}") from error
    if answer.is_redirect:
        raise PushFailed(f"Pushgateway {url} redirects to another address: name that one")
    words = " ".join(said.decode(errors="replace").split())
    raise PushFailed(
        f"Pushgateway {url} refused the metrics of {look.experiment} with status "
        f"{answer.status_code}: {words or answer.reason}"
    )


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
    text = ",".join(f"{name}={quote(label)}" for name, label in labels.items())
    return _Sample(labels=text, value=value, experiment=look.experiment)


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
    if not kept:
        return ""
    values = sorted(f"{name}{{{s.labels}}} {float(s.value)!r}" for s in kept.values())
    header = [f"# HELP {name} {help_text}", f"# TYPE {name} gauge"]
    return "\n".join([*header, *sorted(comments), *values]) + "\n"
