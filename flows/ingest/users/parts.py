"""The sources of users' rows as the warehouse holds them: their parts, and the names in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from flows.ingest.sources.user_rows import LeftOut, UserDataRefused, UserRows
from flows.ingest.users.pull_report import SourcePull
from flows.ingest.users.quantities import cohorts_of, quantile_cohorts
from flows.spec.experiment import Experiment
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class KnownPart:
    """A part as the warehouse holds it."""

    origin: str
    state: str
    checksum: str
    generation: int
    row_count: int
    left_out: LeftOut


def known_parts(con: DuckDBPyConnection, spec: Experiment, kind: UserRows) -> dict[str, KnownPart]:
    """The parts of a source that the warehouse holds, by name."""
    rows = con.execute(
        statement("aggregate/user_parts"), {"experiment": spec.experiment, "source": kind.value}
    ).fetchall()
    return {
        part: KnownPart(origin, state, checksum, generation, row_count, LeftOut(*left_out))
        for part, origin, state, checksum, generation, row_count, *left_out in rows
    }


def known_source(con: DuckDBPyConnection, spec: Experiment, kind: UserRows) -> SourcePull:
    """A source as the warehouse holds it: what a pull that finds nothing new would say of it."""
    known = known_parts(con, spec, kind)
    return SourcePull(
        kind=kind,
        replaced=(),
        unchanged=len(known),
        vanished=(),
        forgotten=(),
        row_count=sum(old.row_count for old in known.values()),
        left_out=reduce(LeftOut.__add__, (old.left_out for old in known.values()), LeftOut()),
        unknown=_unknown_names(con, spec, kind) if known else {},
    )


def _unknown_names(con: DuckDBPyConnection, spec: Experiment, kind: UserRows) -> dict[str, int]:
    """Rows by a variant that the spec doesn't have, or by outcome if no metric asks for any.

    Raises UserDataRefused if there are exposures, but none to a variant of the spec.
    """
    found = dict(
        con.execute(
            statement(f"aggregate/{kind}_names"), {"experiment": spec.experiment}
        ).fetchall()
    )
    if kind is UserRows.OUTCOMES:
        asked = {
            quantity.outcome
            for cohort in (*cohorts_of(spec), *quantile_cohorts(spec).values())
            for quantity in cohort.quantities
        }
        return {} if asked & set(found) else found
    unknown = {name: rows for name, rows in found.items() if name not in spec.variants}
    if found and len(unknown) == len(found):
        seen = ", ".join(f"{name!r} ({rows:,} rows)" for name, rows in list(found.items())[:5])
        raise UserDataRefused(
            f"exposures of {spec.experiment}: no row names a variant of the spec "
            f"({', '.join(spec.variants)}); they name {seen}"
        )
    return unknown
