"""Pulls what one experiment needs into the warehouse: requests, users, conversions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flows.instants import milliseconds_of
from flows.look_evidence import watermark
from flows.plan_at import plan_at
from flows.spec import Experiment, PrometheusSource
from flows.warehouse import open_reader

if TYPE_CHECKING:
    from flows.request_pull import RequestPull
    from flows.sources.samples import SampleSource
    from flows.unit_report import UnitPull

# A window is closed when its last scrapes must have arrived: two intervals, and their time-out.
_SCRAPE_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one pull of one experiment did: sentences for people, and what is wrong in the data."""

    experiment: str
    summary: tuple[str, ...]
    warnings: tuple[str, ...]


def pull_experiment(
    spec: Experiment, warehouse: Path, *, spec_dir: Path, until: datetime
) -> Pulled:
    """Brings the warehouse up to `until`, or as near as the sources are complete.

    Pulling again changes nothing. Raises SourceUnavailable, SourceRefused, UnitDataRefused,
    WarehouseBusy or WarehouseUnusable; then the warehouse is as it was before the failed window.
    """
    pulled: list[RequestPull | UnitPull] = []
    if spec.request_metrics:
        pulled.append(_pull_requests(spec, warehouse, spec_dir, until))
    if spec.unit_metrics:
        pulled.append(_pull_units(spec, warehouse, spec_dir, until))
    return Pulled(
        spec.experiment,
        tuple(one.summary for one in pulled),
        tuple(warning for one in pulled for warning in one.warnings),
    )


def pull_if_behind(spec: Experiment, warehouse: Path, *, spec_dir: Path, at: datetime) -> None:
    """Pulls the requests that aren't known up to the look, and looks for new users."""
    if spec.request_metrics and not _reaches(spec, warehouse, at):
        _pull_requests(spec, warehouse, spec_dir, at)
    if spec.unit_metrics:
        _pull_units(spec, warehouse, spec_dir, at)


# The sources import pyarrow and requests; a gate that needs no pull must not pay for them.


def _pull_requests(
    spec: Experiment, warehouse: Path, spec_dir: Path, until: datetime
) -> RequestPull:
    from flows.request_pull import pull_requests  # noqa: PLC0415

    source, end_ms = open_source(spec, spec_dir, until)
    return pull_requests(spec, source, warehouse, until_ms=end_ms)


def _pull_units(spec: Experiment, warehouse: Path, spec_dir: Path, until: datetime) -> UnitPull:
    from flows.unit_pull import pull_units  # noqa: PLC0415

    return pull_units(spec, warehouse, spec_dir=spec_dir, until_ms=milliseconds_of(until))


def open_source(spec: Experiment, spec_dir: Path, until: datetime) -> tuple[SampleSource, int]:
    """The source of the spec's requests, and up to when it is complete, in milliseconds.

    A live server is complete up to two scrapes and a time-out ago, a recording up to its end.
    """
    from flows.sources.prometheus import PrometheusSamples  # noqa: PLC0415
    from flows.sources.recording import Recording  # noqa: PLC0415

    wanted = spec.sources.requests
    if isinstance(wanted, PrometheusSource):
        closed = datetime.now(UTC) - 2 * wanted.scrape_interval - _SCRAPE_TIMEOUT
        return PrometheusSamples(wanted), milliseconds_of(min(until, closed))
    if wanted is None:
        raise ValueError(f"{spec.experiment} names no source of requests")
    recording = Recording(spec_dir / wanted.recording)
    return recording, min(milliseconds_of(until), recording.end_ms)


def _reaches(spec: Experiment, warehouse: Path, at: datetime) -> bool:
    if not warehouse.exists():
        return False
    with open_reader(warehouse) as con:
        known = watermark(con, spec, "requests")
        end = plan_at(con, spec, at=at).end_ms
    return known is not None and known >= min(milliseconds_of(at), end)
