"""Metrics of Argo Rollouts: its AnalysisTemplates, and what a Rollout says of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from flows.manifests.argo_conditions import ValueLimits, limits_of
from flows.manifests.metric_queries import COMPARES, FoundMetric, no_promql
from flows.manifests.objects import Manifest
from flows.manifests.values import fields_of, items_of, text_of

_ARGUMENT = re.compile(r"\{\{\s*args\.([A-Za-z0-9_-]+)\s*\}\}")
_TEMPLATES = ("AnalysisTemplate", "ClusterAnalysisTemplate")
_ANALYSES = (*_TEMPLATES, "AnalysisRun")


def argo_metrics(objects: Sequence[Manifest], scope: str) -> Iterator[FoundMetric]:
    """Every metric of the objects, and the templates that are named and not there.

    scope: the placeholder that tells versions apart.
    """
    analyses = [(one, each) for one in objects if one.kind == "Rollout" for each in _analyses(one)]
    for one in (one for one in objects if one.kind in _ANALYSES):
        its = [analysis for _, analysis in analyses if one.name in _templates_of(analysis)]
        yield from _metrics(one, its, scope)
    there = {one.name for one in objects if one.kind in _TEMPLATES}
    named = dict.fromkeys(
        (str(rollout), name) for rollout, each in analyses for name in _templates_of(each)
    )
    for rollout, name in named:
        if name not in there:
            why = "this AnalysisTemplate is in none of the files; add its file to --from"
            yield FoundMetric(name, rollout, other=why)


def _analyses(rollout: Manifest) -> list[dict[str, Any]]:
    """What a Rollout analyses: in the background, in steps, before and after the switch."""
    strategy = fields_of(rollout.spec.get("strategy"))
    canary, blue_green = (fields_of(strategy.get(name)) for name in ("canary", "blueGreen"))
    steps = map(fields_of, items_of(canary.get("steps")))
    found = [canary.get("analysis"), *(step.get("analysis") for step in steps)]
    found += [blue_green.get(f"{name}PromotionAnalysis") for name in ("pre", "post")]
    return list(map(fields_of, found))


def _templates_of(analysis: dict[str, Any]) -> list[str]:
    names = (fields_of(one).get("templateName") for one in items_of(analysis.get("templates")))
    return [name for name in map(text_of, names) if name is not None]


def _metrics(
    manifest: Manifest, analyses: Sequence[dict[str, Any]], scope: str
) -> Iterator[FoundMetric]:
    ways = [_known(manifest.spec, one) for one in analyses or [{}]]
    for metric in map(fields_of, items_of(manifest.spec.get("metrics"))):
        found: list[FoundMetric] = []
        for given in ways:
            one = _metric(
                manifest, metric, given, scope, is_dry=_is_dry(metric, manifest, analyses)
            )
            found += [one] if one not in found else []
        yield from found


def _metric(
    manifest: Manifest, metric: dict[str, Any], given: dict[str, str], scope: str, *, is_dry: bool
) -> FoundMetric:
    """As it is asked with these values of its arguments."""
    providers = fields_of(metric.get("provider"))
    query = text_of(fields_of(providers.get("prometheus")).get("query")) or ""
    other = "" if query else no_promql(", ".join(map(str, providers)), has_query=False)
    limits = _limits(metric)
    return FoundMetric(
        text_of(metric.get("name")) or "metric",
        f"{manifest}",
        query=_in_our_words(query, given, scope),
        other=COMPARES if _names_alike(query, given) else other,
        lowest=limits.lowest,
        highest=limits.highest,
        fields={"role": "info"} if is_dry else {},
        checks=limits.checks,
    )


def _is_dry(metric: dict[str, Any], manifest: Manifest, analyses: Sequence[dict[str, Any]]) -> bool:
    """Whether it decides nothing in any analysis: by its template, or by each of them."""
    name = text_of(metric.get("name")) or "metric"

    def is_named(owner: dict[str, Any]) -> bool:
        rules = map(fields_of, items_of(owner.get("dryRun")))
        return any(_matches(str(rule.get("metricName")), name) for rule in rules)

    return is_named(manifest.spec) or (bool(analyses) and all(map(is_named, analyses)))


def _known(template: dict[str, Any], analysis: dict[str, Any]) -> dict[str, str]:
    """The arguments that have a value: what an analysis says goes before the template's own.

    One without a value of its own whose name says what it stands for is that of any version.
    """
    own, said = _values(template), _values(analysis)
    named = {name: said[name] for name in said if own.get(name) or not _role(name)}
    return {name: value for name, value in {**own, **named}.items() if value is not None}


def _values(owner: dict[str, Any]) -> dict[str, str | None]:
    """By argument, its value; None of one without, or that comes from elsewhere (a pod's label)."""
    arguments = map(fields_of, items_of(owner.get("args")))
    found = {str(a.get("name")): a.get("value") for a in arguments}
    return {name: None if value is None else str(value) for name, value in found.items()}


def _matches(rule: str, name: str) -> bool:
    """Argo takes a rule as a pattern that is looked for anywhere in the name."""
    try:
        return re.search(rule, name) is not None
    except re.error:
        return rule == name


def _limits(metric: dict[str, Any]) -> ValueLimits:
    """What the value must be: for success, else for no failure."""
    wanted, unwanted = (text_of(metric.get(f"{one}Condition")) for one in ("success", "failure"))
    failure = limits_of(unwanted, is_failure=True) if unwanted else ValueLimits()
    if not wanted:
        return failure
    found = limits_of(wanted, is_failure=False)
    if not unwanted or (found.lowest, found.highest) == (failure.lowest, failure.highest):
        return found
    said = f"its failureCondition {unwanted!r} isn't converted, its successCondition is"
    return replace(found, checks=(*found.checks, said))


def _in_our_words(query: str, given: dict[str, str], scope: str) -> str:
    def argument(found: re.Match[str]) -> str:
        if found[1] in given:
            return given[found[1]]
        role = _role(found[1])
        if role == "version":
            return f"{{{{{scope}}}}}"
        return f"{{{{{role}}}}}" if role else found[0]

    return _ARGUMENT.sub(argument, query)


def _role(name: str) -> str:
    """What an argument without a value stands for, by its name; empty where that isn't known."""
    if "namespace" in name:
        return "namespace"
    if "service" in name and "port" not in name:
        return "service"
    return "version" if re.search(r"hash|version|canary|stable|revision", name) else ""


def _names_alike(query: str, given: dict[str, str]) -> bool:
    """Whether two arguments would stand for the same version or Service here."""
    roles = [_role(name) for name in {*_ARGUMENT.findall(query)} - {*given}]
    return any(roles.count(role) > 1 for role in ("version", "service"))
