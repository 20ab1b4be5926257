"""Whether a recording still holds what was counted from it: its windows are known, not the file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flows.formats.text_file import is_stream
from flows.formats.time import instant
from flows.ingest.claimed_sources import ClaimedSource, claim_sources
from flows.ingest.requests.windows import loaded_windows
from flows.spec.experiment import Experiment
from flows.spec.sources import RecordingSource
from flows.warehouse.connection import open_reader, open_writer, transaction
from flows.warehouse.statements import Connection, run

_RECORDING = "recording"


def see_recordings(spec: Experiment, warehouse: Path, spec_dir: Path) -> None:
    """Has all windows counted again where another recording is in the place of the one they are of.

    A file that isn't there changes nothing: what is known of it stays known.
    Raises SourceRefused, WarehouseBusy or WarehouseUnusable; then nothing was written.
    """
    sources = (spec.sources.requests, spec.metrics_server)
    named = {one.recording for one in sources if isinstance(one, RecordingSource)}
    paths = [spec_dir / name for name in sorted(named)]
    if any(map(is_stream, paths)):
        return  # whoever reads it says so
    try:
        identity = " ".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    except OSError:
        return
    if not paths or identity == _known(spec, warehouse):
        return
    from flows.ingest.sources.recording import Recording  # noqa: PLC0415  # slow to import

    for path in paths:
        Recording(path)
    with open_writer(warehouse) as con, transaction(con):
        # Another process may have seen them meanwhile, and read their windows.
        if identity == _known_in(con, spec):
            return
        run(con, "load/unselected_windows", experiment=spec.experiment)
        claimed = ClaimedSource(_RECORDING, True, len(paths), len(paths), identity)
        claim_sources(con, spec.experiment, instant(0), [claimed])


def _known(spec: Experiment, warehouse: Path) -> str:
    """Identity of the recordings that the windows are of; nothing before a pull."""
    if not warehouse.exists():
        return ""
    with open_reader(warehouse) as con:
        return _known_in(con, spec)


def _known_in(con: Connection, spec: Experiment) -> str:
    return "".join(one.selection for one in loaded_windows(con, spec, _RECORDING).values())
