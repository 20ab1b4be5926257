"""What DuckDB may take of the machine is a setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.warehouse.connection import WarehouseUnusable, open_writer
from flows.warehouse.engines import on_all_threads
from flows.warehouse.resources import WrongResources, resources_of


def _warehouse(root: Path, toml: str = "") -> Path:
    if toml:
        (root / "verdict.toml").write_text(toml)
    return root / "var" / "warehouse.duckdb"


def _limits(warehouse: Path) -> tuple[str, int, str]:
    with open_writer(warehouse) as con, on_all_threads(con, warehouse):
        found = con.execute(
            "select current_setting('memory_limit'), current_setting('threads'), "
            "current_setting('temp_directory')"
        )
        limits: tuple[str, int, str] = found.fetchall()[0]
        return limits


def test_half_of_the_memory_by_default(tmp_path: Path) -> None:
    total = next(
        line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line
    )
    half_mib = int(total.split()[1]) // 2048
    assert int(resources_of(_warehouse(tmp_path))["memory_limit"].removesuffix("MiB")) <= half_mib


def test_environment_overrules_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spill = tmp_path / "spill"
    warehouse = _warehouse(
        tmp_path,
        f'[duckdb]\nmemory_limit = "300MiB"\nthreads = 3\ntemp_directory = "{spill}"\n',
    )
    assert _limits(warehouse) == ("300.0 MiB", 3, str(spill))
    monkeypatch.setenv("VERDICT_MEMORY_LIMIT", "200 MiB")
    monkeypatch.setenv("VERDICT_THREADS", "1")
    assert _limits(warehouse) == ("200.0 MiB", 1, str(spill))


def test_memory_that_does_not_suffice_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB's own remedies are statements that nobody can give here."""
    monkeypatch.setenv("VERDICT_MEMORY_LIMIT", "1MB")
    with pytest.raises(WarehouseUnusable) as raised, open_writer(_warehouse(tmp_path)) as con:
        con.execute("create table t as select random() as x from range(1_000_000)").fetchall()
    said = str(raised.value)
    assert "Raise VERDICT_MEMORY_LIMIT (memory_limit in verdict.toml)" in said
    assert "SET " not in said


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[duckdb]\nmemory = 1\n", "unknown field 'memory'"),
        (
            '[duck]\nmemory_limit = "2GB"\n',
            "unknown field 'duck'; there is .duckdb. with memory_limit",
        ),
        ("memory_limit = '2GB'\n", "unknown field 'memory_limit'"),
        ("duckdb = 1\n", "unknown field 'duckdb'"),
        ("[duckdb\n", "can't be read"),
        ('[duckdb]\nmemory_limit = "much"\n', "duckdb.memory_limit is 'much', must be a size"),
        ("[duckdb]\nmemory_limit = 4\n", "must be a size such as 4GB"),
        ('[duckdb]\nmemory_limit = "0GB"\n', "must be a size"),
        ("[duckdb]\nthreads = 0\n", "duckdb.threads is '0', must be a whole number"),
        ("[duckdb]\nthreads = true\n", "must be a whole number"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(WrongResources, match=said):
        resources_of(_warehouse(tmp_path, toml))
