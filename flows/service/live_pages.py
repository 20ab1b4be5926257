"""The report's pages, made of what is in the warehouse now."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dashboards.html_report import INDEX, experiment_page, index_page
from dashboards.page_templates import Site, page_of
from dashboards.report_view import BrokenSpec
from flows.publish.addresses import read_addresses
from flows.publish.publish_all import broken_specs, state_of
from flows.publish.published import Published
from flows.publish.report import report_views
from flows.service.grants import Grant
from flows.service.http import Refused, shown
from flows.spec.experiment import Experiment
from flows.workspace.experiments import Selection, select_readable
from flows.workspace.paths import Workspace

# Each has less than a megabyte.
_MOST_PAGES = 32


@dataclass(frozen=True, slots=True)
class Page:
    """One page; state: differs when its content does."""

    state: str
    text: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: what they may, and whether they can sign out."""

    grant: Grant
    has_session: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """What there is.

    warehouse, files: the state of what it was read from; chosen: of the files alone. states: by
    experiment.
    """

    warehouse: tuple[object, ...]
    files: tuple[object, ...]
    chosen: Selection
    specs: Mapping[str, Experiment]
    broken: tuple[BrokenSpec, ...]
    common: str
    states: Mapping[str, str]


class LivePages:
    """Pages of one workspace. Its functions block: they are to be called in worker threads.

    While no file has changed nothing is read, and a page is made once for each of its states.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._grafana = read_addresses().grafana
        self._known: _Known | None = None
        self._reading = threading.Lock()
        self._pages: OrderedDict[tuple[str, Grant, bool], Page] = OrderedDict()

    def state(self, page: str, reader: Reader) -> str:
        """The state of a page. Raises Refused (403, 404), WarehouseBusy or WarehouseUnusable."""
        return self._state(self._look_up(), page, reader)

    def page(self, page: str, reader: Reader) -> Page:
        """A page by its file's name. Raises as `state`."""
        known = self._look_up()
        state, key = self._state(known, page, reader), (page, reader.grant, reader.has_session)
        found = self._pages.get(key)
        if found is None or found.state != state:
            site = Site(self._grafana, state, reader.has_session)
            found = Page(state, self._text(known, page, reader.grant, site))
            self._pages[key] = found
            self._pages.move_to_end(key)
            while len(self._pages) > _MOST_PAGES:
                self._pages.popitem(last=False)
        return found

    def _state(self, known: _Known, page: str, reader: Reader) -> str:
        names = _specs_on(known, page, reader.grant)
        facts = (
            known.common,
            self._grafana,
            str(reader.has_session),
            *(f"{name} {known.states[name]}" for name in names),
            *(map(repr, _broken_for(known, reader.grant)) if page == INDEX else ()),
        )
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]

    def _text(self, known: _Known, page: str, grant: Grant, site: Site) -> str:
        specs = [known.specs[name] for name in _specs_on(known, page, grant)]
        warehouse = self._workspace.warehouse
        if page == INDEX:
            only = known.specs
            found = report_views(warehouse, specs, index_only=only) if warehouse.exists() else None
            return index_page(found.entries if found else (), _broken_for(known, grant), site)
        reports = report_views(warehouse, specs).reports if warehouse.exists() else []
        if not reports:
            raise Refused(404, f"{specs[0].experiment} has no verdict yet")
        return experiment_page(reports[0], site)

    def _look_up(self) -> _Known:
        with self._reading:
            return self._read()

    def _read(self) -> _Known:
        known, warehouse, files = self._known, self._warehouse_state(), self._files()
        if known is None or (known.warehouse, known.files) != (warehouse, files):
            # Looks write to the warehouse all the time, people seldom to the specs.
            is_kept = known is not None and known.files == files
            chosen = known.chosen if known and is_kept else select_readable(self._workspace)
            # A page that was published before the spec broke is not what is served.
            broken = [replace(one, has_page=False) for one in broken_specs(self._workspace, chosen)]
            specs = {spec.experiment: spec for spec in chosen.experiments}
            found = Published("", dict.fromkeys(specs, ""))
            if self._workspace.warehouse.exists():
                found = state_of(self._workspace, chosen, broken)
            known = _Known(
                warehouse, files, chosen, specs, tuple(broken), found.common, found.experiments
            )
            self._known = known
        return known

    def _warehouse_state(self) -> tuple[object, ...]:
        path = self._workspace.warehouse
        return (_file_state(path), _file_state(path.with_name(f"{path.name}.wal")))

    def _files(self) -> tuple[object, ...]:
        """Of the specs, and what lies beside them."""
        folder, paths = self._workspace.experiments, list[Path]()
        for spec in self._known.specs.values() if self._known else ():
            paths += [folder / name for name in spec.manifests]
        return tuple(map(_file_state, [*paths, *sorted(folder.rglob("*"))]))


def _specs_on(known: _Known, page: str, grant: Grant) -> list[str]:
    """The experiments that a page shows. Raises Refused: 403 before 404."""
    if page == INDEX:
        return [name for name in sorted(known.specs) if grant.is_for(name)]
    name = page.removesuffix(".html")
    name = "index" if page == page_of("index") else name
    grant.check(name, deciding=False)
    broken = next((one for one in known.broken if one.experiment == name), None)
    if broken is not None and page == page_of(name):
        raise Refused(404, f"{name}: its spec can't be read: {broken.problems[0]}")
    if name not in known.specs or page != page_of(name):
        raise Refused(404, f"there is no experiment {shown(name)}")
    return [name]


def _broken_for(known: _Known, grant: Grant) -> list[BrokenSpec]:
    return [one for one in known.broken if grant.is_for(one.experiment)]


def _file_state(path: Path) -> tuple[object, ...]:
    try:
        status = path.stat()
    except OSError:
        return (str(path),)
    return (str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
