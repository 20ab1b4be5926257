"""How much of the machine DuckDB may take: by the environment, verdict.toml, or half of it."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from flows.formats.problems import UserError, os_reason

SETTINGS = {
    "memory_limit": "VERDICT_MEMORY_LIMIT",
    "threads": "VERDICT_THREADS",
    "temp_directory": "VERDICT_TEMP_DIRECTORY",
}
"""What can be set in the table [duckdb] of verdict.toml, and the environment variable of each."""

_WANTED = {
    "memory_limit": "a size such as 4GB",
    "threads": "a whole number from 1 on",
    "temp_directory": "the path of a folder",
}


def said_of_memory(error: Exception) -> str:
    """DuckDB's words without its own remedies, and the settings of ours that help."""
    said, _, _ = " ".join(str(error).split()).partition(" Possible solutions")
    return (
        f"{said}. Raise VERDICT_MEMORY_LIMIT (memory_limit in verdict.toml), or lower "
        "VERDICT_THREADS"
    )


class WrongResources(UserError):
    """A setting of the resources is no such thing; the message says where and what it must be."""


def resources_of(warehouse: Path) -> dict[str, str]:
    """DuckDB's settings for a project, which is where its warehouse is: ROOT/var/FILE.

    Raises WrongResources.
    """
    file = warehouse.parent.parent / "verdict.toml"
    written = _read(file)
    found = {"memory_limit": _half_of_memory()}
    for name, variable in SETTINGS.items():
        value, where = os.environ.get(variable, ""), f"environment variable {variable}"
        if not value and name in written:
            value, where = str(written[name]), f"{file}: duckdb.{name}"
        if value:
            _check(name, value, where)
            found[name] = value
    return found


def _read(file: Path) -> dict[str, object]:
    if not file.exists():
        return {}
    import tomllib  # noqa: PLC0415  # every gate comes by here, and most projects have no file

    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WrongResources(f"{file}: can't be read: {os_reason(error)}") from error
    # A misspelt table would leave all of its settings without effect.
    table = tables.pop("duckdb", {})
    own = set(table) - set(SETTINGS) if isinstance(table, dict) else {"duckdb"}
    unknown = sorted({*tables, *own})
    if unknown:
        known = ", ".join(SETTINGS)
        raise WrongResources(
            f"{file}: unknown field {unknown[0]!r}; there is [duckdb] with {known}"
        )
    return dict(table)


def _check(name: str, value: str, where: str) -> None:
    units = ("KB", "MB", "GB", "TB", "KIB", "MIB", "GIB", "TIB")
    size = value.upper().replace(" ", "")
    unit = next((u for u in sorted(units, key=len, reverse=True) if size.endswith(u)), "")
    number = size.removesuffix(unit).replace(".", "", 1)
    is_good = {
        "memory_limit": bool(unit) and number.isdecimal() and float(number) > 0,
        "threads": value.isdecimal() and int(value) > 0,
        "temp_directory": True,
    }
    if not is_good[name]:
        raise WrongResources(f"{where} is {value!r}, must be {_WANTED[name]}")


@cache
def _half_of_memory() -> str:
    """Of this machine, or of what its control group lets us have."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limit = Path("/sys/fs/cgroup", name).read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if limit.isdecimal():
            found = min(found, int(limit))
    return f"{max(found // 2 >> 20, 64)}MiB"
