"""A source that can't be read is said with its experiment and the field that names it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flows.cli.main import main

SECRET = "s3cret-word"
NOWHERE = f"http://al:{SECRET}@127.0.0.1:1/prom"
VARIANTS = "service: s\nvariants: {a: {version: v1}, b: {version: v2}}\n"
REQUESTS = f"{VARIANTS}mesh: istio\nsplit: {{a: 90, b: 10}}\n"
USERS = (
    f"{VARIANTS}split: {{a: 50, b: 50}}\nplan: {{start: 2026-01-01, duration: 20d}}\n"
    "metrics: {bought: {kind: proportion, outcome: buy}}\n"
)
HEAP = "metrics: {heap: {kind: gauge, query: 'x{v=\"{{version}}\"}', better: lower}}\n"
ENGINE = "engine: {spark: 'sc://127.0.0.1:1'}\n"
QUERY = "{dsn_env: SOURCE_DSN, query: select 1}"
TABLE = "outcomes: {buy: buy}"
CASES = {
    "Prometheus": (
        f"{REQUESTS}sources: {{requests: {{prometheus: '{NOWHERE}'}}}}",
        "sources.requests: http://127.0.0.1:1/prom failed 4 times: ",
    ),
    "a recording": (
        f"{REQUESTS}sources: {{requests: {{recording: none.pq}}}}",
        "sources.requests: ROOT/none.pq: no such recording",
    ),
    "queries' own server": (
        f"{REQUESTS}{HEAP}sources: {{metrics: {{url: '{NOWHERE}'}}}}",
        "sources.metrics: http://127.0.0.1:1/prom failed 4 times: ",
    ),
    "queries, by the server of requests": (
        f"{REQUESTS}{HEAP}sources: {{requests: {{prometheus: '{NOWHERE}'}}}}",
        "sources.requests: http://127.0.0.1:1/prom failed 4 times: ",
    ),
    "conversions": (
        f"{USERS}sources: {{conversions: {{prometheus: '{NOWHERE}', metric: conv_total}}}}",
        "sources.conversions: http://127.0.0.1:1/prom failed 4 times: ",
    ),
    "PostgreSQL": (
        f"{USERS}sources: {{exposures: {QUERY}, outcomes: {QUERY}}}",
        "sources.exposures: PostgreSQL 127.0.0.1:1/db (from $SOURCE_DSN): ",
    ),
    "PostgreSQL, of outcomes only": (
        f"{USERS}sources: {{exposures: {{files: exposed.csv}}, outcomes: {QUERY}}}",
        "sources.outcomes: PostgreSQL 127.0.0.1:1/db (from $SOURCE_DSN): ",
    ),
    "PostgreSQL, a row per user": (
        f"{USERS}sources: {{users: {{dsn_env: SOURCE_DSN, query: select 1, {TABLE}}}}}",
        "sources.users: PostgreSQL 127.0.0.1:1/db (from $SOURCE_DSN): ",
    ),
    "files by a URL": (
        f"{USERS}sources: {{exposures: {{files: '{NOWHERE}/a.csv'}}, outcomes: {{files: o.csv}}}}",
        "sources.exposures: is http://127.0.0.1:1/prom/a.csv, must be a path or a glob",
    ),
    "files, a row per user": (
        f"{USERS}sources: {{users: {{files: none.csv, {TABLE}}}}}",
        "sources.users: ROOT/none.csv: no such file",
    ),
    "sums": (
        f"{USERS}sources: {{users: {{aggregates: none.csv}}}}",
        "sources.users: ROOT/none.csv: no such file",
    ),
    "an engine": (
        f"{USERS}{ENGINE}sources: {{exposures: {{files: e.pq}}, outcomes: {{files: e.pq}}}}",
        "engine: Spark at sc://127.0.0.1:1: can't be reached: ",
    ),
    "files for an engine": (
        f"{USERS}{ENGINE}sources: {{exposures: {{files: e.pq}}, outcomes: {{files: o.pq}}}}",
        "sources.outcomes: ROOT/o.pq: no such file",
    ),
}


@pytest.mark.parametrize("command", ["gate", "run", "pull"])
@pytest.mark.parametrize("source", CASES)
def test_a_source_that_can_not_be_reached_is_named_by_experiment_and_field(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    command: str,
) -> None:
    spec, said = CASES[source]
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "exam.yaml").write_text(f"experiment: exam\n{spec}\n")
    (folder / "exposed.csv").write_text("user_id,variant,exposed_at\nu1,a,2026-01-02\n")
    (folder / "e.pq").touch()  # whose rows an engine is to read
    monkeypatch.setenv("SOURCE_DSN", f"postgresql://al:{SECRET}@127.0.0.1:1/db")
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between attempts
    assert main([command, "exam", "--root", str(tmp_path)]) == 2
    written = capsys.readouterr()
    complaints = [line for line in written.err.splitlines() if "warning" not in line]
    assert len(complaints) == 1
    assert complaints[0].startswith(f"exam: {said.replace('ROOT', str(folder))}")
    assert SECRET not in written.out + written.err
