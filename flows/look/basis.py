"""What a look at an experiment rests on: what can be told of it beside the warehouse, and in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flows.formats.problems import UserError
from flows.formats.text_file import read_utf8
from flows.formats.yaml_file import LARGEST_FILE
from flows.ingest.sources.local_files import file_state, find_files
from flows.spec.experiment import Experiment
from flows.spec.sources import FileSource, RecordingSource, UsersFile, UsersSums
from flows.warehouse.statements import Connection, run
from flows.workspace.software import software


@dataclass(frozen=True, slots=True)
class Basis:
    """What a look rests on beside the warehouse, as it was before its data was pulled.

    inputs: a hash of it; '' where it can't be told. is_pulled: whether only a pull can tell what is
    new in its users' sources, for they are no files.
    """

    inputs: str
    is_pulled: bool


UNKNOWN = Basis("", is_pulled=True)


def basis_of(spec: Experiment, spec_dir: Path) -> Basis:
    """What a look at an experiment rests on. To be asked before the pull: a file that changes
    meanwhile is then another one at the next look.
    """
    sources = spec.sources
    of_users = [*sources.rows.values(), *([sources.sums] if sources.sums else [])]
    is_pulled = sources.conversions is not None or any(
        not isinstance(one, FileSource | UsersFile | UsersSums) or _is_far(spec, one)
        for one in of_users
    )
    try:
        files = dict(data_files(spec, spec_dir))
        states = {name: file_state(path) for name, path in files.items()}
        manifests = [
            read_utf8(spec_dir / name, largest=LARGEST_FILE).encode() for name in spec.manifests
        ]
        where = str(spec_dir.resolve())
    except (OSError, UserError):
        # The pull or the look says what is wrong.
        return Basis("", is_pulled)
    if not all(states.values()):
        return Basis("", is_pulled)
    known = hashlib.sha256()
    for fact in (software(), where, spec.model_dump_json(), json.dumps(states)):
        known.update(f"{len(fact)} {fact}".encode())
    for content in manifests:
        known.update(b"%d " % len(content) + content)
    return Basis(known.hexdigest()[:32], is_pulled)


def evidence_of(con: Connection, looks: Mapping[str, datetime], at: datetime) -> dict[str, str]:
    """By experiment, a hash of what its look reads in the warehouse; at: when that was asked."""
    asked = {"experiments": list(looks), "looks": list(looks.values()), "at": at}
    return dict(run(con, "aggregate/look_evidence", **asked).fetchall())


def data_files(spec: Experiment, spec_dir: Path) -> Iterator[tuple[str, Path]]:
    """The files that hold the data, by what says which is which.

    Raises UserDataRefused where a glob names none; a recording needn't be there.
    """
    for source in (spec.sources.requests, spec.sources.metrics):
        if isinstance(source, RecordingSource):
            yield source.recording, spec_dir / source.recording
    patterns = {
        kind: source.files
        for kind, source in spec.sources.rows.items()
        if isinstance(source, FileSource | UsersFile) and not _is_far(spec, source)
    }
    if spec.sources.sums is not None:
        patterns["sums"] = spec.sources.sums.aggregates
    for kind, pattern in patterns.items():
        for part, path in find_files(pattern, spec_dir).items():
            yield f"{kind} {part}", path


def _is_far(spec: Experiment, source: object) -> bool:
    """Whether only an engine sees the files."""
    return (
        spec.engine is not None
        and isinstance(source, FileSource | UsersFile)
        and "://" in source.files
    )
