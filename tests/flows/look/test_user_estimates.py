"""Estimates of users' metrics: what is known of a quantile."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flows.formats.time import milliseconds_of
from flows.ingest.users.pull_users import pull_users
from tests.builders.user_specs import (
    Rows,
    arms_of,
    day,
    read,
    spec_of,
    write_exposures,
    write_outcomes,
)


def test_a_quantile_that_too_few_users_bound_has_no_known_variance(tmp_path: Path) -> None:
    """600 users in each arm bound a p99 (rank 600 of 600); 500 do not (rank 501)."""
    for users, bounded in ((1000, False), (1200, True)):
        folder = tmp_path / str(users)
        folder.mkdir()
        exposures: Rows = [(user, "ab"[user % 2], 0.0) for user in range(users)]
        write_exposures(folder, exposures)
        write_outcomes(folder, [(user, "buy", 1.0, float(user)) for user in range(users)])
        p99 = {"p99": {"kind": "quantile", "outcome": "buy", "quantile": 0.99}}
        spec = spec_of(metrics=p99)
        until = day(30)
        pull_users(spec, folder / "w.duckdb", spec_dir=folder, until_ms=milliseconds_of(until))
        for sample in arms_of(read(spec, folder, until).samples["p99"]).values():
            assert float(sample.n) == users / 2
            assert np.isfinite(sample.mean)
            assert np.isfinite(sample.variance) == bounded


def test_a_quantile_among_tied_values_has_no_known_variance(tmp_path: Path) -> None:
    """Counts that many share: the order statistics around the quantile are one value, or a step."""
    for name, value, known in (
        ("tied", lambda user: float(user % 4), False),
        ("distinct", float, True),
    ):
        folder = tmp_path / name
        folder.mkdir()
        exposures: Rows = [(user, "ab"[user // 500], 0.0) for user in range(1000)]
        write_exposures(folder, exposures)
        write_outcomes(folder, [(user, "buy", 1.0, value(user)) for user in range(1000)])
        spec = spec_of(metrics={"p50": {"kind": "quantile", "outcome": "buy", "quantile": 0.5}})
        until = day(30)
        pull_users(spec, folder / "w.duckdb", spec_dir=folder, until_ms=milliseconds_of(until))
        for sample in arms_of(read(spec, folder, until).samples["p50"]).values():
            assert np.isfinite(sample.mean)
            assert np.isfinite(sample.variance) == known
