"""What a cohort's values are measured from and capped at, as far as it is set."""

from __future__ import annotations

from dataclasses import dataclass

from flows.ingest.users.quantities import Cohort
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run


@dataclass(frozen=True, slots=True)
class Scales:
    """By quantity: the constant that sums are about, and the largest value (None: no cap).

    refused: quantities whose percentile is 0. Such a cap would take every value away.
    """

    shifts: list[float]
    caps: list[float | None]
    refused: frozenset[int] = frozenset()

    @classmethod
    def unset(cls, cohort: Cohort) -> Scales:
        """Values as they are: about 0, without a cap."""
        return cls([0.0] * len(cohort.quantities), [None] * len(cohort.quantities))


def scales_of(con: Connection, spec: Experiment, cohort: Cohort) -> Scales:
    """The shifts and caps of a cohort's quantities, as far as they are set."""
    key = {"experiment": spec.experiment}
    shifts = {}
    if any(q.shift_kind for q in cohort.quantities):
        rows = run(con, "aggregate/user_shifts", **key).fetchall()
        shifts = {(outcome, kind): shift for outcome, kind, shift in rows}
    caps = {}
    if any(q.cap_share is not None for q in cohort.quantities):
        caps = dict(run(con, "aggregate/user_caps", **key).fetchall())
    return Scales(
        [
            shifts.get((q.outcome, q.shift_kind), 0.0) if q.middle_day is None else 0.0
            for q in cohort.quantities
        ],
        [caps.get(q.identity) or None for q in cohort.quantities],
        frozenset(i for i, q in enumerate(cohort.quantities) if caps.get(q.identity) == 0),
    )
