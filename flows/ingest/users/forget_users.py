"""Removes users on request: their rows, and what was kept of them, for good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows.ingest.users.kept_sums import keep_sums
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_OF_ROWS = (
    "load/forget_exposures_of_users",
    "load/forget_outcomes_of_users",
    "load/forget_left_out_outcomes_of_users",
)
_OF_USERS = "load/forget_exposed_users_of_users"


def forget_users(
    warehouse: Path, specs: Sequence[Experiment], users: Sequence[str], *, at: datetime
) -> dict[str, int]:
    """Removes users from all experiments; returns how many rows went, by experiment.

    A hash of each stays, so that a file that still has them brings none of them back. Sums are made
    anew without them for the experiments of specs, and forgotten for others. Verdicts stay: they
    hold sums, and name no user. Raises WarehouseBusy or WarehouseUnusable.
    """
    with open_writer(warehouse) as con:
        with transaction(con):
            for macro in ("load/trimmed_macro", "load/one_form_macro"):
                con.execute(statement(macro))
            asked = {"users": list(users), "forgotten_at": at}
            con.execute(statement("load/forgotten_users"), asked)
            gone = _remove(con, None)
            named = {spec.experiment: spec for spec in specs}
            for experiment in gone:
                if experiment in named:
                    keep_sums(con, named[experiment], None)
                else:
                    _forget_kept(con, experiment)
        # What was deleted stays in the file until the next checkpoint.
        con.execute("checkpoint")
    return dict(sorted(gone.items()))


def leave_out_forgotten(con: DuckDBPyConnection, spec: Experiment) -> None:
    """Removes again what a load has brought of users that were to be forgotten."""
    asked = {"experiment": spec.experiment}
    row = con.execute(statement("aggregate/has_forgotten_users"), asked).fetchone()
    if row and row[0]:
        _remove(con, spec.experiment)


def _remove(con: DuckDBPyConnection, experiment: str | None) -> Counter[str]:
    """Deletes the rows of forgotten users; returns how many rows of each experiment went."""
    asked, gone = {"experiment": experiment}, Counter[str]()
    for name in _OF_ROWS:
        rows = con.execute(statement(name), asked).fetchall()
        gone.update(found for (found,) in rows)
    con.execute(statement(_OF_USERS), asked).fetchall()
    return gone


def _forget_kept(con: DuckDBPyConnection, experiment: str) -> None:
    """Forgets the sums of an experiment without a spec, of which the users are a part."""
    key = {"experiment": experiment}
    con.execute(statement("load/forget_users"), key)
    con.execute(statement("load/forget_user_sums"), {**key, "keep": []})
