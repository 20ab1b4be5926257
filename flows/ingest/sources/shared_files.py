"""Files of users' rows that several experiments use: read once, and cut by what they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from duckdb import (
    ColumnExpression,
    ConstantExpression,
    DuckDBPyConnection,
    DuckDBPyRelation,
    FunctionExpression,
    StarExpression,
)

from flows.ingest.sources.incoming_rows import text_of
from flows.ingest.sources.local_files import file_state
from flows.ingest.sources.staged_rows import stage, stage_for_nobody
from flows.ingest.sources.user_files import explaining, open_rows, with_folders
from flows.ingest.sources.user_rows import StagedPart, UserDataRefused, UserRows, WantedRows, one_in
from flows.warehouse.statements import run

_EXPERIMENT, _ROW = "shared experiment", "shared row"


@dataclass(slots=True)
class _Kept:
    """A file's rows, in a table; state: of the file before it was read.

    others: by what was wanted, the staged file of users' rows as those of other experiments.
    """

    table: str
    state: str
    row_count: int
    others: dict[str, Path] = field(default_factory=dict)


@dataclass(slots=True)
class SharedFiles:
    """Reads each file once that more than one experiment uses.

    folder: where staged files are put. uses: by what `use_of` says, how many experiments there are.
    """

    con: DuckDBPyConnection
    folder: Path
    uses: Mapping[str, int]
    _kept: dict[str, _Kept | None] = field(default_factory=dict)

    def cut(self, file: Path, wanted: WantedRows, *, part: str, path: Path) -> StagedPart | None:
        """The rows of one experiment, staged at path; None if they are to be read by themselves.

        So they are where only one experiment uses the file, where it names none, and where a row is
        wrong, of which the place in the file is said.
        """
        use = use_of(file, wanted)
        if self.uses.get(use, 0) < 2:
            return None
        if use not in self._kept:
            self._kept[use] = explaining(file, path, lambda source: self._keep(source, wanted))
        kept = self._kept[use]
        found = self._stage(kept, wanted, part=part, where=str(file), path=path) if kept else None
        # A column that names no experiment at all is told by all of its rows.
        return found if found and found.row_count else None

    def _stage(
        self, kept: _Kept, wanted: WantedRows, *, part: str, where: str, path: Path
    ) -> StagedPart | None:
        rows = self.con.table(kept.table)
        mine = rows.filter(ColumnExpression(_EXPERIMENT) == ConstantExpression(wanted.experiment))
        counted = mine.aggregate("count(*)").fetchall()[0][0]
        ours = with_folders(mine.order(f'"{_ROW}"'), part, wanted)
        try:
            found = stage(
                self.con, ours, wanted, part=part, state=kept.state, where=where, path=path
            )
        except UserDataRefused:
            return None
        left_out = replace(found.left_out, other_experiment=kept.row_count - counted)
        others = None
        if wanted.kind is UserRows.OUTCOMES and left_out.other_experiment:
            others = self._others(kept, rows, wanted, part)
        # The same for all experiments, so that none reads the rows of all.
        return replace(found, left_out=left_out, others=others, one_in=one_in(kept.row_count))

    def _keep(self, file: Path, wanted: WantedRows) -> _Kept | None:
        """Reads the file whole; None if it has no column that names experiments."""
        state = file_state(file)
        relation = open_rows(self.con, file, wanted)
        column = wanted.names.get("experiment")
        if column is None or column not in relation.columns:
            return None
        types = {n: str(t) for n, t in zip(relation.columns, relation.types, strict=True)}
        named = FunctionExpression("trimmed", text_of(column, types)).alias(_EXPERIMENT)
        relation.select(StarExpression(), named).create_view("shared_rows", replace=True)
        table = f"shared_{len(self._kept)}"
        run(self.con, "load/shared_file", {"kept": table})
        [(row_count,)] = self.con.table(table).aggregate("count(*)").fetchall()
        return _Kept(table, state, row_count)

    def _others(self, kept: _Kept, rows: DuckDBPyRelation, wanted: WantedRows, part: str) -> Path:
        asked = repr(replace(wanted, experiment=""))
        if asked not in kept.others:
            path = self.folder / f"{kept.table}-{len(kept.others)}.parquet"
            stage_for_nobody(
                self.con,
                with_folders(rows, part, wanted),
                wanted,
                path=path,
                one_in=one_in(kept.row_count),
            )
            kept.others[asked] = path
        return kept.others[asked]


def use_of(file: Path, wanted: WantedRows) -> str:
    """Identity of a file and of how its rows tell experiments apart."""
    is_json = not {".parquet", ".pq", ".csv", ".tsv", ".txt"}.intersection(file.suffixes)
    # Of JSON only the columns that are wanted are read.
    columns = wanted.used if is_json else wanted.names.get("experiment")
    return f"{columns} {file.resolve()}"
