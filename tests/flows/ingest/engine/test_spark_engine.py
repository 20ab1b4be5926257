"""Users' rows on a real Spark Connect server: the same sums, verdicts and refusals as here.

Covers flows.ingest.engine.spark_cluster, flows.ingest.engine.spark_sql,
flows.ingest.engine.spark_rules, flows.ingest.engine.kept_answers, flows.ingest.engine.remote_rows,
flows.ingest.engine.views and flows.ingest.users.engine_pull.
"""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows.doctor.health_finding import Health
from flows.doctor.other_servers import check_engine
from flows.formats.problems import UserError
from flows.formats.time import milliseconds_of
from flows.ingest.engine.spark_cluster import SparkCluster
from flows.ingest.engine.spark_sql import spark_sql
from flows.ingest.engine.views import RemoteView
from flows.ingest.sources.samples import SourceRefused, SourceUnavailable
from flows.ingest.sources.user_rows import UserDataRefused
from flows.ingest.users.pull_users import pull_users
from flows.look.look import look_by_spec
from flows.spec.engine import Engine
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader, open_writer
from flows.workspace.paths import Workspace
from tests.places import PATIENCE_S, at_load
from tests.servers.sail import cut_after, sail_server

pytest.importorskip("pysail")
START = datetime(2026, 1, 1, tzinfo=UTC)
AT = START + timedelta(days=9)
METRICS: dict[str, Any] = {
    "bought": {"kind": "proportion", "role": "goal", "outcome": "buy", "window": "1d"},
    "spend": {
        "kind": "mean",
        "outcome": "buy",
        "window": "2d",
        "cap": "99%",
        "adjust": [{"before": "3d"}],
        "stratify": True,
    },
    "median": {"kind": "quantile", "role": "info", "outcome": "buy", "quantile": 0.5},
}
NAMED_ROWS = """copy (
    with a as (select x from rows_here), b as (select a.x, c.x as y from a join a as c using (x))
    select x, y from b
) to $staged"""
TABLE: dict[str, Any] = {"bought": {"kind": "proportion", "outcome": "buy"}}


@pytest.fixture(scope="module")
def sail() -> Iterator[str]:
    with sail_server() as address:
        yield address


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users of ten days, some twice; outcomes of users, of nobody, without a user."""
    folder = tmp_path_factory.mktemp("data")
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        con.execute(
            "create table e as select 'u' || i as user_id, ['a', 'b'][1 + i % 2] as variant, "
            "timestamptz '2026-01-01 00:00:00+00' + to_seconds(i * 1440) as exposed_at, "
            "['DE', 'PH', null][1 + i % 3] as country from range(600) as r(i) "
            "union all select ' u' || i || ' ', 'b', timestamptz '2026-01-09 00:00:00+00', 'DE' "
            "from range(8) as r(i)"
        )
        con.execute(
            "create table o as select user_id, 'buy' as outcome, exposed_at + to_seconds("
            "cast(hash(user_id, k) % 300000 as bigint) - 100000) as occurred_at, "
            "(hash(user_id, k, 1) % 400) / 4 as value from e, range(3) as r(k) "
            "union all select 'x' || user_id, 'buy', exposed_at, 1 from e where exposed_at < "
            "timestamptz '2026-01-02 00:00:00+00' "
            "union all select null, 'buy', exposed_at, 1 from e where user_id = 'u5' "
            "union all select user_id, 'look', exposed_at, null from e"
        )
        con.execute(f"copy (from e where hash(user_id) % 2 = 0) to '{folder}/e0.parquet'")
        con.execute(f"copy (from e where hash(user_id) % 2 = 1) to '{folder}/e1.parquet'")
        con.execute(f"copy o to '{folder}/o.parquet'")
        con.execute(f"copy (select * exclude value from o) to '{folder}/bare.parquet'")
        con.execute(
            "copy (select user_id, min(variant) as variant, min(exposed_at) as at, "
            "cast(hash(user_id) % 3 = 0 as integer) as buy from e group by user_id) "
            f"to '{folder}/users.parquet'"
        )
    time.sleep(2.1)  # files that changed just now are never trusted
    return folder


def _spec(sail: str | None, *, is_wide: bool = False, **changes: Any) -> Experiment:
    rows: dict[str, Any] = {
        "exposures": {"files": "e*.parquet", "segments": ["country"]},
        "outcomes": {"files": "o.parquet"},
    }
    wide = {"users": {"files": "users.parquet", "at": "at", "outcomes": {"buy": "buy"}}}
    fields: dict[str, Any] = {
        "experiment": "shop",
        "service": "shop",
        "variants": {"a": {}, "b": {}},
        "split": {"a": 50, "b": 50},
        "metrics": TABLE if is_wide else METRICS,
        "plan": {"start": START, "duration": "20d"},
        "sources": wide if is_wide else rows,
        "engine": {"spark": sail} if sail else None,
    }
    return Experiment.model_validate(fields | changes)


def _looked(spec: Experiment, data: Path, root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The verdict's document after a pull, and what the warehouse keeps of users."""
    workspace = Workspace(root)
    document = look_by_spec(workspace, data / "shop.yaml", spec, at=AT)
    with open_reader(workspace.warehouse) as con:
        kept = {
            table: con.execute(f"from {table} order by all").fetchall()
            for table in ("user_sums", "exposed_days", "user_shifts", "user_caps", "pulls")
        }
        assert con.execute("select count(*) from exposures").fetchone() == (
            0 if spec.engine else 608,
        )
    return json.loads(document.model_dump_json()), kept


def _alike(mine: Any, other: Any, where: str = "") -> None:
    """Numbers to 1e-12 of each other, counts and all else exactly."""
    if isinstance(mine, dict | list | tuple):
        pairs = mine.items() if isinstance(mine, dict) else enumerate(mine)
        assert (type(mine), len(mine)) == (type(other), len(other)), where
        for key, value in pairs:
            _alike(value, other[key], f"{where}.{key}")
    elif isinstance(mine, float):
        assert math.isclose(mine, other, rel_tol=1e-12, abs_tol=1e-12), (where, mine, other)
    else:
        assert mine == other, where


def test_rows_without_a_column_of_amounts_have_none_on_an_engine(
    sail: str, data: Path, tmp_path: Path
) -> None:
    exposures = {"files": "e*.parquet", "segments": ["country"]}
    sources = {"exposures": exposures, "outcomes": {"files": "bare.parquet"}}
    theirs, ours = (
        _looked(_spec(engine, sources=sources), data, tmp_path / name)[0]
        for engine, name in ((sail, "sail"), (None, "duckdb"))
    )
    assert "have no value" in str(theirs["quality"])
    assert theirs["quality"] == ours["quality"]


@pytest.mark.parametrize("is_wide", [False, True], ids=["rows", "a row per user"])
def test_an_engine_gives_the_same_sums_and_verdict(
    sail: str, data: Path, tmp_path: Path, is_wide: bool
) -> None:
    own, kept = _looked(_spec(None, is_wide=is_wide), data, tmp_path / "own")
    far, kept_far = _looked(_spec(sail, is_wide=is_wide), data, tmp_path / "far")
    _alike(own, far)
    assert own["decision"] in ("hold", "promote", "rollback"), own["reasons"]
    for table in ("user_sums", "exposed_days", "user_shifts", "user_caps"):
        _alike(_named_alike(kept[table]), _named_alike(kept_far[table]), table)
    if is_wide:
        # Whole numbers: nothing depends on an order.
        assert json.dumps(own) == json.dumps(far)


def _named_alike(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Without names of cohorts, which are hashes of shifts to their last digit."""
    return sorted(
        [
            tuple(each for each in row if not (isinstance(each, str) and len(each) in (16, 17)))
            for row in rows
        ],
        key=repr,
    )


def test_the_same_files_at_the_same_time_are_asked_nothing(
    sail: str, data: Path, tmp_path: Path
) -> None:
    with cut_after(sail, 1 << 30) as way:
        spec = _spec(way, is_wide=True)
        first, _ = _looked(spec, data, tmp_path)
    # The way is cut now.
    again = pull_users(
        spec, tmp_path / "var" / "warehouse.duckdb", spec_dir=data, until_ms=milliseconds_of(AT)
    )
    assert [source.row_count for source in again.sources] == [608, 608]
    second, _ = _looked(spec, data, tmp_path)
    assert second == first
    with pytest.raises(SourceUnavailable, match=r"can't be reached|connection was lost"):
        _looked_at(spec, data, tmp_path, AT + timedelta(days=1))


def test_doctor_says_what_the_engine_sees(sail: str, data: Path) -> None:
    (found,) = check_engine(_spec(sail), data / "shop.yaml")
    assert found.health is Health.OK
    assert "sees exposures e*.parquet (user_id, variant, exposed_at, country)" in found.found
    gone = {"exposures": {"files": "s3://nowhere/e/"}, "outcomes": {"files": "o.parquet"}}
    with pytest.raises(UserError, match="Spark at sc://"):
        check_engine(_spec(sail, sources=gone), data / "shop.yaml")


def _looked_at(spec: Experiment, data: Path, root: Path, at: datetime) -> dict[str, Any]:
    document = look_by_spec(Workspace(root), data / "shop.yaml", spec, at=at)
    found: dict[str, Any] = json.loads(document.model_dump_json())
    return found


def test_a_look_before_the_last_pull_asks_the_engine(sail: str, data: Path, tmp_path: Path) -> None:
    verdicts = []
    for name, way in (("own", None), ("far", sail)):
        _looked(_spec(way, is_wide=True), data, tmp_path / name)
        spec = _spec(way, is_wide=True)
        verdicts.append(_looked_at(spec, data, tmp_path / name, AT - timedelta(days=2)))
    _alike(verdicts[0], verdicts[1])


@pytest.mark.parametrize("answered", [0, 3_000, 30_000])
def test_a_connection_that_is_lost_leaves_the_warehouse_as_it_was(
    sail: str, data: Path, tmp_path: Path, answered: int
) -> None:
    warehouse = tmp_path / "w.duckdb"
    with open_writer(warehouse):
        pass
    before = _contents(warehouse)
    with cut_after(sail, answered) as way, pytest.raises(SourceUnavailable) as lost:
        pull_users(_spec(way), warehouse, spec_dir=data, until_ms=milliseconds_of(AT))
    assert "\n" not in str(lost.value)
    assert str(lost.value).startswith("engine: Spark at sc://127.0.0.1:")
    assert _contents(warehouse) == before


def _contents(warehouse: Path) -> dict[str, list[Any]]:
    with open_reader(warehouse) as con:
        names = [
            name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()
        ]
        return {name: con.execute(f"from {name}").fetchall() for name in names}


def _ask(address: str, *files: str) -> None:
    cluster = SparkCluster(Engine(spark=address))
    try:
        cluster.schema(RemoteView("", files=files))
    finally:
        cluster.close()


def test_what_is_wrong_is_said_in_one_line(sail: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed = f"sc://127.0.0.1:{unused.getsockname()[1]}"
    cases: list[tuple[str, type[UserError], str]] = [
        (closed, SourceUnavailable, "can't be reached"),
        (f"{closed}/;token=s3cr3t-t0ken", SourceUnavailable, "can't be reached"),
        (sail, UserDataRefused, "doesn't see the files"),
    ]
    for address, kind, said in cases:
        with pytest.raises(kind, match=said) as refused:
            _ask(address, "file:///nowhere/e.parquet")
        assert "\n" not in str(refused.value)
        assert "s3cr3t" not in str(refused.value)


ENDLESS = """
from pathlib import Path
from flows.ingest.engine.spark_cluster import spark_cluster
from flows.ingest.engine.views import RemoteView
from flows.ingest.sources.samples import SourceUnavailable
from flows.spec.engine import Engine
rows = RemoteView("", files=({file!r},))
with spark_cluster(Engine(spark={sail!r}, timeout="3s")) as cluster:
    try:
        cluster.ask(RemoteView({query!r}, reads={{"e": rows}}))
    except SourceUnavailable as error:
        print(error)
"""


def test_a_query_that_never_ends_is_given_up(sail: str, data: Path) -> None:
    """1,600 users five times over are years of work; the process ends, too."""
    each = " cross join ".join(f"e as {name}" for name in "abcde")
    query = (
        f"select count(*) as n from {each} where a.user_id < b.user_id and d.user_id <> e.user_id"
    )
    code = ENDLESS.format(sail=sail, file=(data / "e0.parquet").as_uri(), query=query)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.stdout.strip() == (
        f"Spark at {sail}: not all was answered within 3 s. "
        "If it needs longer, set `engine.timeout`"
    ), done.stderr
    assert time.monotonic() - began < at_load(20)


@pytest.mark.parametrize("missing", ["sqlglot", "pyspark.sql.connect.client"])
def test_missing_extra_is_named(sail: str, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for module in ("spark_rules", "spark_sql"):
        monkeypatch.delitem(sys.modules, f"flows.ingest.engine.{module}", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SourceRefused, match=r"pip install 'split-verdict\[spark\]'"):
        _ask(sail, "file:///nowhere/e.parquet")


def test_an_older_spark_is_refused(sail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.ingest.engine.spark_cluster._OLDEST", (99, 0))
    with pytest.raises(SourceRefused, match=r"must be 4\.0 or later"):
        _ask(sail, "file:///nowhere/e.parquet")


def test_a_process_without_a_main_file_is_no_doctest(sail: str) -> None:
    """pyspark ends such a process with its own exit code: one of xdist, python -c, a notebook."""
    code = (
        "from flows.ingest.engine.spark_cluster import _connect; "
        "from flows.spec.engine import Engine; "
        f"print(_connect(Engine(spark={sail!r}), 'here').version)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith("4.")


def test_named_rows_are_written_where_they_are_read() -> None:
    """Spark 4.0 finds persisted rows again only where no `with` over files makes them."""
    found = spark_sql(NAMED_ROWS, {"staged": "s"}, {"rows_here": "v"}, {})
    rows = "(SELECT x FROM v AS rows_here)"
    joined = f"(SELECT a.x, c.x AS y FROM {rows} AS a JOIN {rows} AS c USING (x))"
    assert found == f"SELECT x, y FROM {joined} AS b"
