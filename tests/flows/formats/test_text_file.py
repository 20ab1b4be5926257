"""A pipe in a file's place is said at once: who opened it would wait for somebody to write."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.delivery.targets.envoy_routes import EnvoyRoutes
from flows.delivery.targets.target import TargetRefused
from flows.formats.problems import InputError
from flows.formats.text_file import is_stream, read_utf8
from flows.ingest.requests.recordings import see_recordings
from flows.ingest.sources.prometheus_connection import Patience, PrometheusConnection
from flows.ingest.sources.recording import Recording
from flows.ingest.sources.samples import SourceRefused
from flows.look.basis import basis_of
from flows.spec.sources import PrometheusSource
from flows.workspace.experiments import load_spec
from tests.builders.delivery_workspace import SPEC

_PATIENCE = Patience(connect_s=1, read_s=1, whole_s=1, budget_s=1, attempts=1)


def server(path: Path) -> None:
    source = PrometheusSource(url="https://localhost:1", ca_file=str(path))
    PrometheusConnection(source, _PATIENCE)


READERS: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    "a spec": (load_spec, InputError),
    "a manifest, a plan of a canary": (lambda path: read_utf8(path, largest=9), InputError),
    "a recording": (Recording, SourceRefused),
    "certificates": (server, SourceRefused),
    "routes of Envoy": (lambda path: EnvoyRoutes(path, {}).read(), TargetRefused),
}


@pytest.mark.parametrize(("read", "error"), READERS.values(), ids=READERS)
def test_pipe_is_refused_at_once(
    tmp_path: Path, read: Callable[[Path], object], error: type[Exception]
) -> None:
    os.mkfifo(tmp_path / "exam.yaml")
    with pytest.raises(error, match="is a pipe, a socket or a device"):
        read(tmp_path / "exam.yaml")


def test_what_a_look_rests_on_is_asked_of_no_pipe(tmp_path: Path) -> None:
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "exam.yaml").write_text(SPEC + "manifests: [canary.yaml]\n")
    spec = load_spec(folder / "exam.yaml")
    os.mkfifo(folder / "canary.yaml")
    assert basis_of(spec, folder).inputs == ""
    (tmp_path / "demo").mkdir()
    os.mkfifo(tmp_path / "demo" / "requests.parquet")
    see_recordings(spec, tmp_path / "warehouse.duckdb", folder)
    assert not (tmp_path / "warehouse.duckdb").exists()


def test_what_a_shell_hands_on_is_read() -> None:
    command = "from pathlib import Path; from flows.formats.text_file import read_utf8 as r; "
    command += "import sys; print(r(Path(sys.argv[1]), largest=99))"
    shell = ["bash", "-c", f'{sys.executable} -c "{command}" <(echo x)']
    assert is_stream(Path("/dev/fd/0")) is False
    assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout.strip() == "x"
