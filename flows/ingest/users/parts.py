"""The sources of users' rows as the warehouse holds them: their parts, and the names in them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from flows.ingest.engine.kept_answers import rows_of
from flows.ingest.sources.user_rows import LeftOut, UserDataRefused, UserRows
from flows.ingest.users.pull_report import CameAgain, EarlyUsers, RowsAhead, SourcePull
from flows.ingest.users.quantities import cohorts_of, quantile_cohorts
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run


@dataclass(frozen=True, slots=True)
class KnownPart:
    """A part as the warehouse holds it; is_gone: it was not found any more."""

    is_gone: bool
    origin: str
    state: str
    checksum: str
    generation: int
    row_count: int
    left_out: LeftOut

    @property
    def is_empty(self) -> bool:
        """Whether nothing was in it, not even rows that were left out."""
        return not self.row_count and self.left_out == LeftOut()


def known_parts(con: Connection, spec: Experiment) -> dict[UserRows, dict[str, KnownPart]]:
    """The parts of each source that the warehouse holds, by name."""
    found: dict[UserRows, dict[str, KnownPart]] = {kind: {} for kind in UserRows}
    rows = run(con, "aggregate/user_parts", experiment=spec.experiment).fetchall()
    for source, part, is_gone, origin, state, checksum, generation, row_count, *rest in sorted(
        rows
    ):
        found[UserRows(source)][part] = KnownPart(
            is_gone, origin, state, checksum, generation, row_count, LeftOut(*rest)
        )
    return found


def lost_outcomes(con: Connection, spec: Experiment) -> int:
    """How many rows of outcomes lack a user, a name or a time, and count for nobody."""
    parts = known_parts(con, spec)[UserRows.OUTCOMES].values()
    return sum(
        p.left_out.without_user + p.left_out.without_name + p.left_out.without_time for p in parts
    )


def gone_outcomes(con: Connection, spec: Experiment) -> int:
    """How many rows of outcomes were read once and are in no part any more.

    0 of tables of users, of which each pull has what is now.
    """
    if spec.sources.users is not None:
        return 0
    rows = run(con, "aggregate/replaced_parts", experiment=spec.experiment).fetchall()
    of_outcomes = [row[2:4] for row in rows if row[0] == UserRows.OUTCOMES.value]
    return sum(had - found_again for had, found_again in of_outcomes)


def known_sources(con: Connection, spec: Experiment) -> tuple[SourcePull, ...]:
    """The spec's sources as the warehouse holds them: what a pull that finds nothing new would say
    of them."""
    parts = known_parts(con, spec)
    again = run(con, "aggregate/replaced_parts", experiment=spec.experiment).fetchall()
    return tuple(
        _known_source(
            con, spec, kind, parts[kind], [row for source, *row in again if source == kind]
        )
        for kind in map(UserRows, spec.sources.rows)
    )


def _known_source(
    con: Connection,
    spec: Experiment,
    kind: UserRows,
    known: Mapping[str, KnownPart],
    again: Sequence[Sequence[Any]],
) -> SourcePull:
    names = _names(con, spec, kind) if known else {}
    return SourcePull(
        kind=kind,
        replaced=(),
        unchanged=sum(not old.is_gone for old in known.values()),
        vanished=tuple(part for part, old in known.items() if old.is_gone),
        forgotten=(),
        row_count=sum(old.row_count for old in known.values()),
        left_out=reduce(LeftOut.__add__, (old.left_out for old in known.values()), LeftOut()),
        names=names,
        unknown=_unknown_names(spec, kind, names),
        came_again=tuple(CameAgain(*row) for row in again),
        empty=tuple(part for part, old in known.items() if old.is_empty),
        copies=_copies(known),
        early=_early_users(con, spec) if kind is UserRows.EXPOSURES else None,
        ahead=_rows_ahead(con, spec, kind) if known else None,
    )


def _rows_ahead(con: Connection, spec: Experiment, kind: UserRows) -> RowsAhead | None:
    filled = {"rows": kind.value, "at": kind.time_column}
    rows = run(rows_of(con, spec), "aggregate/rows_ahead", filled, experiment=spec.experiment)
    [(count, latest)] = rows.fetchall()
    return RowsAhead(kind, count, latest) if count else None


def _copies(known: Mapping[str, KnownPart]) -> tuple[tuple[str, str], ...]:
    """Parts that have the same rows as another one, after which they come; two rows at least."""
    first: dict[tuple[str, int], str] = {}
    found = []
    for part, old in known.items():
        if old.row_count > 1:
            same = first.setdefault((old.checksum, old.row_count), part)
            found += [(part, same)] if same != part else []
    return tuple(found)


def _early_users(con: Connection, spec: Experiment) -> EarlyUsers | None:
    """The users that were exposed before the plan's start; None without such, or a start."""
    if spec.plan.start is None:
        return None
    row = run(
        rows_of(con, spec),
        "aggregate/exposures_before_start",
        experiment=spec.experiment,
        variants=list(spec.variants),
        start=spec.plan.start,
    ).fetchone()
    return EarlyUsers(spec.plan.start, *row) if row and row[0] else None


def _unknown_names(spec: Experiment, kind: UserRows, found: Mapping[str, int]) -> dict[str, int]:
    """Rows by a variant that the spec doesn't have, or by outcome if no metric asks for any.

    found: rows by name. Raises UserDataRefused if there are exposures, but none to a variant of the
    spec.
    """
    if kind is UserRows.OUTCOMES:
        asked = {
            quantity.outcome
            for cohort in (*cohorts_of(spec), *quantile_cohorts(spec).values())
            for quantity in cohort.quantities
        }
        return {} if asked & set(found) else dict(found)
    unknown = {name: rows for name, rows in found.items() if name not in spec.variants}
    if found and len(unknown) == len(found):
        seen = ", ".join(f"{name!r} ({rows:,} rows)" for name, rows in list(found.items())[:5])
        raise UserDataRefused(
            f"exposures of {spec.experiment}: no row names a variant of the spec "
            f"({', '.join(spec.variants)}); they name {seen}. Say which is which: "
            f"{_said_as_values(spec, list(found))}"
        )
    return unknown


def _names(con: Connection, spec: Experiment, kind: UserRows) -> dict[str, int]:
    """Rows by variant or by outcome, as they came."""
    lists = {"rows": kind.value, "named": kind.name_column}
    rows = rows_of(con, spec)
    return dict(run(rows, "aggregate/row_names", lists, experiment=spec.experiment).fetchall())


def misnamed_exposures(spec: Experiment, found: Mapping[str, int]) -> tuple[int, str]:
    """Exposures by a variant's name in other letters, and what to set; found: rows by name."""
    known = {variant.casefold() for variant in spec.variants}
    alike = [name for name in found if name not in spec.variants and name.casefold() in known]
    rows = sum(found[name] for name in alike)
    return rows, _said_as_values(spec, alike) if alike else ""


def _said_as_values(spec: Experiment, names: Sequence[str]) -> str:
    """What to write in the spec for variants that are called otherwise in the data."""
    places = dict.fromkeys(spec.variants, "<name in the data>")
    alike = {name.casefold(): name for name in reversed(names)}
    places |= {v: alike[v.casefold()] for v in spec.variants if v.casefold() in alike}
    quoted = (f"{name}: {{value: {json.dumps(value)}}}" for name, value in places.items())
    return f"variants: {{{', '.join(quoted)}}}"
