"""Sets shifts and caps, each at the first pull that can tell it; then it stays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flows.ingest.users.exposed_users import make_users_at
from flows.ingest.users.final_values import make_final_values
from flows.ingest.users.quantities import Cohort
from flows.ingest.users.scales import scales_of
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run

# A percentile of fewer users says little of their tail.
_USERS_FOR_A_CAP = 100


def keep_scales(
    con: Connection, spec: Experiment, cohorts: Sequence[Cohort], known_until: datetime
) -> None:
    """Sets the shifts and caps that are asked for, not set yet, and known by now."""
    _set_shifts(con, spec, cohorts)
    for cohort in (c for c in cohorts if any(q.cap_share is not None for q in c.quantities)):
        _set_caps(con, spec, cohort, known_until)


def _set_shifts(con: Connection, spec: Experiment, cohorts: Sequence[Cohort]) -> None:
    key = {"experiment": spec.experiment}
    asked = {
        (quantity.outcome, quantity.shift_kind)
        for cohort in cohorts
        for quantity in cohort.quantities
        if quantity.shift_kind
    }
    if not asked:
        return
    known = {row[:2] for row in run(con, "aggregate/user_shifts", **key).fetchall()}
    if not asked - known:
        return
    [(users,)] = run(con, "aggregate/kept_users", **key).fetchall()
    for outcome, kind in sorted(asked - known):
        run(con, "load/user_shift", **key, outcome=outcome, kind=kind, users=users)


def _set_caps(con: Connection, spec: Experiment, cohort: Cohort, known_until: datetime) -> None:
    """Sets the caps that are asked for and not set yet, once there are users enough.

    One of 0 isn't kept: that most of the first users did nothing says nothing of what a user does
    who did something.
    """
    scales = scales_of(con, spec, cohort)
    missing = [
        i
        for i, q in enumerate(cohort.quantities)
        if q.cap_share is not None and scales.caps[i] is None
    ]
    if not missing:
        return
    make_users_at(con, spec, known_until)
    make_final_values(con, spec, cohort, scales, known_until=known_until)
    for i in missing:
        quantity = cohort.quantities[i]
        value = {"value": f"q{i}"}
        answer: Any = run(
            con, "aggregate/user_percentile", value, share=quantity.cap_share
        ).fetchone()
        if answer[0] >= _USERS_FOR_A_CAP:
            run(
                con,
                "load/user_cap",
                experiment=spec.experiment,
                quantity=quantity.identity,
                cap=answer[1] + scales.shifts[i],
            )
