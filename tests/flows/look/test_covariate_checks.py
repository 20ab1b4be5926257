"""A metric is adjusted by what users did before their exposure, and by nothing that came of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.formats.time import milliseconds_of
from flows.ingest.users.pull_users import pull_users
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from tests.builders.complaints import METRIC, written
from tests.builders.user_formats import CSV
from tests.builders.user_specs import LOOK, Rows, day, write_csv

USERS = 3000
SUMS = "metric,variant,type,n,sum,sum_squares,covariate_sum,covariate_sum_squares,covariate_product"


def look(
    folder: Path, errors_of_b: float, metric: dict[str, Any], *, hours: float
) -> VerdictDocument:
    """The verdict on users who complain of every second error; hours: from exposure to errors."""
    rng = np.random.default_rng(1)
    exposed = [day(0) + timedelta(minutes=5 * user) for user in range(USERS)]
    users = [
        {"user_id": user, "variant": "ab"[user % 2], "exposed_at": at}
        for user, at in enumerate(exposed)
    ]
    rows = []
    for user, at in enumerate(exposed):
        errors = int(rng.poisson(errors_of_b if user % 2 else 1.0))
        times = [("error", hours)] * errors + [("complaint", 1)] * int(rng.binomial(errors, 0.5))
        rows += [
            {
                "user_id": user,
                "outcome": name,
                "occurred_at": at + timedelta(hours=after, seconds=n),
                "value": 1,
            }
            for n, (name, after) in enumerate(times)
        ]
    CSV(folder, "exposures", users)
    CSV(folder, "outcomes", rows)
    return verdict(folder, metric)


def verdict(folder: Path, metric: dict[str, Any], **changes: object) -> VerdictDocument:
    spec = Experiment.model_validate(written(metric) | changes)
    pull_users(spec, folder / "w.duckdb", spec_dir=folder, until_ms=milliseconds_of(LOOK))
    return score_experiment(spec, folder / "w.duckdb", at=LOOK)


def adjusted(kind: str, **changes: object) -> dict[str, Any]:
    by = [{"before": "7d", "outcome": "error"}, {"before": "1d", "outcome": "error"}]
    return {**METRIC, "kind": kind, "margin": 0.1, "adjust": by, **changes}


@pytest.mark.parametrize("kind", ["proportion", "count", "mean"])
def test_what_came_of_the_exposure_hides_no_harm(tmp_path: Path, kind: str) -> None:
    """Errors lie two hours before the exposure, as those of another time zone do."""
    document = look(tmp_path, 2.0, adjusted(kind), hours=-2)
    assert document.decision.value == "invalid", document.reasons
    said = (
        "complained is adjusted by 'error' in the 7d before the exposure, of which b's users have"
    )
    assert said in document.reasons[0]


@pytest.mark.parametrize("kind", ["proportion", "count", "mean"])
@pytest.mark.parametrize(
    ("errors_of_b", "hours", "decision"),
    [(1.0, -2, "promote"), (1.0, 1, "promote"), (2.0, 1, "rollback")],
)
def test_what_users_did_before_or_after_is_no_obstacle(
    tmp_path: Path, kind: str, errors_of_b: float, hours: float, decision: str
) -> None:
    document = look(tmp_path, errors_of_b, adjusted(kind), hours=hours)
    assert document.decision.value == decision, document.reasons


@pytest.mark.parametrize("by_day", [False, True])
@pytest.mark.parametrize(("errors_of_b", "decision"), [(2.0, "invalid"), (1.0, "promote")])
def test_sums_of_what_came_of_the_exposure_hide_no_harm(
    tmp_path: Path, errors_of_b: float, decision: str, by_day: bool
) -> None:
    rows: Rows = []
    for number in range(3 if by_day else 1):
        for variant, errors in (("a", 1.0), ("b", errors_of_b)):
            rng = np.random.default_rng([number, ord(variant)])
            x = rng.poisson(errors, 1500)
            y = rng.binomial(x, 0.5)
            sums = (y.sum(), (y * y).sum(), x.sum(), (x * x).sum(), (x * y).sum())
            when = (day(number).date().isoformat(),) if by_day else ()
            rows.append(("complained", variant, "mean", 1500, *map(float, sums), *when))
    write_csv(tmp_path / "sums.csv", SUMS + (",day" if by_day else ""), rows)
    source = {"users": {"aggregates": "sums.csv", "by_day": by_day}}
    metric = {**METRIC, "kind": "mean", "margin": 0.1, "adjust": [{"before": "7d"}]}
    document = verdict(tmp_path, metric, sources=source)
    assert document.decision.value == decision, document.reasons
    assert decision == "promote" or "complained is adjusted by 'complaint'" in document.reasons[0]
