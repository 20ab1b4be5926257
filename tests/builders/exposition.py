"""Reads a captured /metrics page into series, as a scrape does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.places import SHARED

_SERIES = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')

# Captured pages of real proxies, beside the repository.
PAGES = SHARED / "data" / "expositions"
MISSING = f"needs the captured pages in {PAGES.relative_to(PAGES.parents[2])}"


def series_of_page(name: str) -> Iterator[tuple[dict[str, str], float]]:
    """Labels (with __name__) and value of every series of a page; other lines are skipped."""
    for line in (PAGES / name).read_text(encoding="utf-8").splitlines():
        if found := _SERIES.match(line):
            labels = dict(_LABEL.findall(found[2] or ""))
            yield labels | {"__name__": found[1]}, float(found[3])
