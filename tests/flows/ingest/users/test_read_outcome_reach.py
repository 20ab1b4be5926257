"""Outcomes that are lost on their way to the users: no candidate is promoted by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from tests.builders.user_formats import CSV, Row, exposures, outcomes
from tests.builders.user_specs import LOOK, START, day, pull, spec_of

METRIC = {"window": "1d", "role": "guardrail", "outcome": "purchase"}
MORE = {"bought": {"kind": "proportion", "margin": 0.05, **METRIC}}
LESS = {"bought": {"kind": "proportion", "margin": 0.05, "better": "lower", **METRIC}}
SPEND = {"spend": {"kind": "mean", "margin": 1, **METRIC}}

Change = Callable[[dict[str, Any]], Mapping[str, Any] | None]


def spec_for(metrics: dict[str, Any]) -> Experiment:
    return spec_of(
        split={"a": 50, "b": 50},
        metrics=metrics,
        plan={"start": START, "duration": "14d", "look_every": "1d", "bucket": "1h"},
    )


def look(folder: Path, metrics: dict[str, Any], rows: Sequence[Row]) -> VerdictDocument:
    """The verdict on the usual users and these outcomes."""
    CSV(folder, "exposures", exposures())
    if rows:
        CSV(folder, "outcomes", rows)
    else:
        (folder / "outcomes.csv").write_text("user_id,outcome,occurred_at,value\n")
    spec = spec_for(metrics)
    pull(spec, folder)
    return score_experiment(spec, folder / "w.duckdb", at=LOOK)


def in_b(row: Row) -> bool:
    return not int(row["user_id"]) % 2


def changed(change: Change, *, only_b: bool = False) -> list[Row]:
    """The usual outcomes, all or those of b changed; None leaves one out."""
    found = [change(row) if in_b(row) or not only_b else row for row in outcomes()]
    return [row for row in found if row is not None]


def with_id(form: str) -> Change:
    return lambda row: row | {"user_id": form.format(row["user_id"])}


def earlier(**by: float) -> Change:
    return lambda row: row | {"occurred_at": row["occurred_at"] - timedelta(**by)}


def midnight(row: dict[str, Any]) -> Mapping[str, Any]:
    at: datetime = row["occurred_at"]
    return row | {"occurred_at": at.replace(hour=0, minute=0, second=0)}


def named(name: str) -> Change:
    return lambda row: row | {"outcome": name}


LOST: dict[str, tuple[list[Row], str]] = {
    "prefix": (changed(with_id("u{}")), "outcomes have ids such as 'u1', exposures '1'"),
    "zeros in front": (changed(with_id("{:06}")), "belongs to an exposed user"),
    "other letters": (changed(with_id("USER-{}")), "belongs to an exposed user"),
    "of nobody": (changed(with_id("x{}y")), "outcomes have ids such as"),
    "prefix in b": (changed(with_id("u{}"), only_b=True), "reach no user of b only because of"),
    "all before": (changed(earlier(hours=3)), "come before their user's exposure"),
    "dates": (changed(midnight), "are dates, all of one time of day"),
    "dates in b": (changed(midnight, only_b=True), "purchase' of b are dates"),
    "renamed in b": (changed(named("buy"), only_b=True), "only b's users have 'buy'"),
}


@pytest.mark.parametrize("better", [MORE, LESS], ids=["more", "less"])
@pytest.mark.parametrize("name", LOST)
def test_lost_outcomes_make_the_look_invalid(
    tmp_path: Path, better: dict[str, Any], name: str
) -> None:
    rows, said = LOST[name]
    document = look(tmp_path, better, rows)
    assert document.decision.value == "invalid"
    assert said in " ".join(document.reasons)


def later(**by: float) -> Change:
    return lambda row: row | {"occurred_at": row["occurred_at"] + timedelta(**by)}


def without(column: str) -> Change:
    return lambda row: row | {column: None}


# Where less is better, outcomes that are lost on their way look like health.
FLATTERING: dict[str, tuple[list[Row], str, str]] = {
    "after the window": (changed(later(hours=26)), "invalid", "near their exposure"),
    "after the window in b": (changed(later(hours=26), only_b=True), "invalid", "of b's users is"),
    "days before": (changed(earlier(days=3)), "invalid", "near their exposure"),
    "days before in b": (changed(earlier(days=3), only_b=True), "invalid", "of b's users is"),
    "another year": (changed(earlier(days=365)), "invalid", "near their exposure"),
    "other letters": (changed(named("Purchase")), "hold", "there are 'Purchase'"),
    "other signs": (changed(named("pur-chase")), "hold", "there are 'pur-chase'"),
    "no user": (changed(without("user_id"), only_b=True), "hold", "count for nobody"),
    "no name": (changed(without("outcome"), only_b=True), "hold", "count for nobody"),
    "no time": (changed(without("occurred_at"), only_b=True), "hold", "count for nobody"),
}


@pytest.mark.parametrize("name", FLATTERING)
def test_lost_outcomes_are_no_health_where_less_is_better(tmp_path: Path, name: str) -> None:
    rows, decision, said = FLATTERING[name]
    document = look(tmp_path, LESS, rows)
    assert document.decision.value == decision
    assert said in " ".join(document.reasons)


@pytest.mark.parametrize("spread", [1, 0.5], ids=["daily", "twice a day"])
def test_what_users_did_long_before_is_history(tmp_path: Path, spread: float) -> None:
    times = [spread * n + 2 for n in range(30)]
    rows = [
        row | {"user_id": n + 1, "occurred_at": row["occurred_at"] - timedelta(days=days)}
        for n, (row, days) in enumerate(zip(outcomes(), times, strict=False))
    ]
    document = look(tmp_path, LESS, rows)
    assert document.decision.value == "promote"


@pytest.mark.parametrize("other", [None, "NaN", "NULL"])
def test_empty_beside_values_is_not_known_where_everybody_has_a_row(
    tmp_path: Path, other: str | None
) -> None:
    did = {row["user_id"] for row in outcomes()}
    rows = [
        {
            "user_id": row["user_id"],
            "outcome": "purchase",
            "occurred_at": row["exposed_at"] + timedelta(hours=1),
            "value": 1 if row["user_id"] in did else other,
        }
        for row in exposures()
    ]
    document = look(tmp_path, MORE, rows)
    assert document.decision.value == "hold"
    assert "it isn't known whether those happened" in document.reasons[0]


@pytest.mark.parametrize("empty", [None, "NaN", 0])
def test_several_rows_of_some_users_say_nothing_of_the_others(
    tmp_path: Path, empty: str | int | None
) -> None:
    """Three rows of a third of the users, of which one is empty or zero."""
    rows = [
        {
            "user_id": row["user_id"],
            "outcome": "purchase",
            "occurred_at": row["exposed_at"] + timedelta(hours=1 + n),
            "value": empty if n == 0 else 1,
        }
        for row in exposures()
        if row["user_id"] // 2 % 12 < (3 if in_b(row) else 5)
        for n in range(3)
    ]
    metric = {"bought": {**LESS["bought"], "kind": "count", "margin": 0.5}}
    document = look(tmp_path, metric, rows)
    assert document.decision.value == "promote", document.reasons


@pytest.mark.parametrize("better", [MORE, LESS], ids=["more", "less"])
@pytest.mark.parametrize("other", [None, "inf"])
def test_values_of_one_variant_alone_are_no_comparison(
    tmp_path: Path, better: dict[str, Any], other: str | None
) -> None:
    did = {row["user_id"] for row in outcomes()}
    CSV(
        tmp_path,
        "users",
        [
            {
                "user_id": row["user_id"],
                "variant": row["variant"],
                "purchase": other if in_b(row) else int(row["user_id"] in did),
            }
            for row in exposures()
        ],
    )
    spec = spec_of(
        split={"a": 50, "b": 50},
        metrics=better,
        plan={"start": START, "duration": "14d", "look_every": "1d", "bucket": "1h"},
        sources={"users": {"files": "users*", "outcomes": {"purchase": "purchase"}}},
    )
    pull(spec, tmp_path)
    document = score_experiment(spec, tmp_path / "w.duckdb", at=LOOK)
    assert document.decision.value == "invalid"
    assert "0.0% of b's" in " ".join(document.reasons)


@pytest.mark.parametrize("has_times", [False, True])
@pytest.mark.parametrize("value", ["inf", "-inf"])
@pytest.mark.parametrize("kind", ["proportion", "mean"])
@pytest.mark.parametrize("rest", ["", 0], ids=["empty", "zero"])
def test_infinite_values_of_a_table_hide_no_harm(
    tmp_path: Path, rest: object, kind: str, value: str, has_times: bool
) -> None:
    """A tenth of a's users have refunds and a fifth of b's, of which half are infinite."""
    users = [
        {
            "user_id": user,
            "variant": "ab"[user % 2],
            "refund": {0: 10, 1: 10, 3: value}.get(user % 20, rest),
            "seen": day(user / 400).isoformat(),
        }
        for user in range(4000)
    ]
    CSV(tmp_path, "users", users)
    table = {"files": "users*", "outcomes": {"refund": "refund"}}
    metric = {"kind": kind, "outcome": "refund", "better": "lower", "role": "guardrail"}
    spec = spec_of(
        split={"a": 50, "b": 50},
        metrics={"refunds": metric | {"margin": 0.05 if kind == "proportion" else 0.5}},
        plan={"start": START, "duration": "14d", "look_every": "1d", "bucket": "1h"},
        sources={"users": table | ({"at": "seen"} if has_times else {})},
    )
    pull(spec, tmp_path)
    document = score_experiment(spec, tmp_path / "w.duckdb", at=LOOK)
    assert document.decision.value == "invalid"
    assert "outcomes 'refund' have no value" in document.reasons[0]


@pytest.mark.parametrize("rows", [[], changed(named("other"))], ids=["none", "another name"])
def test_nothing_is_known_where_nobody_did_what_is_good(tmp_path: Path, rows: list[Row]) -> None:
    document = look(tmp_path, MORE, rows)
    assert document.decision.value == "hold"
    assert "so nothing is known: no outcome is named 'purchase'" in document.reasons[0]


def test_nobody_did_what_is_bad_but_other_things(tmp_path: Path) -> None:
    document = look(tmp_path, LESS, changed(named("other")))
    assert document.decision.value == "promote"
    assert any("'purchase'" in note and "recorded" in note for note in document.notes)


def test_no_outcome_at_all_is_no_proof_that_nothing_bad_happened(tmp_path: Path) -> None:
    document = look(tmp_path, LESS, [])
    assert document.decision.value == "hold"
    assert "there is none at all" in document.reasons[0]


def test_rows_of_a_variant_that_came_twice_are_no_gain(tmp_path: Path) -> None:
    spent = [*outcomes(), *(row for row in outcomes() if in_b(row)), *outcomes()[-1:]]
    document = look(tmp_path, SPEND, spent)
    assert document.decision.value == "invalid"
    assert "rows of a variant are duplicated" in " ".join(document.reasons)


def test_values_that_a_variant_lacks_are_no_harm(tmp_path: Path) -> None:
    rows = changed(lambda row: row | {"value": None}, only_b=True)
    document = look(tmp_path, SPEND, rows)
    assert document.decision.value == "invalid"
    assert "have no value" in " ".join(document.reasons)


def test_what_reaches_its_users_is_judged(tmp_path: Path) -> None:
    assert look(tmp_path, MORE, outcomes()).decision.value == "rollback"
