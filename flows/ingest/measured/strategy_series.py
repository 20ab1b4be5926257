"""The selectors of a strategy's counters, for each variant of a spec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from analysis.strategies.declaration import REQUESTS, Counter
from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.requests.mesh.family import variant_conditions
from flows.ingest.sources.samples import Matcher
from flows.spec.experiment import Experiment, Mesh
from flows.spec.measured import parse_selector
from flows.spec.placeholders import rendered

# The label of a cluster's statistics, and how Istio calls the clusters that a proxy sends to.
_CLUSTER_LABELS = {Mesh.ISTIO: "cluster_name"}
_OUTBOUND = "outbound[|][0-9]+[|]{subset}[|]{service}[.].*"


def strategy_texts(spec: Experiment) -> dict[tuple[str, str], str]:
    """The selector of each variant and counter of the spec's strategy."""
    if spec.strategy is None:
        return {}
    return {
        (variant, f"{name}:{i}" if i else name): text
        for name, counter in spec.strategy.counters.items()
        for variant in spec.variants
        for i, text in enumerate(_texts(spec, counter, variant))
    }


def _texts(spec: Experiment, counter: Counter, variant: str) -> Iterator[str]:
    """One selector, or those of several counters that count it together."""
    if spec.mesh is None:
        return
    family = FAMILIES[spec.mesh]
    where = counter.where.replace(FAMILIES[Mesh.ISTIO].code_label, family.code_label)
    flags = FAMILIES[Mesh.ISTIO].flag_label
    if flags and flags in where and not family.flag_label:
        return  # a strategy that needs them is refused with this mesh
    if counter.of == REQUESTS.of:
        own = variant_conditions(family, spec, variant)
        if counter.flag and not family.flag_label:
            for name in family.flag_counters[counter.flag]:
                yield _selector(name, own, where)
            return
        flagged = f'{family.flag_label}=~".*{counter.flag}.*"' if counter.flag else ""
        yield _selector(family.requests[0], own, flagged or where)
    elif counter.of.isidentifier():
        yield _selector(f"envoy_cluster_{counter.of}", (_cluster(spec, variant),), where)
    else:
        parsed = parse_selector(text := rendered(counter.of, spec, variant))
        matchers = [Matcher(*one) for one in parsed.matchers]
        yield _selector(parsed.metric, matchers, where) if where else text


def _cluster(spec: Experiment, variant: str) -> Matcher:
    named = spec.strategy.clusters.get(variant) if spec.strategy else None
    if named is None and spec.mesh in _CLUSTER_LABELS:
        one = spec.variants[variant]
        subset = "" if one.service else variant
        pattern = _OUTBOUND.format(subset=subset, service=one.service or spec.service)
        return Matcher(_CLUSTER_LABELS[spec.mesh], "=~", pattern)
    return Matcher("envoy_cluster_name", "=", named or spec.variants[variant].version or variant)


def _selector(metric: str, matchers: Iterable[Matcher], where: str) -> str:
    return f"{metric}{{{','.join([*(m.promql for m in matchers), *([where] if where else [])])}}}"
