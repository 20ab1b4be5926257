"""Sums that are kept from run to run equal those of the rows."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.evidence import UserEvidence
from analysis.fixed.comparison import Sample
from flows.formats.time import milliseconds_of
from flows.ingest.users.plan_splits import split_starts
from flows.ingest.users.pull_users import pull_users
from flows.look.user_statistics import read_user_statistics
from flows.plan.effective import plan_at
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer
from flows.warehouse.statements import run
from tests.builders.shop_users import SHOP_METRICS, history, pull_shop, shop_spec, write_exposed
from tests.builders.user_specs import (
    Rows,
    arms_of,
    day,
    read,
    rows_of,
    spec_of,
    write_outcomes,
)

# Three splits; the second begins in the middle of a day.
RAMP: dict[str, Any] = {
    "start": day(0).isoformat(),
    "stages": [
        {"duration": "204h", "weights": {"a": 90, "b": 10}},
        {"duration": "156h", "weights": {"a": 70, "b": 30}},
        {"duration": "20d", "weights": {"a": 50, "b": 50}},
    ],
}


def _from_rows(folder: Path, spec: Experiment, at: datetime) -> UserEvidence:
    """What the same look says where nothing was kept."""
    with open_writer(folder / "w.duckdb") as con:
        splits = split_starts(plan_at(con, spec, at=at))
        con.begin()
        try:
            for table in ("user_state", "user_sums", "exposed_users"):
                con.execute(f"delete from {table}")
            return read_user_statistics(con, spec, at, splits=splits)
        finally:
            con.rollback()


def _flat(found: UserEvidence) -> dict[str, float]:
    """Every number of it, by a name."""
    numbers: dict[str, float] = {}

    def add(name: str, sample: Sample) -> None:
        values = (sample.n, sample.mean, sample.variance)
        numbers.update({f"{name} {i}": float(value) for i, value in enumerate(values)})

    for metric, arms in found.samples.items():
        for arm, sample in arms_of(arms).items():
            add(f"{metric} {arm}", sample)
    for dimension, parts in found.segments.items():
        for segment, metrics in parts.items():
            for metric, arms in metrics.items():
                for arm, sample in arms_of(arms).items():
                    add(f"{dimension}={segment} {metric} {arm}", sample)
    numbers |= {f"removed {k}": v for k, v in found.variance_removed.items()}
    numbers |= {f"users {k}": v for k, v in found.exposed.items()}
    exposed = {
        f"{dimension} {name}": users
        for dimension, named in found.exposed_by_part.items()
        for name, users in named.items()
    }
    for part, by_split in (exposed | {"all": found.exposed_by_split}).items():
        for i, users in enumerate(by_split):
            numbers |= {f"{part} {i} {a}": n for a, n in users.items()}
    return numbers | {"mixed": found.mixed}


@pytest.mark.parametrize(("seed", "changes"), [(1, {}), (2, {"plan": RAMP})])
def test_kept_sums_equal_those_of_the_rows_after_every_pull(
    tmp_path: Path, seed: int, changes: dict[str, Any]
) -> None:
    """Seven pulls within a day, five days apart; a fifth of the rows comes in a later file."""
    spec = shop_spec(**changes)
    exposures, outcomes = history(seed, 300)
    rng = np.random.default_rng(seed)

    def arrival(at: float) -> int:
        return int(at // 5) + int(rng.integers(1, 3) if rng.random() < 0.4 else 1)

    batches = defaultdict[int, tuple[Rows, Rows]](lambda: ([], []))
    for exposure in exposures:
        batches[arrival(exposure[2])][0].append(exposure)
    for outcome in outcomes:
        batches[max(1, arrival(outcome[2]))][1].append(outcome)
    for number in range(1, 8):
        write_exposed(tmp_path, batches[number][0], f"exposures-{number:02}.csv")
        write_outcomes(tmp_path, batches[number][1], f"outcomes-{number:02}.csv")
        until = day(5 * number - 0.4)
        pull_shop(tmp_path, until, **changes)
        kept = _flat(read(spec, tmp_path, until))
        rows = _flat(_from_rows(tmp_path, spec, until))
        assert kept.keys() == rows.keys()
        for name, value in rows.items():
            assert kept[name] == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), name
    [(days,)] = rows_of(tmp_path, "select count(distinct exposed_on) from user_sums")
    assert days > 20


def test_a_look_before_the_last_pull_sees_only_what_was_known(tmp_path: Path) -> None:
    exposures, outcomes = history(3, 200)
    write_exposed(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    pull_shop(tmp_path, day(40))
    assert _flat(read(shop_spec(), tmp_path, day(15))) == pytest.approx(
        _flat(_from_rows(tmp_path, shop_spec(), day(15))), rel=1e-9, abs=1e-12, nan_ok=True
    )
    assert (
        read(shop_spec(), tmp_path, day(15)).exposed["a"]
        < read(shop_spec(), tmp_path, day(40)).exposed["a"]
    )


@pytest.mark.parametrize(
    ("pulled", "looked"),
    [
        (day(40) + timedelta(seconds=17), day(40)),  # within a bucket of a minute
        (day(90) + timedelta(seconds=17), day(60)),  # after the plan's end
    ],
)
def test_a_look_at_the_last_pull_reads_no_rows(
    tmp_path: Path, pulled: datetime, looked: datetime
) -> None:
    plan = {"start": day(0).isoformat(), "duration": "60d", "bucket": "1m"}
    metrics = {name: metric for name, metric in SHOP_METRICS.items() if name != "p80"}
    spec = spec_of(shop_spec().sources.model_dump(exclude_none=True), metrics=metrics, plan=plan)
    exposures, outcomes = history(5, 100)
    write_exposed(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    pull_users(spec, tmp_path / "w.duckdb", spec_dir=tmp_path, until_ms=milliseconds_of(pulled))
    from_rows = _flat(_from_rows(tmp_path, spec, looked))
    with open_writer(tmp_path / "w.duckdb") as con:
        for table in ("exposures", "outcomes", "exposed_users"):
            con.execute(f"delete from {table}")
    assert _flat(read(spec, tmp_path, looked)) == pytest.approx(
        from_rows, rel=1e-9, abs=1e-12, nan_ok=True
    )


def test_a_plan_that_ends_earlier_or_later_counts_its_own_users(tmp_path: Path) -> None:
    exposures, outcomes = history(6, 100)
    write_exposed(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    users = []
    for days in (20, 8, 25):
        changes = {"plan": {"start": day(0).isoformat(), "duration": f"{days}d"}}
        pull_shop(tmp_path, day(40), **changes)
        kept = read(shop_spec(**changes), tmp_path, day(days))
        rows = _from_rows(tmp_path, shop_spec(**changes), day(days))
        assert _flat(kept) == pytest.approx(_flat(rows), rel=1e-9, abs=1e-12, nan_ok=True)
        users.append(sum(kept.exposed.values()))
        [(stored,)] = rows_of(tmp_path, "select count(*) from exposed_users")
        assert stored == users[-1] + kept.mixed
    assert users[1] < users[0] < users[2]


def test_a_replaced_file_replaces_what_was_kept(tmp_path: Path) -> None:
    exposures, outcomes = history(4, 100)
    write_exposed(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    pull_shop(tmp_path, day(40))
    write_outcomes(tmp_path, outcomes[:300])
    pull_shop(tmp_path, day(40))
    kept = _flat(read(shop_spec(), tmp_path, day(40)))
    assert kept == pytest.approx(
        _flat(_from_rows(tmp_path, shop_spec(), day(40))), rel=1e-9, abs=1e-12, nan_ok=True
    )


def _shown(folder: Path, spec: Experiment) -> dict[tuple[str, str, date], tuple[Any, ...]]:
    """The published conversions, by metric, variant and day."""
    with open_writer(folder / "w.duckdb") as con:
        look = {"experiment": spec.experiment, "spec_hash": spec.spec_hash}
        run(con, "load/spec", **look, spec=spec.model_dump_json(), used_at=day(0))
        of_look = {"look_at": day(30), "window_start": day(0), "watermark": None}
        known = run(con, "aggregate/look_known", **look, look_at=day(30)).fetchone()
        assert known is not None
        if not known[0]:
            run(con, "load/look", **look, **of_look, software_version="1")
        rows = con.execute(
            "select metric, variant, day, users, converted, value_per_user, maturing_users "
            "from marts.conversions_by_day where users + maturing_users > 0"
        ).fetchall()
    return {(metric, variant, on): tuple(rest) for metric, variant, on, *rest in rows}


@pytest.mark.parametrize("changes", [{}, {"plan": RAMP}])
def test_published_conversions_are_those_of_the_rows(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Of metrics with and without a cap and with what they are compared by, after late rows too."""
    spec = shop_spec(**changes)
    exposures, outcomes = history(5, 150)
    pulled: tuple[Rows, Rows] = ([], [])
    for number, until in enumerate((12.3, 29.9)):
        pulled[0].extend(exposures[number::2])
        pulled[1].extend(outcomes[number::2])
        write_exposed(tmp_path, exposures[number::2], f"exposures-{number}.csv")
        write_outcomes(tmp_path, outcomes[number::2], f"outcomes-{number}.csv")
        pull_shop(tmp_path, day(until), **changes)
        shown = _shown(tmp_path, spec)
        wanted = _loop(spec, *pulled, until)
        assert shown.keys() == wanted.keys()
        for key, (users, converted, total, maturing) in wanted.items():
            mean = total / users if users else None
            assert shown[key] == (users, converted, pytest.approx(mean), maturing), key


def _loop(
    spec: Experiment, exposures: Rows, outcomes: Rows, until: float
) -> dict[tuple[str, str, date], tuple[int, int, float, int]]:
    """Users with a final value, who did it, their values' sum, and users without: by the rows."""
    first: dict[int, float] = {}
    arms = defaultdict[int, set[str]](set)
    for user, variant, at, *_ in exposures:
        if at <= until:
            first[user] = min(at, first.get(user, 99.0))
            arms[user].add(variant)
    found = defaultdict[tuple[str, str, date], list[float]](lambda: [0, 0, 0.0, 0])
    for name, metric in spec.user_metrics.items():
        if metric.kind not in ("proportion", "count", "mean"):
            continue
        begin, end = (edge / timedelta(days=1) for edge in spec.span_of(metric))
        for user, seen in arms.items():
            if len(seen) > 1:
                continue
            [arm] = seen
            row = found[name, arm, day(first[user]).date()]
            if first[user] + end > until:
                row[3] += 1
                continue
            done = [
                value
                for who, outcome, at, value in outcomes
                if (who, outcome) == (user, metric.outcome) and begin <= at - first[user] < end
            ]
            row[0] += 1
            row[1] += bool(done)
            row[2] += {"proportion": bool(done), "count": len(done), "mean": sum(done)}[metric.kind]
    return {key: (int(n), int(x), total, int(m)) for key, (n, x, total, m) in found.items()}
