"""What outcomes reach is worked out by the pull that changed something, and read by looks."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from flows.formats.time import milliseconds_of
from flows.ingest.users.exposed_users import make_users_at
from flows.ingest.users.kept_reach import Reach, reach_at_look, read_reach
from flows.ingest.users.pull_users import pull_users
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer
from tests.builders.user_specs import (
    START,
    Rows,
    day,
    rows_of,
    spec_of,
    write_exposures,
    write_outcomes,
)

EXPOSURES: Rows = [(user, "ab"[user % 2], user / 10) for user in range(100)]
OUTCOMES: Rows = [
    *((user, "purchase", user / 10 + 1, 1) for user in range(0, 100, 3)),
    *((f"u{user}", "visit", user / 10 + 1, 1) for user in range(0, 100, 7)),
    (7, "purchase", 0.1, None),
]
AT = day(30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_exposures(tmp_path, EXPOSURES)
    write_outcomes(tmp_path, OUTCOMES)
    return tmp_path


def pull(folder: Path, at: datetime = AT, spec: Experiment | None = None) -> None:
    until_ms = milliseconds_of(at)
    asked = spec_of() if spec is None else spec
    pull_users(asked, folder / "w.duckdb", spec_dir=folder, until_ms=until_ms)


def both(folder: Path, at: datetime = AT, spec: Experiment | None = None) -> tuple[Reach, Reach]:
    """As a look has it, and from the rows."""
    asked = spec_of() if spec is None else spec
    with open_writer(folder / "w.duckdb") as con:
        return reach_at_look(con, asked, at, is_kept=True), read_reach(con, asked, at, is_kept=True)


def kept_until(folder: Path) -> datetime:
    ((known_until,),) = rows_of(folder, "select known_until from outcome_reach")
    found: datetime = known_until
    return found


def test_what_is_kept_is_what_the_rows_say(folder: Path) -> None:
    pull(folder)
    kept, read = both(folder)
    assert kept == read
    assert kept.names == {"purchase": 35, "visit": 15}
    assert kept.metrics["visits"][0].alike == 15
    assert kept.metrics["spend"][0].by_variant["a"].happened == 17


def test_new_rows_are_in_it(folder: Path) -> None:
    pull(folder)
    write_outcomes(folder, [(1, "purchase", 2, 1), (99, "visit", 12, 1)], "outcomes-2.csv")
    pull(folder)
    kept, read = both(folder)
    assert kept == read
    assert kept.names == {"purchase": 36, "visit": 16}


def test_nothing_new_is_not_worked_out_again_until_time_has_passed(folder: Path) -> None:
    pull(folder)
    pull(folder, AT + timedelta(hours=6))
    assert kept_until(folder) == AT
    later = START + 1.1 * (AT - START)
    pull(folder, later)
    assert kept_until(folder) == later


def test_users_that_become_final_are_in_it(folder: Path) -> None:
    pull(folder, day(5))
    pull(folder, AT)
    kept, read = both(folder)
    assert kept == read
    assert kept.metrics["bought"][0].by_variant["a"].users == 50


def test_another_spec_asks_anew(folder: Path) -> None:
    pull(folder)
    spec = spec_of(metrics={"back": {"kind": "count", "outcome": "visit", "window": "2d"}})
    kept, read = both(folder, spec=spec)
    assert kept == read
    assert set(kept.metrics) == {"back"}
    pull(folder, spec=spec)
    assert kept_until(folder) == AT


def test_a_look_before_the_last_pull_reads_the_rows(folder: Path) -> None:
    pull(folder)
    with open_writer(folder / "w.duckdb") as con:
        make_users_at(con, spec_of(), day(9))
        found = reach_at_look(con, spec_of(), day(9), is_kept=False)
    assert found.metrics["bought"][0].by_variant["a"].users < 50


@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_added_to_from_pull_to_pull_is_what_all_rows_say(tmp_path: Path, seed: int) -> None:
    """Rows split at random over files and pulls: late, early, of nobody, in two variants, twice.

    One pull replaces a file of before, one finds nothing new.
    """
    rng = np.random.default_rng(seed)
    users = rng.uniform(0, 20, 120)
    exposures: Rows = [(u, "ab"[u % 2], at) for u, at in enumerate(users)]
    exposures += [
        (u, rng.choice(["a", "b"]), users[u] + rng.uniform(-5, 5)) for u in range(0, 120, 9)
    ]
    outcomes: Rows = [
        (
            rng.choice([f"{rng.integers(140)}", f"u{rng.integers(140)}"], p=[0.97, 0.03]),
            rng.choice(["purchase", "visit", "other"], p=[0.5, 0.4, 0.1]),
            rng.uniform(-10, 27),
            [None, 0, 1, 2.5][rng.integers(4)],
        )
        for _ in range(700)
    ]
    spec, pulls = spec_of(), 6

    def share(rows: Rows) -> list[Rows]:
        """By pull; a row comes days before or after it happened, if not at once."""
        came: list[Rows] = [[] for _ in range(pulls)]
        for row in rows:
            came[int(np.clip(row[2] / 4 + rng.choice([0, 0, 0, -1, 2]), 0, pulls - 1))].append(row)
        return came

    files = list(zip(share(exposures), share(outcomes), strict=True))
    for number, (exposed, happened) in enumerate(files):
        if number != 4:
            write_exposures(tmp_path, exposed, f"exposures-{number}.csv")
            write_outcomes(tmp_path, happened, f"outcomes-{number}.csv")
        if number == 3:
            write_outcomes(tmp_path, files[1][1][::2], "outcomes-1.csv")
        at = day(4 * number + rng.choice([4, 4.3, 5]))
        pull(tmp_path, at, spec)
        kept, read = both(tmp_path, at, spec)
        assert kept == read
    [(written,)] = rows_of(tmp_path, "select reach from outcome_reach")
    assert all(len({row[0] for row in rows}) > 10 for rows in json.loads(written)["days"].values())
