"""An API server, or what logs in at one, that misbehaves: one line each, and nothing hangs.

Covers flows.delivery.targets.cluster_object and flows.delivery.targets.kubeconfig.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.delivery.targets import cluster_object
from flows.delivery.targets.cluster_object import ClusterObject
from flows.delivery.targets.target import TargetRefused, TargetUnavailable
from tests.servers.faulty_source import WIRES, Wire
from tests.servers.scripted_server import tcp_server

_APIS = {"groups": [{"name": "apps", "versions": [{"version": "v1"}]}]}
_OBJECT = {"apiVersion": "apps/v1", "metadata": {"resourceVersion": "1"}, "spec": {}}


def kubeconfig(folder: Path, url: str, user: object) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def answers(found: object, *, apis: object = _APIS) -> Wire:
    """One object, whatever is asked for beside the list of groups."""

    def serve(client: socket.socket) -> None:
        asked = client.recv(1 << 16)
        body = json.dumps(apis if b" /apis " in asked else found).encode()
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    return serve


def after_the_question(wire: Wire) -> Wire:
    def serve(client: socket.socket) -> None:
        client.recv(1 << 16)
        wire(client)

    return serve


def without(field: str) -> dict[str, object]:
    return {name: value for name, value in _OBJECT.items() if name != field}


ODD = {
    "a list": answers([5]),
    "null": answers(None),
    "no spec": answers(without("spec")),
    "no metadata": answers(without("metadata")),
    "annotations are a list": answers(
        _OBJECT | {"metadata": {"resourceVersion": "1", "annotations": [5]}}
    ),
    "groups are a number": answers(_OBJECT, apis={"groups": 5}),
    "brackets": after_the_question(
        lambda client: client.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 200_000)
    ),
    "another host": after_the_question(
        lambda client: client.sendall(b"HTTP/1.1 307 Go\r\nLocation: http://localhost:9/\r\n\r\n")
    ),
    **{name: after_the_question(wire) for name, wire in WIRES.items()},
}


@pytest.mark.parametrize("serve", ODD.values(), ids=ODD)
def test_odd_answers_are_one_line(
    serve: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_object, "_LARGEST", 1 << 20)

    def served(client: socket.socket) -> None:
        with client, suppress(OSError):
            serve(client)

    with tcp_server(served) as url:
        config = kubeconfig(tmp_path, url, {"token": "t"})
        with pytest.raises(TargetUnavailable) as caught:
            ClusterObject("Deployment", "exam", "shop", config).get()
        assert "Deployment/exam in shop" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_token_that_a_server_says_again_is_hidden(tmp_path: Path) -> None:
    def echo(client: socket.socket) -> None:
        with client:
            asked = client.recv(1 << 16).decode()
            token = asked.partition("Bearer ")[2].split()[0]
            body = json.dumps({"message": f"who is {token}?"}).encode()
            client.sendall(b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with tcp_server(echo) as url:
        config = kubeconfig(tmp_path, url, {"token": "Zaunkoenig-5d2"})
        with pytest.raises(TargetRefused, match=r"who is \*\*\*\?"):
            ClusterObject("Deployment", "exam", "shop", config).get()


SECRET = "Zaunkoenig-5d2"
_VERSION = "client.authentication.k8s.io/v1"


def login(status: object) -> str:
    """What a login program prints."""
    return json.dumps({"apiVersion": _VERSION, "kind": "ExecCredential", "status": status})


# What stands in the file under `user`, and what is said of it.
SECRETS: dict[str, tuple[str, str]] = {
    "a line end": (f'{{token: "x\\n{SECRET}"}}', r"users\.test\.token: .* one word"),
    "beyond ASCII": (f"{{token: {SECRET}\u20ac}}", r"users\.test\.token: .* one word"),
    "a list": (f"{{token: [{SECRET}]}}", r"users\.test\.token: "),
    "an alias": (f"{{token: *{SECRET}}}", r"kubeconfig:\d+: can't be read as YAML"),
    "a tag": (f"{{token: !{SECRET} x}}", r"kubeconfig:\d+: can't be read as YAML"),
    "no end": (f'{{token: "{SECRET}}}', r"kubeconfig:\d+: can't be read as YAML"),
    "a password": (f'{{username: u, password: "x\\n{SECRET}"}}', r"test\.password: .* one line"),
    "no base64": (f"{{client-key-data: {SECRET}!}}", r"test\.client-key-data: Base64"),
    "in its place": (SECRET, r"users\.test: "),
    "words of a program": (f"echo {SECRET} >&2; exit 3", "sh, which is to log in, ended with 3"),
    "no JSON": (f"echo {SECRET}", "sh, which is to log in, printed no login"),
    "another answer": (f"echo '{login([SECRET])}'", "printed no login"),
    "a number": (f"echo '{login({'token': {'x': SECRET}})}'", "one word"),
}


@pytest.mark.parametrize("name", SECRETS)
def test_no_login_that_cant_be_used_is_shown(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    user, said = SECRETS[name]
    if user.startswith("echo"):
        user = json.dumps(exec_user("sh", "-c", user))
    path = Path(kubeconfig(tmp_path, "http://127.0.0.1:9", "(user)"))
    path.write_text(path.read_text().replace("(user)", user))
    with pytest.raises(TargetRefused, match=said) as caught:
        ClusterObject("Deployment", "exam", "shop", str(path)).get()
    assert SECRET not in f"{caught.value}{caplog.text}"


@pytest.mark.parametrize(
    ("server", "said"),
    [(f"http://u:{SECRET}@[broken", r"clusters\.test\.server: "), ("http://h:9", "http_proxy")],
)
def test_no_address_that_cant_be_used_is_shown(
    server: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://u:{SECRET}@[broken")
    config = kubeconfig(tmp_path, server, {"token": "t"})
    with pytest.raises(TargetRefused, match=said) as caught:
        ClusterObject("Deployment", "exam", "shop", config).get()
    assert SECRET not in str(caught.value)


def exec_user(*command: str) -> dict[str, Any]:
    told = {"apiVersion": _VERSION, "command": command[0]}
    return {"exec": {**told, "args": list(command[1:]), "interactiveMode": "Never"}}


def test_a_login_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_object, "_LOGIN_S", 0.3)
    config = kubeconfig(tmp_path, "http://127.0.0.1:9", exec_user("sleep", "5"))
    with pytest.raises(TargetUnavailable, match="takes over"):
        ClusterObject("Deployment", "exam", "shop", config).get()


ODD_FILES: dict[str, Callable[[Path], object]] = {
    "a list": lambda path: path.write_text("[5]"),
    "no YAML": lambda path: path.write_text("a: [b"),
    "no text": lambda path: path.write_bytes(b"\xff\x00"),
    "nothing": lambda path: path.unlink(),
    "no contexts": lambda path: path.write_text("{kind: Config, contexts: 5}"),
    "a program that fails": lambda path: kubeconfig(
        path.parent, "http://127.0.0.1:9", exec_user("false")
    ),
    "a program that says nothing": lambda path: kubeconfig(
        path.parent, "http://127.0.0.1:9", exec_user("true")
    ),
    "no such program": lambda path: kubeconfig(
        path.parent, "http://127.0.0.1:9", exec_user("no-such-program")
    ),
}


@pytest.mark.parametrize("damage", ODD_FILES.values(), ids=ODD_FILES)
def test_odd_kubeconfigs_are_one_line(damage: Callable[[Path], object], tmp_path: Path) -> None:
    config = kubeconfig(tmp_path, "http://127.0.0.1:9", {"token": "t"})
    damage(Path(config))
    with pytest.raises((TargetRefused, TargetUnavailable), match="Deployment/exam in shop"):
        ClusterObject("Deployment", "exam", "shop", config).get()
