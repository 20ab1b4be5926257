"""Rules between the fields of a spec, checked on its sound parts, whatever else is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from analysis.plan import Role
from flows.formats.problems import FieldPath, Finding
from flows.formats.time import shown_duration
from flows.spec.cohort_rules import check_cohorts
from flows.spec.delivery import Hook
from flows.spec.experiment import Experiment, Mesh
from flows.spec.measured_rules import check_bucket, check_measured
from flows.spec.metrics import ErrorShare, SlowShare
from flows.spec.recovery import Parts
from flows.spec.user_rules import check_users

# What a template leaves open, in a name.
OPEN_NAME = re.compile(r"\{\{|\$[{(]")
_WHOLE_PLACEHOLDER = re.compile(r"\{\{[-\s.\w]*\}\}|\$\{\w+\}|\$\(\w+\)")
RENDER_FIRST = "render the template first (helm template, kustomize build)"
# Response flags that a mesh counts, though no label has them.
_FLAGS_BESIDE: dict[Mesh | None, set[str]] = {Mesh.ENVOY: {"UO", "UH"}}


def check_rules(parts: Parts) -> Iterator[Finding]:
    """Every broken rule, as far as the parts that it is about are known."""
    if not isinstance(parts.data, dict) or parts.spec is None:
        return
    spec = parts.spec
    for field in ("service", "namespace", "match", "variants", "cohorts", "sources"):
        yield from _check_open_names((field,), parts.data.get(field))
    yield from _check_splits(parts, spec)
    yield from _check_plan(parts, spec)
    yield from _check_requests(parts, spec)
    yield from check_users(parts, spec)
    yield from check_measured(parts, spec)
    yield from check_cohorts(parts, spec)
    yield from _check_delivery(parts, spec)
    yield from _check_strategy(parts, spec)
    if not spec.metrics and parts.is_sound("metrics"):
        yield Finding(("metrics",), "is empty: without a metric there is nothing to judge")
    elif parts.is_sound("metrics") and not any(
        one.role in (Role.GUARDRAIL, Role.GOAL) for one in spec.metrics.values()
    ):
        yield Finding(
            ("metrics",), "has no guardrail and no goal: signals and info can't promote anything"
        )


def _check_open_names(path: FieldPath, written: Any) -> Iterator[Finding]:
    """What a template leaves open is no name: no series and no server is called so."""
    if isinstance(written, dict) and len(path) < 4:  # aliases can make it endless
        for key, value in written.items():
            if key != "query":
                yield from _check_open_names((*path, key), value)
    elif isinstance(written, str) and (found := OPEN_NAME.search(written)):
        # What is beside it in an address may be a password.
        shown = _WHOLE_PLACEHOLDER.search(written) or found
        what = f"has {shown[0]!r}" if path[0] == "sources" else f"is {written!r}"
        yield Finding(path, f"{what}, a placeholder: {RENDER_FIRST}")


def _check_splits(parts: Parts, spec: Experiment) -> Iterator[Finding]:
    yield from _check_split(parts, ("split",), parts.data.get("split"), spec.split)
    for name, cohort in spec.cohorts.items():
        yield from _check_split(parts, ("cohorts", name, "split"), cohort.split, cohort.split)
    written = parts.written_stages
    for index, stage in enumerate(spec.plan.stages):
        item = written[index]
        weights = item.get("weights") if isinstance(item, dict) else None
        yield from _check_split(parts, ("plan", "stages", index, "weights"), weights, stage.weights)
    if written and parts.data.get("split") is not None:
        yield Finding(("split",), "can't be combined with plan.stages, which set the split")
    if written and "duration" in parts.written_plan:
        yield Finding(
            ("plan", "duration"), "can't be combined with plan.stages, which have their own"
        )
    if (
        len(spec.candidates) > 1
        and spec.request_metrics
        and not {"duration", "stages"} & set(parts.written_plan)
        and "split" not in parts.data
    ):
        yield Finding(("split",), "is missing: with several candidates, say the split")


def _check_split(
    parts: Parts, path: FieldPath, written: Any, weights: dict[str, float] | None
) -> Iterator[Finding]:
    """A split must name all variants, no others, and sum to 100.

    A variant that it doesn't name would go unchecked, whatever traffic it gets.
    """
    if not isinstance(written, dict) or weights is None:
        return
    variants = parts.data.get("variants")
    variants = list(variants) if isinstance(variants, dict) else list(written)
    for name in written:
        if name not in variants:
            yield Finding((*path, name), f"is not a variant; there are {', '.join(variants)}")
    unnamed = [name for name in variants if name not in written]
    if unnamed:
        missing = f"{' and '.join(unnamed)} {'is' if len(unnamed) == 1 else 'are'}n't there"
        yield Finding(
            path,
            f"must name {' and '.join(variants)}; {missing} (say 0 of a variant that gets no "
            "traffic)",
        )
    total = math.fsum(weights.values())
    if parts.is_sound(*path) and not math.isclose(total, 100, abs_tol=1e-9):
        shown = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
        yield Finding(path, f"sums to {total:g}, must sum to 100 ({shown})")


def _check_plan(parts: Parts, spec: Experiment) -> Iterator[Finding]:
    plan = spec.plan
    if (
        parts.is_sound("plan", "look_every")
        and parts.is_sound("plan", "bucket")
        and plan.look_every < plan.bucket
    ):
        yield Finding(
            ("plan", "look_every"),
            f"is shorter than plan.bucket: {shown_duration(plan.look_every)}, must be at least "
            f"{shown_duration(plan.bucket)}, as a look needs one bucket",
        )
    length, least, warm_up = parts.length, plan.minimum_duration, plan.warm_up
    sound = parts.is_sound("plan", "warm_up")
    if length is not None and warm_up is not None and sound and warm_up >= length:
        yield Finding(
            ("plan", "warm_up"),
            f"is as long as the whole plan: {shown_duration(warm_up)}, must be shorter than "
            f"{shown_duration(length)}",
        )
    if length is not None and parts.is_sound("plan", "minimum_duration") and least > length:
        yield Finding(
            ("plan", "minimum_duration"),
            f"is longer than the whole plan: {shown_duration(least)}, must be at most "
            f"{shown_duration(length)}",
        )
    for index, stage in enumerate(plan.stages):
        path = ("plan", "stages", index)
        known = all(parts.is_sound(*path, field) for field in ("at_most", "duration"))
        if known and stage.longest < stage.duration:
            yield Finding(
                (*path, "at_most"),
                f"is shorter than the stage's duration: {shown_duration(stage.longest)}, must be "
                f"at least {shown_duration(stage.duration)}",
            )


def _check_delivery(parts: Parts, spec: Experiment) -> Iterator[Finding]:
    if spec.delivery is None:
        return
    if parts.is_sound("variants") and len(spec.candidates) > 1:
        yield Finding(
            ("delivery",), f"moves traffic to one candidate, not to {', '.join(spec.candidates)}"
        )
    if spec.plan.start is not None:
        yield Finding(("plan", "start"), "isn't known before: a delivery begins when it is started")
    is_written = parts.written_stages or "split" in parts.data
    if not is_written and not all(stage.weights for stage in spec.stages):
        names = " and ".join(spec.variants)
        yield Finding(("split",), f"must name {names}: a delivery applies them")
    for name, metric in spec.user_metrics.items():
        if metric.role is Role.GOAL and parts.is_sound("metrics", name, "role"):
            yield Finding(
                ("metrics", name, "role"),
                "goal needs a planned end, which a delivery doesn't have: make it a guardrail",
            )
    if spec.delivery.is_fresh:
        for index, stage in enumerate(spec.stages):
            if not 0 < stage.weights.get(spec.candidates[0], 50) < 100:
                yield Finding(
                    ("plan", "stages", index, "weights"),
                    "must give the candidate a part: a fresh baseline has as much as that",
                )
    yield from _check_hooks(spec, spec.delivery.hooks)
    for name in spec.delivery.target.names:
        if parts.is_sound("variants") and name not in spec.variants:
            yield Finding(
                ("delivery", "target", "names", name),
                f"is not a variant; there are {', '.join(spec.variants)}",
            )


def _check_hooks(spec: Experiment, hooks: list[Hook]) -> Iterator[Finding]:
    for index, hook in enumerate(hooks):
        if hook.stage is not None and hook.stage > len(spec.stages) + 1:
            yield Finding(
                ("delivery", "hooks", index, "stage"),
                f"never begins: there are {len(spec.stages)} stages, and "
                f"{len(spec.stages) + 1} is all traffic",
            )


def _check_requests(parts: Parts, spec: Experiment) -> Iterator[Finding]:
    if not spec.request_metrics or ("metrics",) in parts.wrong:
        return
    names = ", ".join(spec.request_metrics)
    source = spec.sources.requests
    if source is None and parts.is_sound("sources", "requests"):
        yield Finding(("sources",), f"needs `requests` for the metrics {names}")
    if source is not None:
        yield from check_bucket(parts, spec, source.scrape_interval)
    if spec.mesh is None and parts.is_sound("mesh"):
        told = f"is missing: the metrics {names} count requests of a mesh, such as istio or linkerd"
        yield Finding(("mesh",), told)
    yield from _check_identities(parts, spec)
    yield from _check_objectives(parts, spec)


def _check_objectives(parts: Parts, spec: Experiment) -> Iterator[Finding]:
    """A success rate in place of a share of failures would let nearly every request fail."""
    for name, metric in spec.metrics.items():
        if not isinstance(metric, ErrorShare | SlowShare) or (most := metric.objective) is None:
            continue
        if most > 0.5 and parts.is_sound("metrics", name, "objective"):
            what = "fail" if isinstance(metric, ErrorShare) else "be slow"
            told = (
                f"is {most:g}, which lets {100 * most:g} % of the requests {what}, must be at most "
                f"0.5; if {100 * most:g} % must not {what}, say {1 - most:.6g}"
            )
            yield Finding(("metrics", name, "objective"), told)


def _check_identities(parts: Parts, spec: Experiment) -> Iterator[Finding]:
    """The mesh must name each variant, and tell them apart."""
    identities: dict[tuple[object, ...], str] = {}
    for name, variant in spec.variants.items():
        if not parts.is_sound("variants", name):
            continue
        if variant.version is None and not variant.labels:
            if variant.service is not None and parts.is_sound("mesh") and spec.mesh is not None:
                yield Finding(
                    ("variants", name, "service"),
                    f"isn't named by the metrics of {spec.mesh.value}: say `version` or `labels`",
                )
                continue
            yield Finding(
                ("variants", name),
                "needs `version`, `labels` or `service`: how the mesh names it",
            )
            continue
        identity = (variant.version, *sorted(variant.labels.items()))
        if identity in identities:
            twin = identities[identity]
            told = (
                f"has the `version`, `labels` and `service` of {twin}: requests can't be told apart"
            )
            yield Finding(("variants", name), told)
        identities[identity] = name


def _check_strategy(parts: Parts, spec: Experiment) -> Iterator[Finding]:
    """Flags that the mesh doesn't tell; versions that a client's proxy's own answers don't name."""
    counters = spec.strategy.counters.values() if spec.strategy else ()
    flags = {one.flag for one in counters if one.flag} - _FLAGS_BESIDE.get(spec.mesh, set())
    if flags and spec.mesh not in (None, Mesh.ISTIO):
        yield Finding(
            ("strategy", "kind"),
            f"reads response flags ({', '.join(sorted(flags))}) that the metrics of {spec.mesh} "
            f"don't tell; those of {Mesh.ISTIO} do",
        )
    if spec.strategy is None or spec.mesh is not Mesh.ISTIO or spec.reporter != "source":
        return
    for name, variant in spec.variants.items():
        if variant.version is not None and parts.is_sound("variants"):
            yield Finding(
                ("variants", name, "version"),
                "isn't in the series of what a proxy answers itself (429, 503, 504); tell variants "
                "by a label that is, such as labels: {upstream_cluster: ...}",
            )
