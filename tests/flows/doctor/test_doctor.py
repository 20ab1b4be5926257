"""`verdict doctor`: what is ill is named with what to do, within bounds, and without secrets.

Covers flows.cli.doctor_command, flows.doctor.examine, flows.doctor.health_finding,
flows.doctor.machine, flows.doctor.other_servers, flows.doctor.prometheus_health.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.cli import main as cli
from flows.doctor.examine import examine
from flows.doctor.health_finding import Health, begin
from flows.workspace.experiments import select_readable
from flows.workspace.paths import Workspace
from tests.builders.scraped_source import ScrapedSource
from tests.places import at_load
from tests.servers.backfilled_prometheus import backfilled
from tests.servers.scripted_server import Reply, scripted

SPEC = """experiment: exam
service: exam
namespace: shop
mesh: istio
variants:
  stable: {{version: v1}}
  canary: {{version: {canary}}}
sources:
  requests: {{url: "{url}", scrape_interval: {interval}s}}
"""
SECRET = "s3cret-of-mine"


def workspace(
    root: Path, url: str, *, canary: str = "v2", interval: int = 15, more: str = ""
) -> Path:
    folder = root / "experiments"
    folder.mkdir(parents=True)
    text = SPEC.format(url=url, canary=canary, interval=interval) + more
    (folder / "exam.yaml").write_text(text)
    return root


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def traffic(versions: tuple[str, ...], *, latency: bool = True) -> ScrapedSource:
    """Counters of a service of the last four minutes, each 15 s."""
    source = ScrapedSource()
    now_ms = time.time_ns() // 1_000_000
    times = range(now_ms - 240_000, now_ms, 15_000)
    names = ["istio_requests_total"]
    names += ["istio_request_duration_milliseconds_bucket"] if latency else []
    for name in names:
        for version in versions:
            labels = {
                "__name__": name,
                "reporter": "destination",
                "destination_service_name": "exam",
                "destination_service_namespace": "shop",
                "destination_workload_namespace": "shop",
                "destination_workload": f"exam-{version}",
                "destination_version": version,
                "destination_canonical_revision": version,
                "response_code": "200",
            }
            source.add(labels, {ms: float(at) for at, ms in enumerate(times)})
    return source


@pytest.mark.parametrize(
    ("versions", "latency", "interval", "told"),
    [
        (("v1", "v2"), True, 15, {}),
        (("v1", "v2"), True, 5, {"scraped every 15 s": "scrape_interval: 15s"}),
        (
            ("v1", "v2"),
            False,
            15,
            {"none of latency": "istio_request_duration_milliseconds_bucket"},
        ),
        (("v1", "v3"), True, 15, {"v2": "variant"}),
        (("",), True, 15, {"canary": "variant", "stable": "variant"}),
        ((), True, 15, {"istio_requests_total": "correct the spec"}),
    ],
)
def test_what_a_real_prometheus_lacks_is_named_with_a_remedy(
    tmp_path: Path, versions: tuple[str, ...], latency: bool, interval: int, told: dict[str, str]
) -> None:
    (tmp_path / "server").mkdir()
    with backfilled(traffic(versions, latency=latency), tmp_path / "server") as url:
        root = Workspace(workspace(tmp_path / "root", url, interval=interval))
        found = list(examine(root, select_readable(root), within_s=120))
    (server,) = (one for one in found if one.subject == f"Prometheus {url}")
    assert server.health is Health.OK
    assert "version " in server.found
    assert "clock " in server.found
    ill = [one for one in found if one.health in (Health.WARN, Health.FAIL)]
    assert len(ill) == len(told)
    for said, remedy in told.items():
        assert any(said in one.found and remedy in one.remedy for one in ill), (said, ill)


def test_servers_that_do_not_answer_end_in_bounded_time_without_their_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (
        "  users: {dsn_env: USERS_DB, query: select 1, at: at, outcomes: {taken: taken}}\n"
        "metrics:\n  taken: {kind: proportion, outcome: taken}\n"
    )
    with silent_server() as url:
        address = url.removeprefix("http://")
        root = workspace(tmp_path, url.replace("http://", f"http://me:{SECRET}@"), more=more)
        monkeypatch.setenv("USERS_DB", f"postgresql://me:{SECRET}@{address}/x")
        monkeypatch.setenv("PREFECT_API_URL", f"http://me:{SECRET}@{address}/api")
        began = time.monotonic()
        assert cli.main(["--root", str(root), "doctor"]) == 2
        assert time.monotonic() - began < at_load(40)  # all at once: the longest is 20 s
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    for subject in ("Prometheus", "Prefect", "exposures of exam"):
        assert any(line.startswith(f"fail    {subject}") for line in said.out.splitlines())


def test_a_server_that_is_not_there_is_said_once(tmp_path: Path) -> None:
    """However many experiments are on it, and however often each is scraped."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    root = Workspace(workspace(tmp_path, url))
    other = SPEC.format(url=url, canary="v3", interval=5).replace(
        "experiment: exam", "experiment: exam-two"
    )
    (tmp_path / "experiments" / "exam-two.yaml").write_text(other)
    ill = [o for o in examine(root, select_readable(root)) if o.health is Health.FAIL]
    assert [one.subject for one in ill] == ["Prometheus"]
    assert url in ill[0].found
    assert "Is the URL right, and the server up?" in ill[0].found


def test_unknown_name_is_no_wrong_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with silent_server() as url:
        root = workspace(tmp_path, url)
        (root / "experiments" / "broken.yaml").write_text("experiment: 7\n")
        assert cli.main(["--root", str(root), "doctor", "exma", "broken"]) == 2
    said = capsys.readouterr().out
    assert "did you mean 'exam'?" in said
    remedies = [line.strip() for line in said.splitlines() if "->" in line]
    assert "-> name a known one, or write its spec: verdict init --help" in remedies
    assert remedies.count("-> correct this line") == said.count("broken.yaml:")


def test_json_and_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--root", str(tmp_path), "doctor", "--json"]) == 2
    (specs,) = (one for one in json.loads(capsys.readouterr().out) if one["subject"] == "specs")
    assert specs["health"] == "fail"
    assert "verdict init" in specs["remedy"]
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "a.yaml").write_text("experiment: a\n")
    assert cli.main(["--root", str(tmp_path), "doctor"]) == 2
    assert "a.yaml:1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "files", "line"),
    [
        ("users: {aggregates: ../s*.csv}", ["s1.csv", "s2.csv"], "ok      files of exam: 2 files"),
        ("users: {aggregates: ../t*.csv}", ["s1.csv"], "t*.csv: no such file; write a path"),
        ("requests: {recording: ../r.parquet}", [], "experiments/../r.parquet: no such file"),
        ("requests: {recording: ../r.parquet}", ["r.parquet"], "ok      files of exam: 1 file, 0."),
    ],
)
def test_files_that_hold_the_data_are_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, files: list[str], line: str
) -> None:
    for name in files:
        (tmp_path / name).touch()
    (tmp_path / "experiments").mkdir()
    metrics = "metrics: {paid: {kind: proportion, outcome: paid}}\n" * source.startswith("users")
    (tmp_path / "experiments" / "exam.yaml").write_text(
        "experiment: exam\nservice: exam\nmesh: istio\n"
        "variants: {stable: {version: v1}, canary: {version: v2}}\n"
        f"plan: {{start: 2026-01-01, duration: 14d}}\n{metrics}sources: {{{source}}}\n"
    )
    code = cli.main(["--root", str(tmp_path), "doctor"])
    said = capsys.readouterr().out
    assert line in said
    assert code == (0 if "ok " in line else 2), said


def test_a_check_that_crashes_is_a_finding() -> None:
    def crash() -> list[object]:
        raise ZeroDivisionError("ours")

    running = begin("x", crash)  # type: ignore[arg-type]
    (found,) = running.findings(time.monotonic() + 10, 10)
    assert (found.health, found.found) == (Health.FAIL, "ZeroDivisionError: ours")


@pytest.mark.parametrize(
    ("status", "health"), [(200, Health.OK), (404, Health.WARN)], ids=["pool", "no pool"]
)
def test_prefect_is_asked_for_its_pool(status: int, health: Health) -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # noqa: PLC0415
    from threading import Thread  # noqa: PLC0415

    from flows.doctor.other_servers import check_prefect  # noqa: PLC0415

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.endswith("version") else status)
            self.end_headers()
            self.wfile.write(b'"3.8.8"')

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/api"
    (found,) = check_prefect({"PREFECT_API_URL": url})
    server.shutdown()
    assert found.health is health
    assert "3.8.8" in found.found


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ({"PREFECT_API_KEY": "Zilpzalp-77\n"}, "Bearer Zilpzalp-77"),
        ({"PREFECT_API_KEY": "Zilpzalp-77\nX-More: y"}, None),
        ({"PREFECT_API_KEY": "Zilpzalp 77 ²"}, None),
        ({"PREFECT_API_AUTH_STRING": "me:Zilpzalp-77"}, "Basic bWU6WmlscHphbHAtNzc="),
        ({"PREFECT_API_AUTH_STRING": "me:Zilpzalp\n77"}, None),
    ],
)
def test_prefects_key_is_sent_as_named_and_never_shown(
    written: dict[str, str], sent: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.doctor.other_servers import check_prefect  # noqa: PLC0415

    netrc = tmp_path / "netrc"
    netrc.write_text("default login another password one\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with scripted(Reply(404, b"")) as server:
        (found,) = check_prefect({"PREFECT_API_URL": server.url, **written})
    told = [headers.get("Authorization") for _, headers, _ in server.asked]
    assert told == ([sent] if sent else [])
    assert found.health is Health.FAIL
    assert "Zilpzalp" not in found.found
