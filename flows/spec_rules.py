"""Rules between the fields of a spec, checked on what was written, whatever else is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flows.spec import Experiment, Role
from flows.spec_fields import parse_duration

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at a path of the spec, and what would be right."""

    path: Path
    message: str


def check_rules(data: Any, spec: Experiment | None = None) -> Iterator[Finding]:
    """Every broken rule. data: the file as written; spec: its meaning, if each field is right."""
    if not isinstance(data, dict):
        return
    variants = list(data["variants"]) if isinstance(data.get("variants"), dict) else []
    yield from _check_split(data.get("split"), ("split",), variants)
    plan = data.get("plan") if isinstance(data.get("plan"), dict) else {}
    stages = plan.get("stages") if isinstance(plan, dict) else None
    for index, stage in enumerate(stages if isinstance(stages, list) else []):
        if isinstance(stage, dict):
            path = ("plan", "stages", index, "weights")
            yield from _check_split(stage.get("weights"), path, variants)
    if stages and data.get("split") is not None:
        yield Finding(("split",), "can't stand beside plan.stages, which say the split themselves")
    if stages and isinstance(plan, dict) and "duration" in plan:
        yield Finding(("plan", "duration"), "can't stand beside plan.stages, which have their own")
    if spec is not None:
        yield from _check_meaning(spec)


def _check_split(weights: Any, path: Path, variants: list[str]) -> Iterator[Finding]:
    """A split must name all variants, no others, and sum to 100.

    A variant that it doesn't name would go unchecked, whatever traffic it gets.
    """
    if not isinstance(weights, Mapping):
        return
    unnamed = [name for name in variants if name not in weights]
    if unnamed:
        yield Finding(
            path,
            f"must name {' and '.join(variants)}; {' and '.join(unnamed)} isn't there (say 0 of a "
            "variant that gets no traffic)",
        )
    for name in weights:
        if variants and name not in variants:
            yield Finding((*path, name), f"is no variant; there are {', '.join(variants)}")
    if not all(isinstance(w, int | float) and not isinstance(w, bool) for w in weights.values()):
        return
    total = math.fsum(weights.values())
    if not math.isclose(total, 100, abs_tol=1e-9):
        shown = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
        yield Finding(path, f"sums to {total:g}, must sum to 100 ({shown})")


def _check_meaning(spec: Experiment) -> Iterator[Finding]:
    yield from _check_requests(spec)
    yield from _check_units(spec)
    plan = spec.plan
    if (
        len(spec.candidates) > 1
        and not plan.stages
        and spec.split is None
        and plan.duration is None
    ):
        yield Finding(("split",), "is missing: with several candidates, say the split")
    if plan.look_every < plan.bucket:
        yield Finding(
            ("plan", "look_every"), "is shorter than plan.bucket; a look needs one bucket"
        )
    total = sum((stage.duration for stage in spec.stages), start=parse_duration("0s"))
    if plan.minimum_duration > total:
        yield Finding(("plan", "minimum_duration"), f"is longer than the whole plan ({total})")
    if not spec.metrics:
        yield Finding(("metrics",), "is empty: without a metric there is nothing to judge")
    for index, stage in enumerate(plan.stages):
        if stage.longest < stage.duration:
            path = ("plan", "stages", index, "at_most")
            yield Finding(path, f"is shorter than the stage's duration ({stage.duration})")
    yield from _check_delivery(spec)


def _check_delivery(spec: Experiment) -> Iterator[Finding]:
    if spec.delivery is None:
        return
    if len(spec.candidates) > 1:
        yield Finding(
            ("delivery",), f"moves traffic to one candidate, not to {', '.join(spec.candidates)}"
        )
    if spec.plan.start is not None:
        yield Finding(("plan", "start"), "isn't known before: a delivery begins when it is started")
    for index, stage in enumerate(spec.stages):
        if not stage.weights:
            names = " and ".join(spec.variants)
            yield Finding(
                ("plan", "stages", index, "weights") if spec.plan.stages else ("split",),
                f"must name {names}: a delivery applies them",
            )
    for name, metric in spec.unit_metrics.items():
        if metric.role is Role.GOAL:
            yield Finding(
                ("metrics", name, "role"),
                "goal needs a planned end, which a delivery doesn't have: make it a guardrail",
            )
    for name in spec.delivery.target.names:
        if name not in spec.variants:
            yield Finding(
                ("delivery", "target", "names", name),
                f"is no variant; there are {', '.join(spec.variants)}",
            )


def _check_requests(spec: Experiment) -> Iterator[Finding]:
    if not spec.request_metrics:
        return
    names = ", ".join(spec.request_metrics)
    if spec.sources.requests is None:
        yield Finding(("sources",), f"needs `requests` for the metrics {names}")
    elif spec.plan.bucket < spec.sources.requests.scrape_interval:
        yield Finding(
            ("plan", "bucket"), "is shorter than sources.requests.scrape_interval; make it as long"
        )
    if spec.mesh is None:
        yield Finding(("mesh",), f"is missing: the metrics {names} count requests of a mesh")
    identities: dict[tuple[object, ...], str] = {}
    for name, variant in spec.variants.items():
        if variant.version is None and not variant.labels:
            yield Finding(("variants", name), "needs `version` or `labels`: how the mesh names it")
            continue
        identity = (variant.version, *sorted(variant.labels.items()))
        if identity in identities:
            twin = identities[identity]
            yield Finding(("variants", name), f"has the same identity as {twin}; tell them apart")
        identities[identity] = name


def _check_units(spec: Experiment) -> Iterator[Finding]:
    if not spec.unit_metrics:
        return
    names, sources = ", ".join(spec.unit_metrics), spec.sources
    if sources.conversions is None and (sources.exposures is None or sources.outcomes is None):
        yield Finding(
            ("sources",), f"needs `exposures` and `outcomes` (or `conversions`) for {names}"
        )
    yield from _check_kinds(spec)
    counted = [
        name
        for name, metric in spec.unit_metrics.items()
        if metric.kind != "proportion" or metric.adjust
    ]
    if counted and (sources.exposures is None or sources.outcomes is None):
        yield Finding(
            ("sources",), f"conversions hold no values per user; {counted[0]} needs users"
        )


_NEEDED = {"per": "ratio", "day": "retention", "quantile": "quantile"}


def _check_kinds(spec: Experiment) -> Iterator[Finding]:
    """Fields that belong to one kind of metric per user."""
    for name, metric in spec.unit_metrics.items():
        for field, kind in _NEEDED.items():
            path = ("metrics", name, field)
            if getattr(metric, field) is None and metric.kind == kind:
                yield Finding(path, f"is missing: a metric of kind {kind} needs it")
            if getattr(metric, field) is not None and metric.kind != kind:
                yield Finding(path, f"belongs to the kind {kind}, not to {metric.kind}")
        if metric.kind in ("proportion", "retention", "quantile") and metric.cap is not None:
            yield Finding(("metrics", name, "cap"), f"has no use for the kind {metric.kind}")
        if metric.kind == "quantile" and metric.adjust:
            yield Finding(("metrics", name, "adjust"), "isn't possible for the kind quantile")
        yield from _check_strata(spec, name)
        if metric.kind == "retention" and "window" in metric.model_fields_set:
            yield Finding(("metrics", name, "window"), "follows from `day` for the kind retention")
    outcomes = spec.sources.outcomes
    if outcomes is not None and outcomes.segments:
        yield Finding(
            ("sources", "outcomes", "segments"), "belongs to exposures: users are split by them"
        )


def _check_strata(spec: Experiment, name: str) -> Iterator[Finding]:
    metric, path = spec.unit_metrics[name], ("metrics", name, "stratify")
    if not metric.stratify:
        return
    if metric.kind == "quantile":
        yield Finding(path, "isn't possible for the kind quantile")
    elif metric.kind == "proportion" and spec.sources.conversions is not None:
        yield Finding(path, "isn't possible with conversions, which know no segments of users")
    elif not spec.segments:
        yield Finding(path, "needs sources.exposures.segments: the columns that users are split by")
    elif isinstance(metric.stratify, list):
        known = ", ".join(spec.segments)
        for column in metric.stratify:
            if column not in spec.segments:
                yield Finding(path, f"names {column!r}, which is no segment; there are {known}")
