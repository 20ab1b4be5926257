"""Rows are kept aside in a folder that is gone afterwards; only its own faults are its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from flows.ingest.sources.user_rows import UserRows
from flows.ingest.users.parts import known_parts
from flows.ingest.users.staging import Staging, StagingFailed, stage_source
from flows.warehouse.connection import open_writer
from tests.builders.user_specs import pull, spec_of, write_exposures, write_outcomes


@contextmanager
def staging_folder() -> Iterator[Path]:
    with Staging(Path("none/var/w.duckdb")) as staging, staging.place() as (folder, _):
        yield folder


def test_the_folder_is_gone_afterwards_whatever_happens() -> None:
    with staging_folder() as folder:
        (folder / "rows").write_text("1")
    assert not folder.exists()
    with pytest.raises(ZeroDivisionError), staging_folder() as folder:
        _ = 1 / 0
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(StagingFailed, match="can't be kept aside"), staging_folder():
        pass


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            duckdb.OutOfMemoryException("no room"),
            "than there is: no room. Raise VERDICT_MEMORY_LIMIT",
        ),
        (duckdb.IOException('Could not write file "{folder}/x": No space left'), "set TMPDIR"),
    ],
)
def test_what_is_wrong_with_memory_or_the_folder_is_said(error: Exception, said: str) -> None:
    with pytest.raises(StagingFailed, match=said), staging_folder() as folder:
        raise type(error)(str(error).replace("{folder}", str(folder)))


def test_what_is_wrong_in_a_source_or_the_warehouse_passes() -> None:
    with pytest.raises(duckdb.IOException, match="warehouse"), staging_folder():
        raise duckdb.IOException("the warehouse is at fault")


def test_only_what_is_new_is_staged_and_what_is_gone_is_named(tmp_path: Path) -> None:
    spec = spec_of()
    write_outcomes(tmp_path, [])
    for number in (1, 2):
        write_exposures(tmp_path, [(number, "a", 0)], f"exposures-{number}.csv")
    pull(spec, tmp_path)
    with open_writer(tmp_path / "w.duckdb") as con:
        known = known_parts(con, spec)[UserRows.EXPOSURES]
    (tmp_path / "exposures-1.csv").unlink()
    write_exposures(tmp_path, [(3, "b", 0)], "exposures-3.csv")
    source = spec.sources.exposures
    assert source is not None
    with Staging(tmp_path / "w.duckdb") as staging, staging.place() as (folder, shared):
        found = stage_source(
            spec,
            UserRows.EXPOSURES,
            source,
            known,
            spec_dir=tmp_path,
            folder=folder,
            shared=shared,
        )
        assert {each.part for each in found.staged} >= {"exposures-3.csv"}
        assert {each.part for each in found.staged} | set(found.unchanged) == {
            "exposures-2.csv",
            "exposures-3.csv",
        }
        assert found.vanished == ("exposures-1.csv",)
        assert all(each.path.parent == folder for each in found.staged)
