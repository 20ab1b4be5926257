"""Records a session of the lab: `python -m tests.lab.record FOLDER --minutes 5`.

Writes requests.parquet (raw samples, as a source of the product), exposures.parquet,
outcomes.parquet and session.json (stages, and what the pods really answered).
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.ingest.sources.prometheus import PrometheusSamples
from flows.ingest.sources.samples import Matcher, Samples, Selector
from flows.spec.sources import PrometheusSource
from tests.builders.recordings import write_recording
from tests.lab.lab import Lab
from tests.lab.session import CROWDS, PROFILES, SERVICES, STAGES, enter_stage, set_behaviours

_SCRAPE_S = 2.0
_METRICS = (
    "up",
    "process_start_time_seconds",
    "envoy_server_uptime",
    "istio_requests_total",
    "istio_request_duration_milliseconds_bucket",
    "response_total",
    "response_latency_ms_bucket",
    "envoy_cluster_upstream_rq",
    "envoy_cluster_upstream_rq_time_bucket",
)


def main() -> None:
    """Runs the session and writes the recording."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    record(options.folder, minutes=options.minutes)


def record(folder: Path, *, minutes: float) -> None:
    """One session of so many minutes, each stage a third of it."""
    stage_s = minutes * 60 / len(STAGES)
    with Lab(SERVICES, scrape_interval_s=_SCRAPE_S, seed=7) as lab:
        set_behaviours(lab)
        began = _next_whole(4)
        load = lab.start_load(minutes * 60, profiles=PROFILES, crowds=CROWDS)
        stages = []
        for index, percent in enumerate(STAGES):
            _sleep_until(began + timedelta(seconds=index * stage_s))
            enter_stage(lab, percent)
            stages.append({"percent": percent, "start": datetime.now(UTC).isoformat()})
            print(f"stage {percent} %", flush=True)
        result = load.wait()
        lab.settle()
        samples = _read(lab, began - timedelta(minutes=1), datetime.now(UTC))
        truth = {service.name: _truth(lab, service.name) for service in SERVICES}
        shutil.copy(result.exposures, folder / "exposures.parquet")
        shutil.copy(result.outcomes, folder / "outcomes.parquet")
    write_recording(folder / "requests.parquet", samples)
    session = {
        "start": began.isoformat(),
        "stage_s": stage_s,
        "scrape_interval_s": _SCRAPE_S,
        "stages": stages,
        "sent": result.sent,
        "answered_by_pods": truth,
    }
    (folder / "session.json").write_text(json.dumps(session, indent=2) + "\n")
    print(f"{len(samples.labels)} series, {samples.ts_ms.size} samples, {result.sent} requests")


def _read(lab: Lab, start: datetime, end: datetime) -> Samples:
    source = PrometheusSamples(PrometheusSource(url=lab.prometheus_url))
    selectors = [Selector(name) for name in _METRICS[:3]]
    selectors += [Selector(name, (Matcher("namespace", "=~", ".*"),)) for name in _METRICS[3:]]
    start_ms, end_ms = (round(one.timestamp() * 1000) for one in (start, end))
    return source.read(selectors, start_ms, end_ms)


def _truth(lab: Lab, service: str) -> dict[str, dict[str, int]]:
    """Answers by variant and status, over its pods."""
    found: dict[str, dict[str, int]] = {}
    for (variant, _, answer), count in lab.truth(service).items():
        codes = found.setdefault(variant, {})
        codes[answer] = codes.get(answer, 0) + count
    return found


def _next_whole(seconds: int) -> datetime:
    now = int(time.time()) + 1
    return datetime.fromtimestamp(-(-now // seconds) * seconds, UTC)


def _sleep_until(instant: datetime) -> None:
    time.sleep(max(0.0, (instant - datetime.now(UTC)).total_seconds()))


if __name__ == "__main__":
    main()
