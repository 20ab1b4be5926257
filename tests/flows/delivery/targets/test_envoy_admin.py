"""What goes wrong between two writers, a kill, and an Envoy that rejects."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flows.delivery.targets.envoy_admin import await_version
from flows.delivery.targets.envoy_routes import EnvoyRoutes
from flows.delivery.targets.target import (
    NewerController,
    SplitChanged,
    TargetRefused,
    TargetUnavailable,
)
from tests.flows.delivery.targets.test_envoy_routes import CLUSTERS, route, routes, shift, target
from tests.lab.lab import Lab
from tests.lab.topology import ServiceSpec, VariantSpec
from tests.places import at_load
from tests.servers.scripted_server import tcp_server

# A controller that dies when the new file is written, but not yet in place.
_KILLED = """
import os, signal, sys
from pathlib import Path
from flows.delivery.targets.envoy_routes import EnvoyRoutes
Path.rename = lambda self, other: os.kill(os.getpid(), signal.SIGKILL)
routes = EnvoyRoutes(Path(sys.argv[1]), {"stable": "exam-stable", "canary": "exam-canary"})
routes.shift({"stable": 0, "canary": 100}, fence=1, expected=routes.read().revision, reason="")
"""


@pytest.fixture
def found(tmp_path: Path) -> EnvoyRoutes:
    return target(tmp_path / "routes.json", routes(route(stable=100, canary=0)))


def test_a_kill_before_the_rename_leaves_the_old_file_and_no_lock(found: EnvoyRoutes) -> None:
    before = found.path.read_bytes()
    done = subprocess.run([sys.executable, "-c", _KILLED, str(found.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert found.path.read_bytes() == before
    shift(found, stable=95, canary=5)
    assert found.read().weights == {"stable": 95.0, "canary": 5.0}
    assert sorted(p.name for p in found.path.parent.iterdir()) == [
        ".routes.json.lock",
        "routes.json",
    ]


def test_of_writers_with_the_same_read_one_wins(found: EnvoyRoutes) -> None:
    for turn in range(10):
        expected = found.read().revision

        def write(weight: int, fence: int = turn, expected: str = expected) -> str:
            try:
                found.shift(
                    {"stable": 100 - weight, "canary": weight},
                    fence=fence,
                    expected=expected,
                    reason=f"writer {weight}",
                )
            except SplitChanged:
                return "changed"
            return "won"

        with ThreadPoolExecutor(4) as pool:
            ended = list(pool.map(write, (1, 2, 3, 4)))
        assert sorted(ended) == ["changed"] * 3 + ["won"]
        assert found.read().weights["canary"] == ended.index("won") + 1
    assert json.loads(found.path.read_text())["version_info"] == "17"


def test_a_controller_with_an_older_lease_is_refused(found: EnvoyRoutes) -> None:
    found.shift({"stable": 95, "canary": 5}, fence=8, expected=found.read().revision, reason="")
    before = found.path.read_bytes()
    with pytest.raises(NewerController, match="under lease 8, this controller's is 7"):
        found.shift({"stable": 5, "canary": 95}, fence=7, expected=found.read().revision, reason="")
    assert found.path.read_bytes() == before


def test_the_same_shift_again_writes_nothing(found: EnvoyRoutes) -> None:
    shift(found, stable=99.5, canary=0.5)
    before = found.path.read_bytes()
    shift(found, stable=99.5, canary=0.5)
    assert found.path.read_bytes() == before


def test_who_could_read_the_file_still_can(found: EnvoyRoutes) -> None:
    found.path.chmod(0o664)
    shift(found, stable=95, canary=5)
    assert found.path.stat().st_mode & 0o777 == 0o664


@pytest.mark.parametrize(
    "resources",
    [
        [None],
        ["routes"],
        [{"virtual_hosts": {}}],
        [{"virtual_hosts": [{"routes": [{"route": 5}]}]}],
    ],
)
def test_a_file_of_another_shape_is_explained(tmp_path: Path, resources: list[Any]) -> None:
    with pytest.raises(TargetRefused, match="no route has weighted_clusters with exam-canary and"):
        target(tmp_path / "routes.json", {"resources": resources}).read()


@pytest.mark.parametrize(
    "content", [b"\x7fELF\x02\xff\xfe", b"[" * 100_000], ids=["binary", "deep"]
)
def test_a_file_that_is_no_text_is_explained(found: EnvoyRoutes, content: bytes) -> None:
    found.path.write_bytes(content)
    with pytest.raises(TargetRefused, match="is not whole JSON"):
        found.read()


@pytest.fixture(scope="module")
def live() -> Iterator[EnvoyRoutes]:
    variants = [VariantSpec("stable", "v1", weight=100), VariantSpec("canary", "v2", weight=0)]
    with Lab([ServiceSpec("exam", "shop", variants)]) as running:
        envoy = running.gateway.envoy
        yield EnvoyRoutes(envoy.files.routes, CLUSTERS, admin=envoy.admin_url)


def put(live: EnvoyRoutes, data: dict[str, Any]) -> None:
    partial = live.path.with_suffix(".next")
    partial.write_text(json.dumps(data))
    partial.rename(live.path)


def test_a_shift_that_envoy_rejects_is_taken_back_at_once(live: EnvoyRoutes) -> None:
    good = json.loads(live.path.read_text())
    bad = json.loads(live.path.read_text())
    bad["resources"][0]["virtual_hosts"][0]["domains"] = ["*", "*"]
    put(live, bad)
    try:
        before = live.path.read_bytes()
        blind = EnvoyRoutes(live.path, CLUSTERS)
        began = time.monotonic()
        with pytest.raises(TargetRefused, match=r"rejects version .* its log says why"):
            live.shift(
                {"stable": 50, "canary": 50}, fence=3, expected=blind.read().revision, reason=""
            )
        assert time.monotonic() - began < at_load(5)
        assert live.path.read_bytes() == before
    finally:
        put(live, good)
    shift(live, stable=50, canary=50)
    assert live.read().weights["canary"] == 50


def test_a_shift_repeated_after_a_kill_does_not_wait_for_envoy(live: EnvoyRoutes) -> None:
    shift(live, stable=90, canary=10)
    began = time.monotonic()
    shift(live, stable=90, canary=10)
    assert time.monotonic() - began < at_load(2)


def test_a_file_without_a_version_can_be_shifted(live: EnvoyRoutes) -> None:
    data = json.loads(live.path.read_text())
    del data["version_info"]
    data["resources"][0]["virtual_hosts"][0]["routes"][0]["route"]["timeout"] = "7s"
    put(live, data)
    shift(live, stable=80, canary=20)
    assert json.loads(live.path.read_text())["version_info"] == "1"
    assert live.read().weights["canary"] == 20


@pytest.mark.parametrize(
    "body",
    [b"[5]", b"null", b"[" * 200_000, b'{"configs": [5]}', b'{"configs": {"a": 1}}', b"\xff"],
)
def test_an_answer_of_another_shape_is_one_sentence(body: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)

    with (
        tcp_server(serve) as admin,
        pytest.raises(TargetUnavailable, match="is no Envoy's admin: ") as told,
    ):
        await_version(admin, "8", {"routes"})
    assert "\n" not in str(told.value)
