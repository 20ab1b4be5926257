"""The views for analysts: every number worked out by hand, every column explained."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from analysis.requests.latency import Histogram, interpolated_quantile
from flows.look.user_statistics import read_user_statistics
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer
from flows.warehouse.migrations import view_comments
from tests.builders.measured_rows import add_measured
from tests.builders.small_warehouse import BUCKET, INFINITY, QUIZ, START, small_warehouse
from tests.builders.user_specs import sample_in


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_warehouse(tmp_path_factory.mktemp("views") / "w.duckdb")


@pytest.fixture
def con(filled: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose changes are undone."""
    with open_writer(filled) as con:
        con.begin()
        yield con
        con.rollback()


def rows(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = con.execute(query).fetchall()
    return found


def test_every_view_and_column_has_a_comment(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(view_comments())
    uncommented = rows(
        con,
        "select view_name, '' from duckdb_views() "
        "where schema_name = 'marts' and coalesce(comment, '') = '' union all "
        "select table_name, column_name from duckdb_columns() "
        "where schema_name = 'marts' and coalesce(comment, '') = ''",
    )
    assert uncommented == []


def test_columns_have_types_that_every_client_knows(con: duckdb.DuckDBPyConnection) -> None:
    types = rows(con, "select distinct data_type from duckdb_columns() where schema_name = 'marts'")
    assert {name for (name,) in types} <= {
        "VARCHAR",
        "VARCHAR[]",
        "JSON",
        "BOOLEAN",
        "INTEGER",
        "BIGINT",
        "DOUBLE",
        "DATE",
        "TIMESTAMP WITH TIME ZONE",
    }


def test_experiments_are_described_by_their_latest_spec(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        con,
        "select experiment, service, namespace, mesh, baseline, alpha, bucket_s, looks "
        "from marts.experiments order by all",
    )
    assert found == [
        ("checkout", "checkout", "shop", "istio", "stable", 0.05, 15, 2),
        ("quiz", "quiz", "default", None, "a", 0.05, 15, 1),
    ]


def test_variants_and_metrics_come_from_the_spec(con: duckdb.DuckDBPyConnection) -> None:
    assert rows(con, "select variant, is_baseline, version from marts.variants order by all") == [
        ("a", True, None),
        ("b", False, None),
        ("canary", False, "v2"),
        ("stable", True, "v1"),
    ]
    found = rows(
        con,
        "select metric, kind, above_ms, window_s, margin_absolute, margin_relative "
        "from marts.metrics order by experiment, metric",
    )
    assert found == [
        ("errors", "error_share", None, None, 0.005, None),
        ("p99", "slow_share", 80, None, 0.01, None),
        ("bought", "proportion", None, 129_600, None, 0.02),
        ("spend", "mean", None, 129_600, None, 0.02),
    ]


@pytest.mark.parametrize(
    "duration",
    [
        timedelta(milliseconds=1500),
        timedelta(seconds=1),
        timedelta(hours=1, minutes=30),
        timedelta(days=7),
        timedelta(days=800, hours=3, minutes=4, seconds=5),
    ],
)
def test_durations_of_the_spec_are_read(
    con: duckdb.DuckDBPyConnection, duration: timedelta
) -> None:
    spec = Experiment.model_validate(QUIZ | {"plan": {"duration": duration}})
    seconds = con.execute(
        "select marts.seconds_of(json(?) ->> '$.plan.duration')", [spec.model_dump_json()]
    ).fetchall()
    assert seconds == [(duration.total_seconds(),)]


def test_injected_faults_are_marked(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        con, "select response_flags, requests from marts.request_counts where outcome = 'injected'"
    )
    assert found == [("FI", 7)]


def test_success_rate_counts_answers_only(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        con,
        "select variant, requests, answered, failed, success_rate from marts.success_and_latency "
        "order by bucket_start, variant",
    )
    assert found == [
        ("canary", 100, 100, 0, 1.0),
        ("stable", 212, 200, 20, 0.9),
        ("canary", 4, 0, 0, None),
        ("unattributed", 3, 3, 3, 0.0),
    ]


def test_quantile_is_the_range_of_edges_it_lies_in(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        con,
        "select p50_lower_ms, p50_upper_ms, p50_interpolated_ms, p99_lower_ms, p99_upper_ms, "
        "p99_interpolated_ms from marts.success_and_latency order by bucket_start, variant",
    )
    assert found[0] == (5, 100, 52.5, 5, 100, pytest.approx(99.05))
    assert found[1] == (5, 100, 43.0, 100, INFINITY, 100)
    assert found[2] == (None,) * 6


def test_quantiles_agree_with_the_analysis(con: duckdb.DuckDBPyConnection) -> None:
    edges = [1, 2.5, 10, 50, 1000, INFINITY]
    generator = random.Random(3)
    expected = []
    for number in range(40):
        counts = [generator.choice([0, 0, 1, 7, 100]) for _ in edges]
        counts[generator.randrange(6)] += 1
        at_most = np.cumsum(counts)
        for edge, requests in zip(edges, at_most.tolist(), strict=True):
            con.execute(
                "insert into latency_buckets values ('e', ?, ?, 'v', ?, ?, 0, '')",
                [START, START + number * BUCKET, edge, requests],
            )
        con.execute(
            "insert into request_buckets values "
            "('e', ?, ?, 'v', '', 'success', '200', '', '', 1, '')",
            [START, START + number * BUCKET],
        )
        histogram = Histogram(np.array(edges), at_most.astype(float))
        expected.append(tuple(interpolated_quantile(histogram, q) for q in (0.5, 0.9, 0.99)))
    found = rows(
        con,
        "select p50_interpolated_ms, p90_interpolated_ms, p99_interpolated_ms, p90_lower_ms, "
        "p90_upper_ms from marts.success_and_latency where experiment = 'e' order by bucket_start",
    )
    for (*interpolated, lower, upper), wanted in zip(found, expected, strict=True):
        assert interpolated == pytest.approx(wanted)
        assert lower <= interpolated[1] <= upper
        assert (lower, upper) in zip([0, *edges], edges, strict=False)


def test_histogram_is_cumulative_and_by_bin(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        con,
        "select above_ms, le_ms, requests, requests_at_most from marts.latency_histogram "
        "where variant = 'stable' order by le_ms",
    )
    assert found == [(0, 5, 40, 40), (5, 100, 150, 190), (100, INFINITY, 10, 200)]


def test_split_leaves_out_what_reached_no_version(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(con, "select variant, requests, share from marts.traffic_split order by all")
    assert [row[:2] for row in found] == [("canary", 4), ("canary", 100), ("stable", 212)]
    assert [row[2] for row in found] == pytest.approx([1, 100 / 312, 212 / 312])


def test_cohorts_have_their_own_shares_where_there_are_any(con: duckdb.DuckDBPyConnection) -> None:
    assert rows(con, "select * from marts.cohort_traffic") == []
    con.execute("update request_buckets set cohort = 'region' where variant = 'stable'")
    found = rows(
        con,
        "select cohort, variant, requests, failures, share from marts.cohort_traffic order by all",
    )
    assert [row[:3] for row in found] == [
        ("", "canary", 4),
        ("", "canary", 100),
        ("region", "stable", 212),
    ]
    assert {row[4] for row in found} == {1.0}
    counted = rows(
        con,
        "select cohort, sum(requests) from marts.request_counts where outcome = 'failure' "
        "and variant <> 'unattributed' group by all order by all",
    )
    assert [(cohort, failures) for cohort, _, _, failures, _ in _by_cohort(found)] == counted


def _by_cohort(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Summed over buckets, without cohorts that had no failure."""
    sums: dict[str, int] = {}
    for cohort, _, _, failures, _ in found:
        sums[cohort] = sums.get(cohort, 0) + failures
    return [(cohort, "", 0, total, 1.0) for cohort, total in sums.items() if total]


def test_counters_and_queries_are_given_by_bucket(con: duckdb.DuckDBPyConnection) -> None:
    add_measured(
        con,
        [
            ("checkout", metric, START, START, "canary", part, amount)
            for metric, part, amount in (
                ("orders", "part", 3),
                ("orders", "of", 60),
                ("orders", "lost", 0.5),
                ("hits", "part", 7),
                ("lag", "query", 2.5),
                ("(sessions)", "part", 9),
            )
        ],
    )
    found = rows(
        con, "select metric, events, out_of, value, lost from marts.measured_values order by metric"
    )
    assert found == [
        ("hits", 7, None, None, None),
        ("lag", None, None, 2.5, None),
        ("orders", 3, 60, 0.05, 0.5),
    ]


def test_losses_and_mesh_events_are_given_by_bucket(con: duckdb.DuckDBPyConnection) -> None:
    lost = rows(con, "select variant, cause, events, estimated_requests from marts.lost_exposure")
    assert lost == [("canary", "restart", 1, 12.5)]
    assert rows(con, "select variant, events from marts.mesh_events") == [("canary", 9)]


def test_data_is_known_up_to_the_first_hole(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        con,
        "select source, known_until, windows, holes, row_count from marts.pulled_data "
        "where experiment = 'checkout'",
    )
    assert found == [("requests", START + timedelta(hours=2), 3, 1, 30)]


def test_what_a_source_warned_of_is_told_in_its_words(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(con, "select source, warnings, warning_texts from marts.pulled_data order by all")
    assert found == [("exposures", 0, []), ("outcomes", 0, []), ("requests", 3, ["away", "slow"])]


def test_users_are_counted_by_their_first_exposure(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        con,
        "select day, variant, is_in_two_variants, users from marts.exposed_users_by_day "
        "order by day, variant nulls last",
    )
    assert found == [
        (date(2026, 1, 1), "a", False, 3),
        (date(2026, 1, 1), "b", False, 1),
        (date(2026, 1, 1), None, True, 1),
        (date(2026, 1, 2), "a", False, 1),
        (date(2026, 1, 3), "a", False, 1),
    ]


def test_conversions_follow_the_rules(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        con,
        "select metric, variant, day, users, converted, conversion_rate, value_per_user, "
        "maturing_users from marts.conversions_by_day order by metric, variant, day",
    )
    first, second, third = date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)
    third_of = pytest.approx(1 / 3)
    assert found == [
        ("bought", "a", first, 3, 1, third_of, third_of, 0),
        ("bought", "a", second, 1, 0, 0.0, 0.0, 0),
        ("bought", "a", third, 0, 0, None, None, 1),
        ("bought", "b", first, 1, 1, 1.0, 1.0, 0),
        ("spend", "a", first, 3, 1, third_of, pytest.approx(4.0), 0),
        ("spend", "a", second, 1, 0, 0.0, 0.0, 0),
        ("spend", "a", third, 0, 0, None, None, 1),
        ("spend", "b", first, 1, 1, 1.0, pytest.approx(4.0), 0),
    ]


def test_conversions_add_up_to_what_the_verdict_sees(con: duckdb.DuckDBPyConnection) -> None:
    spec = Experiment.model_validate(QUIZ)
    seen = read_user_statistics(con, spec, START + timedelta(days=30))
    found = rows(
        con,
        "select metric, variant, sum(users), sum(users * value_per_user) / sum(users), "
        "sum(maturing_users) from marts.conversions_by_day group by all",
    )
    assert len(found) == 4
    for metric, variant, users, mean, maturing in found:
        assert users == sample_in(seen.samples, metric, variant).n
        assert mean == pytest.approx(sample_in(seen.samples, metric, variant).mean)
        assert maturing == seen.exposed[variant] - seen.final_users[metric][variant]


def test_counters_say_what_proportions_are_where_the_spec_names_them(
    con: duckdb.DuckDBPyConnection,
) -> None:
    counter = {"prometheus": {"url": "http://localhost:9090"}, "metric": "conversions_total"}
    spec = Experiment.model_validate(QUIZ | {"sources": {"conversions": counter}})
    con.execute("update specs set spec = ? where experiment = 'quiz'", [spec.model_dump_json()])
    for hour, outcome, users in ((0, "exposed", 100), (1, "purchase", 9), (13, "purchase", 2)):
        con.execute(
            "insert into conversion_buckets values ('quiz', ?, ?, 'b', ?, ?)",
            [START, START + timedelta(hours=hour), outcome, users],
        )
    found = rows(
        con,
        "select metric, day, counted_by, users, converted, conversion_rate "
        "from marts.conversions_by_day where variant = 'b' order by metric, day",
    )
    assert found == [
        ("bought", date(2026, 1, 1), "counters", 100, 9, 0.09),
        ("bought", date(2026, 1, 2), "counters", 0, 2, None),
        ("spend", date(2026, 1, 1), "users", 1, 1, 1.0),
    ]


def test_days_are_utc_days_whatever_the_session_says(con: duckdb.DuckDBPyConnection) -> None:
    query = "from marts.conversions_by_day select experiment, day, variant, users order by all"
    before = rows(con, query)
    con.execute("set TimeZone = 'Pacific/Kiritimati'")
    assert rows(con, query) == before


def test_looks_and_verdicts_are_joined(con: duckdb.DuckDBPyConnection) -> None:
    looks = rows(con, "select elapsed_s, decision, score from marts.looks order by all")
    assert looks == [(60, "hold", 70.0), (60, "invalid", None), (120, "rollback", 0.0)]
    results = rows(
        con,
        "select difference_lower, difference_upper, relative_upper from marts.metric_results "
        "where candidate = 'canary'",
    )
    assert results == [(0.02, 0.04, None)] * 2


def test_latest_verdict_is_one_row_per_experiment(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        con,
        "select experiment, look_at, decision, exit_code, score, first_reason, reasons "
        "from marts.latest_verdict order by all",
    )
    assert found == [
        (
            "checkout",
            START + timedelta(minutes=2),
            "rollback",
            1,
            0.0,
            "the rollback reason",
            ["the rollback reason", "another"],
        ),
        (
            "quiz",
            START + timedelta(minutes=1),
            "invalid",
            4,
            None,
            "the invalid reason",
            ["the invalid reason", "another"],
        ),
    ]


def test_failed_checks_are_found(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        con, "select experiment, check_name, detail from marts.quality_checks where not passed"
    )
    assert found == [("quiz", "split", "the split is as it is")]


def test_sums_stay_exact_beyond_what_a_float_holds(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        "insert into request_buckets values ('big', now(), now(), 'v', '', 'success', "
        "'', '', '', ?, '')",
        [2**53 + 1],
    )
    found = rows(con, "select requests from marts.traffic_split where experiment = 'big'")
    assert found == [(2**53 + 1,)]
