"""Each kind of metric per user agrees with a loop over the rows; fields of others are refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.explain.reasons import explain
from analysis.metric_result import Classification
from flows.formats.problems import InputError
from flows.formats.time import milliseconds_of
from flows.ingest.sources.user_rows import UserDataRefused
from flows.ingest.users.pull_users import pull_users
from flows.look.evaluate import score_experiment
from flows.workspace.experiments import load_spec
from tests.builders.shop_users import history, pull_shop, shop_spec, values_of, write_exposed
from tests.builders.user_specs import (
    Rows,
    arms_of,
    day,
    read,
    rows_of,
    sample_in,
    spec_of,
    write_csv,
    write_outcomes,
)


def test_each_kind_of_metric_agrees_with_a_loop_over_the_rows(tmp_path: Path) -> None:
    exposures, outcomes = history(5, 400)
    write_exposed(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    pull_shop(tmp_path, day(40))
    found = read(shop_spec(), tmp_path, day(40))

    def values(arm: str, name: str, begin: float, end: float) -> np.ndarray:
        return np.array(list(values_of(exposures, outcomes, arm, name, (begin, end)).values()))

    spent = {arm: values(arm, "buy", 0, 7) for arm in "ab"}
    cap = np.sort(np.concatenate(list(spent.values())))
    [(kept_cap,)] = rows_of(tmp_path, "select cap from user_caps where quantity like 'buy|sum|0|%'")
    assert kept_cap in cap
    assert np.mean(cap <= kept_cap) == pytest.approx(0.9, abs=0.01)
    for arm in "ab":
        clicks, views = values(arm, "click", 0, 3), values(arm, "view", 0, 3)
        ratio = clicks.sum() / views.sum()
        assert sample_in(found.samples, "clicks", arm).mean == pytest.approx(ratio)
        influence = (clicks - ratio * views) / views.mean()
        assert sample_in(found.samples, "clicks", arm).variance == pytest.approx(
            np.var(influence, ddof=1)
        )
        back = values(arm, "view", 2, 3) > 0
        assert sample_in(found.samples, "back", arm).mean == pytest.approx(back.mean())
        assert sample_in(found.samples, "p80", arm).mean == pytest.approx(
            np.quantile(spent[arm], 0.8, method="inverted_cdf")
        )
    y = {arm: np.minimum(spent[arm], kept_cap) for arm in "ab"}
    rows = rows_of(tmp_path, "select cap from user_caps where quantity like 'buy|sum|-%'")
    x = {
        arm: np.column_stack(
            [
                np.minimum(values(arm, "buy", -14, 0), rows[0][0]),
                np.minimum(
                    values(arm, "view", -14, 0),
                    rows_of(tmp_path, "select cap from user_caps where quantity like 'view|%'")[0][
                        0
                    ],
                ),
            ]
        )
        for arm in "ab"
    }
    design = np.column_stack(
        [
            np.ones(len(y["a"]) + len(y["b"])),
            np.repeat([0.0, 1.0], [len(y["a"]), len(y["b"])]),
            np.concatenate([x["a"], x["b"]]),
        ]
    )
    fit = np.linalg.lstsq(design, np.concatenate([y["a"], y["b"]]), rcond=None)[0]
    spend = arms_of(found.samples["spend"])
    assert float(spend["b"].mean - spend["a"].mean) == pytest.approx(fit[1], rel=1e-9)


def test_each_kind_says_what_its_values_are_of(tmp_path: Path) -> None:
    exposures, outcomes = history(5, 400)
    own = [row for row in exposures if row[1] == "ab"[row[0] % 2]]
    write_exposed(tmp_path, own, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    pull_shop(tmp_path, day(40))
    document = score_experiment(shop_spec(), tmp_path / "w.duckdb", at=day(40))
    found = {
        metric.metric: explain(replace(metric, classification=Classification.PASS))
        for metric in document.metrics
    }
    for name, values in {
        "clicks": "click per view",
        "back": "% of users",
        "p80": "at quantile 0.8 of users",
        "spend": "per user",
    }.items():
        assert re.match(rf"{name}: b has [-\d.]+ {values}, a [-\d.]+", found[name])


def test_the_largest_user_is_named_of_plain_means_only(tmp_path: Path) -> None:
    """A ratio's numerator of one user is no value of it; nor is a split's part one of the whole."""
    exposures, outcomes = history(6, 200)
    write_exposed(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    pull_shop(tmp_path, day(40))
    found = read(shop_spec(), tmp_path, day(40)).largest
    assert found["spend"].keys() == {"a", "b"}
    assert found["clicks"] == found["adjusted"] == {}


def test_segments_sum_to_the_whole_and_a_missing_one_is_named(tmp_path: Path) -> None:
    exposures, outcomes = history(6, 200)
    write_exposed(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    pull_shop(tmp_path, day(40))
    found = read(shop_spec(), tmp_path, day(40))
    assert set(found.segments) == {"country", "device"}
    assert set(found.segments["country"]) == {"", "ke", "ph"}
    for parts in found.segments.values():
        for arm in "ab":
            users = [sample_in(metrics, "bought", arm).n for metrics in parts.values()]
            assert sum(users) == sample_in(found.samples, "bought", arm).n
    write_csv(tmp_path / "exposures.csv", "user_id,variant,exposed_at,country", [])
    wanted = r"no column .device., by which sources\.exposures\.segments"
    with pytest.raises(UserDataRefused, match=wanted):
        pull_shop(tmp_path, day(40))


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        ({"kind": "ratio", "outcome": "click"}, "per: is missing: a metric of kind ratio"),
        ({"kind": "mean", "outcome": "buy", "per": "view"}, "per: belongs to the kind ratio"),
        ({"kind": "retention", "outcome": "view"}, "day: is missing"),
        ({"kind": "quantile", "outcome": "buy"}, "quantile: is missing"),
        ({"kind": "mean", "outcome": "buy", "cap": "99"}, "must be a percentile such as 99.5%"),
        ({"kind": "proportion", "outcome": "buy", "cap": "99%"}, "cap: has no use for"),
    ],
)
def test_fields_of_another_kind_are_refused(
    tmp_path: Path, metric: dict[str, Any], problem: str
) -> None:
    spec = json.loads(shop_spec().model_dump_json(exclude_unset=True))
    spec["metrics"] = {"m": metric}
    path = tmp_path / "quiz.yaml"
    path.write_text(json.dumps(spec))
    with pytest.raises(InputError, match=problem.replace("(", r"\(")):
        load_spec(path)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ({"kind": "quantile", "quantile": 0.9, "stratify": True}, "isn't possible for the kind"),
        ({"kind": "mean", "stratify": ["planet"]}, "names 'planet', which is not a segment"),
    ],
)
def test_strata_that_nobody_can_know_are_refused(
    tmp_path: Path, metric: dict[str, Any], said: str
) -> None:
    spec = json.loads(shop_spec().model_dump_json(exclude_unset=True))
    spec["metrics"] = {"value": {"outcome": "buy"} | metric}
    path = tmp_path / "quiz.yaml"
    path.write_text(json.dumps(spec), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        load_spec(path)


def test_strata_are_the_crossed_segments_of_every_user(tmp_path: Path) -> None:
    """Against least squares on the rows: variant times centred country x device."""
    rng = np.random.default_rng(8)
    exposures: Rows = []
    outcomes: Rows = []
    values, arms, cells = [], [], []
    for user in range(1200):
        arm, country, device = user % 2, rng.choice(["ke", "ph", ""]), rng.choice(["app", "web"])
        cell = 2 * ["ke", "ph", ""].index(country) + (device == "web")
        value = round(5.0 * cell + arm + 10 + float(rng.normal()), 3)
        exposures.append((user, "ab"[arm], user % 20, country, device))
        outcomes.append((user, "buy", user % 20 + 0.5, value))
        values.append(value)
        arms.append(arm)
        cells.append(cell)
    spec = spec_of(
        {
            "exposures": {"files": "exposures*", "segments": ["country", "device"]},
            "outcomes": {"files": "outcomes*"},
        },
        metrics={"within": {"kind": "mean", "outcome": "buy", "stratify": True}},
    )
    write_exposed(tmp_path, exposures, "exposures.csv")
    write_outcomes(tmp_path, outcomes)
    pull_users(spec, tmp_path / "w.duckdb", spec_dir=tmp_path, until_ms=milliseconds_of(day(40)))
    found = read(spec, tmp_path, day(40))
    dummies = np.eye(6)[cells]
    centred = (dummies - dummies.mean(axis=0))[:, 1:]
    treated = np.array(arms)[:, None]
    design = np.hstack([np.ones((1200, 1)), treated, centred, treated * centred])
    effect = np.linalg.lstsq(design, np.array(values), rcond=None)[0][1]
    samples = arms_of(found.samples["within"])
    assert float(samples["b"].mean - samples["a"].mean) == pytest.approx(effect, rel=1e-9)
    assert found.variance_removed["within"] == pytest.approx(1 - 1 / (1 + 25 * 35 / 12), abs=0.005)
    assert set(found.segments) == {"country", "device"}
