"""The HTML report in a real Chromium, as wide as a small phone and as a desk's screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboards.html_report import experiment_page, index_page
from tests.builders.reports import entry, report
from tests.servers.browser import loaded

# The page's own width, then every element that reaches out of it, then whether rows are cards.
MEASURE = """
const width = page.documentElement.clientWidth;
const out = [...page.body.querySelectorAll('*')]
    .filter(each => each.getBoundingClientRect().right > width + 1 && !each.closest('thead'))
    .map(each => each.tagName);
const row = page.querySelector('tbody tr');
const rows = getComputedStyle(row).display;
return [page.documentElement.scrollWidth, width, out.join(), rows].join(' ');
"""


@pytest.mark.parametrize(("width", "rows"), [(360, "block"), (760, "block"), (1200, "table-row")])
def test_nothing_overflows(tmp_path: Path, width: int, rows: str) -> None:
    long = "a-" + "very-" * 8 + "long-name"
    index = index_page([entry("b" * 63)]).partition('class="index">')[2].partition("</main>")[0]
    page = experiment_page(report("b" * 63, text=long)).replace("</main>", index)
    found = loaded(page, MEASURE, width=width, folder=tmp_path)
    assert found.split(" ") == [str(width), str(width), "", rows]
