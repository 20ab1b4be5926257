"""Says which locked packages have a known advisory; exit 1 if one does.

pip-audit is asked where its database can be reached, and a dated list (advisories.toml) where not.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.version import Version

_FOLDER = Path(__file__).resolve().parent
_LOCKS = tuple(f"requirements{part}.lock" for part in ("-dev", "-spark", "-venv", ""))
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_WAIT_S = 300


def locked_in(texts: list[str]) -> dict[str, str]:
    """The version of each package that the lock files pin."""
    return {name: version for text in texts for name, version in _PINNED.findall(text)}


def ask_database(locked: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """What pip-audit says of each package; None if it reaches no database."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(f"{name}=={version}\n" for name, version in locked.items()))
        file.flush()
        options = ["--disable-pip", "--no-deps", "--progress-spinner", "off", "--timeout", "10"]
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", *options, "-f", "json", "-r", file.name],
            capture_output=True,
            text=True,
            check=False,
            timeout=_WAIT_S,
        )
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    # A mirror without advisories answers, and knows of no package.
    return None if all("skip_reason" in each for each in found) else found


def of_database(found: list[dict[str, Any]], accepted: Mapping[str, str]) -> Iterator[str]:
    """A line for each advisory that isn't accepted."""
    for package in found:
        for one in package.get("vulns", ()):
            if not {one["id"], *one.get("aliases", ())} & set(accepted):
                fixed = ", ".join(one.get("fix_versions", ())) or "no version"
                yield f"{package['name']} {package['version']}: {one['id']}; mended in {fixed}"


def of_list(
    locked: Mapping[str, str], known: Mapping[str, Mapping[str, str]], accepted: Mapping[str, str]
) -> Iterator[str]:
    """The same by the list; known: by package, the version that mends each advisory."""
    for name, advisories in known.items():
        for advisory, fixed in advisories.items():
            is_open = name in locked and Version(locked[name]) < Version(fixed)
            if is_open and advisory not in accepted:
                yield f"{name} {locked[name]}: {advisory}; mended in {fixed}"


def main() -> int:
    """Prints the advisories, and what they were looked up in."""
    listed = tomllib.loads((_FOLDER / "advisories.toml").read_text(encoding="utf-8"))
    as_of, accepted, checked = (listed.pop(name) for name in ("as_of", "accepted", "checked"))
    locked = locked_in([(_FOLDER.parent / name).read_text(encoding="utf-8") for name in _LOCKS])
    # One package tells whether all are worth asking for.
    first = dict([next(iter(locked.items()))])
    found = ask_database(locked) if ask_database(first) is not None else None
    if found is None:
        lines = list(of_list(locked, listed, accepted))
        where = f"the list of {as_of}, by hand (pip-audit reaches no database here)"
        others = sorted(f"{name} {v}" for name, v in locked.items() if checked.get(name) != v)
        if others:
            print(f"the list was not checked for {len(others)} packages: {', '.join(others)}")
    else:
        lines = list(of_database(found, accepted))
        where = "pip-audit's database"
    print(*lines, f"{len(lines)} advisories of {len(locked)} packages in {where}", sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
