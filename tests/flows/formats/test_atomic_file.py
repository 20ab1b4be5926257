"""Files that are there whole or not at all, and nothing beside them, whoever is killed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from flows.formats.atomic_file import prepared, write_atomically
from flows.formats.scratch_folder import scratch_folder
from tests.servers.other_process import process

IN_SCRATCH = """
import sys
from pathlib import Path
from flows.formats.atomic_file import prepared
from flows.formats.scratch_folder import scratch_folder
path = Path(sys.argv[1])
with prepared({path: "new"}), scratch_folder("verdict-try-") as folder:
    (folder / "rows").write_text("secret")
    print(folder, flush=True)
    sys.stdin.readline()
"""


def test_the_text_is_there_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in path.parent.iterdir()] == ["b.json"]


def test_nothing_is_replaced_where_one_can_not_be(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    texts = {tmp_path / "first": "x", tmp_path / "taken": "x"}
    with pytest.raises(IsADirectoryError), prepared(texts) as put_in_place:
        put_in_place()
    assert [each.name for each in tmp_path.iterdir()] == ["taken"]


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    for folder in (tmp_path / "temporary", tmp_path / "out"):
        folder.mkdir()
    path = tmp_path / "out" / "latest.json"
    others = [tmp_path / "out" / ".of-a-person.part", tmp_path / "temporary" / "verdict-try-it"]
    earlier = tmp_path / "out" / ".latest.json.ab12_xyz.part"
    for each in (*others, earlier):
        each.write_text("x")

    def write() -> set[Path]:
        write_atomically(path, "text")
        with scratch_folder("verdict-try-"):
            pass
        return {*path.parent.iterdir(), *(tmp_path / "temporary").iterdir()}

    with process(IN_SCRATCH, str(path)) as other:
        assert len(write() - {path, *others}) == 2
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert write() == {path, *others}
