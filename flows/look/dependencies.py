"""What an experiment waits for: others that it comes after, until they have been promoted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from flows.formats.problems import InputError
from flows.look.basis import basis_of, evidence_of
from flows.plan.delivered import identity_of
from flows.spec.experiment import Experiment
from flows.warehouse.delivery_log import DeliveryOutcome, DeliveryState, read_delivery
from flows.warehouse.statements import Connection, run
from flows.workspace.experiments import load_spec


def waits_for(con: Connection, spec: Experiment, spec_dir: Path, at: datetime) -> Iterator[str]:
    """A sentence per experiment of `after` that isn't promoted at a time; none if all are.

    A promote counts as long as what it rests on is unchanged. spec_dir: where all specs are.
    """
    if not spec.after:
        return
    from analysis.verdict import Decision  # noqa: PLC0415  # slow, and most wait for nothing

    for name in spec.after:
        delivery = read_delivery(con, name, until=at)
        if delivery is not None:
            if delivery.outcome is not DeliveryOutcome.PROMOTED:
                where = f"stage {delivery.stage} of {delivery.stages}"
                yield f"waits for {name}: its delivery is {delivery.outcome or f'at {where}'}"
            elif not _is_of(delivery, spec_dir / f"{name}.yaml"):
                yield (
                    f"waits for {name}: its variants, cohorts or stages changed since it was "
                    f"promoted; deliver it again (verdict deliver --again {name})"
                )
            continue
        asked = {"experiment": name, "until": at}
        row = run(con, "aggregate/latest_decision", **asked).fetchone()
        if row is None:
            yield waits_for_first_verdict(name)
        elif row[0] != Decision.PROMOTE.value:
            yield f"waits for {name}: its verdict of {row[1]:%Y-%m-%d %H:%M} UTC is {row[0]}"
        elif not _stands(con, name, spec_dir, row[1].replace(tzinfo=UTC), at):
            yield (
                f"waits for {name}: its spec, files, data or the software changed since its "
                f"verdict of {row[1]:%Y-%m-%d %H:%M} UTC; look at it again (verdict gate {name})"
            )


def waits_for_first_verdict(name: str) -> str:
    """The sentence on an experiment that was never looked at."""
    return f"waits for {name}: it has no verdict yet"


def with_waits(
    con: Connection,
    spec: Experiment,
    spec_dir: Path,
    evidence: Mapping[str, str],
    at: datetime,
) -> str:
    """A hash of what a look reads, with what it waits for; evidence: of evidence_of."""
    return "; ".join((evidence.get(spec.experiment, ""), *waits_for(con, spec, spec_dir, at)))


def _is_of(delivery: DeliveryState, path: Path) -> bool:
    """Whether what was delivered is what the spec says now."""
    try:
        return delivery.identity == identity_of(load_spec(path))
    except InputError:
        return False


def _stands(con: Connection, name: str, spec_dir: Path, look_at: datetime, at: datetime) -> bool:
    """Whether the look at an experiment rests on what is there now; a later look replaced it."""
    row = run(con, "aggregate/seen_looks", experiments=[name]).fetchone()
    if row is None:
        return False
    _, last, inputs, known, _ = row
    if last > look_at:
        return True
    try:
        spec = load_spec(spec_dir / f"{name}.yaml")
    except InputError:
        return False
    evidence = evidence_of(con, {name: look_at}, at)
    return bool(
        last == look_at
        and inputs == basis_of(spec, spec_dir).inputs
        and known == with_waits(con, spec, spec_dir, evidence, at)
    )
