"""Removes users on request: their rows, and what was kept of them, for good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from flows.ingest.users.kept_sums import keep_sums
from flows.ingest.users.kept_users import forget_kept
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.engines import on_all_threads
from flows.warehouse.statements import Connection, run


def forget_users(
    warehouse: Path, specs: Sequence[Experiment], users: Sequence[str], *, at: datetime
) -> dict[str, int]:
    """Removes users from all experiments; returns how many rows went, by experiment.

    A hash of each stays, so that a file that still has them brings none of them back. Sums are made
    anew without them for the experiments of specs, and forgotten for others and those of engines.
    Verdicts stay: they hold sums, and name no user. Raises WarehouseBusy or WarehouseUnusable.
    """
    with open_writer(warehouse) as con, on_all_threads(con, warehouse):
        with transaction(con):
            for macro in ("load/trimmed_macro", "load/one_form_macro"):
                run(con, macro)
            run(con, "load/forgotten_users", users=list(users), forgotten_at=at)
            gone = _remove(con, None)
            for (experiment,) in run(con, "aggregate/engine_experiments").fetchall():
                # Whether they were in its sums only the engine knows: the next pull asks it anew.
                run(con, "load/forget_engine_answers", experiment=experiment)
                forget_kept(con, experiment)
            named = {spec.experiment: spec for spec in specs}
            for experiment in gone:
                if experiment in named:
                    keep_sums(con, named[experiment], None)
                else:
                    forget_kept(con, experiment)
        # What was deleted stays in the file until the next checkpoint.
        con.execute("checkpoint")
    return dict(sorted(gone.items()))


def leave_out_forgotten(con: Connection, spec: Experiment) -> None:
    """Removes again what a load has brought of users that were to be forgotten."""
    row = run(con, "aggregate/has_forgotten_users", experiment=spec.experiment).fetchone()
    if row and row[0]:
        _remove(con, spec.experiment)


def _remove(con: Connection, experiment: str | None) -> Counter[str]:
    """Deletes the rows of forgotten users; returns how many rows of each experiment went."""
    gone = Counter[str]()
    for table in ("exposures", "outcomes", "left_out_outcomes", "exposed_users"):
        removed = run(con, "load/forget_rows_of_users", {"rows": table}, experiment=experiment)
        rows = removed.fetchall()
        if table != "exposed_users":  # it holds no rows of a source
            gone.update(found for (found,) in rows)
    return gone
