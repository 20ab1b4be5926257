"""`verdict analyze`: sums from another warehouse, judged; bad files named to the field.

Covers flows.cli.analyze_command, flows.cli.analyze_tables.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import numpy as np
import pytest
from scipy import stats

from flows.aggregates.analyzed_document import scorecard_schema
from flows.ingest.sources.aggregate_rows import aggregates_schema
from tests.servers.own_process import verdict

ROWS: list[dict[str, Any]] = [
    {"metric": "bought", "variant": "a", "type": "proportion", "n": 2000, "sum": 200, "share": 0.5},
    {"metric": "bought", "variant": "b", "type": "proportion", "n": 2000, "sum": 240, "share": 0.5},
    {"metric": "spend", "variant": "a", "type": "mean", "n": 3001, "sum": 300, "sum_squares": 600}
    | {"covariate_sum": 210, "covariate_sum_squares": 415, "covariate_product": 150},
    {"metric": "spend", "variant": "b", "type": "mean", "n": 3000, "sum": 322, "sum_squares": 655}
    | {"covariate_sum": 220, "covariate_sum_squares": 405, "covariate_product": 160},
    {"metric": "ctr", "variant": "a", "type": "ratio", "n": 5000, "sum": 2650, "sum_squares": 6100}
    | {"denominator_sum": 10050, "denominator_sum_squares": 26500, "denominator_product": 8000},
    {"metric": "ctr", "variant": "b", "type": "ratio", "n": 5050, "sum": 2890, "sum_squares": 6900}
    | {"denominator_sum": 10100, "denominator_sum_squares": 26800, "denominator_product": 8500},
]


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return verdict("analyze", *arguments)


def _written(folder: Path, rows: list[dict[str, Any]], name: str = "sums.json") -> Path:
    """The rows as a file of the kind that its name says."""
    path = folder / "rows.json"
    path.write_text(json.dumps(rows))
    if name.endswith(".json"):
        return path.rename(folder / name)
    target = folder / name
    kind = "parquet" if name.endswith("parquet") else "csv"
    with duckdb.connect() as con:
        con.execute(f"copy (from read_json('{path}')) to '{target}' (format {kind})")
    return target


def _answers(path: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    done = _run(path, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    jsonschema.validate(document, json.loads(scorecard_schema()))
    return {row["metric"]: row for row in document["rows"]}


@pytest.mark.parametrize("name", ["sums.json", "sums.csv", "sums.parquet"])
def test_published_examples_come_out_of_every_kind_of_file(tmp_path: Path, name: str) -> None:
    found = _answers(_written(tmp_path, ROWS, name))
    bought, spend, ctr = found["bought"], found["spend"], found["ctr"]
    assert bought["other_p"]["z_unpooled"] == pytest.approx(0.0431382, abs=1e-7)
    # Newcombe's limits are wider by the continuity correction: near Fieller's published interval.
    assert bought["p_value"] == pytest.approx(0.0432, abs=0.006)
    assert [bought["fixed"]["relative_lower"], bought["fixed"]["relative_upper"]] == pytest.approx(
        [0.005666, 0.436552], abs=0.02
    )
    assert spend["p_value"] == pytest.approx(0.572836, rel=1e-4)
    assert spend["variance_removed"] == pytest.approx(0.075, abs=0.001)
    assert ctr["p_value"] == pytest.approx(0.01119, abs=5e-6)
    assert ctr["difference"] == pytest.approx(0.0224570, abs=5e-8)
    assert bought["split_p"] == 1.0
    assert ctr["split_p"] is None


def test_a_process_says_the_same(tmp_path: Path) -> None:
    path = _written(tmp_path, ROWS)
    for arguments, code in (((), 0), (("--json",), 0), (("--baseline", "z"), 2)):
        command = [sys.executable, "-m", "flows.cli", "analyze", str(path), *arguments]
        # GNU readline sets COLUMNS beneath Python, where only a process without `env` finds it.
        done = subprocess.run(
            command, env={**os.environ}, capture_output=True, text=True, check=False
        )
        same = _run(path, *arguments)
        assert (done.returncode, done.stdout, done.stderr) == (code, same.stdout, same.stderr)


def test_rows_of_days_and_shifts_add_up(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    whole, days = [], []
    for variant, effect in (("a", 0.0), ("b", 0.3)):
        y = 1e6 + effect + rng.normal(size=400)
        for part in np.array_split(y, 3):
            d = part - 1e6
            days.append(
                {"metric": "m", "variant": variant, "type": "mean", "n": len(part)}
                | {"sum": d.sum(), "sum_squares": (d**2).sum(), "shift": 1e6}
            )
        d = y - 999_999
        whole.append(
            {"metric": "m", "variant": variant, "type": "mean", "n": 400}
            | {"sum": d.sum(), "sum_squares": (d**2).sum(), "shift": 999_999}
        )
    one, many = (
        _answers(_written(tmp_path, rows, f"{name}.json"))["m"]
        for name, rows in (("whole", whole), ("days", days))
    )
    for field in ("difference", "standard_error", "p_value", "log_e"):
        assert many[field] == pytest.approx(one[field], rel=1e-6)


def test_the_baseline_can_be_named(tmp_path: Path) -> None:
    path = _written(tmp_path, ROWS)
    assert _answers(path, "--baseline", "b")["bought"]["difference"] == pytest.approx(-0.02)


def test_many_arms_and_experiments_are_corrected_within_each(tmp_path: Path) -> None:
    rows = [
        {"experiment": name, "metric": f"m{i}", "variant": v, "type": "proportion"}
        | {"n": 5000, "sum": 500 + 40 * (v == "b") * (name == "x")}
        for name in ("x", "y")
        for i in range(4)
        for v in ("a", "b", "c")
    ]
    done = _run(_written(tmp_path, rows), "--json")
    document = json.loads(done.stdout)
    assert len(document["rows"]) == 16
    for row in document["rows"]:
        if row["experiment"] == "x" and row["candidate"] == "b":
            assert row["p_fdr"] == pytest.approx(2 * row["p_value"])  # 4 of 8 tests are as small


def test_a_wrong_split_and_a_covariate_are_said(tmp_path: Path) -> None:
    rows = [row | {"share": 0.5} for row in ROWS]
    rows[1] |= {"n": 3000, "sum": 360}
    shown = _run(_written(tmp_path, rows)).stdout
    assert "bought, b: users are not divided as configured" in shown
    assert "spend, b: the adjustment removes 7% of the variance" in shown


@pytest.mark.parametrize(
    ("row", "change", "problem"),
    [
        (0, {"type": "rate"}, "1: type: is 'rate', must be 'proportion'"),
        (0, {"n": None}, "1: n: missing"),
        (2, {"sum_squares": None}, "3: sum_squares is missing: type mean needs it"),
        (4, {"denominator_product": None}, "5: denominator_product is missing: type ratio"),
        (0, {"sum": 2001}, "1: sum is 2001, a proportion's must lie between 0 and n"),
        (2, {"sum_squares": 1.0}, "3: sum_squares is 1, must be at least sum^2 / n"),
        (0, {"clicks": 3}, "1: clicks: unknown field; there are experiment, metric"),
        (3, {"variant": "a"}, "3: experiment spend: has only the variant 'a'"),
        (3, {"type": "count"}, "3: experiment spend: is of several types: count, mean"),
        (3, {"covariate_sum": None}, "3: experiment spend: has a covariate in some rows only"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, row: int, change: dict[str, Any], problem: str
) -> None:
    rows = [dict(each) for each in ROWS]
    rows[row] = {k: v for k, v in (rows[row] | change).items() if v is not None}
    done = _run(_written(tmp_path, rows))
    assert done.returncode == 2
    assert f"sums.json: row {problem}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_baseline_that_no_metric_has_is_said_once(tmp_path: Path) -> None:
    rows = [
        {"metric": f"m{i}", "type": "proportion", "variant": v, "n": 90, "sum": 9}
        for i in range(30)
        for v in "ab"
    ]
    path = _written(tmp_path, rows)
    said = "experiment m0: has no variant 'c', the baseline; there are a, b (30 of 30 comparisons)"
    assert _run(path, "--baseline", "c").stderr == f"{path}: row 1: {said}\n"


def test_a_missing_a_foreign_and_a_truncated_file_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "none.csv"
    assert _run(missing).stderr == f"{missing}: no such file\n"
    assert _run(missing.parent).stderr == f"{missing.parent}: is a folder: name a file\n"
    (tmp_path / "a.xlsx").write_text("x")
    assert (
        "unknown kind of file; the name must end with .parquet, .csv"
        in _run(tmp_path / "a.xlsx").stderr
    )
    whole = _written(tmp_path, ROWS, "whole.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    done = _run(tmp_path / "cut.parquet")
    assert done.returncode == 2
    assert "can't be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert _run(tmp_path / "none.csv", "--alpha", "2").returncode == 2


def test_the_published_schema_describes_the_rows() -> None:
    jsonschema.validate(ROWS, json.loads(aggregates_schema()))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([{"metric": "m"}], json.loads(aggregates_schema()))


def test_large_numbers_and_tiny_rates_lose_no_digits(tmp_path: Path) -> None:
    rows = [
        {"metric": "huge", "variant": v, "type": "mean", "n": 1e12, "shift": 1e9}
        | {"sum": 1e12 * d, "sum_squares": 1e12 * (1 + d * d)}
        for v, d in (("a", 0.0), ("b", 1e-5))
    ] + [
        {"metric": "rare", "variant": v, "type": "proportion", "n": 1e12, "sum": x}
        for v, x in (("a", 1000), ("b", 1100))
    ]
    found = _answers(_written(tmp_path, rows))
    assert found["huge"]["difference"] == pytest.approx(1e-5, rel=0.02)
    assert found["huge"]["standard_error"] == pytest.approx(np.sqrt(2e-12), rel=1e-9)
    assert found["rare"]["relative"] == pytest.approx(0.1, rel=1e-9)
    assert found["rare"]["p_value"] == pytest.approx(0.029, rel=0.06)  # continuity-corrected


def test_few_users_get_exact_tests(tmp_path: Path) -> None:
    rows = [
        {"metric": "m", "variant": v, "type": "proportion", "n": n, "sum": x}
        for v, n, x in (("a", 20, 2), ("b", 18, 9))
    ]
    found = _answers(_written(tmp_path, rows))["m"]
    expected = stats.boschloo_exact([[9, 2], [9, 18]]).pvalue
    assert found["other_p"]["boschloo"] == pytest.approx(expected, rel=2e-3)
    assert found["other_p"]["fisher"] == pytest.approx(
        stats.fisher_exact(np.array([[9, 2], [9, 18]])).pvalue
    )


def test_strata_are_compared_within(tmp_path: Path) -> None:
    """The published example of post-stratification, as rows."""
    cells = [
        ("a", "app", 4000, 8000, 20000),
        ("a", "web", 1500, 9000, 60000),
        ("b", "app", 4100, 8400, 21300),
        ("b", "web", 1400, 8600, 58800),
    ]
    names = ("variant", "stratum", "n", "sum", "sum_squares")
    rows = [{"metric": "m", "type": "mean"} | dict(zip(names, c, strict=True)) for c in cells]
    row = _answers(_written(tmp_path, rows))["m"]
    assert row["difference"] == pytest.approx(0.0735825, abs=5e-8)
    assert row["standard_error"] == pytest.approx(0.0257894, rel=2e-3)
    assert row["variance_removed"] == pytest.approx(1 - (0.0257894 / 0.0426) ** 2, rel=0.01)
    rows[0].pop("stratum")
    done = _run(_written(tmp_path, rows))
    assert "has a stratum in some rows only; give it in all or none" in done.stderr + done.stdout


@pytest.mark.parametrize("is_running", [False, True])
def test_running_totals_by_day_are_refused(tmp_path: Path, is_running: bool) -> None:
    rng = np.random.default_rng(5)
    rows = list[dict[str, Any]]()
    for variant in "ab":
        own = rng.binomial(500, 0.2, 14)
        did, users = (own.cumsum(), 500 * np.arange(1, 15)) if is_running else (own, [500] * 14)
        rows += [
            {"metric": "bought", "variant": variant, "type": "proportion", "n": int(users[i])}
            | {"sum": int(did[i]), "day": f"2026-10-{i + 1:02}"}
            for i in range(14)
        ]
    done = _run(_written(tmp_path, rows))
    assert done.returncode == (2 if is_running else 0)
    assert ("bought: has running totals by day; give each day" in done.stderr) is is_running
