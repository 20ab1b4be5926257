"""What a person must know of a look that saw no data: the spec may ask for what isn't there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from analysis.quality.checks import QualityCheck
from flows.formats.problems import InputError
from flows.formats.time import instant, milliseconds_of
from flows.ingest.coverage import BLIND
from flows.ingest.pull import open_source
from flows.ingest.pulled_windows import PulledWindow, PulledWindows, times_of
from flows.ingest.sources.samples import SourceRefused, SourceUnavailable
from flows.ingest.sources.user_rows import UserRows
from flows.ingest.users.known_aggregates import notes_on_aggregates, read_known_aggregates
from flows.ingest.users.parts import known_sources, misnamed_exposures
from flows.ingest.users.pull_report import SourcePull
from flows.look.pods_seen import unlike_pods_seen
from flows.look.seen import evidence_at
from flows.plan.effective import look_time_of, staged_plan
from flows.spec.experiment import Experiment
from flows.spec.sources import RecordingSource
from flows.warehouse.connection import open_reader
from flows.warehouse.statements import Connection, run

# So many exposures may be left out for how they write a variant's name.
_MISNAMED_SHARE = 0.01
# So many exposures may lack who was exposed, to what or when, as rows of outcomes may.
_LOST_SHARE = 0.1
# So many exposures may be at times that have not come.
_AHEAD_SHARE = 0.01
# Without a start in the spec, so far back is looked for what there is.
_EARLIER = timedelta(hours=6)


def notes_on_begin(spec: Experiment, at: datetime) -> tuple[str, ...]:
    """A sentence on a plan that hasn't begun."""
    if spec.plan.start is None or spec.plan.start <= at:
        return ()
    times = f"{spec.plan.start:%Y-%m-%d %H:%M:%S} UTC, after this look ({at:%Y-%m-%d %H:%M:%S} UTC)"
    return (f"the plan starts at {times}",)


def notes_on_series(
    spec: Experiment, warehouse: Path, *, spec_dir: Path, at: datetime
) -> tuple[str, ...]:
    """Sentences on variants that no series names, and on versions that no variant does.

    Of a plan that has begun.

    A source that doesn't answer adds none. Raises WarehouseBusy or WarehouseUnusable.
    """
    if notes_on_begin(spec, at):
        return ()
    with suppress(SourceUnavailable, SourceRefused):
        if outside := _outside_recordings(spec, spec_dir, at):
            return outside
        if spec.request_metrics:
            return _on_series(spec, _without_requests(spec, warehouse, at), spec_dir, at)
    return ()


def remarks_on_manifests(spec: Experiment, spec_dir: Path) -> tuple[str, ...]:
    """Other splits and unlike pods in the spec's manifests; also that they can't be read."""
    if not spec.manifests:
        return ()
    from flows.manifests.spec_split import disagreements, manifests_of_spec  # noqa: PLC0415
    from flows.manifests.strategy_spec import differing_settings  # noqa: PLC0415
    from flows.manifests.unlike_pods import unlike_pods  # noqa: PLC0415

    try:
        manifests = manifests_of_spec(spec, spec_dir)
        return (
            *disagreements(spec, manifests),
            *differing_settings(spec, manifests),
            *unlike_pods(spec, manifests),
        )
    except InputError as error:
        return tuple(map(str, error.problems))


def check_manifests(spec: Experiment, spec_dir: Path) -> tuple[QualityCheck, ...]:
    """A failed check where the spec leaves its split to manifests that configure several."""
    if not spec.manifests:
        return ()
    from flows.manifests.spec_split import (  # noqa: PLC0415
        conflicting_splits,
        manifests_of_spec,
        mixed_cohorts,
    )

    with suppress(InputError):  # said by remarks_on_manifests
        manifests = manifests_of_spec(spec, spec_dir)
        found = conflicting_splits(spec, manifests)
        if found:
            detail = (
                f"the manifests configure several splits: {'; '.join(found)}. Set `split` or "
                "`plan.stages` to the one that is in force, or name only its file in `manifests`"
            )
            return (QualityCheck("one configured split", passed=False, detail=detail),)
        if mixed := mixed_cohorts(spec, manifests):
            detail = (
                f"requests of different routes can't be told apart: {mixed}. Name the routes in "
                "`cohorts`; `verdict init --from` writes them, and the label that tells them apart"
            )
            return (QualityCheck("cohorts told apart", passed=False, detail=detail),)
    return ()


def _check_variant_names(
    spec: Experiment, sources: Sequence[SourcePull]
) -> tuple[QualityCheck, ...]:
    """A failed check where users are left out because a variant's name is in other letters."""
    names = next((each.names for each in sources if each.kind is UserRows.EXPOSURES), {})
    rows, remedy = misnamed_exposures(spec, names)
    of_all = sum(names.values())
    if rows <= _MISNAMED_SHARE * of_all:
        return ()
    detail = (
        f"{rows:,} of {of_all:,} exposures name a variant in other letters than the spec and are "
        f"left out. Write names alike; or, if all are so, set {remedy}"
    )
    return (QualityCheck("names of variants", passed=False, detail=detail),)


def _check_lost(spec: Experiment, sources: Sequence[SourcePull]) -> tuple[QualityCheck, ...]:
    """A failed check where too many exposures can be given to nobody: harm may be among them.

    A row of a table of users may well have no variant: not all users are in the experiment.
    """
    for source in sources:
        left_out = source.left_out
        lost = left_out.without_user + left_out.without_time
        lost += 0 if spec.sources.users is not None else left_out.without_name
        if source.kind is UserRows.EXPOSURES and lost > _LOST_SHARE * (lost + source.row_count):
            detail = (
                f"{lost:,} of {lost + source.row_count:,} exposures have no user, no variant or no "
                f"time and are left out (limit {_LOST_SHARE:.0%}). Complete these rows, or leave "
                "them out of the source if they are no exposures"
            )
            return (QualityCheck("whole exposures", passed=False, detail=detail),)
    return ()


def _check_times(sources: Sequence[SourcePull]) -> tuple[QualityCheck, ...]:
    """A failed check where users are not compared because their exposures' times have not come."""
    for source in sources:
        ahead = source.ahead
        if source.kind is UserRows.EXPOSURES and ahead is not None:
            share = ahead.row_count / source.row_count
            if share > _AHEAD_SHARE:
                detail = f"{share:.1%} of the exposures, {ahead}"
                return (QualityCheck("times of exposures", passed=False, detail=detail),)
    return ()


def _outside_recordings(spec: Experiment, spec_dir: Path, at: datetime) -> tuple[str, ...]:
    """A sentence on each recording that has nothing of the plan's time."""
    named = (spec.sources.requests, spec.metrics_server)
    paths = {spec_dir / one.recording for one in named if isinstance(one, RecordingSource)}
    if not paths or spec.plan.start is None:
        return ()
    from flows.ingest.sources.recording import Recording  # noqa: PLC0415  # slow to import

    end = spec.plan.start + sum((stage.duration for stage in spec.stages), timedelta())
    begin, until = milliseconds_of(spec.plan.start), milliseconds_of(min(at, end))
    said = (Recording(path).outside(begin, until) for path in sorted(paths))
    return tuple(filter(None, said))


def _without_requests(spec: Experiment, warehouse: Path, at: datetime) -> list[str]:
    """The variants that had no request before the look."""
    with open_reader(warehouse) as con:
        rows = run(con, "aggregate/variants_seen", experiment=spec.experiment, until=at).fetchall()
    seen = {variant for (variant,) in rows}
    return [name for name in spec.variants if name not in seen]


def _on_series(
    spec: Experiment, missing: list[str], spec_dir: Path, at: datetime
) -> tuple[str, ...]:
    # The sources import pyarrow and requests; a gate with all its data must not pay for them.
    from flows.ingest.requests.diagnosis import other_versions, unseen_variants  # noqa: PLC0415
    from flows.ingest.requests.mesh.families import FAMILIES  # noqa: PLC0415

    source, until_ms = open_source(spec, spec_dir, at)
    if spec.mesh is None:
        return ()
    family = FAMILIES[spec.mesh]
    if not missing:
        return other_versions(family, spec, source, until_ms=until_ms)
    start = spec.plan.start or instant(until_ms) - _EARLIER
    return unseen_variants(
        family,
        spec,
        source,
        missing,
        start_ms=milliseconds_of(start),
        until_ms=until_ms,
    )


@dataclass(frozen=True, slots=True)
class AboutData:
    """What is to be said of the data before a look judges it.

    remarks: sentences on windows that may be partial and on users' rows that were left out.
    evidence: identity of what the warehouse held before any of this was read.
    """

    remarks: tuple[str, ...] = ()
    checks: tuple[QualityCheck, ...] = ()
    evidence: str = ""


def about_data(spec: Experiment, warehouse: Path, *, spec_dir: Path, at: datetime) -> AboutData:
    """Raises WarehouseBusy or WarehouseUnusable."""
    if not warehouse.exists():
        return AboutData()
    with open_reader(warehouse) as con:
        plan = staged_plan(con, spec, at=at)
        look_at = instant(look_time_of(plan, milliseconds_of(at)))
        evidence = evidence_at(con, spec, spec_dir, look_at, at)
        # A look after the end is the look at the end, and says the same.
        until_ms = min(milliseconds_of(at), plan.end_ms)
        pulled = PulledWindows.of(con, spec)
        windows = pulled.doubtful(plan.start_ms, until_ms)
        notes = pulled.notes(plan.start_ms, until_ms)
        pods = unlike_pods_seen(con, spec, until_ms)
        sources = known_sources(con, spec) if spec.user_metrics and spec.sources.rows else ()
        remarks = (*_on_windows(windows), *notes, *pods, *_on_users(con, spec, sources))
        checks = (
            *_check_variant_names(spec, sources),
            *_check_lost(spec, sources),
            *_check_times(sources),
        )
        return AboutData(remarks, checks, evidence)


def _on_windows(windows: Sequence[PulledWindow]) -> Iterator[str]:
    """A sentence per source and warning, with the time from its first to its last window."""
    said = dict.fromkeys((w.source, text) for w in windows for text in w.warnings)
    for source, text in said:
        of_it = [w for w in windows if w.source == source and text in w.warnings]
        yield f"{source} {times_of(of_it)} may be incomplete, their source said: {text}"
    if any(w.is_blind for w in windows if w.source == "requests"):
        yield BLIND


def _on_users(con: Connection, spec: Experiment, sources: Sequence[SourcePull]) -> Iterator[str]:
    if spec.sources.sums is not None and spec.user_metrics:
        yield from notes_on_aggregates(read_known_aggregates(con, spec))
    for source in sources:
        yield from source.notes
