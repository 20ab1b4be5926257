"""A look stands as long as nothing that it rests on changed, and not a moment longer.

Covers flows.look.basis, too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from flows.cli.main import main
from flows.look.look import look_at_experiment
from flows.look.seen import standing_looks
from flows.look.verdict_document import VerdictDocument
from flows.warehouse.connection import open_writer
from flows.workspace.experiments import select
from flows.workspace.paths import Workspace
from tests.flows.look.test_dependencies import END, START, write

LATER = END + timedelta(days=1)


def standing(root: Path, at: datetime = LATER) -> set[str]:
    workspace = Workspace(root)
    return set(standing_looks(workspace, select(workspace).specs, at))


def settle(root: Path) -> None:
    for name in ("first", "second"):
        if name not in standing(root):
            look_at_experiment(Workspace(root), name, at=LATER)
    assert standing(root) == {"first", "second"}


def make(root: Path, name: str, *, after: str = "[]", bad: int = 9) -> None:
    """An experiment of all files whose names begin with its own."""
    write(root, name, after=after, bad=bad)
    path = root / "experiments" / f"{name}.yaml"
    path.write_text(path.read_text().replace(f"files: {name}.csv", f"files: {name}*.csv"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seen")
    for name, after in (("first", "[]"), ("second", "[first]")):
        make(folder, name, after=after)
    return folder


@pytest.fixture
def root(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both experiments, each with a look that stands; looks are dear, so tests share them."""
    # Files of this very moment are never trusted; these are.
    monkeypatch.setattr("flows.ingest.sources.local_files._CLOCK_TICK_NS", 0)
    settle(made)
    return made


def _same_size_and_time(root: Path) -> None:
    file = root / "experiments" / "first.csv"
    status, text = file.stat(), file.read_text()
    file.write_text(text.replace("u8,a,1", "u8,a,0"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_size == status.st_size


def _sql(statement: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        with open_writer(Workspace(root).warehouse) as con:
            con.execute(statement)

    return change


def _spec(root: Path) -> None:
    path = root / "experiments" / "first.yaml"
    text = path.read_text()
    other = "margin: 0.2" if "margin: 0.1" in text else "margin: 0.1"
    path.write_text(re.sub(r"margin: 0\.\d", other, text))


def _verdict(root: Path) -> Path:
    return next((root / "verdicts" / "first").glob("20260315*.json"))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a field of the spec": _spec,
    "a file with the same size and time": _same_size_and_time,
    "one more file": lambda root: (root / "experiments" / "first2.csv").write_text(
        "user_id,variant,done\nx1,a,1\nx2,b,1\n"
    ),
    "a file is gone": lambda root: (root / "experiments" / "first2.csv").unlink(),
    "users are to be forgotten": lambda root: main(["--root", str(root), "forget", "u8"]),
    "a load by somebody else": _sql(
        "update pulls set generation = generation + 1 where experiment = 'first'"
    ),
    "a part by somebody else": _sql(
        "update user_parts set generation = generation + 1 where experiment = 'first'"
    ),
    "a delivery": _sql(
        "insert into delivery_events values ('first', 1, 1, '2026-03-02', 'began', 1, null, 1, '')"
    ),
    "an approval": _sql(
        "insert into signal_approvals values ('first', 'done', 'b', '2026-03-02', 1.0, '')"
    ),
    "an earlier look": _sql(
        "insert into looks values ('first', '2026-03-02', '2026-03-01', null, 'x', 'x')"
    ),
    "the verdict's file is gone": lambda root: _verdict(root).unlink(),
    "the verdict's file was edited": lambda root: _verdict(root).write_text(
        _verdict(root).read_text().replace('"reasons": [', '"reasons": ["", ')
    ),
    "the verdict is gone": _sql("delete from verdicts where experiment = 'first'"),
}


def test_another_verdict_of_the_first_is_news_to_the_second(root: Path) -> None:
    # The first test, while both are promoted: users without times are judged once.
    make(root, "first", bad=5)
    assert look_at_experiment(Workspace(root), "first", at=LATER).decision.value == "invalid"
    assert standing(root) == {"first"}
    assert look_at_experiment(Workspace(root), "second", at=LATER).decision.value == "hold"


def test_whatever_changes_asks_for_a_new_look(root: Path) -> None:
    for name, change in CHANGES.items():
        change(root)
        assert "first" not in standing(root), name
        settle(root)


def test_what_other_software_said_does_not_stand(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.look.basis.software", lambda: "another version")
    assert standing(root) == set()


def test_a_file_that_changed_just_now_is_not_trusted(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.ingest.sources.local_files._CLOCK_TICK_NS", 10**15)
    assert standing(root) == set()


@pytest.mark.parametrize(
    ("at", "stands"),
    [
        (START - timedelta(days=1), False),
        (END - timedelta(days=1), False),
        (END, True),
        (END + timedelta(days=400), True),
    ],
)
def test_time_asks_for_a_new_look_until_the_plan_ends(
    root: Path, at: datetime, stands: bool
) -> None:
    assert ("first" in standing(root, at)) is stands


def test_what_stands_is_the_verdict_that_was_written(root: Path) -> None:
    workspace = Workspace(root)
    found = standing_looks(workspace, select(workspace).specs, LATER)
    for one in found.values():
        path = one.document.path_in(workspace.verdicts)
        assert one.document.to_json() == one.text == path.read_text()


def test_an_approval_counts_from_its_time_on(root: Path) -> None:
    late = LATER + timedelta(days=1)
    _sql(f"insert into signal_approvals values ('first', 'done', 'b', '{late}', 1.0, '')")(root)
    assert "first" in standing(root, LATER)
    assert "first" not in standing(root, late)


def test_killed_between_record_and_file_the_look_is_made_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spec(root)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(VerdictDocument, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        look_at_experiment(Workspace(root), "first", at=LATER)
    assert "first" not in standing(root)


def test_run_says_that_there_is_nothing_new(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--root", str(root), "run", "--at", LATER.isoformat()]
    main(arguments)
    first = capsys.readouterr().out
    assert first.count("nothing new: ") == 2
    verdict, page = _verdict(root), root / "var" / "report" / "first.html"
    before = verdict.stat(), page.stat()
    main(arguments)
    assert capsys.readouterr().out == first
    assert (verdict.stat(), page.stat()) == before
    make(root, "first", bad=5)
    main(arguments)
    out = capsys.readouterr().out
    assert "nothing new" not in out  # the second comes after it
    assert "1 invalid" in out
    assert page.stat() != before[1]


def test_a_gate_that_prints_what_stands_imports_no_statistics(root: Path) -> None:
    code = (
        "import sys\n"
        "from flows.cli.main import main\n"
        "main(sys.argv[1:])\n"
        "heavy = {'numpy', 'scipy', 'polars', 'pyarrow', 'requests', 'analysis.verdict'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    asked = ["--root", str(root), "gate", "first", "--at", LATER.isoformat()]
    # Another process trusts no file of the last two seconds.
    changed = max(file.stat().st_ctime for file in (root / "experiments").iterdir())
    time.sleep(max(0.0, changed + 2.5 - time.time()))
    said = subprocess.run(
        [sys.executable, "-c", code, *asked], capture_output=True, text=True, check=True
    ).stdout
    assert said.splitlines()[-1] == "[]"
