"""Analysts' ways to the marts give the same rows, and the dictionary is the views' own.

Covers flows.cli.export_command, flows.publish.read_marts.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from flows import read_marts
from flows.cli import main as cli
from flows.publish.marts import publish
from flows.publish.read_marts import MartsNotRead, data_dictionary
from flows.warehouse.connection import open_writer
from tests.places import REPOSITORY

VIEW = "experiments"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analysed")
    warehouse = folder / "var" / "warehouse.duckdb"
    with open_writer(warehouse):
        pass
    publish(warehouse, folder / "var" / "marts")
    return folder


def test_relation_and_frames_are_the_same_rows(root: Path) -> None:
    with read_marts(root) as marts:
        rows = marts[VIEW].fetchall()
        assert marts.polars(VIEW).rows() == rows
        assert len(marts.pandas(VIEW)) == len(rows)
        assert marts.polars(VIEW).columns == list(marts.pandas(VIEW).columns) == marts[VIEW].columns
        with pytest.raises(MartsNotRead, match=r"did you mean 'experiments'\?"):
            marts["experimnts"]


def test_an_open_reader_keeps_its_file_when_another_is_published(root: Path) -> None:
    with read_marts(root) as marts:
        newer = publish(root / "var" / "warehouse.duckdb", root / "var" / "marts")
        assert marts.path != newer
        assert marts["looks"].fetchall() == []
    with read_marts(root) as marts:
        assert marts.path == newer


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
def test_exported_files_hold_the_view(
    root: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"it's.{form}"
    export = ["--root", str(root), "export", VIEW, "--format", form, "--output", str(file)]
    assert cli.main(export) == 0
    assert capsys.readouterr().out == f"wrote {file}: 0 rows\n"
    with read_marts(root) as marts:
        columns = marts[VIEW].columns
    if form == "arrow":
        with pa.memory_map(str(file)) as source:
            found = pa.ipc.open_file(source).read_all().column_names
    else:
        found = (pl.read_parquet(file) if form == "parquet" else pl.read_csv(file)).columns
    assert found == columns
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("name", "form", "start"),
    [
        ("x.csv", [], b"experiment"),
        ("x.CSV", [], b"experiment"),
        ("x.arrow", [], b"ARROW1"),
        ("x.parquet", [], b"PAR1"),
        ("x", [], b"PAR1"),
        ("x.csv", ["--format", "parquet"], b"PAR1"),
    ],
)
def test_the_name_of_a_file_says_its_format(
    root: Path, tmp_path: Path, name: str, form: list[str], start: bytes
) -> None:
    """`--output looks.csv` was a Parquet file."""
    file = tmp_path / name
    assert cli.main(["--root", str(root), "export", "looks", "--output", str(file), *form]) == 0
    assert file.read_bytes().startswith(start)


def test_what_can_not_be_exported_is_one_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, told in (
        (["--root", str(root), "export"], "name a view: "),
        (["--root", str(root), "export", "lookss"], "did you mean 'looks'?"),
        (
            ["--root", str(root), "export", "looks", "--output", "/no/where/x"],
            "there is no folder /no/where",
        ),
        (["--root", str(root), "export", "looks", "--output", "."], "it is a folder"),
        (["--root", str(root), "export", "looks", "--output", str(root)], "it is a folder"),
        (["--root", str(tmp_path), "export", "looks"], "run `verdict run`"),
    ):
        assert cli.main(arguments) == 2
        said = capsys.readouterr().err
        assert told in said
        assert len(said.splitlines()) == 1


def test_dictionary_is_up_to_date_and_explains_every_column() -> None:
    text = "\n".join(data_dictionary())
    assert (REPOSITORY / "docs" / "reference" / "data-dictionary.md").read_text() == text + "\n"
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 200
    assert not any(row.endswith("|  |") or "None" in row for row in rows)
