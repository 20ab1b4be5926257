"""Known advisories of what is locked: by a database where one answers, by the dated list if not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.places import PATIENCE_S, REPOSITORY

# In the place of pip-audit: it answers what the test says, of the packages that it is asked for.
_PIP_AUDIT = """
import json, sys
from pathlib import Path
names = [line.split("==") for line in Path(sys.argv[-1]).read_text().split()]
print({answer})
"""


def audit(
    folder: Path, answer: str, *, lock: str = "requests==2.99.0\n", accepted: str = ""
) -> subprocess.CompletedProcess[str]:
    """The script in a tree of its own."""
    for name in ("scripts", "library"):
        (folder / name).mkdir()
    script = folder / "scripts" / "audit.py"
    script.write_text((REPOSITORY / "scripts" / "audit.py").read_text())
    listed = (REPOSITORY / "scripts" / "advisories.toml").read_text()
    (folder / "scripts" / "advisories.toml").write_text(
        listed.replace("[accepted]\n", f"[accepted]\n{accepted}\n")
    )
    for locked in REPOSITORY.glob("requirements*.lock"):
        (folder / locked.name).write_text(lock)
    (folder / "library" / "pip_audit.py").write_text(_PIP_AUDIT.format(answer=answer))
    return subprocess.run(
        [sys.executable, str(script)],
        env={"PYTHONPATH": str(folder / "library"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def told(**fields: Any) -> str:
    """An answer that says this of each package."""
    each = f"{{'name': n, 'version': v, **{fields}}}"
    return f"json.dumps({{'dependencies': [{each} for n, v in names]}})"


UNREACHED = {"no network": "'ERROR: no connection'", "a mirror": told(skip_reason="not found")}


@pytest.mark.parametrize("answer", UNREACHED.values(), ids=UNREACHED)
def test_without_a_database_the_dated_list_is_asked(tmp_path: Path, answer: str) -> None:
    done = audit(tmp_path, answer, lock="requests==2.31.0 \\\n    --hash=sha256:00\nother==1.0\n")
    assert done.returncode == 1
    assert "requests 2.31.0: CVE-2024-35195; mended in 2.32.0\n" in done.stdout
    assert "CVE-2023-32681" not in done.stdout
    assert "2 advisories of 2 packages in the list of 20" in done.stdout
    told = "the list was not checked for 2 packages: other 1.0, requests 2.31.0\n"
    assert told in done.stdout


def test_what_is_mended_or_accepted_is_no_finding(tmp_path: Path) -> None:
    accepted = 'CVE-2024-35195 = "verify is never off"\nCVE-2024-47081 = "no netrc"'
    done = audit(tmp_path, "", lock="requests==2.31.0\n", accepted=accepted)
    assert (done.returncode, done.stdout.count("CVE-")) == (0, 0)


def test_the_database_comes_first(tmp_path: Path) -> None:
    one = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": ["3.0"]}
    done = audit(tmp_path, told(vulns=[one]), lock="requests==2.31.0\n")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "requests 2.31.0: PYSEC-2026-1; mended in 3.0",
        "1 advisories of 1 packages in pip-audit's database",
    ]


def test_our_own_locks_have_no_advisory_of_the_list(tmp_path: Path) -> None:
    locks = ("requirements-dev.lock", "requirements-venv.lock", "requirements.lock")
    lock = "".join((REPOSITORY / name).read_text() for name in locks)
    done = audit(tmp_path, "", lock=lock)
    assert done.returncode == 0, done.stdout


def test_the_bill_of_materials_names_every_locked_package(tmp_path: Path) -> None:
    made = subprocess.run(
        ["make", "-n", "sbom"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    command = made.partition("cyclonedx-py")[2].partition("echo")[0].replace("\\\n", " ").split()
    command[command.index("-o") + 1] = str(tmp_path / "sbom.json")
    subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", *command],
        cwd=REPOSITORY,
        check=True,
        timeout=PATIENCE_S,
    )
    bill = json.loads((tmp_path / "sbom.json").read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == (
        "CycloneDX",
        "split-verdict",
    )
    lines = (REPOSITORY / "requirements.lock").read_text().splitlines()
    locked = {line.split()[0] for line in lines if "==" in line}
    assert {f"{c['name']}=={c['version']}" for c in bill["components"]} == locked
    assert all(each["purl"].startswith("pkg:pypi/") for each in bill["components"])
