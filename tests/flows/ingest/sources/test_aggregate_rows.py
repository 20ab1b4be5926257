"""Files of sums: names are text whatever they look like, and what can't be is named.

Covers flows.aggregates.groups, flows.ingest.sources.aggregate_checks.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from flows.aggregates.analyze import analyze
from flows.cli.main import main
from flows.formats.problems import InputError
from flows.ingest.sources.aggregate_rows import read_aggregates

MEAN = {"metric": "m", "type": "mean", "n": 100, "sum": 50.0, "sum_squares": 1000.0}
COVARIATE = {"covariate_sum": 20.0, "covariate_sum_squares": 500.0, "covariate_product": 300.0}
RATIO = {
    **MEAN,
    "type": "ratio",
    "denominator_sum": 200.0,
    "denominator_sum_squares": 900.0,
    "denominator_product": 150.0,
}


def _written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "sums.json"
    path.write_text(json.dumps([{"variant": v, **row} for v, row in zip("ab", rows, strict=True)]))
    return path


def _refusal(folder: Path, row: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        read_aggregates(_written(folder, row, row))
    return str(caught.value)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (MEAN | {"n": 0}, "1: sum is 50, must be 0 where n is 0"),
        (MEAN | {"n": 0, "sum": 0}, "1: sum_squares is 1000, must be 0 where n is 0"),
        (MEAN | {"sum": 1e200}, "1: sum is 1e+200, its size must be at most 1e+60"),
        (MEAN | {"sum_squares": 1e300}, "1: sum_squares is 1e+300, must be at most 1e+120"),
        (MEAN | {"sum": 0, "sum_squares": 1e-200}, "1: sum_squares is 1e-200, must be 0 or at"),
        (MEAN | {"shift": 1e300}, "1: shift is 1e+300, its size must be at most 1e+60"),
        (MEAN | {"n": 1e300}, "1: n is 1e+300, must be at most 1e+15 users"),
        (
            MEAN | COVARIATE | {"covariate_product": 1e6},
            "1: covariate_product is 1e+06, must lie between -685.",
        ),
        (MEAN | COVARIATE | {"covariate_sum_squares": 1.0}, "1: covariate_sum_squares is 1, must"),
        (
            MEAN | COVARIATE | {"covariate_sum": 1e200},
            "1: covariate_sum is 1e+200, its size must be at most 1e+60",
        ),
        (RATIO | {"denominator_sum_squares": 3.0}, "1: denominator_sum_squares is 3, must be at"),
        (RATIO | {"denominator_product": -1e5}, "1: denominator_product is -100000, must lie"),
        (
            RATIO | COVARIATE | {"covariate_denominator_product": 1e5},
            "1: covariate_denominator_product is 100000, must lie",
        ),
        (
            RATIO
            | {"sum": 0, "sum_squares": 100, "denominator_sum": 0, "denominator_product": 95}
            | {"denominator_sum_squares": 100, "covariate_sum": 0, "covariate_sum_squares": 100}
            | {"covariate_product": 95, "covariate_denominator_product": -95},
            "can't all be of the same users",
        ),
        (
            {"metric": "m", "type": "proportion", "n": 10, "sum": 4, "sum_squares": 7},
            "1: sum_squares is 7, a proportion's is 4",
        ),
        ({"metric": "m", "type": "proportion", "n": 0, "sum": 0, "shift": 1e200}, "1: shift is"),
    ],
)
def test_sums_that_can_not_be_are_named(tmp_path: Path, row: dict[str, Any], problem: str) -> None:
    assert problem in _refusal(tmp_path, row)


def test_true_sums_of_any_values_are_taken(tmp_path: Path) -> None:
    """Perfect correlations, equal values and large means are possible, and rounded."""
    rng = np.random.default_rng(3)
    for y in (rng.normal(size=50), np.full(50, 0.1), 1e6 + rng.normal(size=50), np.zeros(50)):
        for x in (y, -2 * y, rng.normal(size=50), 3 * y + 1):
            sums = {"n": 50, "sum": y.sum(), "sum_squares": y @ y, "covariate_sum": x.sum()}
            more = {"covariate_sum_squares": x @ x, "covariate_product": x @ y}
            row = {"metric": "m", "type": "mean", **sums, **more}
            assert len(read_aggregates(_written(tmp_path, row, row))) == 2


@pytest.mark.parametrize(
    ("name", "variants", "expected"),
    [
        ("numbers.json", [1, 2], ["1", "2"]),
        ("truths.json", [True, False], ["true", "false"]),
        ("mixed.json", [1, "b"], ["1", "b"]),
        ("numbers.csv", ["01", "2"], ["01", "2"]),
        ("truths.csv", ["true", "false"], ["true", "false"]),
        ("numbers.parquet", [1, 2], ["1", "2"]),
        ("truths.parquet", [True, False], ["true", "false"]),
        ("fractions.parquet", [1.0, 2.0], ["1", "2"]),
    ],
)
def test_names_of_variants_are_text(
    tmp_path: Path, name: str, variants: list[Any], expected: list[str]
) -> None:
    path = tmp_path / name
    rows = [{"metric": 7, "type": "proportion", "n": 90, "sum": 9, "variant": v} for v in variants]
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".csv":
        lines = [",".join(map(str, row.values())) for row in rows]
        path.write_text("\n".join([",".join(rows[0]), *lines]))
    else:
        with duckdb.connect() as con:
            values = ", ".join(str(v) for v in variants)
            con.execute(
                f"copy (select 7 as metric, 'proportion' as type, 90 as n, 9 as sum, "
                f"unnest([{values}]) as variant) to '{path}' (format parquet)"
            )
    found = read_aggregates(path)
    assert [row.variant for row in found] == expected
    assert {row.metric for row in found} == {"7"}


def test_the_largest_and_smallest_numbers_are_computed_without_a_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for unit in (1e55, 1.0, 1e-55):
            first, second = (
                {"metric": "m", "type": "mean", "n": n, "sum": n * unit, "sum_squares": s * unit**2}
                for n, s in ((300, 900.0), (200, 700.0))
            )
            path = _written(tmp_path, first, second)
            (row,) = analyze(read_aggregates(path), path).rows
            assert row.degrees_of_freedom == pytest.approx(393.1478909933688)  # in every unit


@pytest.mark.parametrize("users", [0, 1, 2])
@pytest.mark.parametrize("kind", ["proportion", "mean"])
def test_variants_of_hardly_any_users_have_an_answer(tmp_path: Path, kind: str, users: int) -> None:
    did = users // 2 if kind == "proportion" else users / 2
    row = {"metric": "m", "type": kind, "n": users, "sum": did, "sum_squares": did}
    path = _written(tmp_path, row, row | {"n": 1000, "sum": 300, "sum_squares": 300})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(analyze(read_aggregates(path), path).rows) == 1


@pytest.mark.parametrize(
    "option", [("--prior-sd", "1e-300"), ("--tightest-at", "1e-300"), ("--alpha", "1e-300")]
)
def test_options_that_nothing_can_be_computed_with_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["analyze", str(_written(tmp_path, MEAN, MEAN)), *option])
    assert caught.value.code == 2
    assert f"argument {option[0]}: '1e-300' must be a number from" in capsys.readouterr().err


def test_exact_tests_of_many_shares_end_and_say_where(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    rows = [
        {"metric": f"m{i}", "type": "proportion", "variant": v, "n": 100, "sum": int(x)}
        for i, pair in enumerate(rng.integers(0, 101, (400, 2)))
        for v, x in zip("ab", pair, strict=True)
    ]
    path = tmp_path / "many.json"
    path.write_text(json.dumps(rows))
    document = analyze(read_aggregates(path), path)
    tested = [row for row in document.rows if "boschloo" in row.other_p]
    assert 300 <= len(tested) < 310
    assert len({(r.estimate_baseline, r.estimate_candidate) for r in tested}) == 300
    tables, posteriors = document.limits[:2]
    assert tables.startswith(f"exact tests: of the first {len(tested)} of 400 shares of at most")
    assert posteriors == "exact posteriors: of the first 300 of 400 shares"


def test_an_index_of_pandas_is_no_column_and_an_unknown_one_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "sums.csv"
    rows = ["0,m,proportion,a,100,10", "1,m,proportion,b,100,12"]
    path.write_text("\n".join([",metric,type,variant,n,sum", *rows]))
    assert [row.variant for row in read_aggregates(path)] == ["a", "b"]
    path.write_text("\n".join(["extra,metric,type,variant,n,sum", *rows]))
    with pytest.raises(InputError) as caught:
        read_aggregates(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        (
            "user_id,variant,exposed_at",
            "u{i},{v},2026-01-{i:02d}",
            (
                "row 1: metric, type, n, sum: missing (40 of 40 rows)",
                "row 1: user_id, exposed_at: unknown field; there are experiment, metric, variant",
            ),
        ),
        (
            "metric,variant,typ,n,sum",
            "m{i},{v},mean,10,{i}",
            (
                "row 1: typ: unknown field (did you mean 'type'?) (40 of 40 rows)",
                "row 1: type: missing (40 of 40 rows)",
            ),
        ),
        (
            "metric,variant,type,n,sum",
            'm{i},{v},proportion,many {i},"{i},5"',
            (
                "row 1: n: is 'many 0', must be a number (40 of 40 rows)",
                "row 1: sum: is '0,5', must be a number (40 of 40 rows)",
            ),
        ),
        (
            "metric,variant,type,n,sum",
            "m{i},{v},mean,10,{i}",
            ("row 1: sum_squares is missing: type mean needs it (40 of 40 rows)",),
        ),
        (
            "metric,variant,type,n,sum",
            "m{i},{v},proportion,10,{i}",
            ("row 12: sum is 11, a proportion's must lie between 0 and n (18 of 40 rows)",),
        ),
        (
            "metric,variant,type,n,sum,sum_squares",
            "m{i},{v},mean,1e2,{i},0.{i}",
            ("row 11: sum_squares is 0.1, must be at least sum^2 / n (1) (20 of 40 rows)",),
        ),
    ],
)
def test_a_fault_of_many_rows_is_said_once(
    tmp_path: Path, header: str, row: str, said: tuple[str, ...]
) -> None:
    path = tmp_path / "sums.csv"
    rows = [row.format(i=i, v=v) for v in "ab" for i in range(20)]
    path.write_text("\n".join([header, *rows]))
    with pytest.raises(InputError) as caught:
        read_aggregates(path)
    found = str(caught.value).splitlines()
    assert len(found) == len(said)
    for line, beginning in zip(found, said, strict=True):
        assert line.startswith(f"{path}: {beginning}")
