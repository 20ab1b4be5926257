"""Users' data that nobody on this project wrote, against an independent computation in polars."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from analysis.evidence import UserEvidence
from flows.spec.experiment import Experiment
from tests.builders.user_specs import arms_of, pull, read, sample_in, spec_of
from tests.places import SHARED

DATA = SHARED / "data"
LANDING, HILLSTROM = DATA / "ab_data" / "ab_data.csv.zip", DATA / "hillstrom" / "hillstrom.csv"
AFTER = datetime(2017, 3, 1, tzinfo=UTC)
BY_GROUP = {"variant": "group", "at": "timestamp"}
CONVERTED = {"outcome": "converted", "at": "timestamp"}


@pytest.fixture
def landing(tmp_path: Path) -> pl.DataFrame:
    """The landing-page test, extracted to ab_data.csv; all its dirt is in it."""
    if not LANDING.exists():
        pytest.skip(f"no real A/B data here: {LANDING} is not part of the repository")
    with zipfile.ZipFile(LANDING) as archive:
        archive.extract("ab_data.csv", tmp_path)
    frame = pl.read_csv(tmp_path / "ab_data.csv", try_parse_dates=True)
    assert frame.shape == (294_478, 5)
    return frame


def landing_spec(**sources: Any) -> Experiment:
    return spec_of(
        {
            "exposures": {"files": "ab_data.csv", "columns": BY_GROUP},
            "outcomes": {"files": "ab_data.csv", "columns": CONVERTED},
        }
        | sources,
        variants={"control": {}, "treatment": {}},
        metrics={"converted": {"kind": "proportion", "outcome": "1", "window": "30d"}},
    )


def expected(exposures: pl.DataFrame, outcomes: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Users and conversions by variant, and users seen in two."""
    users = exposures.group_by("user_id").agg(
        pl.col("variant").n_unique().alias("arms"),
        pl.col("variant").first(),
        pl.col("timestamp").min().alias("first"),
    )
    converted = (
        outcomes.filter(pl.col("converted") == 1)
        .join(users, on="user_id")
        .filter(pl.col("timestamp") >= pl.col("first"))
        .select("user_id")
        .unique()
        .with_columns(pl.lit(1).alias("x"))
    )
    table = (
        users.filter(pl.col("arms") == 1)
        .join(converted, on="user_id", how="left")
        .group_by("variant")
        .agg(pl.len().alias("n"), pl.col("x").fill_null(0).mean().alias("rate"))
        .sort("variant")
    )
    return table, users.filter(pl.col("arms") > 1).height


def check(found: UserEvidence, table: pl.DataFrame, mixed: int) -> None:
    assert found.mixed == mixed
    assert found.exposed == dict(table.select("variant", "n").iter_rows())
    for variant, n, rate in table.iter_rows():
        metric = sample_in(found.samples, "converted", variant)
        assert metric.n == n
        assert metric.mean == pytest.approx(rate, rel=1e-12)


def test_landing_page_test_by_group(tmp_path: Path, landing: pl.DataFrame) -> None:
    spec = landing_spec()
    result = pull(spec, tmp_path)
    assert result.warnings == ()
    found = read(spec, tmp_path, AFTER)
    check(found, *expected(landing.rename({"group": "variant"}), landing))
    # Of 3,894 repeated users these were in both groups.
    assert found.mixed == 1895


def test_contradicting_page_makes_a_user_mixed(tmp_path: Path, landing: pl.DataFrame) -> None:
    page = pl.when(pl.col("landing_page") == "new_page").then(pl.lit("treatment"))
    pages = landing.with_columns(page.otherwise(pl.lit("control")).alias("group"))
    pages.select("user_id", "timestamp", "group").write_csv(tmp_path / "ab_data-pages.csv")
    spec = landing_spec(exposures={"files": "ab_data*.csv", "columns": BY_GROUP})
    pull(spec, tmp_path)
    both = pl.concat([landing, pages]).rename({"group": "variant"})
    table, mixed = expected(both, landing)
    contradicting = landing.filter(
        (pl.col("group") == "treatment") != (pl.col("landing_page") == "new_page")
    )
    assert contradicting.height == 3893
    assert mixed >= contradicting["user_id"].n_unique()
    check(read(spec, tmp_path, AFTER), table, mixed)


def test_landing_page_test_as_it_came_in_day_by_day(tmp_path: Path, landing: pl.DataFrame) -> None:
    """Daily files taken in one after the other give what the whole file gives."""
    files = {"files": "day-*.parquet"}
    spec = landing_spec(
        exposures=files | {"columns": BY_GROUP}, outcomes=files | {"columns": CONVERTED}
    )
    by_day = landing.with_columns(pl.col("timestamp").dt.date().alias("day"))
    days = by_day.partition_by("day", maintain_order=False)
    halves = days[: len(days) // 2], days[len(days) // 2 :]
    for half in halves:
        for frame in half:
            frame.write_parquet(tmp_path / f"day-{frame['day'][0]}.parquet")
        pull(spec, tmp_path)
    check(read(spec, tmp_path, AFTER), *expected(landing.rename({"group": "variant"}), landing))


def test_three_arms_and_spend(tmp_path: Path) -> None:
    if not HILLSTROM.exists():
        pytest.skip(f"no real A/B data here: {HILLSTROM} is not part of the repository")
    arms = {"No E-Mail": "none", "Mens E-Mail": "mens", "Womens E-Mail": "womens"}
    frame = pl.read_csv(HILLSTROM, infer_schema_length=None).with_columns(
        pl.col("segment").replace(arms).alias("variant")
    )
    frame = frame.with_row_index("user_id").with_columns(
        pl.lit(datetime(2017, 1, 1)).alias("exposed_at"),  # noqa: DTZ001
        pl.lit(datetime(2017, 1, 2)).alias("occurred_at"),  # noqa: DTZ001
        pl.lit("order").alias("outcome"),
        pl.col("spend").alias("value"),
    )
    frame.write_parquet(tmp_path / "exposures.parquet")
    frame.filter(pl.col("spend") > 0).write_parquet(tmp_path / "outcomes.parquet")
    metrics = {"spend": {"kind": "mean", "outcome": "order", "window": "14d"}}
    spec = spec_of(variants={arm: {} for arm in arms.values()}, metrics=metrics)
    pull(spec, tmp_path)

    found = read(spec, tmp_path, AFTER).samples["spend"]

    for arm, of_arm in arms_of(found, spec.baseline).items():
        spend = frame.filter(pl.col("variant") == arm)["spend"].to_numpy()
        assert of_arm.n == len(spend) > 21_000
        assert of_arm.mean == pytest.approx(np.mean(spend), rel=1e-12)
        assert of_arm.variance == pytest.approx(np.var(spend, ddof=1), rel=1e-12)
