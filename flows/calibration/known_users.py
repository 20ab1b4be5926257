"""Reads all that the warehouse knows of an experiment's users, whatever variant they were in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.calibration.user_history import UserHistory
from flows.calibration.request_history import ALL_KNOWN, Period
from flows.formats.time import milliseconds_of
from flows.ingest.coverage import users_known_until
from flows.ingest.users.exposed_users import make_users_at
from flows.ingest.users.final_values import make_final_values
from flows.ingest.users.quantities import Cohort, cohorts_of
from flows.ingest.users.scales import scales_of
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, columns_of

# Fewer users with a final value say nothing of what a test can see.
LEAST_USERS = 100


@dataclass(frozen=True, slots=True)
class KnownUsers:
    """Histories by metric, without those of too few users; times count from the first exposure.

    first_ms: that exposure, since the epoch. length_ms: from there to the end of what is known.
    """

    first_ms: int
    length_ms: int
    metrics: Mapping[str, UserHistory]


def read_users(con: Connection, spec: Experiment, period: Period = ALL_KNOWN) -> KnownUsers | None:
    """Every metric that is made of users' values; None where no user is known.

    A read-only connection will do.
    """
    known_until = users_known_until(con, spec)
    if known_until is None:
        return None
    make_users_at(con, spec, known_until)
    span = {"since": period.start, "until": period.end}
    rows = columns_of(con, "aggregate/calibration_arrivals", **span)
    arrivals = np.asarray(rows["exposed_ms"], dtype=np.int64)
    if not arrivals.size:
        return None
    first_ms = int(arrivals[0])
    end_ms = min(milliseconds_of(known_until), milliseconds_of(period.end))
    found: dict[str, UserHistory] = {}
    for cohort in cohorts_of(spec):
        scales = scales_of(con, spec, cohort)
        make_final_values(con, spec, cohort, scales, known_until=known_until)
        found |= _histories(
            con, spec, cohort, np.array(scales.shifts), arrivals - first_ms, first_ms, span
        )
    kept = {name: found[name] for name in spec.user_metrics if name in found}
    return KnownUsers(first_ms, end_ms - first_ms, kept)


def _histories(
    con: Connection,
    spec: Experiment,
    cohort: Cohort,
    shift: np.ndarray,
    arrivals_ms: np.ndarray,
    first_ms: int,
    span: Mapping[str, object],
) -> dict[str, UserHistory]:
    """The histories of one cohort's metrics, each with the quantities that it is made of."""
    names = [f"q{i}" for i in range(len(cohort.quantities))]
    lists = {"values": ", ".join(f"v.{n}" for n in names)}
    rows = columns_of(con, "aggregate/calibration_users", lists, **span)
    if len(rows["exposed_ms"]) < LEAST_USERS:
        return {}
    exposed = np.asarray(rows["exposed_ms"], dtype=np.int64)
    values = np.column_stack([np.asarray(rows[name], dtype=np.float64) for name in names])
    return {
        name: UserHistory(
            metric=name,
            final_ms=exposed - first_ms + cohort.window_us // 1000,
            arrivals_ms=arrivals_ms,
            values=values,
            shift=shift,
            value=places.value,
            covariates=places.covariates,
            is_share=spec.user_metrics[name].is_share,
        )
        for name, places in cohort.metrics.items()
    }
