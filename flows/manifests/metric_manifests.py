"""Metrics of Flagger's MetricTemplates, Argo's AnalysisTemplates and Kayenta's canary configs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.formats.yaml_file import read_documents
from flows.manifests.flagger_metrics import flagger_metrics
from flows.manifests.metric_queries import FoundMetric, no_promql
from flows.manifests.objects import Manifest, manifests_of
from flows.manifests.values import fields_of, items_of, number_of, text_of

_TEMPLATES = ("AnalysisTemplate", "ClusterAnalysisTemplate")
_ANALYSES = (*_TEMPLATES, "AnalysisRun")
# Stages of a Spinnaker pipeline.
_JUDGES = ("canaryJudge", "kayentaCanary")
_CONDITION = re.compile(r"\s*result(?:\[0\])?\s*(>=|<=|>|<)\s*([0-9.]+)\s*")
_OPPOSITE = {">": "<", "<": ">", ">=": "<=", "<=": ">="}


def metrics_in(paths: Sequence[Path], scope: str) -> list[FoundMetric]:
    """Every metric of the files. scope: the placeholder that tells versions apart ("version").

    Raises InputError where a file can't be read.
    """
    documents = [document for path in paths for document in read_documents(path)]
    objects = [manifest for document in documents for manifest in manifests_of(document)]
    found = list(flagger_metrics(objects, scope))
    found += [metric for one in objects if one.kind in _ANALYSES for metric in _argo(one, scope)]
    found += _missing_templates(objects)
    for document in documents:
        found += _kayenta(fields_of(document.data), document.file, scope)
    return _named_once(found)


def _named_once(found: Sequence[FoundMetric]) -> list[FoundMetric]:
    names: list[str] = []
    out = []
    for one in found:
        name = re.sub(r"[^a-z0-9-]+", "-", one.name.lower()).strip("-")[:60].strip("-") or "metric"
        while name in names:
            name += "-2"
        names.append(name)
        out.append(replace(one, name=name))
    return out


def _argo(manifest: Manifest, scope: str) -> Iterator[FoundMetric]:
    given = {
        str(arg.get("name")): str(arg["value"])
        for arg in map(fields_of, items_of(manifest.spec.get("args")))
        if arg.get("value") is not None
    }
    dry = {fields_of(one).get("metricName") for one in items_of(manifest.spec.get("dryRun"))}
    for metric in map(fields_of, items_of(manifest.spec.get("metrics"))):
        name = text_of(metric.get("name")) or "metric"
        providers = fields_of(metric.get("provider"))
        prometheus = fields_of(providers.get("prometheus"))
        query = text_of(prometheus.get("query")) or ""
        lowest, highest = _argo_range(metric)
        yield FoundMetric(
            name,
            f"{manifest}",
            query=_argo_query(query, given, scope),
            other="" if query else no_promql(", ".join(map(str, providers)), has_query=False),
            lowest=lowest,
            highest=highest,
            fields={"role": "info"} if name in dry else {},
        )


def _argo_query(query: str, given: dict[str, str], scope: str) -> str:
    def argument(found: re.Match[str]) -> str:
        name = found[1]
        if name in given:
            return given[name]
        if "namespace" in name:
            return "{{namespace}}"
        if "service" in name:
            return "{{service}}"
        is_version = re.search(r"hash|version|canary|stable|revision", name)
        return f"{{{{{scope}}}}}" if is_version else found[0]

    return re.sub(r"\{\{\s*args\.([A-Za-z0-9_-]+)\s*\}\}", argument, query)


def _argo_range(metric: dict[str, Any]) -> tuple[float | None, float | None]:
    """What the value must be, where the condition is one comparison."""
    for field, turn in (("successCondition", False), ("failureCondition", True)):
        found = _CONDITION.fullmatch(str(metric.get(field) or ""))
        if found:
            sign, bound = (_OPPOSITE[found[1]] if turn else found[1]), float(found[2])
            return (bound, None) if sign.startswith(">") else (None, bound)
    return None, None


def _missing_templates(objects: Sequence[Manifest]) -> Iterator[FoundMetric]:
    """The templates that a Rollout's analyses name and that are in none of the files."""
    there = {one.name for one in objects if one.kind in _TEMPLATES}
    for rollout in (one for one in objects if one.kind == "Rollout"):
        strategy = fields_of(rollout.spec.get("strategy"))
        canary, blue_green = (fields_of(strategy.get(name)) for name in ("canary", "blueGreen"))
        steps = map(fields_of, items_of(canary.get("steps")))
        analyses = [canary.get("analysis"), *(step.get("analysis") for step in steps)]
        analyses += [blue_green.get(f"{name}PromotionAnalysis") for name in ("pre", "post")]
        named = [
            text_of(fields_of(template).get("templateName"))
            for analysis in analyses
            for template in items_of(fields_of(analysis).get("templates"))
        ]
        for name in dict.fromkeys(named):
            if name is not None and name not in there:
                why = "this AnalysisTemplate is in none of the files; add its file to --from"
                yield FoundMetric(name, str(rollout), other=why)


def _kayenta(config: dict[str, Any], file: str, scope: str) -> Iterator[FoundMetric]:
    if "kind" in config:
        return
    for stage in map(fields_of, items_of(config.get("stages"))):
        config_of = {**fields_of(stage.get("canaryConfig")), **stage}
        named = text_of(config_of.get("canaryConfigId"))
        if named is not None and stage.get("type") in _JUDGES:
            why = "its canary config is in none of the files; add its file to --from"
            yield FoundMetric(named, file, other=why)
    config = fields_of(config.get("canaryConfig")) or config
    if not ({"judge", "classifier"} & set(config)):
        return
    templates = fields_of(config.get("templates"))
    for metric in map(fields_of, items_of(config.get("metrics"))):
        query = fields_of(metric.get("query"))
        canary = fields_of(fields_of(metric.get("analysisConfigurations")).get("canary"))
        store = text_of(query.get("type")) or "unknown"
        text, checks = _kayenta_query(query, templates, scope)
        judged = "`verdict judge` takes its values from files (docs/how-to/kayenta.md)"
        other = "" if store == "prometheus" else f"{store} answers no PromQL; {judged}"
        yield FoundMetric(
            text_of(metric.get("name")) or "metric",
            file,
            query=text,
            other=other or ("" if text else "its query's template is not in the file"),
            fields=_kayenta_fields(metric, canary),
            checks=checks,
        )


def _kayenta_fields(metric: dict[str, Any], canary: dict[str, Any]) -> dict[str, str]:
    fields = {}
    direction = canary.get("direction")
    if direction in ("increase", "decrease"):
        fields["better"] = "lower" if direction == "increase" else "higher"
    effect = fields_of(canary.get("effectSize"))
    up, down = number_of(effect.get("allowedIncrease")), number_of(effect.get("allowedDecrease"))
    if direction != "decrease" and up is not None and 1 < up < 2:
        fields["margin"] = f"{100 * (up - 1):.4g}%"
    elif direction == "decrease" and down is not None and 0 < down < 1:
        fields["margin"] = f"{100 * (1 - down):.4g}%"
    if canary.get("critical") is True:
        fields["critical"] = "true"
    if canary.get("muted") is True:
        fields["role"] = "info"
    return fields


def _kayenta_query(
    query: dict[str, Any], templates: dict[str, Any], scope: str
) -> tuple[str, tuple[str, ...]]:
    inline = text_of(query.get("customInlineTemplate")) or ""
    named = text_of(templates.get(str(query.get("customFilterTemplate")))) or ""
    text, name = inline.removeprefix("PromQL:") or named, text_of(query.get("metricName"))
    place = (
        (r"\$\{(?:scope|versionScope)\}", f"{{{{{scope}}}}}"),
        (
            r"\$\{(?:location|namespace)\}",
            "{{namespace}}",
        ),
    )
    if inline:
        return _replaced(text, *place), ()
    if not name or (query.get("customFilterTemplate") and not named):
        return "", ()
    bound = (
        [_replaced(named, *place)]
        if named
        else list(map(str, items_of(query.get("labelBindings"))))
    )
    if "{{" in "".join(bound):
        return f"avg({name}{{{','.join(bound)}}})", ()
    bound.append(f'version="{{{{{scope}}}}}"')
    return f"avg({name}{{{','.join(bound)}}})", ("which label names the version?",)


def _replaced(text: str, *patterns: tuple[str, str]) -> str:
    for pattern, stand_in in patterns:
        text = re.sub(pattern, stand_in, text)
    return text
