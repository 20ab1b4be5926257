"""Metrics of Flagger: its MetricTemplates, and what a Canary asks of requests without one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from flows.manifests.metric_queries import COMPARES, FoundMetric, no_promql
from flows.manifests.objects import Manifest
from flows.manifests.values import fields_of, items_of, number_of, text_of

# Flagger's own metrics, by the name that its first versions had, too.
_SUCCESS = ("request-success-rate", "istio_requests_total")
_DURATION = ("request-duration", "istio_request_duration_seconds_bucket")
_ROLE = r"\{\{\s*(?:target|service|name)\s*\}\}-(canary|primary)"
# An objective is above 0.
_LEAST_SHARE = 1e-4
_ADD_CANARY = "; add the file of the Canary that says it to --from"


def flagger_metrics(objects: Sequence[Manifest], scope: str) -> Iterator[FoundMetric]:
    """Every metric of the objects. scope: the placeholder that tells versions apart."""
    canaries = [one for one in objects if one.kind == "Canary"]
    templates = {one.name: one for one in objects if one.kind == "MetricTemplate"}
    for template in templates.values():
        yield from _uses(template, canaries, scope)
    for canary in canaries:
        for metric in _asked(canary):
            yield from _of_canary(canary, metric, templates.keys())


def _asked(canary: Manifest, *, of: str | None = None) -> list[dict[str, Any]]:
    """The metrics of its analysis; of: of a MetricTemplate of that name only."""
    analysis = canary.spec.get("analysis") or canary.spec.get("canaryAnalysis")
    found = list(map(fields_of, items_of(fields_of(analysis).get("metrics"))))
    return [m for m in found if of in (None, fields_of(m.get("templateRef")).get("name"))]


def _of_canary(
    canary: Manifest, metric: dict[str, Any], templates: Collection[str]
) -> Iterator[FoundMetric]:
    """Its limits on requests as metrics of requests; which templates are not there."""
    name = text_of(metric.get("name")) or "metric"
    lowest, highest = _range(metric)
    named = text_of(fields_of(metric.get("templateRef")).get("name"))
    where = str(canary)
    old = number_of(metric.get("threshold"))
    if named is not None:
        if named not in templates:
            why = f"its MetricTemplate {named} is in none of the files; add its file to --from"
            yield FoundMetric(name, where, other=why)
    elif name in _SUCCESS:
        percent = lowest if lowest is not None else old
        if percent is not None and not 50 <= percent <= 100:
            rest = "no request can be so good" if percent > 100 else "over half of all may fail"
            why = f"{percent:g} is in percent of requests: {rest}; set `objective`"
            yield FoundMetric(name, where, other=why)
        elif percent is not None:
            failed = max(1 - percent / 100, _LEAST_SHARE)
            share = {"objective": f"{failed:.6g}", "critical": "true"}
            checks = (f"100 % is never proven: {failed:.2%} may fail",) if percent == 100 else ()
            fields = {"kind": "error_share", **share}
            yield FoundMetric("errors", where, fields=fields, checks=checks)
    elif name in _DURATION:
        most = highest if highest is not None else old
        if most is not None and most > 0:
            tail = {"above": f"{most:g}ms", "quantile": "0.99", "objective": "0.01"}
            yield FoundMetric("p99", where, fields={"kind": "slow_share", **tail})
    else:
        why = "Flagger has no metric of that name, and the metric has no `templateRef`"
        yield FoundMetric(name, where, other=why)


def _uses(template: Manifest, canaries: Sequence[Manifest], scope: str) -> Iterator[FoundMetric]:
    """A template as it stands, or in each way in which Canaries ask it."""
    found: list[FoundMetric] = []
    for canary in canaries:
        for metric in _asked(canary, of=template.name):
            one = _template(template, canary, metric, scope)
            # What another Canary asks is not this experiment's.
            one = replace(one, origin=str(canary)) if len(canaries) > 1 else one
            found += [one] if one not in found else []
    yield from found or [_template(template, None, {}, scope)]


def _template(
    manifest: Manifest, canary: Manifest | None, metric: dict[str, Any], scope: str
) -> FoundMetric:
    provider = fields_of(manifest.spec.get("provider"))
    kind = text_of(provider.get("type")) or ""
    query = text_of(manifest.spec.get("query")) or ""
    other = "" if query and kind == "prometheus" else no_promql(kind, has_query=bool(query))
    lowest, highest = _range(metric)
    checks: tuple[str, ...] = ()
    if scope == "service" and re.search(r"\{\{\s*target\s*\}\}(?!-(?:canary|primary))", query):
        checks = ("{{service}} stands where Flagger has the Deployment's name; which label fits?",)
    return FoundMetric(
        manifest.name,
        str(manifest),
        query=_in_our_words(query, canary, metric, scope),
        other=COMPARES if _compares(query) else other,
        lowest=lowest,
        highest=highest,
        checks=checks,
        remedy="" if canary else _ADD_CANARY,
    )


def _compares(query: str) -> bool:
    """Whether it names the primary beside the canary, or beside the target, which is the canary."""
    roles = set(re.findall(rf"{_ROLE}|(\{{\{{\s*target\s*\}}\}})", query))
    named = {found[0] or ("target" if found[1] else "") for found in roles}
    return "primary" in named and bool(named & {"canary", "target"})


def _range(metric: dict[str, Any]) -> tuple[float | None, float | None]:
    """Its limits; the older `threshold` of a template's metric is a highest value."""
    wanted = fields_of(metric.get("thresholdRange"))
    lowest, highest = number_of(wanted.get("min")), number_of(wanted.get("max"))
    if lowest is None and highest is None and metric.get("templateRef") is not None:
        highest = number_of(metric.get("threshold"))
    return lowest, highest


def _in_our_words(query: str, canary: Manifest | None, metric: dict[str, Any], scope: str) -> str:
    """The query, with what the Canary says of it, and our names for Flagger's."""
    known = {f"variables.{k}": v for k, v in fields_of(metric.get("templateVariables")).items()}
    if canary is not None:
        for name in ("route", "ingress"):
            known[name] = fields_of(canary.spec.get(f"{name}Ref")).get("name")
    text = re.sub(_ROLE, "{{service}}", query)
    for name, stand_in in {
        **{name: str(value) for name, value in known.items() if value is not None},
        "target": f"{{{{{scope}}}}}",
        "service": "{{service}}",
        "namespace": "{{namespace}}",
        "interval": "1m",
    }.items():
        text = re.sub(rf"\{{\{{\s*{re.escape(name)}\s*\}}\}}", stand_in.replace("\\", r"\\"), text)
    return text
