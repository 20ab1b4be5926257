"""What can't be said beside `cohorts`: each is refused at its place, with what to do instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.formats.problems import InputError
from flows.spec.read_spec import read_spec
from tests.places import REPOSITORY

_SPEC = """\
experiment: shop
service: shop
mesh: istio
variants: {stable: {version: v1}, canary: {version: v2}}
cohorts:
  premium: {match: {split_cohort: premium}, split: {stable: 0, canary: 100}}
  everyone: {match: {split_cohort: everyone}, split: {stable: 90, canary: 10}}
plan: {duration: 1h}
sources:
  requests: {prometheus: "http://localhost:9090"}
  exposures: {files: "u.csv"}
  outcomes: {files: "o.csv"}
"""
_STAGES = "{stages: [{duration: 5m, weights: {stable: 90, canary: 10}}]}"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("mesh", "delivery: {target: {envoy: r.json}}\nmesh", "leave out `split`"),
        ("mesh", "sessions: 's_total{v=\"{{version}}\"}'\nmesh", "in an experiment of its own"),
        (
            "plan",
            "metrics: {errors: {kind: error_share}, sales: {kind: mean, outcome: sale}}\nplan",
            "set `role: info`, or judge it in an experiment of one cohort",
        ),
        (
            "plan",
            "metrics: {sales: {kind: proportion, outcome: sale, role: info}}\nplan",
            "they need a metric of requests",
        ),
        ("split_cohort: everyone", "route: everyone", "a label of both must have another value"),
    ],
)
def test_it_is_refused_with_the_remedy(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = _SPEC.replace(old, new, 1)
    if "delivery" in new:
        text = text.replace("{duration: 1h}", _STAGES)
    file = tmp_path / "shop.yaml"
    file.write_text(_SPEC)
    assert set(read_spec(file).cohorts) == {"premium", "everyone"}
    file.write_text(text)
    with pytest.raises(InputError) as error:
        read_spec(file)
    assert says in str(error.value)


def test_the_guides_routes_have_a_spec_of_fewer_than_25_lines() -> None:
    file = REPOSITORY / "experiments" / "several-routes" / "cohorts.yaml"
    assert list(read_spec(file).cohorts) == ["premium", "region", "everyone"]
    assert len(file.read_text().splitlines()) < 25
