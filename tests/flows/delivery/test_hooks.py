"""Calls around a delivery's stages, by real commands and a real HTTP server."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows.delivery.deliver import tell
from flows.formats.problems import InputError
from flows.spec.read_spec import read_spec
from flows.warehouse.delivery_log import DeliveryEventKind
from flows.workspace.paths import Workspace
from tests.builders.delivery_workspace import canary_share, delivery_workspace, events, one_step
from tests.places import at_load


def with_hooks(root: Path, *hooks: str) -> Workspace:
    workspace = delivery_workspace(root)
    file = root / "experiments" / "exam.yaml"
    listed = "".join(f"    - {hook}\n" for hook in hooks)
    file.write_text(f"{file.read_text()}  hooks:\n{listed}")
    return workspace


@contextmanager
def http(status: int, calls: list[dict[str, Any]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/load?token=s3cret-of-load"
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ('command: [sh, -c, "exit 3"]', "(sh) failed with 3"),
        ('command: [sh, -c, "sleep 60 & sleep 60"], timeout: 300ms', "took longer than 0.3 s"),
        ('command: [sh, -c, "kill -9 $$"]', "(sh) was ended by signal 9"),
        ('command: ["a\\0b"]', "can't be run: embedded null byte"),
        ('http: "{silent}/s3cret", timeout: 300ms', "took longer than 0.3 s"),
        ("command: [no-such-program-here]", "can't be run: No such file"),
        ('http: "http://127.0.0.1:9/s3cret"', "can't be called: ConnectionError"),
    ],
)
def test_hook_that_fails_keeps_the_delivery_from_the_stage(
    tmp_path: Path, hook: str, said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hook = hook.replace("{silent}", f"http://127.0.0.1:{silent.getsockname()[1]}")
        workspace = with_hooks(tmp_path, f"{{when: before_stage, {hook}}}")
        begin = time.monotonic()
        step = one_step(workspace)
    assert said in step.said
    assert "s3cret" not in step.said
    assert (canary_share(workspace), events(workspace)) == (0, [("began", 2)])
    assert time.monotonic() - begin < at_load(30)


def test_hook_that_passes_lets_the_stage_begin_once(tmp_path: Path) -> None:
    command = 'command: [sh, -c, "echo $VERDICT_STAGE $VERDICT_EXPERIMENT >> called"]'
    workspace = with_hooks(tmp_path, f"{{when: before_stage, {command}}}")
    one_step(workspace)
    assert canary_share(workspace) == 5
    assert (tmp_path / "experiments" / "called").read_text() == "1 exam\n"
    assert events(workspace) == [("began", 2), ("passed", 1), ("shifting", 1), ("shifted", 1)]


def test_hook_before_a_later_stage_is_not_called_before_others(tmp_path: Path) -> None:
    workspace = with_hooks(tmp_path, "{when: before_stage, stage: 2, command: ['false']}")
    one_step(workspace)
    assert canary_share(workspace) == 5
    tell(workspace, "exam", DeliveryEventKind.APPROVED, "go")
    assert "failed with 1" in one_step(workspace).said
    assert canary_share(workspace) == 5


def test_look_decides_after_the_hooks_of_a_later_stage(tmp_path: Path) -> None:
    workspace = with_hooks(tmp_path, "{when: before_stage, stage: 2, command: ['true']}")
    one_step(workspace)
    tell(workspace, "exam", DeliveryEventKind.APPROVED, "go")
    assert "the next look decides" in one_step(workspace).said
    assert canary_share(workspace) == 5
    one_step(workspace)
    assert canary_share(workspace) == 50


@pytest.mark.parametrize("status", [200, 500])
def test_no_hook_keeps_a_delivery_from_going_back(tmp_path: Path, status: int) -> None:
    calls: list[dict[str, Any]] = []
    with http(status, calls) as url:
        workspace = with_hooks(
            tmp_path,
            f'{{when: after_rollback, http: "{url}"}}',
            "{when: after_rollback, command: ['false']}",
            "{when: before_stage, stage: 2, command: ['false']}",
        )
        one_step(workspace)
        tell(workspace, "exam", DeliveryEventKind.ABORTED, "enough")
        step = one_step(workspace)
    assert canary_share(workspace) == 0
    assert calls == [{"experiment": "exam", "when": "after_rollback", "stage": "0"}]
    assert ("answered 500" in step.said, "failed with 1" in step.said) == (status == 500, True)
    assert "s3cret" not in step.said
    assert step.state.outcome is not None


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("{when: before_stage}", "needs `command` or `http`"),
        ("{when: before_stage, command: [a], http: 'http://b'}", "needs `command` or `http`"),
        ("{when: after_promote, stage: 1, command: [a]}", "only before_stage has"),
        ("{when: before_stage, command: [a], timeout: 1h}", "more than 10m"),
        ("{when: sometimes, command: [a]}", "before_stage"),
        ("{when: before_stage, stage: 4, command: [a]}", "there are 2 stages, and 3 is all"),
    ],
)
def test_mistakes_in_hooks_are_told(tmp_path: Path, hook: str, said: str) -> None:
    with_hooks(tmp_path, hook)
    with pytest.raises(InputError, match=said):
        read_spec(tmp_path / "experiments" / "exam.yaml")


@pytest.mark.parametrize("hook", ["command: [sleep, '60']", 'http: "{url}"'])
def test_no_hook_keeps_an_abort_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    monkeypatch.setattr("flows.delivery.hooks._ASK_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        workspace = with_hooks(tmp_path, f"{{when: before_stage, {hook.format(url=url)}}}")
        abort = partial(tell, workspace, "exam", DeliveryEventKind.ABORTED, "enough")
        timer = threading.Timer(2, abort)
        timer.start()
        begin = time.monotonic()
        step = one_step(workspace)
        timer.join()
    assert "the delivery is aborted" in step.said
    assert time.monotonic() - begin < at_load(30)
