"""What metrics of counters and queries ask for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from flows.ingest.requests.windows import bucket_ms
from flows.spec.experiment import Experiment
from flows.spec.placeholders import rendered


@dataclass(frozen=True, slots=True)
class AskedSeries:
    """A metric's texts by variant and part; selection: identity of them."""

    metric: str
    texts: Mapping[tuple[str, str], str]
    selection: str


def pulled_as(metric: str) -> str:
    """The name of a metric's windows among those of other sources."""
    return f"metric {metric}"


def asked_of(spec: Experiment, metric: str) -> AskedSeries:
    """What a metric asks for each variant."""
    one = spec.pulled_series[metric]
    asked = {
        (variant, part): rendered(text, spec, variant)
        for variant in spec.variants
        for part, text in one.parts.items()
    }
    identity = json.dumps([one.kind, bucket_ms(spec), sorted((*k, v) for k, v in asked.items())])
    return AskedSeries(metric, asked, hashlib.sha256(identity.encode()).hexdigest()[:16])
