"""The spec of a traffic strategy that manifests configure, and where a spec differs from them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flows.manifests.found_strategy import FoundStrategy, label_of
from flows.manifests.read import Manifests
from flows.manifests.strategy_settings import strategies_in
from flows.manifests.telemetry import telemetry
from flows.manifests.variant_names import baseline_among
from flows.manifests.yaml_scalar import yaml_comment, yaml_quoted, yaml_scalar
from flows.spec.experiment import Experiment
from flows.spec.strategies import strategy_models

_CHECK = "# CHECK: "
# What a spec may choose otherwise: names of labels, and lists that are a person's.
_OURS = frozenset({"label", "attempts", "once", "tiers", "groups", "recovery"})
_PERCENT = 100.0
# An injected share may be off by so much (`tolerance` of chaos).
_OFF = 1.3


def choose_strategies(
    objects: Manifests, kind: str | None, service: str | None
) -> list[FoundStrategy]:
    """Those of this kind and service, one for each kind and service that there is."""

    def key(one: FoundStrategy) -> tuple[str, str]:
        return one.kind, one.service

    found = [
        one
        for one in strategies_in(objects.objects)
        if kind in (None, one.kind) and service in (None, one.service)
    ]
    return [_merged(list(alike)) for _, alike in groupby(sorted(found, key=key), key=key)]


def _merged(found: Sequence[FoundStrategy]) -> FoundStrategy:
    """The first, with what the others configure as well."""
    first, *others = found
    also = [
        f"{one.origin} has {', '.join(f'{k} {_yaml(v)}' for k, v in one.fields.items())}"
        for one in others
        if one.fields != first.fields
    ]
    return replace(
        first,
        settings=tuple(dict.fromkeys(text for one in found for text in one.settings)),
        doubts=(*dict.fromkeys(text for one in found for text in one.doubts), *also),
    )


def listed(found: Sequence[FoundStrategy]) -> str:
    """The choices, one a line."""
    return "".join(f"\n  {one.kind} of service {one.service} ({one.origin})" for one in found)


def strategy_line(found: FoundStrategy) -> str:
    """The line of the spec."""
    fields = "".join(f", {name}: {_yaml(value)}" for name, value in found.fields.items())
    return f"strategy: {{kind: {found.kind}{fields}}}"


def _yaml(value: Any) -> str:
    """A value in flow style; 10% and 60s stay as people write them, names of routes are text."""
    if isinstance(value, list):
        return f"[{', '.join(yaml_scalar(str(item)) for item in value)}]"
    return (
        yaml_scalar(value)
        if isinstance(value, str) and value[:1].isalpha()
        else (f"{value}" if isinstance(value, str) else f"{value:g}")
    )


def strategy_comments(found: FoundStrategy) -> Iterator[str]:
    """What is configured beside the fields, and what must be looked up."""
    yield from (f"# configured: {' '.join(text.split())}" for text in found.settings)
    yield from (f"{_CHECK}{' '.join(text.split())}" for text in found.doubts)


def split_strategy(found: Sequence[FoundStrategy], *, is_wanted: bool) -> Iterator[str]:
    """Lines of a spec that has a split: the strategy that is wanted, or a word on what there is."""
    if is_wanted:
        yield from strategy_comments(found[0])
        yield strategy_line(found[0])
        return
    for one in found:
        kind = one.kind
        told = f"{one.origin} configures {kind}; `verdict init --strategy {kind}` judges that"
        yield yaml_comment(told)


def needs_labels(found: FoundStrategy) -> bool:
    """Whether the spec reads labels that Istio's metrics don't have by themselves."""
    return found.origin.kind != "ServiceProfile"


def strategy_spec(
    found: FoundStrategy,
    name: str,
    *,
    files: Sequence[Path],
    spec_dir: Path,
    prometheus: str | None,
) -> str:
    """The text of a spec whose variants are the settings, old and new, or with and without."""
    is_linkerd = found.origin.kind == "ServiceProfile"
    faults = _OFF * found.injected
    lines = [
        yaml_comment(f"From {found.origin}. docs/how-to/strategies.md says what is checked."),
        *strategy_comments(found),
        f"experiment: {yaml_scalar(name)}",
        f"service: {yaml_scalar(found.service)}",
        f"namespace: {yaml_scalar(found.origin.namespace)}",
        f"mesh: {'linkerd-route' if is_linkerd else 'istio'}",
        "reporter: source",
        "variants:",
        *_variants(found, is_linkerd=is_linkerd),
        strategy_line(found),
        f"plan: {{duration: 30m}}  {_CHECK}how long may it take?",
        *([f"quality: {{injected_faults: {min(faults, _PERCENT):g}%}}"] if faults > 1 else []),
        "manifests:",
        *(f"  - {yaml_scalar(os.path.relpath(path, spec_dir))}" for path in files),
        "sources:",
        f"  requests: {{prometheus: {yaml_quoted(prometheus or 'http://prometheus:9090')}}}"
        + ("" if prometheus else f"  {_CHECK}your server"),
    ]
    return "\n".join(lines) + "\n"


def _variants(found: FoundStrategy, *, is_linkerd: bool) -> Iterator[str]:
    host = f"{found.service}.{found.origin.namespace}.svc.cluster.local"
    if found.arms and found.headers:
        header, value = list(found.headers.items())[-1]
        label = label_of(header)
        yield f"  {found.arms[0]}: {{labels: {{{label}: unknown}}, baseline: true}}"
        yield f"  {found.arms[1]}: {{labels: {{{label}: {yaml_scalar(value or 'enabled')}}}}}"
        return
    of_rule = len(found.subsets) > 1
    subsets = found.subsets if of_rule else {"stable": "stable", "canary": "canary"}
    is_told = baseline_among([*subsets.values()]) is not None
    for place, (name, subset) in enumerate(subsets.items()):
        marked = "" if place else ", baseline: true"
        doubt = "the port" if of_rule else "which has the old, which the new settings?"
        doubt += "" if is_told else "; which is the baseline?"
        if is_linkerd:
            own = host if not place else host.replace(found.service, f"{found.service}-canary", 1)
            told = f"labels: {{dst: {yaml_quoted(f'{own}:80')}}}"
        else:
            told = f"labels: {{upstream_cluster: {yaml_quoted(f'outbound|80|{subset}|{host}')}}}"
        yield f"  {yaml_scalar(name)}: {{{told}{marked}}}  {_CHECK}{doubt}"


def strategy_telemetry(found: FoundStrategy, name: str) -> str:
    """The resource that adds the labels which the spec reads."""
    labels = {label_of(header): header for header in found.headers}
    return telemetry(
        f"{name}-labels",
        found.origin.namespace,
        {
            **{label: f"request.headers['{header}']" for label, header in labels.items()},
            "upstream_cluster": "xds.cluster_name",
            "request_method": "request.method",
        },
        about=[f"Adds the labels that {name} reads; a request without the header has `unknown`."],
    )


def differing_settings(spec: Experiment, manifests: Manifests) -> Iterator[str]:
    """Sentences on settings that a manifest has and the spec's strategy has otherwise."""
    if spec.strategy is None:
        return
    kind = spec.strategy.strategy.kind
    for found in choose_strategies(manifests, kind, None):
        if found.service != spec.service:
            continue
        for name, value in found.fields.items():
            if name not in _OURS and _differs(getattr(spec.strategy, name), kind, name, value):
                yield (
                    f"{found.origin.document.file}: {found.origin} has {name} {value}, "
                    "the spec's strategy has another"
                )


def _differs(ours: Any, kind: str, name: str, value: Any) -> bool:
    """Whether a manifest's value is another; also one that a spec can't have, such as 150%."""
    try:
        theirs = strategy_models()[kind].model_validate({"kind": kind, name: value})
    except ValidationError:
        return True
    return bool(getattr(theirs, name) != ours)
