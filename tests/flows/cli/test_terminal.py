"""What all commands have in common on a terminal: options, names, width, time, completion.

Covers flows.cli.arguments, flows.cli.completion_command, flows.cli.elapsed, flows.cli.faults,
flows.cli.lines, flows.cli.main.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest

from flows.cli import main as cli
from flows.cli.arguments import workspace_of
from flows.cli.elapsed import elapsed_line
from flows.cli.lines import fitted
from flows.formats.problems import UserError
from tests.places import PATIENCE_S, REPOSITORY
from tests.servers.own_process import verdict


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("experiments", "other/experiments", "ci"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "exam.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "root", "warehouse", "experiments"),
    [
        ("exam", None, "var", "experiments"),
        ("exam.yaml", None, "var", "experiments"),
        ("experiments/exam.yaml", None, "var", "experiments"),
        ("./experiments/exam.yaml", None, "var", "experiments"),
        ("other/experiments/exam.yaml", None, "other/var", "other/experiments"),
        ("other/experiments/exam.yaml", "other", "other/var", "other/experiments"),
        ("other/experiments/exam.yaml", ".", "var", "other/experiments"),
        ("ci/exam.yaml", None, "var", "ci"),
    ],
)
@pytest.mark.usefixtures("here")
def test_one_spec_has_one_warehouse_however_it_is_named(
    given: str, root: str | None, warehouse: str, experiments: str
) -> None:
    options = Namespace(root=Path(root) if root else None, experiment=given)
    found = workspace_of(options)
    assert options.experiment == "exam"
    assert found.warehouse.parent.resolve() == Path(warehouse).resolve()
    assert found.experiments.resolve() == Path(experiments).resolve()


@pytest.mark.usefixtures("here")
def test_specs_of_several_folders_are_refused() -> None:
    options = Namespace(root=None, experiments=["experiments/exam.yaml", "ci/exam.yaml"])
    with pytest.raises(UserError, match="one folder"):
        workspace_of(options)


def test_every_command_has_the_shared_options() -> None:
    parser = cli.command_parser()
    (commands,) = (action.choices for action in parser._actions if action.dest == "command")
    assert commands is not None
    for name, command in dict(commands).items():
        options = {option for action in command._actions for option in action.option_strings}
        assert {"--root", "--quiet", "--debug", "--help"} <= options, name
        assert all(option.startswith("--") or option == "-h" for option in options), name
        assert all("_" not in option for option in options), name


@pytest.mark.parametrize("quiet", [("--quiet", "validate"), ("validate", "--quiet")])
def test_quiet_leaves_problems(
    here: Path, capsys: pytest.CaptureFixture[str], quiet: tuple[str, ...]
) -> None:
    shutil.copy(REPOSITORY / "experiments" / "exam-service-canary.yaml", here / "ci")
    good = str(here / "ci" / "exam-service-canary.yaml")
    assert cli.main([*quiet, good]) == 0
    assert capsys.readouterr().out == ""
    assert cli.main([*quiet, good, str(here / "ci" / "exam.yaml")]) == 2
    assert "exam.yaml:1" in capsys.readouterr().out


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("verdict ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for name in ("gate", "doctor", "dry-run", "experiments"):
        assert name in script
    program = shutil.which(shell)
    if program:
        subprocess.run([program, "-n"], input=script, text=True, check=True)


TYPED = pytest.mark.parametrize(
    ("words", "found"),
    [(("gate", "ex"), "exam"), (("deliver", "--dr"), "--dry-run"), (("doc",), "doctor")],
)


@pytest.mark.usefixtures("here")
@TYPED
def test_fish_completes(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], found: str
) -> None:
    program = shutil.which("fish")
    if program is None:
        pytest.skip("needs fish")
    cli.main(["completion", "fish"])
    Path("completion.fish").write_text(capsys.readouterr().out)
    asked = f"source completion.fish; complete -C 'verdict {' '.join(words)}'"
    ended = subprocess.run(
        [program, "-c", asked], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert ended.stderr == ""
    assert found in [line.split("\t")[0] for line in ended.stdout.splitlines()]


@pytest.mark.usefixtures("here")
@TYPED
def test_bash_completes(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], found: str
) -> None:
    cli.main(["completion", "bash"])
    script = capsys.readouterr().out
    typed = " ".join(words)
    asked = (
        f"{script}\nCOMP_WORDS=(verdict {typed}); COMP_CWORD={len(words)}\n"
        f"COMP_LINE='verdict {typed}'; COMP_POINT=${{#COMP_LINE}}\n"
        f"_shtab_verdict verdict {words[-1]} {words[-2] if len(words) > 1 else 'verdict'}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    ended = subprocess.run(
        ["bash", "-c", asked], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert found in ended.stdout.split()


def test_elapsed_time_is_shown_after_a_while_and_taken_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flows.cli.elapsed._AFTER_S", 0.01)
    terminal = io.StringIO()
    with elapsed_line("gate exam", terminal) as line:
        deadline = time.monotonic() + 10
        while "gate exam: 0 s" not in terminal.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        line.hide()
        assert terminal.getvalue().endswith("gate exam: 0 s\r\x1b[K")
    monkeypatch.setattr("flows.cli.elapsed._AFTER_S", 60)
    quick = io.StringIO()
    with elapsed_line("gate exam", quick):
        pass
    assert quick.getvalue() == ""


def test_sentences_are_broken_between_words_for_people_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "  - latency: " + "a-long-name-that-stays-whole " * 12
    monkeypatch.delenv("COLUMNS", raising=False)
    assert fitted(text) == text
    for columns in (40, 80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = fitted(text, indent="    ").splitlines()
        assert max(map(len, lines)) <= columns
        assert " ".join(lines).split() == text.split()
        assert len(lines) >= len(text) / columns


def test_errors_are_broken_between_words_for_people_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe gets one line, also where COLUMNS is set."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "40")
    for stream, lines in ((Terminal(), 3), (io.StringIO(), 1)):
        monkeypatch.setattr("sys.stderr", stream)
        assert cli.main(["--root", str(tmp_path), "serve", "--host", "0.0.0.0"]) == 2
        said = stream.getvalue().splitlines()
        assert len(said) >= lines
        assert (lines == 1) == (len(said) == 1)
        assert lines == 1 or max(map(len, said)) <= 40
        assert "name it with --token-env" in " ".join(map(str.strip, said))


def test_no_color_is_honoured_on_a_terminal(tmp_path: Path) -> None:
    """script(1) gives the command a terminal of its own."""
    program = shutil.which("script")
    if program is None:
        pytest.skip("needs script(1), of bsdutils")
    shutil.copytree(REPOSITORY / "demo", tmp_path / "demo")
    (tmp_path / "experiments").mkdir()
    shutil.copy(REPOSITORY / "experiments" / "exam-service-canary.yaml", tmp_path / "experiments")
    assert verdict("--root", tmp_path, "run").returncode == 0  # what follows has nothing to judge
    command = f"{sys.executable} -m flows.cli --root {tmp_path} run"
    shown = {}
    for name, colours in (("with", {}), ("without", {"NO_COLOR": "1"})):
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "TERM": "xterm"}
        shown[name] = subprocess.run(
            [program, "-qec", command, "/dev/null"],
            env={**environment, **colours},
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        ).stdout
    assert "\x1b[1;32m" in shown["with"]
    assert "\x1b[1;32m" not in shown["without"]
    assert "promote" in shown["without"]
