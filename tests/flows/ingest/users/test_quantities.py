"""What is summed per user: quantities, each once, in a cohort for every window."""

from __future__ import annotations

from typing import Any

from flows.ingest.users.quantities import Cohort, cohorts_of, dimensions_of, quantile_cohorts
from tests.builders.user_specs import day, spec_of

DAY_US = 86_400_000_000


def _cohorts(**metrics: dict[str, Any]) -> list[Cohort]:
    return list(cohorts_of(spec_of(metrics=metrics)))


def test_metrics_of_one_window_share_a_cohort_and_its_quantities() -> None:
    [cohort] = _cohorts(
        clicks={"kind": "ratio", "outcome": "click", "per": "view"},
        others={"kind": "ratio", "outcome": "view", "per": "click"},
    )
    assert cohort.window_us == 7 * DAY_US
    assert [q.outcome for q in cohort.quantities] == ["click", "view"]
    assert cohort.metrics["clicks"].value.numerator == cohort.metrics["others"].value.denominator
    assert cohort.pairs == ((0, 0), (0, 1), (1, 1))


def test_each_window_has_a_cohort_the_shortest_first() -> None:
    found = _cohorts(
        week={"kind": "mean", "outcome": "buy"},
        day={"kind": "mean", "outcome": "buy", "window": "1d"},
    )
    assert [cohort.window_us // DAY_US for cohort in found] == [1, 7]
    assert [list(cohort.metrics) for cohort in found] == [["day"], ["week"]]


def test_a_covariate_reaches_back_before_the_exposure() -> None:
    [cohort] = _cohorts(spend={"kind": "mean", "outcome": "buy", "adjust": [{"before": "14d"}]})
    assert cohort.reach_us == (14 * DAY_US, 7 * DAY_US)
    assert len(cohort.metrics["spend"].positions) == 2


def test_users_exposed_a_window_ago_have_a_final_value() -> None:
    [cohort] = _cohorts(spend={"kind": "mean", "outcome": "buy", "window": "3d"})
    assert cohort.exposed_until(day(10)) == day(7)


def test_only_counts_and_sums_are_measured_from_a_shift() -> None:
    [cohort] = _cohorts(
        bought={"kind": "proportion", "outcome": "buy"},
        visits={"kind": "count", "outcome": "visit"},
        spend={"kind": "mean", "outcome": "buy"},
    )
    kinds = {(q.outcome, q.counts): q.shift_kind for q in cohort.quantities if not q.middle_day}
    assert kinds == {
        ("buy", "happened"): "",
        ("visit", "count"): "count",
        ("buy", "sum"): "mean",
    }


def test_sums_with_other_shifts_caps_or_variants_have_another_identity() -> None:
    [cohort] = _cohorts(bought={"kind": "proportion", "outcome": "buy"})
    plain = cohort.identity([0.0], [None], "a b")
    others = [
        cohort.identity([1.0], [None], "a b"),
        cohort.identity([0.0], [2.0], "a b"),
        cohort.identity([0.0], [None], "a c"),
    ]
    assert cohort.identity([0.0], [None], "a b") == plain
    assert len({plain, *others}) == 4


def test_quantiles_are_read_one_by_one_and_summed_with_nobody() -> None:
    spec = spec_of(metrics={"p80": {"kind": "quantile", "outcome": "buy", "quantile": 0.8}})
    assert cohorts_of(spec) == ()
    assert list(quantile_cohorts(spec)) == ["p80"]


def test_strata_of_several_columns_are_a_dimension_of_their_own() -> None:
    sources = {
        "exposures": {"files": "e*", "segments": ["country", "device"]},
        "outcomes": {"files": "o*"},
    }
    metric = {"kind": "mean", "outcome": "buy", "stratify": True}
    found = dimensions_of(spec_of(sources, metrics={"spend": metric}))
    assert list(found.values()) == [("country",), ("device",), ("country", "device")]
