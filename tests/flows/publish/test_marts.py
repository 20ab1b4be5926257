"""Publishing: analysts always find a whole file, whatever happens to the publisher."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows.publish.marts import Earlier, PublishFailed, latest_marts, publish
from flows.warehouse.connection import WarehouseUnusable, open_reader, open_writer
from tests.builders.small_warehouse import small_warehouse
from tests.servers.other_process import HOLD, let_go, process
from tests.servers.small_disk import small_disk

PUBLISH = """
import sys
from pathlib import Path
from flows.publish.marts import PublishFailed, publish
print("started", flush=True)
sys.stdin.readline()
if sys.argv[3:]:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    print(publish(Path(sys.argv[1]), Path(sys.argv[2])).name)
except PublishFailed as error:
    print("PublishFailed", error)
"""

READ = """
import sys, duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
print("open", flush=True)
sys.stdin.readline()
print(con.execute("select sum(requests) from request_counts").fetchall()[0][0])
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_warehouse(tmp_path_factory.mktemp("filled") / "w.duckdb")


@pytest.fixture
def warehouse(filled: Path, tmp_path: Path) -> Path:
    path = tmp_path / "var" / "warehouse.duckdb"
    path.parent.mkdir()
    return Path(shutil.copy(filled, path))


@pytest.fixture
def marts(tmp_path: Path) -> Path:
    return tmp_path / "var" / "marts"


def state(folder: Path) -> dict[str, bytes]:
    """Every file with its content, the lock aside."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".lock"}


def make_big(warehouse: Path, rows: int = 100_000) -> None:
    with open_writer(warehouse) as con:
        con.execute(
            "insert into request_buckets select 'checkout', now(), now(), hash(range), '', "
            "'success', "
            "hash(range + 1), '', '', range, '' from range(?)",
            [rows],
        )


def test_every_view_becomes_a_table_with_its_rows(warehouse: Path, marts: Path) -> None:
    published = publish(warehouse, marts)
    with open_reader(warehouse) as con:
        views = [
            v
            for (v,) in con.execute(
                "from duckdb_views() select view_name where schema_name = 'marts'"
            ).fetchall()
        ]
        expected = {v: con.execute(f"from marts.{v} order by all").fetchall() for v in views}
    with duckdb.connect(published, read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        found = {v: con.execute(f"from {v} order by all").fetchall() for v in views}
    assert found == expected
    assert len(expected["request_counts"]) == 7


def test_tables_and_columns_keep_their_comments(warehouse: Path, marts: Path) -> None:
    with duckdb.connect(publish(warehouse, marts), read_only=True) as con:
        without = con.execute(
            "select table_name, '' from duckdb_tables() where comment is null union all "
            "select table_name, column_name from duckdb_columns() "
            "where comment is null and not internal"
        ).fetchall()
        comment = con.execute(
            "select comment from duckdb_columns() "
            "where table_name = 'success_and_latency' and column_name = 'p99_interpolated_ms'"
        ).fetchall()
    assert without == []
    assert comment[0][0].startswith("A label, not a measurement")


def test_pointer_names_the_newest_and_old_files_go(warehouse: Path, marts: Path) -> None:
    assert latest_marts(marts) is None
    published = [publish(warehouse, marts, keep=2) for _ in range(4)]
    assert len(set(published)) == 4
    assert latest_marts(marts) == published[-1]
    assert set(state(marts)) == {"LATEST", published[-2].name, published[-1].name}


def test_numbers_rise_even_when_somebody_removed_the_files(warehouse: Path, marts: Path) -> None:
    first = publish(warehouse, marts)
    first.unlink()
    second = publish(warehouse, marts)
    assert second.name.startswith("marts-000002-")


def test_newest_file_always_stays(warehouse: Path, marts: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        publish(warehouse, marts, keep=0)
    assert publish(warehouse, marts, keep=1).exists()


def test_marts_are_read_while_a_writer_holds_the_warehouse(warehouse: Path, marts: Path) -> None:
    published = publish(warehouse, marts)
    with process(HOLD, "writer", str(warehouse)), process(READ, str(published)) as reader:
        assert reader.communicate("go\n")[0].strip() == "319"


def test_open_reader_keeps_a_file_that_was_removed(warehouse: Path, marts: Path) -> None:
    old = publish(warehouse, marts)
    with process(READ, str(old)) as reader:
        make_big(warehouse, 10)
        publish(warehouse, marts, keep=1)
        assert not old.exists()
        assert reader.communicate("go\n")[0].strip() == "319"


def test_two_publishers_do_not_collide(warehouse: Path, marts: Path) -> None:
    arguments = (str(warehouse), str(marts))
    with process(PUBLISH, *arguments) as one, process(PUBLISH, *arguments) as two:
        for child in (one, two):
            let_go(child)
        names = {child.communicate()[0].strip() for child in (one, two)}
    assert {name[:12] for name in names} == {"marts-000001", "marts-000002"}
    assert set(state(marts)) == {"LATEST", *names}


def test_full_disk_leaves_everything_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with small_disk(folder, megabytes=40):
        warehouse, marts = small_warehouse(folder / "w.duckdb"), folder / "marts"
        publish(warehouse, marts)
        make_big(warehouse)
        before = state(marts), warehouse.read_bytes()
        (folder / "ballast").write_bytes(b"x" * _room(folder, leave=2_000_000))
        with pytest.raises(PublishFailed, match="No space left on device"):
            publish(warehouse, marts)
        assert (state(marts), warehouse.read_bytes()) == before
        (folder / "ballast").unlink()
        assert latest_marts(marts) != publish(warehouse, marts)


def _room(folder: Path, *, leave: int) -> int:
    return shutil.disk_usage(folder).free - leave


def test_file_size_limit_leaves_everything_as_it_was(warehouse: Path, marts: Path) -> None:
    publish(warehouse, marts)
    make_big(warehouse)
    before = state(marts), warehouse.read_bytes()
    with process(PUBLISH, str(warehouse), str(marts), "2000000") as child:
        said = child.communicate("go\n")[0]
    assert said.startswith("PublishFailed could not publish to")
    assert "File too large" in said
    assert (state(marts), warehouse.read_bytes()) == before


def test_pointer_that_cannot_be_written_takes_the_new_file_back(
    warehouse: Path, marts: Path
) -> None:
    publish(warehouse, marts)
    before = state(marts)
    (marts / "LATEST").unlink()
    (marts / "LATEST").mkdir()
    (marts / "LATEST" / "in the way").touch()
    with pytest.raises(PublishFailed):
        publish(warehouse, marts)
    assert {p.name for p in marts.iterdir()} == {*before, ".lock"}


def test_leftovers_of_a_killed_publisher_are_removed(warehouse: Path, marts: Path) -> None:
    publish(warehouse, marts)
    for name in (
        ".marts-000002-20260101T000000Z.duckdb",
        ".marts-000002-20260101T000000Z.duckdb.wal",
    ):
        (marts / name).write_bytes(b"half")
    published = publish(warehouse, marts)
    assert {p.name for p in marts.iterdir() if p.name.startswith(".")} == {".lock"}
    assert latest_marts(marts) == published


def test_folder_that_cannot_be_made_is_told(warehouse: Path) -> None:
    with pytest.raises(PublishFailed, match="could not publish"):
        publish(warehouse, warehouse / "marts")


def test_missing_warehouse_is_told(tmp_path: Path, marts: Path) -> None:
    with pytest.raises(WarehouseUnusable, match="pull first"):
        publish(tmp_path / "none.duckdb", marts)
    assert latest_marts(marts) is None


def test_publishing_imports_nothing_heavy() -> None:
    code = (
        "import sys, flows.publish.marts\n"
        "print(sorted({'pandas', 'polars', 'pyarrow', 'numpy', 'prefect'} & sys.modules.keys()))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\0", b"../elsewhere.duckdb", b"x" * 100_000, b"[" * 1000]
)
def test_a_pointer_that_names_no_file_of_ours_is_written_anew(
    warehouse: Path, marts: Path, content: bytes
) -> None:
    first = publish(warehouse, marts)
    (marts / "LATEST").write_bytes(content)
    assert latest_marts(marts) is None
    second = publish(warehouse, marts)
    assert second.name > first.name
    assert latest_marts(marts) == second


def test_marts_made_of_earlier_ones_have_the_rows_of_new_ones(warehouse: Path, marts: Path) -> None:
    first = publish(warehouse, marts)
    make_big(warehouse, 10)
    with open_writer(warehouse) as con:
        con.execute("delete from exposed_days where experiment = 'quiz'")
        con.execute("update verdicts set score = 12 where experiment = 'checkout'")
    stale = publish(warehouse, marts, earlier=Earlier(first, ["quiz"], 8))
    grown = publish(warehouse, marts, earlier=Earlier(stale, ["checkout"], 8))
    whole = publish(warehouse, marts, keep=4)
    assert grown.name[:12] == "marts-000003"  # no other one was written
    rows = [_rows(path) for path in (first, stale, grown, whole)]
    assert rows[2] == rows[3]
    # Rows of an experiment that is said to be as it was stay so.
    assert rows[1]["verdicts"] == rows[0]["verdicts"] != rows[3]["verdicts"]
    assert rows[1]["exposed_users_by_day"] != rows[0]["exposed_users_by_day"]


@pytest.mark.parametrize(
    "earlier",
    [
        lambda first, second: Earlier(first, ["quiz"], 8),  # not the latest
        lambda first, second: Earlier(second, ["quiz", "checkout"], 2),  # much is new
    ],
)
def test_marts_are_written_anew_where_earlier_ones_will_not_do(
    warehouse: Path, marts: Path, earlier: Callable[[Path, Path], Earlier]
) -> None:
    first = publish(warehouse, marts)
    second = publish(warehouse, marts)
    with open_writer(warehouse) as con:
        con.execute("update verdicts set score = 12")
    found = _rows(publish(warehouse, marts, earlier=earlier(first, second)))
    assert found == _rows(publish(warehouse, marts)) != _rows(second)


def _rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with duckdb.connect(path, read_only=True) as con:
        views = con.execute("select table_name from duckdb_tables()").fetchall()
        return {v: con.execute(f"from {v} order by all").fetchall() for (v,) in views}
