"""One experiment with many users: what a first run, the next day, nothing new, publish, gate cost.

`python -m benchmarks.many_users [--users 1e7] [--quick] [--first-run]`. Five metrics, two of them
with a covariate, users of ten days in a file of exposures and one of outcomes a day. Every figure
is of a whole process (`verdict run`, `publish`, `gate`), beside one pass of hand-written SQL over
the same files that also writes users and outcomes; of both the median of three, in turn. DuckDB may
take 3 GB. --quick takes 1e6 users, of which a run's fixed costs are more; --first-run measures only
that, for so many users that all of it takes hours. Writes benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import duckdb

from benchmarks.processes import Cost, program, verdict
from benchmarks.results import Figure, write_results

_DAYS = 10
_USERS_OF_GOALS = 10_000_000
_SPEC = """experiment: shop
service: shop
namespace: prod
variants: {control: {}, treatment: {}}
split: {control: 50, treatment: 50}
metrics:
  conversion: {kind: proportion, role: goal, outcome: buy, window: 1d}
  revenue:
    {kind: mean, role: guardrail, outcome: buy, window: 1d, margin: 5%, adjust: [{before: 7d}]}
  visits:
    {kind: mean, role: guardrail, outcome: visit, window: 1d, margin: 5%, adjust: [{before: 7d}]}
  orders: {kind: count, role: guardrail, outcome: buy, window: 1d, margin: 5%}
  per-visit: {kind: ratio, role: guardrail, outcome: buy, per: visit, window: 1d, margin: 5%}
sources:
  exposures: {files: ../data/e*.parquet}
  outcomes: {files: ../data/o*.parquet}
plan: {start: 2026-10-01T00:00:00Z, duration: 14d}
"""
# Rows of outcomes: name, hours after the exposure, and of how many users in ten.
_OUTCOMES = (("buy", 1, 3), ("visit", 2, 5), ("visit", -30, 5), ("buy", -40, 3))
_BY_HAND = """
import duckdb
con = duckdb.connect("{root}/hand.duckdb")
con.execute("set timezone = 'UTC'")
con.execute('''create table users as select user_id, min(variant) as variant,
min(exposed_at) as began from '{root}/data/e*.parquet' group by user_id''')
con.execute("create table outcomes as from '{root}/data/o*.parquet'")
print(con.execute('''with placed as (
select user_id, outcome, value, epoch_us(occurred_at) - epoch_us(began) as after_us
from outcomes join users using (user_id)),
totals as (select user_id,
count(*) filter (outcome = 'buy' and after_us >= 0 and after_us < 86400000000) as n,
sum(value) filter (outcome = 'buy' and after_us >= 0 and after_us < 86400000000) as y,
sum(value) filter (outcome = 'buy' and after_us < 0 and after_us >= -604800000000) as y0,
sum(value) filter (outcome = 'visit' and after_us >= 0 and after_us < 86400000000) as v,
sum(value) filter (outcome = 'visit' and after_us < 0 and after_us >= -604800000000) as v0
from placed group by user_id),
final as (select variant, cast(began as date) as day, coalesce(n, 0) as n, coalesce(y, 0) as y,
coalesce(y0, 0) as y0, coalesce(v, 0) as v, coalesce(v0, 0) as v0
from users left join totals using (user_id))
select variant, day, count(*), sum(least(n, 1)), sum(n), sum(n * n), sum(y), sum(y * y), sum(y0),
sum(y0 * y0), sum(y * y0), sum(v), sum(v * v), sum(v0), sum(v0 * v0), sum(v * v0), sum(y * v)
from final group by all''').fetchall())
con.close()
"""


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=float, default=1e7)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--first-run", action="store_true")
    options = parser.parse_args()
    os.environ["VERDICT_MEMORY_LIMIT"] = "3GB"
    users = 1_000_000 if options.quick else int(options.users)
    with tempfile.TemporaryDirectory() as folder:
        figures = _of_first_run if options.first_run else _figures
        write_results(figures(Path(folder), users), at_size_of_goals=users >= _USERS_OF_GOALS)


def _of_first_run(folder: Path, users: int) -> list[Figure]:
    _write(folder, _DAYS, users)
    time.sleep(3)  # files that changed just now are never trusted
    first = _run(folder, _DAYS)
    n = f"{users:,} users x 5 metrics"
    return [
        Figure(f"{n}: first run", first.cpu_s, "s", ""),
        Figure(f"{n}: first run, memory", first.peak_mib, "MiB", "4096 MiB"),
    ]


def _figures(folder: Path, users: int) -> list[Figure]:
    whole, grown, small = folder / "whole", folder / "grown", folder / "small"
    _write(whole, _DAYS, users)
    _write(grown, _DAYS - 1, users)
    _write(small, _DAYS, 100)
    time.sleep(3)  # files that changed just now are never trusted
    _run(small, _DAYS)  # compiles the modules, too
    first, by_hand = _first_run_and_pass(whole)
    _run(grown, _DAYS - 1)
    _write_day(grown, _DAYS - 1, users // _DAYS)
    time.sleep(3)
    next_day = _run(grown, _DAYS)
    again = _run(whole, _DAYS)
    (whole / "var" / "published.json").unlink()
    publish = verdict(whole, "publish")
    gate, base = (
        min(verdict(root, "gate", "shop", "--at", _at(_DAYS)).cpu_s for _ in range(5))
        for root in (whole, small)
    )
    n = f"{users:,} users x 5 metrics"
    passed = "one pass by hand"
    return [
        Figure(f"{n}: first run", first.cpu_s, "s", "2.5", by_hand.cpu_s, passed),
        Figure(f"{n}: first run, memory", first.peak_mib, "MiB", "4096 MiB"),
        Figure(f"{n}: next day", next_day.cpu_s, "s", "0.2", first.cpu_s, "first run"),
        Figure(f"{n}: nothing new, run", again.cpu_s, "s", "", first.cpu_s, "first run"),
        Figure(f"{n}: nothing new, gate", gate, "s", "1.2", base, "gate of 100 users"),
        Figure(f"{n}: publish", publish.cpu_s, "s", "0.2", by_hand.cpu_s, passed),
        Figure(f"{n}: publish, memory", publish.peak_mib, "MiB", "1024 MiB"),
    ]


def _first_run_and_pass(root: Path) -> tuple[Cost, Cost]:
    """The medians of three of each, in turn, and the largest memory."""
    runs, passes = [], []
    for _ in range(3):
        shutil.rmtree(root / "var", ignore_errors=True)
        (root / "hand.duckdb").unlink(missing_ok=True)
        runs.append(_run(root, _DAYS))
        passes.append(program(_BY_HAND.format(root=root)))
    first, by_hand = (
        Cost(median(each.cpu_s for each in costs), max(each.peak_mib for each in costs))
        for costs in (runs, passes)
    )
    return first, by_hand


def _at(day: int) -> str:
    return f"2026-10-{1 + day:02}T00:00:00Z"


def _run(root: Path, day: int) -> Cost:
    return verdict(root, "run", "--at", _at(day))


def _write(root: Path, days: int, users: int) -> None:
    """A project with users of so many days."""
    (root / "experiments").mkdir(parents=True)
    (root / "data").mkdir()
    (root / "experiments" / "shop.yaml").write_text(_SPEC)
    for day in range(days):
        _write_day(root, day, users // _DAYS)


def _write_day(root: Path, day: int, users: int) -> None:
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        con.execute(
            f"create table e as select 'u' || i as user_id, "
            "['control', 'treatment'][1 + (hash(i) % 2)::int] as variant, "
            f"timestamptz '{_at(day)}' "
            f"+ to_microseconds(((i - {day * users}) * 86399e6 / {users})::bigint) as exposed_at "
            f"from range({day * users}, {(day + 1) * users}) as r(i)"
        )
        con.execute(f"copy e to '{root}/data/e{day}.parquet'")
        rows = " union all ".join(
            f"select user_id, '{name}' as outcome, exposed_at + to_hours({hours}) as occurred_at, "
            f"1.0 + hash(user_id, {2 * i}) % 1000 / 1000 as value from e "
            f"where hash(user_id, {2 * i + 1}) % 10 < {share}"
            for i, (name, hours, share) in enumerate(_OUTCOMES)
        )
        con.execute(f"copy ({rows}) to '{root}/data/o{day}.parquet'")


if __name__ == "__main__":
    main()
