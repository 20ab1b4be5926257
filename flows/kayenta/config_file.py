"""Reads Spinnaker's canary configs: what is judged, and how; not where values are queried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from analysis.kayenta.config import CanaryConfig
from flows.formats.json_file import read_json
from flows.formats.problems import FieldPath, did_you_mean, nearest, unknown_field
from flows.kayenta.config_schema import (
    CanaryAnalysis,
    CanaryConfigFile,
    EffectSize,
    Metric,
    Outliers,
    ScoreThresholds,
    written_fields,
)

_LARGEST_FILE = 1_000_000


def load_canary_config(path: Path) -> CanaryConfig:
    """The config in one file, alone or within a request to Kayenta (`canaryConfig`).

    A request's own thresholds win. Raises InputError with every problem.
    """
    file = read_json(path, largest=_LARGEST_FILE)
    root: FieldPath = ()
    data = file.data
    if isinstance(data, dict) and "canaryConfig" in data:
        root, data = ("canaryConfig",), data["canaryConfig"]
    if not isinstance(data, dict):
        raise file.error([(root, "must be an object with fields such as metrics and classifier")])
    request = ("executionRequest", "thresholds")
    try:
        config = CanaryConfigFile.model_validate(written_fields(data))
    except ValidationError as error:
        # Of a list whose items are all wrong pydantic says that it has none, too.
        found = [
            _finding(detail, root)
            for detail in error.errors()
            if not (detail["type"] == "too_short" and detail["input"])
        ]
        raise file.error([*found, *_slips(data, root)]) from error
    findings = [*_slips(data, root), *_twins(config.metrics, root)]
    if findings:
        raise file.error(findings)
    written = _at(file.data, request) if root else None
    try:
        thresholds = (
            ScoreThresholds.model_validate(written_fields(written))
            if written is not None
            else config.classifier.score_thresholds
        )
    except ValidationError as error:
        raise file.error(_finding(detail, request) for detail in error.errors()) from error
    return CanaryConfig(
        metrics=tuple(metric.config() for metric in config.metrics),
        name=config.name or path.stem,
        group_weights=config.classifier.group_weights,
        pass_threshold=thresholds.pass_,
        marginal_threshold=thresholds.marginal,
    )


_ABSENT = {"missing": "is missing", "too_short": "is empty, must hold at least one"}


def _finding(detail: ErrorDetails, root: FieldPath) -> tuple[FieldPath, str]:
    """One of pydantic's errors in our words."""
    at: FieldPath = (*root, *detail["loc"])
    value, kind, context = detail["input"], detail["type"], detail.get("ctx", {})
    shown = "" if isinstance(value, dict | list) else f"is {value!r}, "
    if kind in _ABSENT:
        return at, _ABSENT[kind]
    if kind == "extra_forbidden":
        return at, unknown_field(str(at[-1]), _CANARY_FIELDS)
    if kind == "value_error":
        return at, str(context["error"])
    if kind == "enum":
        words = [
            word for word in context["expected"].split("'") if word.strip(", ") not in ("", "or")
        ]
        hint = did_you_mean(str(value), words)
        return at, f"{shown}must be {context['expected']}{hint}"
    if kind in ("model_type", "dict_type"):
        return at, f"{shown}must be an object"
    return at, shown + detail["msg"].replace("Input should be", "must be")


_CANARY_FIELDS = [
    field.alias or to_camel(written)
    for model in (CanaryAnalysis, EffectSize, Outliers, ScoreThresholds)
    for written, field in model.model_fields.items()
]
_OPEN_FIELDS = {
    "config": ("name", "judge", "metrics", "classifier"),
    "metric": ("name", "groups", "analysisConfigurations"),
    "analysis": ("canary",),
    "classifier": ("groupWeights", "scoreThresholds"),
}
_SPINNAKERS_FIELDS = ("services", "service", "templates", "description", "query", "scopeName")


def _slips(data: dict[str, Any], root: FieldPath) -> Iterator[tuple[FieldPath, str]]:
    """Misspelt fields in blocks that may hold Spinnaker's own: ignored, they'd change a verdict."""
    yield from _slips_of("config", data, root)
    yield from _slips_of("classifier", data.get("classifier"), (*root, "classifier"))
    metrics = data.get("metrics")
    for index, metric in enumerate(metrics if isinstance(metrics, list) else ()):
        at = (*root, "metrics", index)
        yield from _slips_of("metric", metric, at)
        if isinstance(metric, dict):
            inner = (*at, "analysisConfigurations")
            yield from _slips_of("analysis", metric.get("analysisConfigurations"), inner)


def _slips_of(block: str, data: Any, at: FieldPath) -> Iterator[tuple[FieldPath, str]]:
    known = _OPEN_FIELDS[block]
    for name in data if isinstance(data, dict) else ():
        if name in known or name in _SPINNAKERS_FIELDS:
            continue
        if nearest(name, known, likeness=0.75):
            yield (*at, name), unknown_field(name, known)


def _twins(metrics: Sequence[Metric], root: FieldPath) -> Iterator[tuple[FieldPath, str]]:
    seen: dict[str, int] = {}
    for index, metric in enumerate(metrics):
        first = seen.setdefault(metric.name, index)
        if first != index:
            yield (
                (*root, "metrics", index, "name"),
                f"is {metric.name!r}, as metrics[{first}] is; values are found by name",
            )


def _at(data: Any, path: FieldPath) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data
