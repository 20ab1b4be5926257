"""What metrics of counters and queries ask for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from flows.ingest.measured.strategy_series import strategy_texts
from flows.ingest.requests.windows import bucket_ms
from flows.spec.experiment import Experiment
from flows.spec.placeholders import rendered
from flows.spec.strategies import StrategyFields


@dataclass(frozen=True, slots=True)
class AskedSeries:
    """A metric's texts by variant and part; selection: identity of them.

    by: the label by whose values a part is counted apart, each as a part PART:VALUE.
    """

    metric: str
    texts: Mapping[tuple[str, str], str]
    selection: str
    by: Mapping[str, str] = field(default_factory=dict)


def pulled_as(metric: str) -> str:
    """The name of a metric's windows among those of other sources."""
    return f"metric {metric}"


def asked_of(spec: Experiment, metric: str) -> AskedSeries:
    """What a metric asks for each variant."""
    one = spec.pulled_series[metric]
    if isinstance(one, StrategyFields):
        by = {name: counter.by for name, counter in one.counters.items() if counter.by}
        texts = strategy_texts(spec)
        identity = _identity(spec, "strategy", texts, sorted(by.items()))
        return AskedSeries(metric, texts, identity, by)
    texts = {
        (variant, part): rendered(text, spec, variant)
        for variant in spec.variants
        for part, text in one.parts.items()
    }
    return AskedSeries(metric, texts, _identity(spec, one.kind, texts))


def _identity(
    spec: Experiment, kind: str, texts: Mapping[tuple[str, str], str], *others: object
) -> str:
    said = [kind, bucket_ms(spec), sorted((*k, v) for k, v in texts.items()), *others]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
