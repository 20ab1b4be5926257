"""Records a session of the lab: `python -m tests.lab.record_session OUT_DIR --minutes 6`.

Writes requests.parquet (raw samples as Prometheus scraped them), exposures.parquet,
outcomes.parquet and session.json (stages, splits, and what the pods really answered).
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import missing_programs
from tests.lab.guide_session import (
    BROKEN_ERROR_SHARE,
    CANARY,
    CANARY_PERCENTS,
    CANARY_SERVICES,
    EXPERIMENTS,
    HEALTHY,
    NAMESPACE,
    PROGRESS,
    guide_crowds,
    guide_profiles,
    guide_services,
)
from tests.lab.lab import Lab
from tests.lab.load_plan import LoadResult
from tests.lab.raw_samples import write_raw_samples

# Before the canaries: enough for Prometheus to know the stable versions alone.
_LEAD_IN_SHARE = 0.1

Truth = dict[str, dict[str, dict[str, int]]]


@dataclass(frozen=True, slots=True)
class StageRecord:
    """A stretch of the session with one split, by the clock of this machine."""

    canary_percent: int
    start_ms: int
    end_ms: int
    truth: Truth
    """Answers of the pods within it: service, variant, answer."""


@dataclass(slots=True)
class SessionClock:
    """Collects stages as they end."""

    lab: Lab
    stages: list[StageRecord] = field(default_factory=list)

    def stage(self, canary_percent: int, seconds: float) -> None:
        """Lets the present split run for so long, and writes it down."""
        start_ms, before = _now_ms(), variant_truth(self.lab)
        time.sleep(max(seconds, 0.0))
        after = variant_truth(self.lab)
        self.stages.append(StageRecord(canary_percent, start_ms, _now_ms(), _less(after, before)))


def variant_truth(lab: Lab) -> Truth:
    """What the pods answered since the start: service, variant, answer."""
    told: Truth = {}
    for service in lab.services:
        variants = told.setdefault(service.name, {})
        for (variant, _, answer), count in lab.truth(service.name).items():
            answers = variants.setdefault(variant, {})
            answers[answer] = answers.get(answer, 0) + count
    return told


def _less(after: Truth, before: Truth) -> Truth:
    def earlier(service: str, variant: str, answer: str) -> int:
        return before.get(service, {}).get(variant, {}).get(answer, 0)

    return {
        service: {
            variant: {a: n - earlier(service, variant, a) for a, n in answers.items()}
            for variant, answers in variants.items()
        }
        for service, variants in after.items()
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def run_session(lab: Lab, seconds: float, users: int) -> tuple[list[StageRecord], LoadResult]:
    """Drives all services, brings the canaries in, and steps their weights up."""
    for service in lab.services:
        for variant in service.variants:
            lab.set_behaviour(service.name, variant.name, **HEALTHY)
    run = lab.start_load(seconds, profiles=guide_profiles(), crowds=guide_crowds(users))
    ends_s = time.monotonic() + seconds
    clock = SessionClock(lab)
    clock.stage(0, _LEAD_IN_SHARE * seconds)
    for name in CANARY_SERVICES:
        lab.add_variant(name, CANARY)
        lab.set_behaviour(name, CANARY.name, **HEALTHY)
    lab.set_behaviour(PROGRESS, CANARY.name, error_share=BROKEN_ERROR_SHARE)
    for number, percent in enumerate(CANARY_PERCENTS):
        for name in CANARY_SERVICES:
            lab.set_weights(name, {"stable": 100 - percent, CANARY.name: percent})
        print(f"{percent} % to the canaries", flush=True)
        stages_left = len(CANARY_PERCENTS) - number
        clock.stage(percent, (ends_s - time.monotonic()) / stages_left)
    result = run.wait()
    lab.settle()
    return clock.stages, result


def session_json(
    lab: Lab, stages: list[StageRecord], result: LoadResult, times: Mapping[str, int]
) -> dict[str, Any]:
    """What a reader of the recording may want to check against."""
    return {
        **times,
        "namespace": NAMESPACE,
        "scrape_interval_s": lab.scrape_interval_s,
        "services": {
            service.name: {
                variant.name: {"version": variant.version, "pods": variant.pods}
                for variant in service.variants
            }
            for service in lab.services
        },
        "experiments": [asdict(one) for one in EXPERIMENTS],
        "stages": [asdict(stage) for stage in stages],
        "truth": variant_truth(lab),
        "seen_by_clients": result.answers,
        "late_ms_p99": result.late_ms_p99,
    }


def record(out: Path, *, minutes: float, users: int, scrape_interval_s: float) -> dict[str, Any]:
    """Runs and records one session; returns what session.json says."""
    out.mkdir(parents=True, exist_ok=True)
    with Lab(guide_services(), scrape_interval_s=scrape_interval_s) as lab:
        begun_ms = _now_ms()
        stages, result = run_session(lab, minutes * 60, users)
        ended_ms = _now_ms()
        # Some scrapes before the first request show that no series was there yet.
        seconds = (ended_ms - begun_ms) / 1000 + 10
        requests = out / "requests.parquet"
        samples = write_raw_samples(
            requests, lab.prometheus, end_s=ended_ms / 1000, seconds=seconds
        )
        times = {"start_ms": begun_ms, "end_ms": ended_ms, "samples": samples}
        session = session_json(lab, stages, result, times)
        for path in (result.exposures, result.outcomes):
            shutil.copyfile(path, out / path.name)
    (out / "session.json").write_text(json.dumps(session, indent=1, sort_keys=True) + "\n")
    return session


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--users", type=int, default=4000, help="in each of the three A/B tests")
    parser.add_argument("--scrape-interval", type=float, default=2.0, help="in seconds")
    asked = parser.parse_args()
    if missing := missing_programs():
        parser.error("; ".join(f"{name} is missing: {how}" for name, how in missing.items()))
    session = record(
        asked.out,
        minutes=asked.minutes,
        users=asked.users,
        scrape_interval_s=asked.scrape_interval,
    )
    for path in sorted(asked.out.iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    print(f"{session['samples']:,} samples; truth:")
    for service, variants in session["truth"].items():
        for variant, answers in variants.items():
            print(f"  {service} {variant}: {answers}")


if __name__ == "__main__":
    main()
