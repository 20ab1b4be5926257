"""Sums that are kept from run to run equal those of the rows; new kinds of metrics per user."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.evidence import UserEvidence
from analysis.fixed.comparison import Sample
from flows.formats.problems import InputError
from flows.formats.time import milliseconds_of
from flows.ingest.sources.user_rows import UserDataRefused
from flows.ingest.users.plan_splits import split_starts
from flows.ingest.users.pull_users import pull_users
from flows.look.user_statistics import read_user_statistics
from flows.plan.effective import plan_at
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer
from flows.warehouse.statements import run
from flows.workspace.experiments import load_spec
from tests.builders.user_specs import (
    Rows,
    arms_of,
    day,
    read,
    rows_of,
    sample_in,
    spec_of,
    write_csv,
    write_outcomes,
)

METRICS: dict[str, Any] = {
    "bought": {"kind": "proportion", "outcome": "buy"},
    "spend": {
        "kind": "mean",
        "outcome": "buy",
        "cap": "90%",
        "adjust": [{"before": "14d"}, {"before": "14d", "outcome": "view"}],
    },
    "clicks": {"kind": "ratio", "outcome": "click", "per": "view", "window": "3d"},
    "adjusted": {
        "kind": "ratio",
        "outcome": "click",
        "per": "view",
        "window": "3d",
        "adjust": [{"before": "10d"}],
    },
    "back": {"kind": "retention", "outcome": "view", "day": 2},
    "within": {
        "kind": "mean",
        "outcome": "buy",
        "cap": "90%",
        "adjust": [{"before": "14d"}],
        "stratify": True,
    },
    "by-device": {
        "kind": "ratio",
        "outcome": "click",
        "per": "view",
        "window": "3d",
        "stratify": ["device"],
    },
    "p80": {"kind": "quantile", "outcome": "buy", "quantile": 0.8},
}


def _spec(**changes: Any) -> Experiment:
    sources = {
        "exposures": {"files": "exposures*", "segments": ["country", "device"]},
        "outcomes": {"files": "outcomes*"},
    }
    return spec_of(sources, metrics=METRICS, **changes)


def _write(folder: Path, rows: Rows, name: str) -> None:
    timed = [(u, v, day(at).isoformat(), c, d) for u, v, at, c, d in rows]
    write_csv(folder / name, "user_id,variant,exposed_at,country,device", timed)


def _history(seed: int, users: int) -> tuple[Rows, Rows]:
    """Exposures (some users twice, some in both arms) and outcomes over 30 days."""
    rng = np.random.default_rng(seed)
    exposures: Rows = []
    for user in range(users):
        at, arm = rng.uniform(0, 25), "ab"[user % 2]
        country, device = rng.choice(["ke", "ph", ""]), rng.choice(["app", "web"])
        exposures.append((user, arm, at, country, device))
        if rng.random() < 0.2:
            other = "ab"[1 - user % 2] if rng.random() < 0.3 else arm
            exposures.append((user, other, min(at + rng.uniform(0, 9), 29), country, device))
    names = rng.choice(["buy", "click", "view"], size=users * 12, p=[0.2, 0.3, 0.5])
    times = rng.uniform(-10, 30, size=users * 12)
    who = rng.integers(0, users, size=users * 12)
    values = np.where(names == "buy", np.round(rng.gamma(1.5, 30, users * 12), 2), 1.0)
    outcomes: Rows = list(
        zip(who.tolist(), names.tolist(), times.tolist(), values.tolist(), strict=True)
    )
    return exposures, outcomes


# Three splits; the second begins in the middle of a day.
RAMP: dict[str, Any] = {
    "start": day(0).isoformat(),
    "stages": [
        {"duration": "204h", "weights": {"a": 90, "b": 10}},
        {"duration": "156h", "weights": {"a": 70, "b": 30}},
        {"duration": "20d", "weights": {"a": 50, "b": 50}},
    ],
}


def _pull(folder: Path, until: datetime, **changes: Any) -> None:
    pull_users(
        _spec(**changes), folder / "w.duckdb", spec_dir=folder, until_ms=milliseconds_of(until)
    )


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
    spec = _spec(**changes)
    exposures, outcomes = _history(seed, 300)
    rng = np.random.default_rng(seed)

    def arrival(at: float) -> int:
        return int(at // 5) + int(rng.integers(1, 3) if rng.random() < 0.4 else 1)

    batches = defaultdict[int, tuple[Rows, Rows]](lambda: ([], []))
    for exposure in exposures:
        batches[arrival(exposure[2])][0].append(exposure)
    for outcome in outcomes:
        batches[max(1, arrival(outcome[2]))][1].append(outcome)
    for number in range(1, 8):
        _write(tmp_path, batches[number][0], f"exposures-{number:02}.csv")
        write_outcomes(tmp_path, batches[number][1], f"outcomes-{number:02}.csv")
        until = day(5 * number - 0.4)
        _pull(tmp_path, until, **changes)
        kept = _flat(read(spec, tmp_path, until))
        rows = _flat(_from_rows(tmp_path, spec, until))
        assert kept.keys() == rows.keys()
        for name, value in rows.items():
            assert kept[name] == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), name
    [(days,)] = rows_of(tmp_path, "select count(distinct exposed_on) from user_sums")
    assert days > 20


def test_a_look_before_the_last_pull_sees_only_what_was_known(tmp_path: Path) -> None:
    exposures, outcomes = _history(3, 200)
    _write(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    _pull(tmp_path, day(40))
    assert _flat(read(_spec(), tmp_path, day(15))) == pytest.approx(
        _flat(_from_rows(tmp_path, _spec(), day(15))), rel=1e-9, abs=1e-12, nan_ok=True
    )
    assert (
        read(_spec(), tmp_path, day(15)).exposed["a"]
        < read(_spec(), tmp_path, day(40)).exposed["a"]
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
    metrics = {name: metric for name, metric in METRICS.items() if name != "p80"}
    spec = spec_of(_spec().sources.model_dump(exclude_none=True), metrics=metrics, plan=plan)
    exposures, outcomes = _history(5, 100)
    _write(tmp_path, exposures, "exposures.csv")
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
    exposures, outcomes = _history(6, 100)
    _write(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    users = []
    for days in (20, 8, 25):
        changes = {"plan": {"start": day(0).isoformat(), "duration": f"{days}d"}}
        _pull(tmp_path, day(40), **changes)
        kept = read(_spec(**changes), tmp_path, day(days))
        rows = _from_rows(tmp_path, _spec(**changes), day(days))
        assert _flat(kept) == pytest.approx(_flat(rows), rel=1e-9, abs=1e-12, nan_ok=True)
        users.append(sum(kept.exposed.values()))
        [(stored,)] = rows_of(tmp_path, "select count(*) from exposed_users")
        assert stored == users[-1] + kept.mixed
    assert users[1] < users[0] < users[2]


def test_a_replaced_file_replaces_what_was_kept(tmp_path: Path) -> None:
    exposures, outcomes = _history(4, 100)
    _write(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    _pull(tmp_path, day(40))
    write_outcomes(tmp_path, outcomes[:300])
    _pull(tmp_path, day(40))
    kept = _flat(read(_spec(), tmp_path, day(40)))
    assert kept == pytest.approx(
        _flat(_from_rows(tmp_path, _spec(), day(40))), rel=1e-9, abs=1e-12, nan_ok=True
    )


def _values(
    exposures: Rows, outcomes: Rows, arm: str, name: str, span: tuple[float, float]
) -> dict[int, float]:
    """By user of one arm only: the total of an outcome between two days after the exposure."""
    first: dict[int, float] = {}
    arms = defaultdict[int, set[str]](set)
    for user, variant, at, *_ in exposures:
        first[user] = min(at, first.get(user, 99.0))
        arms[user].add(variant)
    totals = {user: 0.0 for user, seen in arms.items() if seen == {arm}}
    for user, outcome, at, value in outcomes:
        if user in totals and outcome == name and span[0] <= at - first[user] < span[1]:
            totals[user] += value
    return totals


def _shown(folder: Path, spec: Experiment) -> dict[tuple[str, str, date], tuple[Any, ...]]:
    """The published conversions, by metric, variant and day."""
    with open_writer(folder / "w.duckdb") as con:
        look = {"experiment": spec.experiment, "spec_hash": spec.spec_hash}
        run(con, "load/spec", **look, spec=spec.model_dump_json(), used_at=day(0))
        of_look = {"look_at": day(30), "window_start": day(0), "watermark": None}
        if not run(
            con, "aggregate/look_taken", experiment=spec.experiment, look_at=day(30)
        ).fetchone():
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
    spec = _spec(**changes)
    exposures, outcomes = _history(5, 150)
    pulled: tuple[Rows, Rows] = ([], [])
    for number, until in enumerate((12.3, 29.9)):
        pulled[0].extend(exposures[number::2])
        pulled[1].extend(outcomes[number::2])
        _write(tmp_path, exposures[number::2], f"exposures-{number}.csv")
        write_outcomes(tmp_path, outcomes[number::2], f"outcomes-{number}.csv")
        _pull(tmp_path, day(until), **changes)
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


def test_each_kind_of_metric_agrees_with_a_loop_over_the_rows(tmp_path: Path) -> None:
    exposures, outcomes = _history(5, 400)
    _write(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    _pull(tmp_path, day(40))
    found = read(_spec(), tmp_path, day(40))

    def values(arm: str, name: str, begin: float, end: float) -> np.ndarray:
        return np.array(list(_values(exposures, outcomes, arm, name, (begin, end)).values()))

    spent = {arm: values(arm, "buy", 0, 7) for arm in "ab"}
    cap = np.sort(np.concatenate(list(spent.values())))
    [(kept_cap,)] = rows_of(tmp_path, "select cap from user_caps where quantity like 'buy|sum|0|%'")
    assert kept_cap in cap
    assert np.mean(cap <= kept_cap) == pytest.approx(0.9, abs=0.01)
    for arm in "ab":
        clicks, views = values(arm, "click", 0, 3), values(arm, "view", 0, 3)
        ratio = clicks.sum() / views.sum()
        assert sample_in(found.samples, "clicks", arm).mean == pytest.approx(ratio)
        influence = (clicks - ratio * views) / views.mean()
        assert sample_in(found.samples, "clicks", arm).variance == pytest.approx(
            np.var(influence, ddof=1)
        )
        back = values(arm, "view", 2, 3) > 0
        assert sample_in(found.samples, "back", arm).mean == pytest.approx(back.mean())
        assert sample_in(found.samples, "p80", arm).mean == pytest.approx(
            np.quantile(spent[arm], 0.8, method="inverted_cdf")
        )
    y = {arm: np.minimum(spent[arm], kept_cap) for arm in "ab"}
    rows = rows_of(tmp_path, "select cap from user_caps where quantity like 'buy|sum|-%'")
    x = {
        arm: np.column_stack(
            [
                np.minimum(values(arm, "buy", -14, 0), rows[0][0]),
                np.minimum(
                    values(arm, "view", -14, 0),
                    rows_of(tmp_path, "select cap from user_caps where quantity like 'view|%'")[0][
                        0
                    ],
                ),
            ]
        )
        for arm in "ab"
    }
    design = np.column_stack(
        [
            np.ones(len(y["a"]) + len(y["b"])),
            np.repeat([0.0, 1.0], [len(y["a"]), len(y["b"])]),
            np.concatenate([x["a"], x["b"]]),
        ]
    )
    fit = np.linalg.lstsq(design, np.concatenate([y["a"], y["b"]]), rcond=None)[0]
    spend = arms_of(found.samples["spend"])
    assert float(spend["b"].mean - spend["a"].mean) == pytest.approx(fit[1], rel=1e-9)


def test_the_largest_user_is_named_of_plain_means_only(tmp_path: Path) -> None:
    """A ratio's numerator of one user is no value of it; nor is a split's part one of the whole."""
    exposures, outcomes = _history(6, 200)
    _write(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    _pull(tmp_path, day(40))
    found = read(_spec(), tmp_path, day(40)).largest
    assert found["spend"].keys() == {"a", "b"}
    assert found["clicks"] == found["adjusted"] == {}


def test_segments_sum_to_the_whole_and_a_missing_one_is_named(tmp_path: Path) -> None:
    exposures, outcomes = _history(6, 200)
    _write(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    _pull(tmp_path, day(40))
    found = read(_spec(), tmp_path, day(40))
    assert set(found.segments) == {"country", "device"}
    assert set(found.segments["country"]) == {"", "ke", "ph"}
    for parts in found.segments.values():
        for arm in "ab":
            users = [sample_in(metrics, "bought", arm).n for metrics in parts.values()]
            assert sum(users) == sample_in(found.samples, "bought", arm).n
    write_csv(tmp_path / "exposures.csv", "user_id,variant,exposed_at,country", [])
    wanted = r"no column .device., by which sources\.exposures\.segments"
    with pytest.raises(UserDataRefused, match=wanted):
        _pull(tmp_path, day(40))


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        ({"kind": "ratio", "outcome": "click"}, "per: is missing: a metric of kind ratio"),
        ({"kind": "mean", "outcome": "buy", "per": "view"}, "per: belongs to the kind ratio"),
        ({"kind": "retention", "outcome": "view"}, "day: is missing"),
        ({"kind": "quantile", "outcome": "buy"}, "quantile: is missing"),
        ({"kind": "mean", "outcome": "buy", "cap": "99"}, "must be a percentile such as 99.5%"),
        ({"kind": "proportion", "outcome": "buy", "cap": "99%"}, "cap: has no use for"),
    ],
)
def test_fields_of_another_kind_are_refused(
    tmp_path: Path, metric: dict[str, Any], problem: str
) -> None:
    spec = json.loads(_spec().model_dump_json(exclude_unset=True))
    spec["metrics"] = {"m": metric}
    path = tmp_path / "quiz.yaml"
    path.write_text(json.dumps(spec))
    with pytest.raises(InputError, match=problem.replace("(", r"\(")):
        load_spec(path)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ({"kind": "quantile", "quantile": 0.9, "stratify": True}, "isn't possible for the kind"),
        ({"kind": "mean", "stratify": ["planet"]}, "names 'planet', which is not a segment"),
    ],
)
def test_strata_that_nobody_can_know_are_refused(
    tmp_path: Path, metric: dict[str, Any], said: str
) -> None:
    spec = json.loads(_spec().model_dump_json(exclude_unset=True))
    spec["metrics"] = {"value": {"outcome": "buy"} | metric}
    path = tmp_path / "quiz.yaml"
    path.write_text(json.dumps(spec), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        load_spec(path)


def test_strata_are_the_crossed_segments_of_every_user(tmp_path: Path) -> None:
    """Against least squares on the rows: variant times centred country x device."""
    rng = np.random.default_rng(8)
    exposures: Rows = []
    outcomes: Rows = []
    values, arms, cells = [], [], []
    for user in range(1200):
        arm, country, device = user % 2, rng.choice(["ke", "ph", ""]), rng.choice(["app", "web"])
        cell = 2 * ["ke", "ph", ""].index(country) + (device == "web")
        value = round(5.0 * cell + arm + 10 + float(rng.normal()), 3)
        exposures.append((user, "ab"[arm], user % 20, country, device))
        outcomes.append((user, "buy", user % 20 + 0.5, value))
        values.append(value)
        arms.append(arm)
        cells.append(cell)
    spec = spec_of(
        {
            "exposures": {"files": "exposures*", "segments": ["country", "device"]},
            "outcomes": {"files": "outcomes*"},
        },
        metrics={"within": {"kind": "mean", "outcome": "buy", "stratify": True}},
    )
    _write(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    pull_users(spec, tmp_path / "w.duckdb", spec_dir=tmp_path, until_ms=milliseconds_of(day(40)))
    found = read(spec, tmp_path, day(40))
    dummies = np.eye(6)[cells]
    centred = (dummies - dummies.mean(axis=0))[:, 1:]
    treated = np.array(arms)[:, None]
    design = np.hstack([np.ones((1200, 1)), treated, centred, treated * centred])
    effect = np.linalg.lstsq(design, np.array(values), rcond=None)[0][1]
    samples = arms_of(found.samples["within"])
    assert float(samples["b"].mean - samples["a"].mean) == pytest.approx(effect, rel=1e-9)
    assert found.variance_removed["within"] == pytest.approx(1 - 1 / (1 + 25 * 35 / 12), abs=0.005)
    assert set(found.segments) == {"country", "device"}
