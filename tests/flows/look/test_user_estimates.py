"""Estimates of users' metrics: what is known of a quantile, and of values under a cap of 0."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.verdict import Decision
from flows.formats.time import milliseconds_of
from flows.ingest.users.pull_users import pull_users
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from tests.builders.user_specs import (
    Rows,
    arms_of,
    day,
    pull,
    read,
    rows_of,
    spec_of,
    write_csv,
    write_exposures,
    write_outcomes,
)


def test_a_quantile_that_too_few_users_bound_has_no_known_variance(tmp_path: Path) -> None:
    """600 users in each arm bound a p99 (rank 600 of 600); 500 do not (rank 501)."""
    for users, bounded in ((1000, False), (1200, True)):
        folder = tmp_path / str(users)
        folder.mkdir()
        exposures: Rows = [(user, "ab"[user % 2], 0.0) for user in range(users)]
        write_exposures(folder, exposures)
        write_outcomes(folder, [(user, "buy", 1.0, float(user)) for user in range(users)])
        p99 = {"p99": {"kind": "quantile", "outcome": "buy", "quantile": 0.99}}
        spec = spec_of(metrics=p99)
        until = day(30)
        pull_users(spec, folder / "w.duckdb", spec_dir=folder, until_ms=milliseconds_of(until))
        for sample in arms_of(read(spec, folder, until).samples["p99"]).values():
            assert float(sample.n) == users / 2
            assert np.isfinite(sample.mean)
            assert np.isfinite(sample.variance) == bounded


def test_a_quantile_among_tied_values_has_no_known_variance(tmp_path: Path) -> None:
    """Counts that many share: the order statistics around the quantile are one value, or a step."""
    for name, value, known in (
        ("tied", lambda user: float(user % 4), False),
        ("distinct", float, True),
    ):
        folder = tmp_path / name
        folder.mkdir()
        exposures: Rows = [(user, "ab"[user // 500], 0.0) for user in range(1000)]
        write_exposures(folder, exposures)
        write_outcomes(folder, [(user, "buy", 1.0, value(user)) for user in range(1000)])
        spec = spec_of(metrics={"p50": {"kind": "quantile", "outcome": "buy", "quantile": 0.5}})
        until = day(30)
        pull_users(spec, folder / "w.duckdb", spec_dir=folder, until_ms=milliseconds_of(until))
        for sample in arms_of(read(spec, folder, until).samples["p50"]).values():
            assert np.isfinite(sample.mean)
            assert np.isfinite(sample.variance) == known


KINDS: dict[str, dict[str, Any]] = {
    "mean": {"kind": "mean", "outcome": "buy"},
    "count": {"kind": "count", "outcome": "buy"},
    "ratio": {"kind": "ratio", "outcome": "buy", "per": "visit"},
    "ratio below": {"kind": "ratio", "outcome": "visit", "per": "buy"},
    "within strata": {"kind": "mean", "outcome": "buy", "stratify": True},
}
SOURCES = {
    "exposures": {"files": "exposures*", "segments": ["country"]},
    "outcomes": {"files": "outcomes*"},
}


def _spec(kind: str, role: str = "guardrail") -> Experiment:
    metric = {**KINDS[kind], "window": "1d", "role": role, "cap": "99%"}
    if role == "guardrail":
        metric["margin"] = 0.01
    plan = {"start": day(0).isoformat(), "duration": "14d", "look_every": "1d", "bucket": "1h"}
    return spec_of(
        SOURCES, metrics={"m": metric}, plan={**plan, "minimum_duration": "1h"},
        split={"a": 50, "b": 50},
    )  # fmt: skip


def _users(first: int, last: int, at: float) -> Rows:
    return [(user, "ab"[user % 2], at) for user in range(first, last)]


def _visits(first: int, last: int, at: float) -> Rows:
    return [(user, "visit", at, 1) for user in range(first, last)]


def _look(spec: Experiment, folder: Path, at: datetime) -> VerdictDocument:
    warehouse = folder / "w.duckdb"
    pull_users(spec, warehouse, spec_dir=folder, until_ms=milliseconds_of(at))
    return score_experiment(spec, warehouse, at=at)


def _write(folder: Path, exposures: Rows, outcomes: Rows, number: int = 1) -> None:
    write_exposures(folder, exposures, f"exposures-{number}.csv")
    text = (folder / f"exposures-{number}.csv").read_text().splitlines()
    rows = [f"{line},{('country', 'ke', 'ph')[i % 3 if i else 0]}" for i, line in enumerate(text)]
    (folder / f"exposures-{number}.csv").write_text("\n".join(rows) + "\n")
    write_outcomes(folder, outcomes, f"outcomes-{number}.csv")


@pytest.mark.parametrize("role", ["guardrail", "goal"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cap_of_nothing_promotes_nobody_and_says_what_to_set(
    tmp_path: Path, kind: str, role: str
) -> None:
    """Two in 400 buy: a cap at 99 % would say that nobody does."""
    spec = _spec(kind, role)
    _write(tmp_path, _users(0, 400, 0.1), [(0, "buy", 0.2, 50), (3, "buy", 0.2, 50)])
    write_outcomes(tmp_path, _visits(0, 400, 0.3), "outcomes-visits.csv")
    found = _look(spec, tmp_path, day(14))
    assert found.decision is Decision.HOLD
    [reason] = [text for text in found.reasons if text.startswith("m:")]
    assert "its cap is 0" in reason
    assert "Set `cap` above 99%" in reason


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_look_at_nothing_doesnt_set_the_cap(tmp_path: Path, kind: str) -> None:
    spec = _spec(kind)
    _write(tmp_path, _users(0, 200, 0.1), _visits(0, 200, 0.2))
    assert "its cap is 0" in " ".join(_look(spec, tmp_path, day(2)).reasons)
    more = [
        (user, "buy", 3.2, 50) for user in range(200, 400) if user % (2 if user % 2 == 0 else 5) < 1
    ]
    _write(tmp_path, _users(200, 400, 3.1), more + _visits(200, 400, 3.2), number=2)
    found = _look(spec, tmp_path, day(6))
    assert not any("cap" in text for text in (*found.reasons, *found.notes))
    assert found.metrics[0].baseline > 0
    caps = {cap for (cap,) in rows_of(tmp_path, "select cap from user_caps") if cap}
    assert max(caps) >= (1 if kind == "count" else 50)


def test_a_covariate_without_a_cap_doesnt_stop_its_metric(tmp_path: Path) -> None:
    """Nearly nobody bought before the exposure; the metric itself has a cap."""
    spec = _spec("mean")
    metric = {**KINDS["mean"], "window": "1d", "cap": "99%", "adjust": [{"before": "14d"}]}
    spec = spec.model_copy(update={"metrics": spec_of(metrics={"m": metric}).metrics})
    outcomes: Rows = [(user, "buy", 0.2, 10 + user % 7) for user in range(0, 400, 3)]
    _write(tmp_path, _users(0, 400, 0.1), [*outcomes, (5, "buy", -3, 9)])
    found = _look(spec, tmp_path, day(14))
    assert found.metrics[0].baseline > 0
    assert not any("cap" in text for text in found.reasons)


@pytest.mark.parametrize("counted", [False, True])
def test_half_as_much_of_what_a_ratio_is_divided_by_is_noted(
    tmp_path: Path, *, counted: bool
) -> None:
    """Two views of each user of one variant and one of the other's, a click for every second view.

    A metric that counts views tells itself.
    """
    users = range(1200)
    write_exposures(tmp_path, [(user, "ab"[user % 2], user / 60) for user in users])
    views: Rows = [
        (user, "view", user / 60 + 0.1 * number, 1)
        for user in users
        for number in range(1, 1 + (1 + user // 2 % 3) * (1 if user % 2 else 2))
    ]
    clicks: Rows = [(*row[:1], "click", *row[2:]) for row in views[::2]]
    write_outcomes(tmp_path, views + clicks)
    ratio = {"kind": "ratio", "outcome": "click", "per": "view", "window": "3d", "margin": "20%"}
    views_too = {"kind": "count", "outcome": "view", "window": "3d", "role": "info"}
    metrics = {"clicks": ratio} | ({"views": views_too} if counted else {})
    spec = spec_of(metrics=metrics, split={"a": 50, "b": 50})
    until = day(60)
    pull_users(spec, tmp_path / "w.duckdb", spec_dir=tmp_path, until_ms=milliseconds_of(until))
    document = score_experiment(spec, tmp_path / "w.duckdb", at=until)
    said = [note for note in document.notes if "by which the ratio is divided" in note]
    assert len(said) == (0 if counted else 1)
    assert all(note.startswith("clicks: b has 2 'view' per user, a 4 (p = ") for note in said)


# Country and device of three parts of a's users and of b's, and what is said of them.
PARTS: dict[str, tuple[str, str, str | None]] = {
    "alike": ("ke pc, ph pc, us tv", "us tv, ke pc, ph pc", None),
    "in other shares": ("ke pc, ke pc, us tv", "ke pc, us tv, us tv", None),
    "one of each alone": (
        "ke pc, us pc, us pc",
        "ph pc, us pc, us pc",
        "in ph x pc a has 0, b 400",
    ),
    "one that b lacks": ("ke pc, us pc, us pc", "us pc, us pc, us pc", "in ke x pc a has 400, b 0"),
    "in other letters": ("ke pc, ke pc, ke pc", "KE pc, KE pc, KE pc", "2,400 of 2,400 users"),
    "not known of b": ("ke pc, us pc, us pc", " , , ", "in none x none a has 0, b 1,200"),
    "only crossed": ("ke pc, us tv, us tv", "ke tv, us pc, us pc", "by country, device"),
}


@pytest.mark.parametrize("name", PARTS)
def test_users_are_not_compared_with_those_of_other_strata(tmp_path: Path, name: str) -> None:
    """A stratum of one variant is put together with others: its users are of another kind."""
    of_a, of_b, said = PARTS[name]
    cells = [[cell.strip().split(" ") for cell in part.split(",")] for part in (of_a, of_b)]
    rows = [
        (user, "ab"[user % 2], day(0).isoformat(), *[*cells[user % 2][user % 3], ""][:2])
        for user in range(2400)
    ]
    write_csv(tmp_path / "exposures.csv", "user_id,variant,exposed_at,country,device", rows)
    write_outcomes(tmp_path, [(user, "buy", 1.0, user % 7) for user in range(2400)])
    exposures = {"files": "exposures*", "segments": ["country", "device"]}
    metrics = {"m": {"kind": "mean", "outcome": "buy", "stratify": True}}
    spec = spec_of({**SOURCES, "exposures": exposures}, metrics=metrics)
    pull(spec, tmp_path)
    found = read(spec, tmp_path).unknown.get("m")
    assert (found is None) is (said is None)
    assert (said or "") in (found or "")
