"""Exposures and outcomes from a real PostgreSQL server, also one that stops answering.

Covers flows.ingest.sources.postgres_watch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from flows.ingest.sources import user_postgres
from flows.ingest.sources.postgres_watch import Vigil
from flows.ingest.sources.samples import SourceUnavailable
from flows.ingest.sources.staged_rows import make_macros
from flows.ingest.sources.user_postgres import stage_query
from flows.ingest.sources.user_rows import UserDataRefused, UserRows, WantedRows
from flows.spec.experiment import Experiment
from flows.spec.sources import PostgresSource
from tests.builders.user_specs import pull, read, rows_of, sample_in, spec_of
from tests.places import at_load
from tests.servers.postgres_server import PASSWORD, Server, running

TABLES = """
    create type arm as enum ('a', 'b');
    create table seen as
        select g as user_id, (case when g % 2 = 0 then 'a' else 'b' end)::arm as variant,
            timestamptz '2026-01-01' + g * interval '1 second' as exposed_at
        from generate_series(1, 1000) as g;
    create table bought as
        select g as user_id, 'purchase' as outcome, 2.5::numeric as value,
            timestamp '2026-01-02 12:00' as occurred_at
        from generate_series(1, 1000, 3) as g;
    grant select on seen, bought to guest;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as server:
        server.sql(TABLES)
        yield server


@pytest.fixture(autouse=True)
def _dsn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "server" in request.fixturenames:
        monkeypatch.setenv("QUIZ_DSN", request.getfixturevalue("server").dsn)


def spec_for(exposures: str = "select * from seen", **columns: str) -> Experiment:
    return spec_of(
        {
            "exposures": {"dsn_env": "QUIZ_DSN", "query": exposures, "columns": columns},
            "outcomes": {"dsn_env": "QUIZ_DSN", "query": "select * from bought"},
        }
    )


@pytest.mark.usefixtures("server")
def test_exposures_and_outcomes_are_read(tmp_path: Path) -> None:
    pull(spec_for(), tmp_path)
    found = read(spec_for(), tmp_path)
    assert found.exposed == {"a": 500, "b": 500}
    assert sample_in(found.samples, "spend", "a").mean == pytest.approx(2.5 * 167 / 500)
    assert sample_in(found.samples, "bought", "b").mean == pytest.approx(167 / 500)


def test_reading_again_changes_nothing_and_late_rows_come_in(
    server: Server, tmp_path: Path
) -> None:
    parts = "select source, part, generation, row_count, checksum from user_parts order by all"
    pull(spec_for(), tmp_path)
    before = rows_of(tmp_path, parts)
    pull(spec_for(), tmp_path)
    assert rows_of(tmp_path, parts) == before

    server.sql("insert into bought values (2, 'purchase', 5, '2026-01-02')")
    result = pull(spec_for(), tmp_path)
    server.sql("delete from bought where user_id = 2")

    assert [source.replaced for source in result.sources] == [(), ("postgresql",)]
    assert rows_of(tmp_path, "select count(*) from outcomes") == [(335,)]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("user", ["user_id", "('10.0.0.' || user_id % 200)::inet"])
@pytest.mark.parametrize(
    "end", ["", ";\n", " -- of the quiz", " -- of the quiz;\n", "\n/* all */\n"]
)
def test_a_query_may_end_in_a_comment(tmp_path: Path, user: str, end: str) -> None:
    """The driver puts it into brackets: a comment took the closing one away."""
    query = f"select {user} as user_id, variant, exposed_at from seen{end}"
    pull(spec_for(query), tmp_path)
    assert rows_of(tmp_path, "select count(*) from exposures") == [(1000,)]


@pytest.mark.usefixtures("server")
def test_user_ids_of_any_type_become_text(tmp_path: Path) -> None:
    uuid = "6ecd8c99-4036-403d-bf84-cf8400f67836"
    query = f"select '{uuid}'::uuid as user_id, 'a' as variant, date '2026-01-01' as exposed_at"
    pull(spec_for(query), tmp_path)
    assert rows_of(tmp_path, "select user_id from exposures") == [(uuid,)]


@pytest.mark.usefixtures("server")
def test_missing_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserDataRefused, match="no column 'arm' in these exposures; it has"):
        pull(spec_for(variant="arm"), tmp_path)
    assert rows_of(tmp_path, "select count(*) from outcomes") == [(0,)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select nope from seen", 'column "nope" does not exist'),
        ("selec", 'syntax error at or near "selec"'),
        ("select *, 1 / (user_id - 900) as x from seen", "division by zero"),
        ("delete from bought returning *", "read-only transaction"),
    ],
)
def test_query_that_fails_is_refused(server: Server, tmp_path: Path, query: str, said: str) -> None:
    with pytest.raises(UserDataRefused) as caught:
        pull(spec_for(query), tmp_path)
    assert f"PostgreSQL 127.0.0.1:{server.port}/postgres (from $QUIZ_DSN)" in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_password_is_used_and_never_shown(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIZ_DSN", server.guest(PASSWORD))
    pull(spec_for(), tmp_path)
    monkeypatch.setenv("QUIZ_DSN", server.guest("wrong-horse"))
    with pytest.raises(UserDataRefused, match="password authentication failed") as caught:
        pull(spec_for(), tmp_path)
    assert "horse" not in str(caught.value)


def test_unset_dsn_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUIZ_DSN", raising=False)
    with pytest.raises(UserDataRefused, match=r"\$QUIZ_DSN is not set"):
        pull(spec_for(), tmp_path)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PGPORT", "hunter2", r"\$PGPORT must be a port, such as 5432"),
        ("PGUSER", "tester:hunter2", r"role \"\*+\" does not exist"),
    ],
)
def test_variables_of_the_driver_are_not_shown(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv("QUIZ_DSN", f"postgresql://127.0.0.1:{server.port}/postgres")
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserDataRefused, match=said) as caught:
        pull(spec_for(), tmp_path)
    assert "hunter2" not in str(caught.value)


def test_unreachable_server_may_be_tried_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIZ_DSN", "postgresql://tester:secret@127.0.0.1:9/shop")
    with pytest.raises(SourceUnavailable) as caught:
        pull(spec_for(), tmp_path)
    assert "PostgreSQL 127.0.0.1:9/shop (from $QUIZ_DSN): connection to server" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_keyword_dsn_is_read(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIZ_DSN", f"host=127.0.0.1 port={server.port} user=tester dbname=postgres")
    pull(spec_for(), tmp_path)
    assert rows_of(tmp_path, "select count(*) from exposures") == [(1000,)]


def test_server_killed_in_the_middle_leaves_the_warehouse_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as server:
        monkeypatch.setenv("QUIZ_DSN", server.dsn)
        server.sql(TABLES)
        pull(spec_for(), tmp_path)
        endless = (
            "select g as user_id, repeat('x', 400) as filler, 'a' as variant,"
            " now() as exposed_at from generate_series(1, 1e9::bigint) as g"
        )
        killer = threading.Timer(1.0, server.kill)
        killer.start()
        with pytest.raises(SourceUnavailable, match="the connection was lost"):
            pull(spec_for(endless), tmp_path)
        killer.join()
    assert rows_of(tmp_path, "select count(*), count(distinct part) from exposures") == [(1000, 1)]


@pytest.mark.parametrize("when", ["before", "while it computes", "while it sends"])
def test_a_frozen_server_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """All its processes stop, and its kernel goes on confirming what it is sent."""
    monkeypatch.setattr("flows.ingest.sources.user_postgres._VIGIL", Vigil(0.2, 1, 60))
    monkeypatch.setitem(user_postgres._PATIENCE, "connect_timeout", "2")
    endless = "generate_series(1, 1e9::bigint)" if when.endswith("sends") else "pg_sleep(1000)"
    query = (
        "select g::text as user_id, repeat('x', 400) as filler, 'a' as variant,"
        f" now() as exposed_at from {endless} as g"
    )
    with running() as server:
        monkeypatch.setenv("QUIZ_DSN", server.dsn)
        if when == "while it computes":
            services = tmp_path / "services.conf"
            services.write_text(f"[quiz]\nhost=127.0.0.1\nport={server.port}\nuser=tester\n")
            monkeypatch.setenv("PGSERVICEFILE", str(services))
            monkeypatch.setenv("QUIZ_DSN", "service=quiz dbname=postgres")
        server.sql(TABLES)
        freezer = threading.Timer(0 if when == "before" else 1, server.freeze)
        freezer.start()
        if when == "before":
            freezer.join()
        began = time.monotonic()
        try:
            with pytest.raises(SourceUnavailable, match=r"no sign of life|timeout exp") as caught:
                pull(spec_for(query), tmp_path)
            assert time.monotonic() - began < at_load(30)
            assert "\n" not in str(caught.value)
        finally:
            freezer.join()
            server.thaw()


@pytest.mark.usefixtures("server")
def test_a_slow_query_of_a_server_that_lives_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.ingest.sources.user_postgres._VIGIL", Vigil(0.1, 1, 60))
    pull(spec_for("select seen.* from seen, (select pg_sleep(1.5)) as slow"), tmp_path)
    assert rows_of(tmp_path, "select count(*) from exposures") == [(1000,)]
    monkeypatch.setattr("flows.ingest.sources.user_postgres._VIGIL", Vigil(0.1, 1, 0.5))
    with pytest.raises(SourceUnavailable, match="did not end within"):
        pull(spec_for("select seen.* from seen, (select pg_sleep(9)) as slower"), tmp_path)


@pytest.mark.usefixtures("server")
def test_a_large_answer_is_streamed(tmp_path: Path) -> None:
    query = (
        "select g as user_id, repeat('x', 200) as filler, 'a' as variant,"
        " timestamptz '2026-01-01' as exposed_at from generate_series(1, 1000000) as g"
    )
    source = PostgresSource(dsn_env="QUIZ_DSN", query=query)
    wanted = WantedRows(UserRows.EXPOSURES, "quiz", {})
    before = _peak_mb()
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        make_macros(con)
        staged = stage_query(con, source, wanted, path=tmp_path / "staged.parquet")
    assert staged.row_count == 1_000_000
    # The answer has 240 MB.
    assert _peak_mb() - before < 180


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
