"""The newest published marts, opened for analysts: relations, frames and files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Self

import duckdb

from flows.formats.problems import UserError, did_you_mean, os_reason
from flows.publish.marts import latest_marts
from flows.warehouse.connection import open_writer
from flows.warehouse.migrations import view_comments
from flows.warehouse.statements import quoted, run
from flows.workspace.paths import Workspace

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


class MartsNotRead(UserError):
    """Nothing is published yet, or there is no such view, or its export can't be written."""


class ExportFormat(StrEnum):
    """The formats that a view is exported in."""

    PARQUET = "parquet"
    CSV = "csv"
    ARROW = "arrow"


@dataclass(frozen=True, slots=True)
class Marts:
    """One published file, open until it is closed; later runs publish files of their own.

    views: what there is, in alphabetical order.
    """

    path: Path
    con: duckdb.DuckDBPyConnection
    views: tuple[str, ...]

    def __getitem__(self, view: str) -> duckdb.DuckDBPyRelation:
        """The view as a relation, on which more can be asked. Raises MartsNotRead."""
        if view not in self.views:
            listed = did_you_mean(view, self.views) or f"; there are {', '.join(self.views)}"
            raise MartsNotRead(f"there is no view {view!r}{listed}")
        return self.con.table(quoted(view))

    def polars(self, view: str) -> pl.DataFrame:
        """The view as a polars frame. Raises MartsNotRead."""
        frame: pl.DataFrame = self[view].pl()
        return frame

    def pandas(self, view: str) -> pd.DataFrame:
        """The view as a pandas frame. Raises MartsNotRead."""
        frame: pd.DataFrame = self[view].df()
        return frame

    def close(self) -> None:
        """Closes the file."""
        self.con.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_marts(root: Path | str = ".") -> Marts:
    """The newest marts of a project; times are UTC. Raises MartsNotRead if there are none yet."""
    folder = Workspace(Path(root)).marts
    path = latest_marts(folder)
    if path is None or not path.exists():
        raise MartsNotRead(
            f"nothing is published in {folder}: run `verdict run` or `verdict publish`"
        )
    con = duckdb.connect(str(path), read_only=True)
    run(con, "schema/session")
    names = run(con, "schema/table_names").fetchall()
    return Marts(path, con, tuple(sorted(name for (name,) in names)))


def export_view(marts: Marts, view: str, form: ExportFormat, path: Path) -> int:
    """Writes a view to a file, whole or not at all; returns its rows. Raises MartsNotRead."""
    if not path.parent.is_dir():
        raise MartsNotRead(f"{path} can't be written: there is no folder {path.parent}")
    if path.is_dir():
        raise MartsNotRead(f"{path} can't be written: it is a folder; name a file")
    relation = marts[view]
    unfinished = path.with_name(f".{path.name}.part")
    write: dict[ExportFormat, Callable[[], None]] = {
        ExportFormat.PARQUET: lambda: relation.write_parquet(str(unfinished)),
        ExportFormat.CSV: lambda: relation.write_csv(str(unfinished), header=True),
        ExportFormat.ARROW: lambda: _write_arrow(relation, unfinished),
    }
    try:
        write[form]()
        unfinished.rename(path)
    except (OSError, duckdb.IOException) as error:
        with suppress(OSError):
            unfinished.unlink()
        raise MartsNotRead(f"{path} can't be written: {os_reason(error)}") from error
    return len(relation)


def _write_arrow(relation: duckdb.DuckDBPyRelation, path: Path) -> None:
    """Batch by batch, as an Arrow IPC file."""
    import pyarrow as pa  # noqa: PLC0415

    reader = relation.to_arrow_reader()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


def data_dictionary() -> Iterator[str]:
    """Every view and column that analysts see, with its comment, as lines of Markdown."""
    yield "# Data dictionary\n"
    yield "What `verdict export VIEW` and `read_marts()` give, generated from the comments of the"
    yield "views in `sql/views` (`make schemas`). All times are UTC. For SQL:"
    yield "`attach 'var/marts/FILE' as marts (read_only)`, with the FILE that `var/marts/LATEST`"
    yield "names. Other pages name the views so: `marts.looks`.\n"
    with (
        tempfile.TemporaryDirectory() as folder,
        open_writer(Path(folder) / "empty.duckdb") as con,
    ):
        con.execute(view_comments())
        for view, comment in run(con, "schema/mart_views").fetchall():
            yield f"## {view}\n"
            yield f"{comment}\n"
            yield "| column | meaning |"
            yield "| --- | --- |"
            for column, said in run(con, "schema/mart_columns", view=view).fetchall():
                yield f"| `{column}` | {said.replace('|', chr(92) + '|')} |"
            yield ""
