"""Who may call, and what others learn: nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from flows.service.authentication import TokenRefused, token_for
from tests.places import PATIENCE_S
from tests.servers.service_process import TOKEN, Service, demo_workspace, running

PATHS = ("/argo/quiz-format", "/argo/no-such", "/metrics", "/verdict/quiz-format", "/nothing")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        TOKEN,
        f"Digest {TOKEN}",
        "Basic !!!",
        "Basic /////w==",
        "Bearer ÿÿ",
    ],
)
def test_call_without_the_token_learns_nothing(service: Service, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answers = [
        requests.get(service.url + path, headers=headers, timeout=PATIENCE_S) for path in PATHS
    ]
    answers.append(
        requests.put(service.url + "/flagger/rollout", headers=headers, timeout=PATIENCE_S)
    )
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert "server" not in answers[0].headers
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"


def test_token_is_taken_as_bearer_and_as_password(service: Service) -> None:
    assert service.get("/argo/quiz-format").ok
    basic = requests.get(f"{service.url}/argo/quiz-format", auth=("any", TOKEN), timeout=PATIENCE_S)
    assert basic.ok


def test_two_authorization_headers_are_refused(service: Service) -> None:
    head = f"Authorization: Bearer {TOKEN}\r\n" * 2
    answer = service.raw(
        f"GET /argo/quiz-format HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 401")


def test_probes_need_no_token_and_tell_no_details(service: Service) -> None:
    assert requests.get(f"{service.url}/healthz", timeout=PATIENCE_S).json() == {"status": "ok"}
    assert requests.get(f"{service.url}/readyz", timeout=PATIENCE_S).json() == {"ready": True}
    assert service.get("/readyz").json()["experiments"] == 6


def test_without_a_token_only_calls_to_localhost_are_answered(tmp_path: Path) -> None:
    with running(demo_workspace(tmp_path), token="") as open_service:
        path = f"{open_service.url}/verdict/no-such"
        assert requests.get(path, timeout=PATIENCE_S).status_code == 404
        # A page on the web can point its own name at this machine.
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "["):
            rebound = requests.get(path, headers={"Host": host}, timeout=PATIENCE_S)
            assert rebound.status_code in (400, 403), host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_no_token(host: str) -> None:
    assert token_for(host, None, {}) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "gate.example", ""])
def test_other_hosts_need_a_token(host: str) -> None:
    with pytest.raises(TokenRefused, match="--token-env"):
        token_for(host, None, {})


@pytest.mark.parametrize("value", [None, "", "short", "with\nnewline-in-the-middle", "ü" * 20])
def test_token_that_is_none_is_refused(value: str | None) -> None:
    environment = {} if value is None else {"VERDICT_TOKEN": value}
    with pytest.raises(TokenRefused, match="VERDICT_TOKEN must hold"):
        token_for("127.0.0.1", "VERDICT_TOKEN", environment)
