"""Tokens that allow a part: which experiments, and whether new looks may be taken; over TLS.

Covers flows.cli.serve_command.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from flows.cli.main import main
from flows.service.grants import TokenRefused, read_grants
from flows.service.server import ServerIdentity, keep_up_to_date
from tests.places import PATIENCE_S, at_load
from tests.servers.certificates import self_signed
from tests.servers.scripted_server import Reply, scripted
from tests.servers.service_process import demo_workspace, started

MINE, OTHER = "quiz-format", "tagalog-support"
TOKENS = {name: f"{name.lower()}-token-0123456789" for name in ("ALL", "DECIDES", "READS")}
GRANTS = [f"DECIDES=decide:{MINE}", f"READS=read:{MINE}"]


class Caller:
    """Calls the service with one of the tokens."""

    def __init__(self, url: str, root: Path, certificate: Path) -> None:
        self.url, self.root, self.certificate = url, root, certificate

    def __call__(self, token: str, path: str, body: object = None) -> requests.Response:
        return requests.request(
            "GET" if body is None else "POST",
            self.url + path,
            json=body,
            headers={"Authorization": f"Bearer {TOKENS[token]}"},
            verify=str(self.certificate),
            timeout=PATIENCE_S,
        )


def serve(root: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "flows.cli", "--root", str(root), "serve", "--port", "0", *more]


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    folder = tmp_path_factory.mktemp("grants")
    certificate, key = self_signed(folder)
    grants = [f"--grant={grant}" for grant in GRANTS]
    tls = ["--certificate", str(certificate), "--key", str(key)]
    command = serve(demo_workspace(folder / "w"), "--token-env", "ALL", *grants, *tls)
    with started(command, TOKENS) as (_, url):
        assert url.startswith("https://")
        yield Caller(url, folder / "w", certificate)


def test_a_token_decides_its_experiments_and_learns_nothing_of_others(call: Caller) -> None:
    assert call("READS", f"/verdict/{MINE}").status_code == 404
    assert call("DECIDES", f"/verdict/{MINE}").json()["experiment"] == MINE
    assert call("DECIDES", f"/argo/{MINE}").ok
    hook = {"name": "x", "namespace": "y", "metadata": {"experiment": MINE}}
    assert call("DECIDES", "/flagger/rollout", hook).status_code != 403
    unknown = [
        call("DECIDES", f"/{way}/{n}") for n in (OTHER, "none") for way in ("verdict", "argo")
    ]
    hook["metadata"] = {"experiment": OTHER}
    unknown.append(call("DECIDES", "/flagger/rollout", hook))
    # By the service's name alone: of others, of several, and of none.
    for name in ("exam-service", "learning-module-service", "none"):
        hook = {"name": name, "namespace": "edtech-production"}
        unknown.append(call("DECIDES", "/flagger/rollout", hook))
    assert {(each.status_code, each.text) for each in unknown} == {
        (403, '{"error": "this token is for other experiments"}')
    }
    assert "experiments" not in call("DECIDES", "/readyz").json()
    assert "experiments" in call("ALL", "/readyz").json()
    call("ALL", f"/verdict/{OTHER}")
    exported = {
        token: set(re.findall(r"^edtech_\S+{.*}", call(token, "/metrics").text, re.MULTILINE))
        for token in ("ALL", "DECIDES")
    }
    assert exported["DECIDES"]
    assert exported["DECIDES"] < exported["ALL"]


def test_a_reader_gets_the_latest_verdict_and_no_new_one(call: Caller) -> None:
    decided = call("DECIDES", f"/verdict/{MINE}")
    written = sorted((call.root / "verdicts" / MINE).iterdir())
    read = call("READS", f"/verdict/{MINE}")
    assert read.json() == json.loads(written[-1].read_text())
    assert read.json()["look_at"] >= decided.json()["look_at"]
    assert call("READS", f"/verdict/{MINE}?at=2026-01-31T12:00:00Z").status_code == 403
    assert call("READS", f"/argo/{MINE}").status_code == 403
    hook = {"name": "x", "namespace": "y", "metadata": {"experiment": MINE}}
    assert call("READS", "/flagger/rollout", hook).status_code == 403
    assert sorted((call.root / "verdicts" / MINE).iterdir()) == written


def test_a_look_before_the_start_is_refused(call: Caller) -> None:
    answer = call("ALL", f"/verdict/{MINE}?at=1990-01-01T00:00:00Z")
    assert answer.status_code == 400
    assert f"is before the start of {MINE}" in answer.json()["error"]
    assert not list((call.root / "verdicts" / MINE).glob("1990*"))


def test_a_silent_peer_keeps_nobody_waiting_and_delays_no_end(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    command = serve(demo_workspace(tmp_path / "w"), "--certificate", str(certificate))
    with (
        started([*command, "--key", str(key)], {}) as (process, url),
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))),
    ):
        assert requests.get(f"{url}/healthz", verify=str(certificate), timeout=PATIENCE_S).ok
        with pytest.raises(requests.ConnectionError):
            requests.get(url.replace("https", "http"), timeout=PATIENCE_S)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(at_load(30)) == 0
        assert time.monotonic() - began < at_load(30)


def test_a_renewed_certificate_is_used_by_new_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.service.server._CHECK_CERTIFICATE_S", 0.05)
    (tmp_path / "new").mkdir()
    tls, new = ServerIdentity(*self_signed(tmp_path)), self_signed(tmp_path / "new")
    context = tls.context()
    over = threading.Event()
    arguments = (context, tls, tls.written(), over)
    threading.Thread(target=keep_up_to_date, args=arguments, daemon=True).start()
    with scripted(Reply(200, b""), tls=context) as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        old = ssl.get_server_certificate(address)
        # For a moment they are of two pairs: the old ones go on.
        new[0].replace(tls.certificate)
        time.sleep(0.3)
        assert ssl.get_server_certificate(address) == old
        new[1].replace(tls.key)
        deadline = time.monotonic() + PATIENCE_S
        # Over a handshake with the old pair or the new one, never between them.
        while ssl.get_server_certificate(address) == old:
            assert time.monotonic() < deadline
        assert ssl.get_server_certificate(address) == tls.certificate.read_text()
    over.set()


def test_what_cannot_be_served_with_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, _ = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    other = self_signed(tmp_path / "other")[1]
    (tmp_path / "no.pem").write_text("no key")
    os.mkfifo(tmp_path / "pipe")
    locked = tmp_path / "locked.pem"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    pairs: dict[str, tuple[Path, ...]] = {
        "belong together": (certificate,),
        "No such file": (certificate, tmp_path / "gone"),
        "no.pem must hold a private key in PEM": (certificate, tmp_path / "no.pem"),
        "must hold a certificate in PEM": (other, other),
        "locked.pem has a password": (certificate, locked),
        "is a pipe": (tmp_path / "pipe", other),
        "another certificate's": (certificate, other),
    }
    for told, files in pairs.items():
        options = [f"--{o}={f}" for o, f in zip(("certificate", "key"), files, strict=False)]
        assert main(["--root", str(tmp_path), "serve", "--port=0", *options]) == 2
        said = capsys.readouterr().err
        assert told.lower() in said.lower().replace("_", " ")
        assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "written",
    [
        ["READS"],
        ["READS=read"],
        ["READS=write:exam"],
        ["READS=read:"],
        ["READS=read:exam,"],
        ["READS=read:../x"],
        ["NONE=read:exam"],
        ["SHORT=read:exam"],
        ["READS=read:exam", "READS=decide:exam"],
    ],
)
def test_a_grant_that_is_none_is_refused(written: list[str]) -> None:
    with pytest.raises(TokenRefused) as refused:
        read_grants(written, TOKENS | {"SHORT": "geheim"})
    assert not set(TOKENS.values()) & set(re.split(r"[\s']", str(refused.value)))


def test_a_star_is_all_experiments() -> None:
    (grant,) = read_grants(["READS=read:*"], TOKENS)
    assert grant.experiments is None
    assert not grant.may_decide
