"""Sums from another warehouse as a gate's users: taken in once, checked, judged by the same judge.

Covers flows.ingest.users.known_aggregates, flows.ingest.users.aggregates_at_look.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.formats.problems import InputError
from flows.ingest.sources.user_rows import UserDataRefused
from flows.spec.read_spec import read_spec
from tests.builders.user_formats import CSV, FORMATS, folder_writer
from tests.builders.user_specs import START, day, pull, rows_of, spec_of, write_exposures
from tests.builders.user_specs import write_outcomes as write_rows
from tests.builders.user_sums import (
    HEALTHY,
    PAID,
    PLAN,
    SPENT,
    judge_sums,
    look_again,
    paid,
    spent,
    sums_spec,
    write_sums,
)
from tests.places import REPOSITORY

HARMED = [paid("a", 500), paid("b", 250), spent("a", 10), spent("b", 10.1)]
TEXT = ("csv", "csv, packed", "tsv", "csv, semicolons of Excel", "csv, mixed line ends")
TYPED = ("json", "json lines", "json lines, packed", "json, pretty", "parquet, all text")


def test_the_example_of_the_documentation_is_promoted(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "reference" / "users.md").read_text(encoding="utf-8")
    section = text.split("### Sums instead of users")[1]
    for kind, name in (("yaml", "checkout.yaml"), ("csv", "sums.csv")):
        block = section.split(f"```{kind}\n")[1].split("```")[0]
        (tmp_path / name).write_text(block)
    document = look_again(tmp_path, read_spec(tmp_path / "checkout.yaml"), datetime.now(UTC))
    assert document.decision.value == "promote"


@pytest.mark.parametrize("name", [*TEXT, *TYPED])
def test_sums_in_every_format_give_the_same_verdict(tmp_path: Path, name: str) -> None:
    for rows, decision in ((HEALTHY, "promote"), (HARMED, "rollback")):
        folder = tmp_path / decision
        folder.mkdir()
        columns = dict.fromkeys(key for row in rows for key in row)
        FORMATS[name](folder, "sums", [{c: row.get(c) for c in columns} for row in rows])
        document = look_again(folder, sums_spec())
        assert document.decision.value == decision
        estimates = [(m.metric, m.baseline, round(m.candidate, 9)) for m in document.metrics]
        assert estimates[0] == ("paid", 0.5, 0.505 if decision == "promote" else 0.25)
        assert estimates[1] == ("spent", 10, 10.1)


def test_names_in_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    names = pa.array([b"a", b"\xff"], pa.binary())
    columns = {
        "metric": ["paid"] * 2,
        "type": ["proportion"] * 2,
        "n": [1000] * 2,
        "sum": [500] * 2,
    }
    pq.write_table(pa.table(columns | {"variant": names}), tmp_path / "sums.parquet")
    reasons = " ".join(look_again(tmp_path, sums_spec()).reasons)
    assert "1 rows of sums are of a variant" in reasons
    assert "xff" in reasons


def test_folders_name_the_variant(tmp_path: Path) -> None:
    rows = [{"sum_squares": None} | row for row in HEALTHY]
    folder_writer("variant", lambda row: row["variant"], CSV)(tmp_path, "sums", rows)
    spec = sums_spec({"aggregates": "sums/*/*"})
    assert look_again(tmp_path, spec).decision.value == "promote"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([*HEALTHY[1:], paid("a", 1200)], "a proportion's must lie between 0 and n"),
        ([*HEALTHY[1:], paid("a", -1)], "a proportion's must lie between 0 and n"),
        ([*HEALTHY[1:], paid("a", 0.1)], "sum is 0.1, a proportion's must be a whole number"),
        ([*HEALTHY[1:], paid("a", 500, -1000)], "greater than or equal to 0"),
        ([*HEALTHY[1:], paid("a", float("nan"))], "finite number"),
        ([*HEALTHY[:3], spent("b", 10, sum_squares=100)], "sum_squares is 100, must be at least"),
        ([*HEALTHY[:3], spent("b", 10, sum_squares=None)], "sum_squares is missing"),
        ([*HEALTHY, paid("b", 505)], "the sums of paid b are there already (sums.json, row 2)"),
        ([*HEALTHY, paid("c", 500)], "1 rows of sums are of a variant 'c'"),
        ([*HEALTHY[:3], spent("b", 10.1) | {"variant": "B"}], "of a variant 'B'"),
        ([*HEALTHY[:3], spent("b", 10.1, kind="mean")], "kind: unknown field; there are"),
        ([*HEALTHY[:3], spent("b", 10.1, type="count")], "the spec's metric spent needs mean"),
        ([*HEALTHY[:3], spent("b", 10.1, n=600)], "of 100.0% of a's and 60.0% of b's users"),
        ([*HEALTHY[:3]], "of 100.0% of a's and 0.0% of b's users"),
        ([*HEALTHY, paid("b", 9, 2000, segment="x = y")], "2,000 users of 'x = y' of 1,000"),
        ([*HEALTHY, *(paid(v, 250, 500, stratum="x") for v in "ab")], "paid has a stratum in some"),
        (
            [*HEALTHY, *(paid(v, 250, 500, day="2026-01-01") for v in "ab")],
            "paid has a day in some",
        ),
        ([*HEALTHY, paid("a", 1, segment=" ")], "row 5: segment is ' ', which names none"),
        ([*HEALTHY, paid("b", 999, segment=" = ")], "row 5: segment is ' = ', which names none"),
        (
            [paid("a", 500), paid("b", 404, 800), spent("a", 10), spent("b", 10.1, 800)],
            "b received 44.4 % of users; 50.0 % is configured",
        ),
        ([paid("a", 500), spent("a", 10)], "no users of b up to the look"),
        ([paid("a", 500), paid("b", 0, 0), spent("a", 10), spent("b", 0, 0)], "no users of b"),
        ([row | {"experiment": "other"} for row in HEALTHY], "no users of a and b"),
    ],
)
def test_sums_that_can_not_be_right_are_invalid(
    tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    document = judge_sums(tmp_path, rows)
    assert document.decision.value == "invalid"
    assert said in " ".join(document.reasons)


def test_a_fault_of_all_rows_is_said_once(tmp_path: Path) -> None:
    """Of the file, and beside the spec: the first row, and how many there are."""
    parts = [(f"country={name}", v) for name in ("de", "fr", "it", "es", "pl") for v in "ab"]
    wrong = [paid(v, 50, 100, segment=part) | {"type": "rate"} for part, v in parts]
    said = " ".join(judge_sums(tmp_path, [*HEALTHY, *wrong]).reasons)
    assert "sums.json, row 5: type: is 'rate', must be 'proportion', " in said
    assert "(10 of 14 rows)" in said
    assert "row 6" not in said
    other = [paid(v, 50, 100, segment=part) | {"type": "count"} for part, v in parts]
    listed = [{"sum_squares": 50, **row} for row in other]
    said = " ".join(judge_sums(tmp_path, [*HEALTHY, *listed]).reasons)
    assert "sums.json, row 5: type is count, the spec's metric paid needs proportion (10 of" in said
    assert "row 6" not in said


FEWER = {"paid": PAID | {"better": "lower"}, "spent": SPENT}


@pytest.mark.parametrize(
    ("rows", "changes", "said"),
    [
        (HEALTHY[:2], {}, "spent: there are no sums of it; those that are there are of 'paid'"),
        ([paid("a", 0), paid("b", 0), *HEALTHY[2:]], {}, "none of the users did it"),
        (
            [paid("a", 0), paid("b", 0), *HEALTHY[2:]],
            {"metrics": FEWER},
            "none of the users did it (1,000 of a and 1,000 of b)",
        ),
        (
            [paid("a", 500), paid("b", 0), *HEALTHY[2:]],
            {"metrics": FEWER},
            "none of b's 1,000 users did it, and others did",
        ),
        (
            [paid("a", 0), paid("b", 500), *HEALTHY[2:]],
            {},
            "none of a's 1,000 users did it, and others did",
        ),
        (
            HEALTHY,
            {"metrics": {"spent": SPENT | {"adjust": [{"before": "7d"}]}}},
            "`adjust` needs covariate_sum",
        ),
        (
            [*(paid(v, 9000, 20000) for v in "ab"), spent("a", 10, 2000), spent("b", 10, 1850)],
            {},
            "spent: its sums are of 2,000 of a's users, those of paid of 20,000",
        ),
        (
            [*(spent(v, 10, 20000) for v in "ab"), paid("a", 1000), paid("b", 1000)],
            {},
            "paid: its sums are of 1,000 of a's users, those of spent of 20,000",
        ),
    ],
)
def test_what_sums_do_not_say_is_not_known(
    tmp_path: Path, rows: list[dict[str, Any]], changes: dict[str, Any], said: str
) -> None:
    document = judge_sums(tmp_path, rows, sums_spec(**changes))
    assert document.decision.value == "hold"
    assert said in " ".join(document.reasons)


@pytest.mark.parametrize(
    ("metrics", "decision"),
    [
        ({"sale": PAID | {"window": "1d"}}, "invalid"),
        ({"sale": PAID | {"window": "1d"}, "paid": PAID | {"window": "1d"}}, "rollback"),
    ],
)
def test_a_metric_renamed_midway_hides_no_harm(
    tmp_path: Path, metrics: dict[str, Any], decision: str
) -> None:
    rows = [paid(v, 100 - 40 * (v == "b"), 200, day=f"2026-01-0{d}") for d in "123" for v in "ab"]
    later = [paid(v, 100, 200, day=f"2026-01-0{d}", metric="sale") for d in "456" for v in "ab"]
    document = judge_sums(tmp_path, [*rows, *later], sums_spec({"by_day": True}, metrics=metrics))
    assert document.decision.value == decision
    twice = "sums of sale are there under this name and under 'paid', its outcome"
    assert (twice in " ".join(document.reasons)) == (decision == "invalid")


def test_what_sums_can_not_tell_is_named(tmp_path: Path) -> None:
    notes = " ".join(judge_sums(tmp_path, HEALTHY).notes)
    assert "the source has only sums: that no user is in two variants" in notes
    assert "judged once, at the plan's end, by fixed-horizon tests" in notes


def test_another_read_stands_in_place_of_the_first(tmp_path: Path) -> None:
    spec = sums_spec({"by_day": True}, metrics={"paid": PAID | {"window": "1d"}})
    days = [paid(v, 50 + d, 100, day=f"2026-01-0{d}") for d in (1, 2, 3) for v in "ab"]
    write_sums(tmp_path, days)
    first = pull(spec, tmp_path)
    assert first.summary == "6 rows of sums in 1 file, read anew"
    again = pull(spec, tmp_path)
    assert (again.summary, again.warnings) == ("6 rows of sums in 1 file, unchanged", ())

    (tmp_path / "sums.json").rename(tmp_path / "sums-2.json")
    write_sums(tmp_path, days[1:], "sums-2.json")
    assert pull(spec, tmp_path).warnings == (
        "sums not found any more, which don't count: paid a 2026-01-01",
    )
    found = rows_of(tmp_path, "select count(*) from user_aggregates where not is_gone")
    assert found == [(5,)]
    document = look_again(tmp_path, spec)
    assert "not found any more, which don't count: paid a 2026-01-01" in " ".join(document.notes)

    write_sums(tmp_path, days, "sums-2.json")
    assert pull(spec, tmp_path).warnings == ()


def test_sums_by_day_are_judged_as_the_rows_are(tmp_path: Path) -> None:
    """One judge: the bounds at every look are those of the users themselves."""
    rng = np.random.default_rng(4)
    metrics = {"paid": PAID | {"window": "1d"}, "spent": SPENT | {"window": "1d"}}
    users = [(f"u{i}", "ab"[i % 2], i / 100 + 0.001) for i in range(1000)]
    values = rng.exponential(10, 1000) * (rng.random(1000) < 0.5)
    did = [
        (u, o, at + 0.1, v)
        for (u, _, at), v in zip(users, values, strict=True)
        if v
        for o in ("paid", "spent")
    ]
    rows, sums = tmp_path / "rows", tmp_path / "sums"
    for folder in (rows, sums):
        folder.mkdir()
    write_exposures(rows, list(users))
    write_rows(rows, did)
    grouped = defaultdict[tuple[str, date], list[float]](list)
    for (_, variant, at), value in zip(users, values, strict=True):
        grouped[variant, day(at).date()].append(value)
    made = [
        row
        for (variant, when), of_day in grouped.items()
        for n, y in [(len(of_day), np.array(of_day))]
        for row in (
            paid(variant, int((y > 0).sum()), n, day=str(when)),
            spent(variant, 0, n, day=str(when)) | {"sum": y.sum(), "sum_squares": y @ y},
        )
    ]
    write_sums(sums, made)
    shared: dict[str, Any] = {"metrics": metrics, "plan": PLAN | {"users": 1400}}
    of_rows = spec_of(split={"a": 50, "b": 50}, **shared)
    of_sums = sums_spec({"by_day": True}, **shared)
    for look in (day(4), day(8), day(14)):
        pairs = zip(
            look_again(rows, of_rows, look).metrics,
            look_again(sums, of_sums, look).metrics,
            strict=True,
        )
        for one, other in pairs:
            assert other.exposure_candidate == one.exposure_candidate > 0
            assert other.excess.upper == pytest.approx(one.excess.upper, rel=1e-9)
            assert other.excess.lower == pytest.approx(one.excess.lower, rel=1e-9)


def test_days_count_when_the_window_has_passed(tmp_path: Path) -> None:
    """Neither those of today, nor those before the plan, nor those whose users may still pay."""
    metrics = {"paid": PAID | {"window": "2d"}}
    spec = sums_spec({"by_day": True}, metrics=metrics)
    days = [START.date() + timedelta(days=d) for d in range(-2, 6)]
    rows = [paid(v, 50, 100, day=str(when)) for when in days for v in "ab"]
    document = judge_sums(tmp_path, rows, spec, day(5.5))
    assert document.metrics[0].exposure_baseline == 300  # of the days 0, 1 and 2
    assert "4 rows of sums are of days before the plan's start" in " ".join(document.notes)


def test_a_day_that_one_variant_lacks_breaks_the_split(tmp_path: Path) -> None:
    spec = sums_spec({"by_day": True}, metrics={"paid": PAID | {"window": "1d"}})
    rows = [paid(v, 250, 500, day=f"2026-01-0{d}") for d in range(1, 8) for v in "ab"]
    assert judge_sums(tmp_path, rows, spec).decision.value != "invalid"
    document = judge_sums(tmp_path, rows[:-1], spec)
    assert document.decision.value == "invalid"
    assert "on 2026-01-07 b received 0.0 % of users" in " ".join(document.reasons)


def test_covariates_and_strata_of_sums_are_used(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    rows: list[dict[str, Any]] = []
    for variant in "ab":
        for stratum, centre in (("new", 5.0), ("old", 15.0)):
            x = rng.normal(centre, 2, 500)
            y = x + rng.normal(0, 0.5, 500)
            sums = {"n": 500, "sum": y.sum(), "sum_squares": y @ y, "stratum": stratum}
            before = {"covariate_sum": x.sum(), "covariate_sum_squares": x @ x}
            row = {"metric": "spent", "variant": variant, "type": "mean", **sums, **before}
            rows.append(row | {"covariate_product": x @ y})
    removed = {}
    asked: dict[str, dict[str, Any]] = {
        "adjusted": {"adjust": [{"before": "7d"}]},
        "stratified": {"stratify": True},
    }
    for name, metric in asked.items():
        folder = tmp_path / name
        folder.mkdir()
        spec = sums_spec({"segments": ["stratum"]}, metrics={"spent": SPENT | metric})
        (result,) = judge_sums(folder, rows, spec).metrics
        removed[name] = result.variance_removed or 0
        assert result.exposure_baseline == 1000
    assert removed["adjusted"] > 0.9
    assert removed["stratified"] > 0.7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plan": {"duration": "14d"}}, "plan.start: is missing: sums don't say it"),
        ({"metrics": {"m": {"kind": "quantile", "outcome": "x", "quantile": 0.9}}}, "which sums"),
        ({"metrics": {"spent": SPENT | {"cap": "99%"}}}, "metrics.spent.cap: isn't possible with"),
        (
            {"metrics": {"spent": SPENT | {"adjust": [{"before": "1d"}, {"before": "2d"}]}}},
            "metrics.spent.adjust: has several covariates",
        ),
        (
            {"sources": {"users": {"aggregates": "x"}, "outcomes": {"files": "y"}}},
            "sources.outcomes: can't be combined with `users`",
        ),
        (
            {
                "plan": PLAN
                | {
                    "start": START.isoformat(),
                    "duration": None,
                    "stages": [
                        {"weights": {"a": 90, "b": 10}, "duration": "7d"},
                        {"weights": {"a": 50, "b": 50}, "duration": "7d"},
                    ],
                },
                "split": None,
            },
            "sources.users: can't tell under which of the plan's splits each user came",
        ),
        (
            {
                "metrics": {"m": PAID | {"window": "13d"}},
                "sources": {"users": {"aggregates": "x", "by_day": True}},
            },
            "metrics.m.window: is 13d, must be shorter than the whole plan",
        ),
    ],
)
def test_what_can_not_be_asked_of_sums_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    fields = {
        "experiment": "quiz",
        "service": "quiz",
        "variants": {"a": {}, "b": {}},
        "split": {"a": 50, "b": 50},
        "metrics": {"spent": SPENT},
        "plan": PLAN | {"start": START.isoformat()},
        "sources": {"users": {"aggregates": "sums*"}},
    }
    path = tmp_path / "quiz.yaml"
    given = {key: value for key, value in (fields | changes).items() if value is not None}
    given["plan"] = {k: v for k, v in given["plan"].items() if v is not None}
    path.write_text(json.dumps(given))
    with pytest.raises(InputError) as caught:
        read_spec(path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("sums.xlsx", "x", "unknown kind of file"),
        ("sums.json", '[{"metric": "paid"', "not a whole JSON array"),
        ("sums.parquet", "PAR1", "not a whole Parquet file"),
    ],
)
def test_files_that_can_not_be_read_are_refused(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    with pytest.raises(UserDataRefused, match="no such file"):
        pull(sums_spec(), tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(UserDataRefused, match=said):
        pull(sums_spec(), tmp_path)


@pytest.mark.parametrize("is_running", [False, True])
def test_days_that_hold_the_days_before_are_invalid(tmp_path: Path, is_running: bool) -> None:
    """They counted users up to a dozen times, and what was chance became sure."""
    rng = np.random.default_rng(3)
    rows, total = [], defaultdict[str, int](int)
    for number in range(1, 13):
        for v in "ab":
            own = int(rng.binomial(200, 0.5))
            total[v] += own
            did, n = (total[v], 200 * number) if is_running else (own, 200)
            rows.append(paid(v, did, n, day=f"2026-01-{number:02}"))
    metrics = {"paid": PAID | {"window": "1d"}}
    document = judge_sums(tmp_path, rows, sums_spec({"by_day": True}, metrics=metrics))
    assert (document.decision.value == "invalid") is is_running
    said = "each day of paid seems to hold the days before: users of a grow from 200 on 2026-01-01"
    assert (said in " ".join(document.reasons)) is is_running
