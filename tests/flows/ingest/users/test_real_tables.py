"""Tables as people have them: a row per user, no times, other names, times and columns."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.formats.problems import InputError
from flows.ingest.sources.user_rows import UserDataRefused
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from flows.spec.read_spec import read_spec
from tests.builders.user_formats import CSV, FORMATS, JSON_LINES, PARQUET, exposures, outcomes
from tests.builders.user_specs import LOOK, START, day, pull, rows_of, spec_of

METRICS = {
    "paid": {"kind": "proportion", "outcome": "paid", "role": "guardrail", "margin": 0.05},
    "worth": {"kind": "mean", "outcome": "worth", "role": "guardrail", "margin": 1},
}
TABLE = {"files": "users*", "outcomes": {"paid": "has_paid", "worth": "amount"}}
PLAN = {"start": START, "duration": "14d", "look_every": "1d", "bucket": "1h"}


def table(*, empty: object = 0, healthy: bool = False) -> list[dict[str, Any]]:
    """A row per user; who did nothing has the value empty."""
    bought = {row["user_id"] for row in outcomes()}
    did = [r["user_id"] % 4 < 2 if healthy else r["user_id"] in bought for r in exposures()]
    return [
        row | {"has_paid": 1 if paid else empty, "amount": 12.5 if paid else empty}
        for row, paid in zip(exposures(), did, strict=True)
    ]


def spec_for(table_: dict[str, Any] | None = None, **changes: Any) -> Experiment:
    fields: dict[str, Any] = {"split": {"a": 50, "b": 50}, "metrics": METRICS, "plan": PLAN}
    return spec_of({"users": {**TABLE, **(table_ or {})}}, **(fields | changes))


def look(folder: Path, spec: Experiment, at: datetime = LOOK) -> VerdictDocument:
    pull(spec, folder)
    return score_experiment(spec, folder / "w.duckdb", at=at)


def values(document: VerdictDocument) -> dict[str, tuple[float, float]]:
    found = {m.metric: (m.baseline, m.candidate) for m in document.metrics}
    return {name: (round(a, 6), round(b, 6)) for name, (a, b) in found.items()}


@pytest.mark.parametrize("name", ["csv", "csv, packed", "json", "json lines", "parquet"])
@pytest.mark.parametrize("empty", [0, None])
@pytest.mark.parametrize("at", ["exposed_at", None], ids=["with times", "without"])
def test_a_row_per_user_is_judged(tmp_path: Path, name: str, empty: object, at: str | None) -> None:
    rows = table(empty=empty)
    FORMATS[name](tmp_path, "users", rows)
    document = look(tmp_path, spec_for({"at": at, "segments": ["country"]}))
    assert document.decision.value == "rollback"
    assert values(document) == {"paid": (0.5, 0.2), "worth": (6.25, 2.5)}
    said = any(
        "judged once, at the plan's end, by fixed-horizon tests" in n for n in document.notes
    )
    assert said == (at is None)


@pytest.mark.parametrize("at", ["exposed_at", None], ids=["with times", "without"])
def test_a_healthy_table_is_promoted(tmp_path: Path, at: str | None) -> None:
    PARQUET(tmp_path, "users", table(healthy=True))
    metrics = {"paid": METRICS["paid"] | {"margin": 0.3}}
    assert look(tmp_path, spec_for({"at": at}, metrics=metrics)).decision.value == "promote"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"at": "amount"}, "set sources.users.time_format to unix_s"),
        ({"at": "country"}, "or as sources.users.time_format says"),
        ({"segments": ["land"]}, "no column 'land', by which sources.users.segments splits"),
    ],
)
def test_what_a_table_lacks_is_named_by_its_section(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    CSV(tmp_path, "users", table())
    with pytest.raises(UserDataRefused, match=re.escape(said)):
        pull(spec_for(changed), tmp_path)


def test_a_table_without_times_is_judged_at_the_end_only(tmp_path: Path) -> None:
    CSV(tmp_path, "users", table())
    document = look(tmp_path, spec_for(), at=day(3))
    assert document.decision.value == "hold"
    assert "without times users are judged once, at the plan's end, in 11.0 days" in " ".join(
        document.reasons
    )


def test_bounds_of_a_table_without_times_are_those_of_one_test(tmp_path: Path) -> None:
    CSV(tmp_path, "users", table())
    once = look(tmp_path, spec_for()).metrics[0]
    always = look(tmp_path, spec_for({"at": "exposed_at"})).metrics[0]
    assert once.excess.upper - once.excess.lower < always.excess.upper - always.excess.lower


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plan": {"duration": "14d"}}, "plan.start: is missing: sources.users has no `at`"),
        (
            {"metrics": {"paid": METRICS["paid"] | {"kind": "count"}}},
            "metrics.paid.kind: is count, which a row per user can't tell",
        ),
        (
            {"metrics": {"paid": METRICS["paid"] | {"outcome": "payed"}}},
            "metrics.paid.outcome: is 'payed', must be one of sources.users.outcomes: paid, worth",
        ),
        (
            {"metrics": {"paid": METRICS["paid"] | {"adjust": [{"before": "7d"}]}}},
            "metrics.paid.adjust: isn't possible with a row per user",
        ),
        (
            {"sources": {"users": TABLE, "exposures": {"files": "x"}}},
            "sources.exposures: can't be combined with `users`",
        ),
        (
            {"sources": {"users": TABLE | {"outcomes": {}}}},
            "sources.users.outcomes: ",
        ),
        (
            {
                "plan": {
                    "start": START.isoformat(),
                    "stages": [
                        {"weights": {"a": 90, "b": 10}, "duration": "7d"},
                        {"weights": {"a": 50, "b": 50}, "duration": "7d"},
                    ],
                }
            },
            "sources.users: can't tell under which of the plan's splits each user came",
        ),
    ],
)
def test_what_a_table_cannot_tell_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    plan = PLAN | {"start": START.isoformat()}
    fields = {
        "experiment": "quiz",
        "service": "quiz",
        "variants": {"a": {}, "b": {}},
        "metrics": METRICS,
        "plan": plan,
        "sources": {"users": TABLE},
    }
    path = tmp_path / "quiz.yaml"
    path.write_text(json.dumps(fields | changes))
    with pytest.raises(InputError) as caught:
        read_spec(path)
    assert said in str(caught.value)


@pytest.mark.parametrize("write", [CSV, JSON_LINES], ids=["csv", "json"])
def test_value_that_is_no_number_is_refused_with_its_column(tmp_path: Path, write: Any) -> None:
    rows = [*table(), table()[0] | {"user_id": 999, "amount": "12 EUR"}]
    write(tmp_path, "users", rows)
    with pytest.raises(UserDataRefused, match="row 241: amount is '12 EUR'"):
        pull(spec_for(), tmp_path)


@pytest.mark.parametrize(
    ("a", "b"),
    [("Control group", "Treatment group"), (False, True), (0, 1), (1.0, 2.0), ("A", " B ")],
)
@pytest.mark.parametrize("write", [CSV, JSON_LINES, PARQUET], ids=["csv", "json", "parquet"])
def test_variants_have_the_names_of_the_data(
    tmp_path: Path, write: Any, a: object, b: object
) -> None:
    rows = [r | {"variant": a if r["variant"] == "a" else b} for r in exposures()]
    write(tmp_path, "exposures", rows)
    write(tmp_path, "outcomes", [r | {"outcome": "paid"} for r in outcomes()])
    spec = spec_of(
        variants={"a": {"value": a}, "b": {"value": b.strip() if isinstance(b, str) else b}},
        metrics={"paid": METRICS["paid"] | {"window": "1d"}},
        plan=PLAN,
        split={"a": 50, "b": 50},
    )
    assert values(look(tmp_path, spec)) == {"paid": (0.5, 0.2)}


@pytest.mark.parametrize(
    ("time_format", "written"),
    [
        ("unix_s", lambda at: round(at.timestamp())),
        ("unix_ms", lambda at: round(at.timestamp() * 1000)),
        ("unix_us", lambda at: round(at.timestamp() * 1_000_000)),
        ("%d/%m/%Y %H:%M", lambda at: at.strftime("%d/%m/%Y %H:%M")),
        ("%m/%d/%Y %I:%M:%S %p", lambda at: at.strftime("%m/%d/%Y %I:%M:%S %p")),
        ("%Y%m%d%H%M", lambda at: at.strftime("%Y%m%d%H%M")),
        (
            "%d.%m.%Y %H:%M %z",
            lambda at: (at + timedelta(hours=2)).strftime("%d.%m.%Y %H:%M +0200"),
        ),
    ],
)
@pytest.mark.parametrize("write", [CSV, JSON_LINES, PARQUET], ids=["csv", "json", "parquet"])
def test_times_are_written_as_the_spec_says(
    tmp_path: Path, write: Any, time_format: str, written: Any
) -> None:
    write = FORMATS["parquet, all text"] if write is PARQUET else write
    write(
        tmp_path, "exposures", [r | {"exposed_at": written(r["exposed_at"])} for r in exposures()]
    )
    rows = [r | {"outcome": "paid", "occurred_at": written(r["occurred_at"])} for r in outcomes()]
    write(tmp_path, "outcomes", rows)
    source = {"time_format": time_format}
    spec = spec_of(
        {
            "exposures": {"files": "exposures*", **source},
            "outcomes": {"files": "outcomes*", **source},
        },
        metrics={"paid": METRICS["paid"] | {"window": "1d"}},
        plan=PLAN,
        split={"a": 50, "b": 50},
    )
    assert values(look(tmp_path, spec)) == {"paid": (0.5, 0.2)}


def test_time_that_is_written_otherwise_is_refused(tmp_path: Path) -> None:
    CSV(tmp_path, "exposures", exposures())
    spec = spec_of({"exposures": {"files": "exposures*", "time_format": "%d/%m/%Y"}})
    with pytest.raises(
        UserDataRefused, match="must be a time of 1980 to 2199 as time_format '%d/%m/%Y' says"
    ):
        pull(spec, tmp_path)


@pytest.mark.parametrize(
    ("values_", "columns", "users"),
    [
        (["true"], {}, 240),
        (["0", "1"], {}, 240),
        (["a", "b"], {}, 240),
        ([None], {}, 240),
        (["quiz", "exam"], {}, 120),
        (["checkout"], {"experiment": None}, 240),
        (["checkout"], {}, 0),
        (["checkout"], {"experiment": "experiment"}, 0),
    ],
)
@pytest.mark.parametrize("write", [CSV, JSON_LINES], ids=["csv", "json"])
def test_a_column_called_experiment_may_be_none(
    tmp_path: Path, write: Any, values_: list[str], columns: dict[str, Any], users: int
) -> None:
    rows = [
        row | {"experiment": values_[number % len(values_)]}
        for number, row in enumerate(exposures())
    ]
    write(tmp_path, "exposures", rows)
    spec = spec_of({"exposures": {"files": "exposures*", "columns": columns}})
    warnings = " ".join(pull(spec, tmp_path).warnings)
    assert rows_of(tmp_path, "select count(*) from exposures") == [(users,)]
    assert ("set sources.exposures.columns: {experiment: null}" in warnings) == (users == 0)


@pytest.mark.parametrize("write", [CSV, JSON_LINES, PARQUET], ids=["csv", "json", "parquet"])
@pytest.mark.parametrize(
    ("time_format", "factor"),
    [
        *(("unix_s", factor) for factor in (1_000, 1_000_000, 1_000_000_000, -1_000_000_000)),
        *(("unix_ms", factor) for factor in (1, 1_000_000, 1_000_000_000)),
        ("unix_us", 1_000_000_000),
        ("unix_ns", 1),
    ],
)
def test_times_of_another_unit_are_refused(
    tmp_path: Path, write: Any, time_format: str, factor: int
) -> None:
    """Also where no time of that unit holds them."""
    write = FORMATS["parquet, all text"] if write is PARQUET else write
    rows = [r | {"exposed_at": round(r["exposed_at"].timestamp()) * factor} for r in exposures()]
    write(tmp_path, "exposures", rows)
    spec = spec_of({"exposures": {"files": "exposures*", "time_format": time_format}})
    said = f"must be a time of 1980 to 2199 as time_format '{time_format}' says"
    with pytest.raises(UserDataRefused, match=said):
        pull(spec, tmp_path)
