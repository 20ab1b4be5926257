"""Pages and dashboards of experiments that have no spec any more: publishing takes them away."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path

from dashboards.experiment_view import EXPERIMENT_TAG, uid_of
from dashboards.html_report import INDEX, is_page_of
from dashboards.page_templates import page_of
from flows.workspace.paths import Workspace

# Bytes: no dashboard of ours is larger.
_LARGEST = 16 << 20


def remove_leftovers(workspace: Workspace, known: Collection[str]) -> None:
    """Removes what was published of experiments that aren't known; of other files none.

    A file is ours by its name and by what is in it: somebody may keep other dashboards and pages in
    these folders. Raises OSError.
    """
    for path in (*_dashboards(workspace.dashboards, known), *_pages(workspace.report, known)):
        path.unlink(missing_ok=True)


def _dashboards(folder: Path, known: Collection[str]) -> Iterator[Path]:
    kept = {f"{uid_of(name)}.json" for name in known}
    for path in folder.glob("sv-*.json"):
        if path.name not in kept and path.is_file() and _is_dashboard(path):
            yield path


def _is_dashboard(path: Path) -> bool:
    try:
        if path.stat().st_size > _LARGEST:
            return False
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict):
        return False
    tags = found.get("tags")
    return found.get("uid") == path.stem and isinstance(tags, list) and EXPERIMENT_TAG in tags


def _pages(folder: Path, known: Collection[str]) -> Iterator[Path]:
    kept = {INDEX, *map(page_of, known)}
    for path in folder.glob("*.html"):
        if path.name in kept or not path.is_file():
            continue
        # An experiment that is called index has a page of another name.
        text = path.read_text(encoding="utf-8", errors="replace")
        if is_page_of(path.stem.removesuffix("_"), text) or is_page_of(path.stem, text):
            yield path
