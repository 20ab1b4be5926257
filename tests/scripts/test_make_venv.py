"""scripts/make-venv where python3 is as Debian ships it: without ensurepip, which a package holds.

The programs on PATH are stand-ins that say what they were asked: nothing is installed here.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.places import REPOSITORY

PACKAGE = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
RUN = f"Run: sudo apt-get install {PACKAGE}"

# Without the file `installed`, `import ensurepip` fails as on a bare Debian. With the file `quick`
# an environment is made without pip, which takes seconds.
_PYTHON = """\
#!/bin/sh
[ -e "{folder}/installed" ] || export PYTHONPATH="{folder}/bare"
[ -e "{folder}/quick" ] && [ "$1 $2" = "-m venv" ] && set -- -m venv --without-pip "$3"
exec "{python}" "$@"
"""
_MISSING = "raise ModuleNotFoundError(\"No module named 'ensurepip'\", name='ensurepip')\n"


@dataclass(frozen=True, slots=True)
class Debian:
    """A machine by the programs that it has, and what was called on it."""

    folder: Path

    def add(self, name: str, script: str) -> None:
        """A program that notes its call and then does what the script says."""
        path = self.folder / "bin" / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self.folder}/calls"\n{script}\n')
        path.chmod(0o755)

    def make_venv(self, python: str = "python3") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [REPOSITORY / "scripts" / "make-venv", python, self.venv],
            env={"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def venv(self) -> Path:
        """The environment that is to be made."""
        return self.folder / "venv"

    @property
    def calls(self) -> list[str]:
        """The programs called so far, with their arguments."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def debian(tmp_path: Path) -> Debian:
    """Root on a Debian without python3-venv, and without a network."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "ensurepip.py").write_text(_MISSING)
    python = tmp_path / "bin" / "python3"
    python.write_text(_PYTHON.format(folder=tmp_path, python=sys.executable))
    python.chmod(0o755)
    (tmp_path / "quick").touch()
    machine = Debian(tmp_path)
    machine.add("apt-get", "echo 'E: Unable to locate package'; exit 100")
    # Only whether it is root is asked.
    (tmp_path / "bin" / "id").write_text("#!/bin/sh\necho 0\n")
    (tmp_path / "bin" / "id").chmod(0o755)
    return machine


def become_user(debian: Debian) -> None:
    (debian.folder / "bin" / "id").write_text("#!/bin/sh\necho 1000\n")


def test_package_that_cannot_be_installed_is_named(debian: Debian) -> None:
    done = debian.make_venv()
    assert done.returncode == 1
    assert done.stderr == f"python3 can't make a virtual environment. {RUN}\n"
    # A machine that was never updated knows no packages yet.
    assert debian.calls == [
        f"apt-get install -y -q {PACKAGE}",
        "apt-get update -q",
    ]
    assert not debian.venv.exists()


def test_user_without_sudo_gets_the_same_sentence(debian: Debian) -> None:
    """`sudo -n` never asks for a password: `make demo` must not hang."""
    become_user(debian)
    debian.add("sudo", "echo 'sudo: a password is required' >&2; exit 1")
    done = debian.make_venv()
    assert (done.returncode, RUN in done.stderr) == (1, True)
    assert "password" not in done.stderr
    assert debian.calls == [
        f"sudo -n apt-get install -y -q {PACKAGE}",
        "sudo -n apt-get update -q",
    ]


@pytest.mark.parametrize("user", ["root", "user"])
def test_package_that_can_be_installed_is_and_the_environment_works(
    debian: Debian, user: str
) -> None:
    debian.add("apt-get", f'touch "{debian.folder}/installed"')
    if user == "user":
        become_user(debian)
        debian.add("sudo", 'shift; exec "$@"')
    done = debian.make_venv()
    assert done.returncode == 0, done.stderr
    assert PACKAGE in done.stdout
    assert f"apt-get install -y -q {PACKAGE}" in debian.calls
    assert "apt-get update -q" not in debian.calls
    assert (debian.venv / "bin" / "python").exists()


def test_package_lists_are_fetched_where_there_are_none(debian: Debian) -> None:
    debian.add(
        "apt-get",
        f'case "$1" in update) touch "{debian.folder}/lists";; '
        f'*) [ -e "{debian.folder}/lists" ] && touch "{debian.folder}/installed";; esac',
    )
    assert debian.make_venv().returncode == 0
    assert debian.calls == [
        f"apt-get install -y -q {PACKAGE}",
        "apt-get update -q",
        f"apt-get install -y -q {PACKAGE}",
    ]


def test_package_that_does_not_help_is_not_taken_for_success(debian: Debian) -> None:
    """A python3 that isn't Debian's own stays without ensurepip."""
    debian.add("apt-get", "exit 0")
    done = debian.make_venv()
    assert (done.returncode, RUN in done.stderr) == (1, True)
    assert not debian.venv.exists()


def test_python_with_everything_installs_nothing(debian: Debian) -> None:
    (debian.folder / "installed").touch()
    (debian.folder / "quick").unlink()
    done = debian.make_venv()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert debian.calls == []
    pip = [str(debian.venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    listed = subprocess.run(
        [*pip, "list", "--format=freeze"], check=True, capture_output=True, text=True
    ).stdout.split()
    lock = (REPOSITORY / "requirements-venv.lock").read_text().splitlines()
    assert {line.split()[0] for line in lock if "==" in line} <= set(listed)


def test_old_python_is_named_with_what_to_do(debian: Debian) -> None:
    old = debian.folder / "bin" / "python3.9"
    old.write_text('#!/bin/sh\ncase "$1" in -V) echo "Python 3.9.2";; *) exit 1;; esac\n')
    old.chmod(0o755)
    done = debian.make_venv("python3.9")
    assert done.returncode == 1
    assert done.stderr == (
        "Python 3.11 or newer is needed; python3.9 is Python 3.9.2. "
        "Name one: make PYTHON=python3.12\n"
    )
