"""A look's scorecard says of users what `verdict analyze` says of the same sums.

Covers flows.look.scorecard_document.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from flows.aggregates.analyze import analyze
from flows.aggregates.looks import Tuning
from flows.ingest.sources.aggregate_rows import AggregateRow
from flows.look.evaluate import score_experiment
from flows.publish.marts import publish
from flows.spec.experiment import Experiment
from tests.builders.user_specs import LOOK, START, Rows, pull, spec_of, write_csv, write_outcomes

# Users expected in 50 days, of whom those of the first 43 get past their window of 7 days.
_USERS = 5000
_TUNED = _USERS * 43 / 50

METRICS = {
    "bought": {"kind": "proportion", "outcome": "buy"},
    "spend": {"kind": "mean", "outcome": "buy", "prior": "20%"},
    "price": {"kind": "ratio", "outcome": "buy", "per": "items"},
}


def _spec() -> Experiment:
    sources = {
        "exposures": {"files": "exposures*", "segments": ["country"]},
        "outcomes": {"files": "outcomes*"},
    }
    plan: dict[str, object] = {
        "start": START.isoformat(),
        "duration": "50d",
        "look_every": "1d",
        "bucket": "1d",
    }
    plan |= {"users": _USERS}
    return spec_of(sources, metrics=METRICS, plan=plan, split={"a": 50, "b": 50})


def _users(seed: int) -> list[tuple[int, str, str, float, float]]:
    """Number, variant, country, spend and items of 400 users; one in three buys."""
    rng = np.random.default_rng(seed)
    return [
        (i, "ab"[i % 2], ["ke", "ph"][int(rng.random() < 0.4)], spend, items)
        for i in range(400)
        for spend, items in [
            (round(float(rng.gamma(2, 10)), 2), float(rng.integers(1, 4)))
            if rng.random() < 0.33
            else (0.0, 0.0)
        ]
    ]


def _sums(users: list[tuple[int, str, str, float, float]], segment: str) -> list[AggregateRow]:
    rows = []
    for variant in "ab":
        kept = [u for u in users if u[1] == variant and segment in ("", f"country = {u[2]}")]
        spend, items = np.array([u[3] for u in kept]), np.array([u[4] for u in kept])
        base = {"variant": variant, "segment": segment, "n": len(kept), "share": 0.5}
        money = {"sum": spend.sum(), "sum_squares": (spend**2).sum()}
        per = {"denominator_sum": items.sum(), "denominator_sum_squares": (items**2).sum()}
        rows += [
            base | {"metric": "bought", "type": "proportion", "sum": float((spend > 0).sum())},
            base | {"metric": "spend", "type": "mean"} | money,
            base
            | {"metric": "price", "type": "ratio", "denominator_product": (spend * items).sum()}
            | money
            | per,
        ]
    return [AggregateRow.model_validate(row) for row in rows]


def test_a_look_and_analyze_agree_on_every_number(tmp_path: Path) -> None:
    users = _users(1)
    exposures: Rows = [
        (i, v, (START + timedelta(days=i % 30)).isoformat(), c) for i, v, c, *_ in users
    ]
    write_csv(tmp_path / "exposures.csv", "user_id,variant,exposed_at,country", exposures)
    outcomes: Rows = []
    for i, _, _, spend, items in users:
        if spend:
            outcomes += [(i, "buy", i % 30 + 1, spend), (i, "items", i % 30 + 1, items)]
    write_outcomes(tmp_path, outcomes)
    pull(_spec(), tmp_path)
    document = score_experiment(_spec(), tmp_path / "w.duckdb", at=LOOK)
    rows = [row for part in ("", "country = ke", "country = ph") for row in _sums(users, part)]
    answers = analyze(rows, Path("sums"), tuning=Tuning(users=_TUNED)).rows
    expected = {(r.metric, r.segment): r for r in answers}
    assert len(document.scorecard) == len(expected) == 9
    for row in document.scorecard:
        other = expected[row.metric, row.segment]
        for field in ("difference", "standard_error", "relative", "p_value", "log_e", "split_p"):
            assert getattr(row, field) == pytest.approx(getattr(other, field), rel=1e-8), field
        assert row.fixed.model_dump() == pytest.approx(other.fixed.model_dump(), rel=1e-8)
        assert row.anytime.model_dump() == pytest.approx(other.anytime.model_dump(), rel=1e-8)
        assert row.tightest_at_users == pytest.approx(_TUNED)
        # Each metric's own prior; the default is that of analyze.
        sd = 0.2 if row.metric == "spend" else 0.1
        assert row.posterior.prior == f"relative lift ~ normal(0, {sd})"
        if sd == 0.1:
            assert row.posterior.lift == pytest.approx(other.posterior.lift, rel=1e-8)

    marts = publish(tmp_path / "w.duckdb", tmp_path / "marts")
    import duckdb  # noqa: PLC0415

    with duckdb.connect(str(marts), read_only=True) as con:
        published = con.execute(
            "select metric, segment, difference, p_value from scorecard order by metric, segment"
        ).fetchall()
    assert published == sorted(
        (r.metric, r.segment, r.difference, r.p_value) for r in document.scorecard
    )
