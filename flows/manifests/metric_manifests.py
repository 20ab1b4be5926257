"""Metrics of Flagger's MetricTemplates, Argo's AnalysisTemplates and Kayenta's canary configs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.formats.yaml_file import read_documents
from flows.manifests.argo_metrics import argo_metrics
from flows.manifests.flagger_metrics import flagger_metrics
from flows.manifests.metric_queries import FoundMetric
from flows.manifests.objects import manifests_of
from flows.manifests.values import fields_of, items_of, number_of, text_of

# Stages of a Spinnaker pipeline.
_JUDGES = ("canaryJudge", "kayentaCanary")


def metrics_in(paths: Sequence[Path], scope: str) -> list[FoundMetric]:
    """Every metric of the files. scope: the placeholder that tells versions apart ("version").

    Raises InputError where a file can't be read.
    """
    documents = [document for path in paths for document in read_documents(path)]
    objects = [manifest for document in documents for manifest in manifests_of(document)]
    found = list(flagger_metrics(objects, scope))
    found += argo_metrics(objects, scope)
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
        else [_replaced(str(one), *place) for one in items_of(query.get("labelBindings"))]
    )
    if "{{" in "".join(bound):
        return f"avg({name}{{{','.join(bound)}}})", ()
    bound.append(f'version="{{{{{scope}}}}}"')
    return f"avg({name}{{{','.join(bound)}}})", ("which label names the version?",)


def _replaced(text: str, *patterns: tuple[str, str]) -> str:
    for pattern, stand_in in patterns:
        text = re.sub(pattern, stand_in, text)
    return text
