"""Pulls what one experiment needs into the warehouse: requests, users, conversions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flows.formats.text import counted
from flows.formats.time import instant, milliseconds_of
from flows.ingest.coverage import complete_until_ms
from flows.ingest.pulled_windows import PulledWindows
from flows.ingest.sources.source_error import named_in_spec
from flows.plan.effective import plan_at
from flows.spec.experiment import Experiment
from flows.spec.sources import PrometheusSource, RecordingSource
from flows.warehouse.connection import open_reader
from flows.warehouse.statements import Connection

if TYPE_CHECKING:
    from flows.ingest.measured.pull_measured import MeasuredPull
    from flows.ingest.requests.pull_requests import RequestPull
    from flows.ingest.sources.samples import SampleSource
    from flows.ingest.users.pull_report import UserPull
    from flows.ingest.users.staging import Staging

# For so long after its time a sample may still arrive at the server.
_LATEST_SAMPLES = timedelta(hours=1)
_REQUESTS = "sources.requests"


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one pull of one experiment did: sentences for people, and what is wrong in the data."""

    experiment: str
    summary: tuple[str, ...]
    warnings: tuple[str, ...]


def pull_experiment(
    spec: Experiment,
    warehouse: Path,
    *,
    spec_dir: Path,
    until: datetime,
    staging: Staging | None = None,
) -> Pulled:
    """Brings the warehouse up to `until`, or as near as the sources are complete.

    staging: of the run, if this is one of several pulls.

    Pulling again changes nothing. Raises SourceUnavailable, SourceRefused, UserDataRefused,
    WarehouseBusy or WarehouseUnusable; then the warehouse is as it was before the failed window.
    """
    pulled: list[RequestPull | UserPull | MeasuredPull] = []
    _see_recordings(spec, warehouse, spec_dir)
    if spec.request_metrics:
        pulled.append(_pull_requests(spec, warehouse, spec_dir, until))
    if spec.pulled_series:
        pulled.append(_pull_measured(spec, warehouse, spec_dir, until))
    if spec.user_metrics:
        pulled.append(_pull_users(spec, warehouse, spec_dir, until, staging))
    return Pulled(
        spec.experiment,
        tuple(one.summary for one in pulled),
        tuple(warning for one in pulled for warning in one.warnings),
    )


def pull_if_behind(
    spec: Experiment, warehouse: Path, *, spec_dir: Path, at: datetime
) -> tuple[str, ...]:
    """Pulls the requests that aren't known up to the look, and looks for new users.

    Returns what is wrong in the data. Raises what pull_experiment raises.
    """
    warnings: list[str] = []
    _see_recordings(spec, warehouse, spec_dir)
    if spec.request_metrics and (until := _behind(spec, warehouse, at, ["requests"])):
        warnings += _pull_requests(spec, warehouse, spec_dir, until).warnings
    measured = _measured(spec)
    if measured and (until := _behind(spec, warehouse, at, measured)):
        warnings += _pull_measured(spec, warehouse, spec_dir, until).warnings
    if spec.user_metrics:
        warnings += _pull_users(spec, warehouse, spec_dir, at).warnings
    return tuple(warnings)


# The sources import pyarrow and requests; a gate that needs no pull must not pay for them.


def _see_recordings(spec: Experiment, warehouse: Path, spec_dir: Path) -> None:
    from flows.ingest.requests.recordings import see_recordings  # noqa: PLC0415

    with named_in_spec(spec.experiment, _REQUESTS):
        see_recordings(spec, warehouse, spec_dir)


def _measured(spec: Experiment) -> list[str]:
    """What else is pulled from a server, as the warehouse calls it."""
    if not spec.pulled_series:
        return []
    from flows.ingest.measured.asked_series import pulled_as  # noqa: PLC0415

    return [pulled_as(name) for name in spec.pulled_series]


def _pull_requests(
    spec: Experiment, warehouse: Path, spec_dir: Path, until: datetime
) -> RequestPull:
    from flows.ingest.requests.pull_requests import pull_requests  # noqa: PLC0415

    with named_in_spec(spec.experiment, _REQUESTS):
        source, end_ms = open_source(spec, spec_dir, until)
        return pull_requests(spec, source, warehouse, until_ms=end_ms)


def _pull_measured(
    spec: Experiment, warehouse: Path, spec_dir: Path, until: datetime
) -> MeasuredPull:
    from flows.ingest.measured.pull_measured import pull_measured  # noqa: PLC0415

    with named_in_spec(spec.experiment, "sources.metrics" if spec.sources.metrics else _REQUESTS):
        source, end_ms = open_source(spec, spec_dir, until, spec.metrics_server)
        return pull_measured(spec, source, warehouse, until_ms=end_ms)


def _pull_users(
    spec: Experiment,
    warehouse: Path,
    spec_dir: Path,
    until: datetime,
    staging: Staging | None = None,
) -> UserPull:
    from flows.ingest.users.pull_users import pull_users  # noqa: PLC0415

    until_ms = milliseconds_of(until)
    return pull_users(spec, warehouse, spec_dir=spec_dir, until_ms=until_ms, staging=staging)


def open_source(
    spec: Experiment,
    spec_dir: Path,
    until: datetime,
    wanted: PrometheusSource | RecordingSource | None = None,
) -> tuple[SampleSource, int]:
    """A source (by default that of requests), and up to when it is complete, in milliseconds.

    A live server is complete up to two scrapes and a time-out ago, a recording up to its end.
    """
    from flows.ingest.sources.prometheus import PrometheusSamples  # noqa: PLC0415
    from flows.ingest.sources.recording import Recording  # noqa: PLC0415

    wanted = wanted or spec.sources.requests
    if isinstance(wanted, PrometheusSource):
        samples = PrometheusSamples(wanted)
        # By the server's clock: ours may be set wrong, and would close windows that are open.
        closed_ms = complete_until_ms(wanted.scrape_interval, samples.server_time())
        return samples, min(milliseconds_of(until), closed_ms)
    if wanted is None:
        raise ValueError(f"{spec.experiment} names no source of requests")
    recording = Recording(spec_dir / wanted.recording)
    return recording, min(milliseconds_of(until), recording.end_ms)


def counted_otherwise(
    spec: Experiment, pulled: PulledWindows, *, start_ms: int, until_ms: int
) -> tuple[str, ...]:
    """A sentence per source of counters of which windows are of another spec or recording.

    Such windows are read again by the next pull; they stay where the source has nothing for it now.
    """
    found = pulled.counted_otherwise(_selections(spec, _counters(spec)), start_ms, until_ms)
    return tuple(
        f"{source} of {counted(windows, 'window')} were counted for an earlier spec or recording, "
        "and can't be counted again: set plan.start after them, or the spec as it was"
        for source, windows in found.items()
    )


def _counters(spec: Experiment) -> list[str]:
    return [*(["requests"] if spec.request_metrics else []), *_measured(spec)]


def _selections(spec: Experiment, sources: Sequence[str]) -> dict[str, str]:
    """What each source is asked for."""
    if not sources:
        return {}
    from flows.ingest.measured.asked_series import asked_of, pulled_as  # noqa: PLC0415
    from flows.ingest.requests.windows import selection_of  # noqa: PLC0415

    now = {pulled_as(name): asked_of(spec, name).selection for name in spec.pulled_series}
    now["requests"] = selection_of(spec)
    return {source: now[source] for source in sources}


def _behind(
    spec: Experiment, warehouse: Path, at: datetime, sources: Sequence[str]
) -> datetime | None:
    """Up to when sources are to be pulled for a look; None if they can have nothing new."""
    if not warehouse.exists():
        return at
    with open_reader(warehouse) as con:
        return _behind_of(con, spec, at, sources)


def is_behind(con: Connection, spec: Experiment, at: datetime) -> bool:
    """Whether requests and what else is measured may have something new for a look."""
    sources = _counters(spec)
    return bool(sources) and _behind_of(con, spec, at, sources) is not None


def _behind_of(
    con: Connection, spec: Experiment, at: datetime, sources: Sequence[str]
) -> datetime | None:
    pulled = PulledWindows.of(con, spec)
    ends = [pulled.known_until(source) for source in sources]
    plan = plan_at(con, spec, at=at)
    seen_ms = min(milliseconds_of(at), plan.end_ms)
    known = min((end for end in ends if end is not None), default=0)
    if None in ends or known < seen_ms:
        return at
    # A start that is observed is so from what may have been counted for another spec.
    start_ms = plan.start_ms if spec.plan.start else 0
    if pulled.counted_otherwise(_selections(spec, sources), start_ms, seen_ms):
        return instant(max(known, seen_ms))
    # A server that has healed heals the verdict: what it marked as partial is asked for again, as
    # far as it is known, so that the last window is not cut short.
    doubtful = pulled.doubtful(plan.start_ms, seen_ms)
    is_partial = any(window.source in sources and window.warnings for window in doubtful)
    return instant(known) if is_partial or _may_still_arrive(spec, seen_ms) else None


def _may_still_arrive(spec: Experiment, seen_ms: int) -> bool:
    """Whether late samples (remote write, a slow replica) can come in the last windows."""
    is_live = isinstance(spec.metrics_server, PrometheusSource)
    return is_live and datetime.now(UTC) < instant(seen_ms) + _LATEST_SAMPLES
