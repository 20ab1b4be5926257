"""What a person must know of a look that saw no data: the spec may ask for what isn't there."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from flows.instants import instant, milliseconds_of
from flows.pull import open_source
from flows.sources.samples import SourceRefused, SourceUnavailable
from flows.spec import Experiment
from flows.spec_file import SpecError
from flows.statements import statement
from flows.warehouse import open_reader

# Without a start in the spec, so far back is looked for what there is.
_EARLIER = timedelta(hours=6)


def has_begun(spec: Experiment, at: datetime) -> bool:
    """Whether the plan has begun at a look; one without a configured start has."""
    return spec.plan.start is None or spec.plan.start <= at


def notes_on(spec: Experiment, warehouse: Path, *, spec_dir: Path, at: datetime) -> tuple[str, ...]:
    """Sentences on a plan that hasn't begun, and on variants that no series names.

    A source that doesn't answer adds none. Raises WarehouseBusy or WarehouseUnusable.
    """
    if not has_begun(spec, at):
        times = (
            f"{spec.plan.start:%Y-%m-%d %H:%M:%S} UTC, after this look ({at:%Y-%m-%d %H:%M:%S} UTC)"
        )
        return (f"the plan starts at {times}",)
    missing = _without_requests(spec, warehouse, at) if spec.request_metrics else []
    if not missing:
        return ()
    with suppress(SourceUnavailable, SourceRefused):
        return _on_series(spec, missing, spec_dir, at)
    return ()


def remarks_on_manifests(spec: Experiment, spec_dir: Path) -> tuple[str, ...]:
    """Where the spec's manifests configure another split; also that they can't be read."""
    if not spec.manifests:
        return ()
    from flows.manifests.configured import disagreements, manifests_of_spec  # noqa: PLC0415

    try:
        return tuple(disagreements(spec, manifests_of_spec(spec, spec_dir)))
    except SpecError as error:
        return tuple(map(str, error.problems))


def _without_requests(spec: Experiment, warehouse: Path, at: datetime) -> list[str]:
    """The variants that had no request before the look."""
    with open_reader(warehouse) as con:
        rows = con.execute(
            statement("aggregate/variants_seen"), {"experiment": spec.experiment, "until": at}
        ).fetchall()
    seen = {variant for (variant,) in rows}
    return [name for name in spec.variants if name not in seen]


def _on_series(
    spec: Experiment, missing: list[str], spec_dir: Path, at: datetime
) -> tuple[str, ...]:
    # The sources import pyarrow and requests; a gate with all its data must not pay for them.
    from flows.request_trouble import unseen_variants  # noqa: PLC0415
    from flows.sources.families import FAMILIES  # noqa: PLC0415

    source, until_ms = open_source(spec, spec_dir, at)
    if spec.mesh is None:
        return ()
    start = spec.plan.start or instant(until_ms) - _EARLIER
    return unseen_variants(
        FAMILIES[spec.mesh],
        spec,
        source,
        missing,
        start_ms=milliseconds_of(start),
        until_ms=until_ms,
    )
