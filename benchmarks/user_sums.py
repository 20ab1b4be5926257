"""Users to sufficient statistics: our statements beside plain sums and tea-tasting on DuckDB.

`python -m benchmarks.user_sums [--users 1e7] [--metrics 20] [--quick]`. First: a table of users'
final values, a covariate beside the metrics, reduced by sql/aggregate/user_sums.sql, by one pass of
hand-written sums over the same columns, and by tea-tasting (Ibis on DuckDB); ways take turns, the
medians of 5 runs are compared. Then: a warehouse takes in users and outcomes day by day; what the
last day costs, pull and look, beside the first ones and beside a look that reads every row.
--quick takes 1e6 users.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import duckdb

from flows.formats.time import milliseconds_of
from flows.ingest.coverage import users_known_until
from flows.ingest.users.pull_users import pull_users
from flows.look.user_statistics import read_user_statistics
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer
from flows.warehouse.statements import statement

_ROUNDS = 5
_START = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=float, default=1e7)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    users = 1_000_000 if options.quick else int(options.users)
    _compare_passes(users, options.metrics)
    _compare_days(users // 100)


def _compare_passes(users: int, metrics: int) -> None:
    con = duckdb.connect()
    values = ", ".join(f"random() * {i + 1} + x as q{i}" for i in range(metrics))
    con.execute(
        f"create table final_values as select *, {values} from (select 'ab'[1 + i % 2] as variant, "
        f"date '2026-01-01' + cast(i * 30 // {users} as integer) as exposed_on, "
        f"cast(0 as smallint) as split, "
        f"random() as x, random() as q{metrics} from range({users}) as r(i))"
    )
    ways: dict[str, Callable[[], object]] = {
        "plain sums": lambda: con.execute(_plain_sums(metrics)).fetchall(),
        "sql/aggregate/user_sums": lambda: con.execute(_our_sums(metrics)).fetchall(),
        "tea-tasting": lambda: _tea_tasting(con, metrics),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_ROUNDS):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - begin)
    floor = median(seconds["plain sums"])
    print(f"{users:,} users x {metrics} metrics with a covariate")
    for name, runs in seconds.items():
        print(f"  {name:26} {median(runs):8.3f} s   {median(runs) / floor:5.2f} of plain sums")


def _plain_sums(metrics: int) -> str:
    covariate = f"q{metrics}"
    sums = [f"sum({covariate})", f"sum({covariate} * {covariate})"]
    for i in range(metrics):
        sums += [f"sum(q{i})", f"sum(q{i} * q{i})", f"sum(q{i} * {covariate})"]
    return f"select variant, count(*), {', '.join(sums)} from final_values group by variant"


def _our_sums(metrics: int) -> str:
    """The statement as final_values fills it in, for metrics with one common covariate."""
    pairs = [(i, j) for i in range(metrics + 1) for j in {i, metrics}]
    return statement(
        "aggregate/user_sums",
        totals=", ".join(f"sum(q{i})" for i in range(metrics + 1)),
        products=", ".join(f"sum(q{i} * q{j})" for i, j in pairs),
    )


def _tea_tasting(con: duckdb.DuckDBPyConnection, metrics: int) -> object:
    import ibis  # noqa: PLC0415
    import tea_tasting as tt  # noqa: PLC0415

    table = ibis.duckdb.from_connection(con).table("final_values")
    asked = {f"m{i}": tt.Mean(f"q{i}", covariate=f"q{metrics}") for i in range(metrics)}
    return tt.Experiment(asked, variant="variant").analyze(table)


def _spec() -> Experiment:
    return Experiment.model_validate(
        {
            "experiment": "bench",
            "service": "bench",
            "variants": {"a": {}, "b": {}},
            "metrics": {
                "spend": {
                    "kind": "mean",
                    "outcome": "buy",
                    "window": "2d",
                    "adjust": [{"before": "7d"}],
                },
                "bought": {"kind": "proportion", "outcome": "buy", "window": "2d"},
            },
            "sources": {"exposures": {"files": "e*.parquet"}, "outcomes": {"files": "o*.parquet"}},
        }
    )


def _compare_days(users_a_day: int, days: int = 30) -> None:
    """Each day brings new users, and four outcomes for each user of the last five days."""
    with tempfile.TemporaryDirectory(prefix="user-sums-") as name:
        folder = Path(name)
        costs = []
        for day in range(days):
            _write_day(folder, day, users_a_day)
            costs.append(_seconds_of_day(folder, _START + timedelta(days=day + 1)))
        with open_writer(folder / "w.duckdb") as con:
            until = _START + timedelta(days=days)
            begin = time.perf_counter()
            kept = read_user_statistics(con, _spec(), until)
            kept_s = time.perf_counter() - begin
            con.execute("begin; delete from user_state")
            begin = time.perf_counter()
            rows = read_user_statistics(con, _spec(), until)
            rows_s = time.perf_counter() - begin
            con.execute("rollback")
        if rows.exposed != kept.exposed:
            raise AssertionError(f"kept sums say {kept.exposed} users, the rows {rows.exposed}")
    print(f"{days} days of {users_a_day:,} new users; pull and look of one day")
    early, late = median(costs[5:10]), median(costs[-5:])
    print(f"  days 6 to 10               {early:8.3f} s")
    print(f"  the last five days         {late:8.3f} s   {late / early:5.2f} of those")
    print(f"  a look at kept sums        {kept_s:8.3f} s")
    print(f"  the same from all rows     {rows_s:8.3f} s   {rows_s / kept_s:5.2f} of kept sums")


def _write_day(folder: Path, day: int, users: int) -> None:
    at = f"timestamptz '{_START:%Y-%m-%d} 00:00:00+00' + to_days({day})"
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        con.execute(
            f"copy (select 'u' || (i + {day * users}) as user_id, 'ab'[1 + i % 2] as variant, "
            f"{at} + to_microseconds(cast(random() * 86399e6 as bigint)) as exposed_at "
            f"from range({users}) as r(i)) to '{folder}/e{day:03}.parquet'"
        )
        con.execute(
            f"copy (select 'u' || cast(floor({max(0, day - 4) * users} + "
            f"random() * {(min(day, 4) + 1) * users}) as bigint) as user_id, 'buy' as outcome, "
            f"{at} + to_microseconds(cast(random() * 86399e6 as bigint)) as occurred_at, "
            f"random() * 50 as value from range({4 * users}) as r(i)) "
            f"to '{folder}/o{day:03}.parquet'"
        )


def _seconds_of_day(folder: Path, until: datetime) -> float:
    begin = time.perf_counter()
    pull_users(_spec(), folder / "w.duckdb", spec_dir=folder, until_ms=milliseconds_of(until))
    with open_writer(folder / "w.duckdb") as con:
        read_user_statistics(con, _spec(), until)
        known_until = users_known_until(con, _spec())
    seconds = time.perf_counter() - begin
    if known_until != until:
        raise AssertionError(f"known until {known_until}, not {until}")
    return seconds


if __name__ == "__main__":
    main()
