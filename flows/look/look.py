"""One look at one experiment, by name: what the gate, the command line and Prefect all call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from flows.formats.problems import UserError
from flows.formats.time import instant
from flows.ingest.pull import pull_if_behind
from flows.look.basis import UNKNOWN, Basis, basis_of
from flows.look.evaluate import score_experiment
from flows.look.look_time import look_time
from flows.look.remarks import (
    about_data,
    check_manifests,
    notes_on_begin,
    notes_on_series,
    remarks_on_manifests,
)
from flows.look.seen import standing_looks
from flows.look.verdict_document import VerdictDocument
from flows.plan.effective import plan_at
from flows.spec.experiment import Experiment
from flows.spec.unread_sources import unread_sources
from flows.warehouse.connection import open_reader
from flows.workspace.experiments import find_spec
from flows.workspace.paths import Workspace


def look_at_experiment(
    workspace: Workspace,
    experiment: str,
    *,
    at: datetime | None = None,
    warn: Callable[[str], None] | None = None,
) -> VerdictDocument:
    """The verdict at one time (now, if not said), recorded and written as JSON.

    Pulls first what isn't known up to then; warn is told what was wrong with that, of which the
    verdict's notes keep what the warehouse knows.
    Raises TimeInFuture, InputError, SourceUnavailable, SourceRefused, UserDataRefused,
    StagingFailed, WarehouseBusy, WarehouseUnusable or VerdictNotWritten.
    """
    look_at = look_time(at)
    path, spec = find_spec(workspace.experiments, experiment)
    return look_by_spec(workspace, path, spec, at=look_at, warn=warn)


def look_by_spec(
    workspace: Workspace,
    path: Path,
    spec: Experiment,
    *,
    at: datetime,
    warn: Callable[[str], None] | None = None,
) -> VerdictDocument:
    """The same, by a spec that has been read from path. Raises what look_at_experiment raises."""
    standing = standing_looks(workspace, [(path, spec)], at).get(spec.experiment)
    if standing is not None and not standing.basis.is_pulled:
        return standing.document
    return look_anew(workspace, path, spec, at=at, warn=warn)


def look_anew(
    workspace: Workspace,
    path: Path,
    spec: Experiment,
    *,
    at: datetime,
    warn: Callable[[str], None] | None = None,
) -> VerdictDocument:
    """The same, whether or not the last look stands."""
    basis = basis_of(spec, path.parent)
    warnings = pull_if_behind(spec, workspace.warehouse, spec_dir=path.parent, at=at)
    if warn is not None:
        for warning in warnings:
            warn(warning)
    document = score_with_notes(spec, workspace.warehouse, spec_dir=path.parent, at=at, basis=basis)
    document.write(workspace.verdicts)
    return document


def score_with_notes(
    spec: Experiment, warehouse: Path, *, spec_dir: Path, at: datetime, basis: Basis = UNKNOWN
) -> VerdictDocument:
    """The verdict of one look; its reasons also say if the plan or the data hasn't begun.

    Its notes say what is doubtful in the data and in the manifests. basis: as it was before the
    pull; where nothing of it changes, the look stands.
    Raises WarehouseBusy or WarehouseUnusable.
    """
    about = about_data(spec, warehouse, spec_dir=spec_dir, at=at)
    remarks = (*unread_sources(spec), *remarks_on_manifests(spec, spec_dir), *about.remarks)
    return score_experiment(
        spec,
        warehouse,
        at=at,
        notes=notes_on_begin(spec, at),
        remarks=remarks,
        checks=(*check_manifests(spec, spec_dir), *about.checks),
        inputs=basis.inputs,
        evidence=about.evidence,
        spec_dir=spec_dir,
        ask_causes=lambda: notes_on_series(spec, warehouse, spec_dir=spec_dir, at=at),
    )


class TimeBeforeStart(UserError):
    """A look was asked for at a time before the experiment: nothing is to be pulled of then."""


def check_begun(workspace: Workspace, experiment: str, at: datetime) -> None:
    """Raises TimeBeforeStart if the look is before the start, as far as that is known.

    Raises InputError, WarehouseBusy or WarehouseUnusable where it can't be found out.
    """
    _, spec = find_spec(workspace.experiments, experiment)
    start = spec.plan.start
    if workspace.warehouse.exists():
        with open_reader(workspace.warehouse) as con:
            now = datetime.now(UTC)
            # Up to a bucket later than it was; without any data yet it is the time of asking.
            known = instant(plan_at(con, spec, at=now).start_ms) - spec.plan.bucket
        if known < now - spec.plan.bucket:
            start = known
    if start is not None and at < start:
        raise TimeBeforeStart(
            f"{at:%Y-%m-%d %H:%M:%S} UTC is before the start of {experiment} "
            f"({start:%Y-%m-%d %H:%M:%S} UTC): name a later time, or none for now"
        )
