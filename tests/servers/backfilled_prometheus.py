"""A real Prometheus that already holds the samples of a scraped source."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.builders.scraped_source import ScrapedSource
from tests.lab import find_program
from tests.lab.http_calls import answers
from tests.lab.processes import Child, PortPool, wait_until


@contextmanager
def backfilled(source: ScrapedSource, folder: Path) -> Iterator[str]:
    """The URL of a server with the source's samples, in a folder that is empty."""
    text, data, config = folder / "samples.om", folder / "data", folder / "prometheus.yml"
    text.write_text(_open_metrics(source))
    config.write_text("global: {}\n")
    promtool = find_program("promtool") or "promtool"
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)]
    subprocess.run(command, check=True, capture_output=True)
    port = PortPool().take()
    url = f"http://127.0.0.1:{port}"
    server = [find_program("prometheus") or "prometheus", f"--config.file={config}"]
    server += [f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}"]
    server += ["--storage.tsdb.retention.time=100y", "--log.level=warn"]
    child = Child(server, log=folder / "prometheus.out")

    def is_ready() -> bool:
        child.fail_if_ended()
        return answers(f"{url}/-/ready")

    try:
        wait_until(is_ready, what="Prometheus")
        yield url
    finally:
        child.stop()


def _open_metrics(source: ScrapedSource) -> str:
    """All series as lines, those of a metric together."""
    by_name: dict[str, list[str]] = {}
    for key, samples in source.series.items():
        labels = dict(key)
        name = labels.pop("__name__")
        shown = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
        by_name.setdefault(name, []).extend(
            f"{name}{{{shown}}} {value!r} {ts_ms / 1000:.3f}" for ts_ms, value in samples.items()
        )
    return "\n".join([*(line for lines in by_name.values() for line in lines), "# EOF", ""])
