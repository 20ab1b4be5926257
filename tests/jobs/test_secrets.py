"""A secret is put wherever one may be put; no output of any command holds it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch

import pytest
import requests

from flows.formats import safe_text
from flows.prefect_artifacts import show_table
from tests.builders.delivery_workspace import SPEC, delivery_workspace
from tests.flows.ingest.sources.test_postgres_dsn import MALFORMED
from tests.places import PATIENCE_S, REPOSITORY
from tests.servers import own_process
from tests.servers.service_process import started

CANARY = "Kanarienvogel-7f3a"
# As a variable may be called, in lower case.
PLAIN = "kanarienvogel7f3a"
RECORDING = "{recording: ../demo/requests.parquet, scrape_interval: 2s}"
USERS = """
  exposures: {dsn_env: EXAM_DSN, query: select 1}
  outcomes: {dsn_env: EXAM_DSN, query: select 1}
metrics:
  paid: {kind: proportion, outcome: paid, role: guardrail, margin: 0.05, window: 1h}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace whose home has a .netrc for the machine's own servers."""
    workspace = delivery_workspace(tmp_path)
    netrc = tmp_path / "home" / ".netrc"
    netrc.parent.mkdir()
    netrc.write_text(f"machine 127.0.0.1 login netrc password {CANARY}-netrc\n")
    netrc.chmod(0o600)
    return workspace.root


def write(root: Path, requests: str, *, more: str = "", target: str = "") -> None:
    text = SPEC.replace(RECORDING, requests)
    text = text.replace("{envoy: ../routes.json}", target) if target else text
    path = root / "experiments" / "exam.yaml"
    path.write_text(text.replace("delivery:\n", f"{more[1:]}delivery:\n") if more else text)


def verdict(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run within this process, which knows none of the secrets from before."""
    safe_text._known.clear()
    with patch.dict(os.environ, {"HOME": str(root / "home"), **environment}):
        return own_process.verdict("--root", root, *arguments)


def leaks(root: Path, *outputs: subprocess.CompletedProcess[str]) -> list[str]:
    """Where the canary is found: in what was printed, or in a file that a command has written."""
    printed = [str(done.args) for done in outputs if _shows(done.stdout + done.stderr)]
    given = {root / "experiments" / "exam.yaml", root / "home" / ".netrc"}
    files = [path for path in root.rglob("*") if path.is_file() and path not in given]
    return printed + [str(path) for path in files if CANARY.encode() in path.read_bytes()]


def _shows(text: str) -> bool:
    return any(secret in text for secret in (CANARY, CANARY.lower(), PLAIN))


@contextmanager
def server(status: int = 400, echo: bool = True) -> Iterator[tuple[str, list[Mapping[str, str]]]]:
    """A server that refuses, and says again all that it was asked with."""
    asked: list[Mapping[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append(dict(self.headers) | {"path": self.path})
            said = f"{self.path} {dict(self.headers)}" if echo else "no"
            body = json.dumps({"status": "error", "errorType": "bad_data", "error": said}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Nothing on the test's output."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{httpd.server_port}", asked
    finally:
        httpd.shutdown()
        httpd.server_close()


def commands(root: Path, **environment: str) -> list[subprocess.CompletedProcess[str]]:
    """Every command that reads a source or writes for others."""
    asked = (
        ("validate",),
        ("gate", "exam", "--json"),
        ("run",),
        ("publish",),
        ("deliver", "exam", "--once"),
    )
    return [verdict(root, *arguments, **environment) for arguments in asked]


SOURCES = {
    "user and password": f"{{prometheus: 'http://u:{CANARY}@HOST'}}",
    "a user that is a token": f"{{prometheus: 'http://{CANARY}@HOST'}}",
    "an @ in the password": f"{{prometheus: 'http://u:x@{CANARY}@HOST'}}",
    "a token in the query": f"{{prometheus: 'http://HOST/?token={CANARY}'}}",
    "a token in the environment": "{prometheus: 'http://HOST', token_env: SECRET}",
    "a password in the environment": (
        "{prometheus: 'http://HOST', user_env: USER_NAME, password_env: SECRET}"
    ),
    "a scheme that is none": f"{{prometheus: 'htp://u:{CANARY}@HOST'}}",
    "a port that is none": f"{{prometheus: 'http://HOST:{CANARY}@x'}}",
    "the token in place of its variable": (f"{{prometheus: 'http://HOST', token_env: '{CANARY}'}}"),
    "the password in place of its variable": (
        f"{{prometheus: 'http://HOST', user_env: USER_NAME, password_env: {CANARY.lower()}}}"
    ),
    "the password as its variable": (
        f"{{prometheus: 'http://HOST', user_env: {PLAIN}, password_env: {PLAIN}}}"
    ),
    "a token in the fragment": f"{{prometheus: 'http://HOST/#token={CANARY}'}}",
    "no scheme": f"{{prometheus: 'u:{CANARY}@HOST'}}",
    "two slashes for a scheme": f"{{prometheus: '//u:{CANARY}@HOST'}}",
    "a space in the password": f"{{prometheus: 'http://u:{CANARY} x@HOST'}}",
    "a line end in the password": f'{{prometheus: "http://u:{CANARY}\\n@HOST"}}',
    "an unknown field": f"{{prometheus: 'http://HOST', tokn: 'Bearer {CANARY}'}}",
}


@pytest.mark.parametrize("name", SOURCES)
def test_no_secret_of_a_server_is_shown_or_kept(root: Path, name: str) -> None:
    for written in (CANARY, f"{CANARY}\n", f"x\n{CANARY}") if "environment" in name else (CANARY,):
        with server() as (host, _):
            source = SOURCES[name].replace("HOST", host)
            write(root, f"{source[:-1]}, scrape_interval: 2s}}")
            outputs = commands(root, SECRET=written, USER_NAME="u")
        assert leaks(root, *outputs) == []
        assert any(done.returncode for done in outputs)


ARGUMENTS = (
    ("serve", "--token-env", CANARY),
    ("serve", "--grant", f"{CANARY}=read:exam"),
    ("serve", "--grant", CANARY),
    ("serve", "--grant", f"read={CANARY}:exam"),
    ("run", "--at", f"u:{CANARY}@h"),
    ("init", f"http://u:{CANARY}@h"),
    ("gate", f"u:{CANARY}@h"),
    ("analyze", f"postgresql://u:{CANARY}@h/db"),
)


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
def test_no_secret_among_the_arguments_is_shown(root: Path, arguments: tuple[str, ...]) -> None:
    done = verdict(root, *arguments)
    assert done.returncode == 2
    assert not _shows(done.stdout + done.stderr)


FILES = {
    "a URL with a password": (
        f"files: 's3://k:{CANARY}@bucket/e.parquet'",
        "only an `engine` reads a URL",
    ),
    "a connection string": (f"dsn_env: 'host=h password={CANARY}', query: select 1", "variable"),
    "a password": (f"dsn_env: {PLAIN}, query: select 1", "is not set"),
}


@pytest.mark.parametrize("name", FILES)
def test_no_secret_in_the_place_of_files_or_variables_is_shown(root: Path, name: str) -> None:
    source, said = FILES[name]
    write(root, RECORDING, more=USERS.replace("dsn_env: EXAM_DSN, query: select 1", source))
    outputs = [*commands(root), verdict(root, "doctor")]
    assert leaks(root, *outputs) == []
    assert any(said in done.stderr for done in outputs)


def test_a_token_that_is_named_goes_without_its_line_end_and_before_netrc(root: Path) -> None:
    with server() as (host, asked):
        write(root, f"{{prometheus: 'http://{host}', token_env: SECRET, scrape_interval: 2s}}")
        verdict(root, "gate", "exam", SECRET=f"{CANARY}\n")
    assert {one.get("Authorization") for one in asked} == {f"Bearer {CANARY}"}


def test_parameters_of_the_url_go_with_every_request(root: Path) -> None:
    with server() as (host, asked):
        write(root, f"{{prometheus: 'http://{host}/mesh/?token={CANARY}', scrape_interval: 2s}}")
        verdict(root, "gate", "exam")
    assert asked
    assert all(re.match(rf"/mesh/api/v1/.*[?&]token={CANARY}", one["path"]) for one in asked)


def test_a_redirect_to_another_host_is_not_followed(root: Path) -> None:
    with server() as (other, asked), redirecting(f"http://localhost:{other.split(':')[1]}") as host:
        write(root, f"{{prometheus: 'http://{host}', token_env: SECRET, scrape_interval: 2s}}")
        done = verdict(root, "gate", "exam", SECRET=CANARY)
    assert "it redirects to another host: name that one" in done.stderr
    assert asked == []


@contextmanager
def redirecting(to: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(307)
            self.send_header("Location", to + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Nothing on the test's output."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()


def test_no_part_of_a_connection_string_is_shown_or_kept(root: Path) -> None:
    good = "postgresql://reader:hunter2@127.0.0.1:1/school"
    write(root, RECORDING, more=USERS)
    for dsn in (text.replace("hunter2", CANARY) for text in (good, *MALFORMED)):
        done = verdict(root, "gate", "exam", EXAM_DSN=dsn)
        assert done.returncode == 2, dsn
        assert "EXAM_DSN" in done.stderr
        assert leaks(root, done) == [], dsn


@pytest.mark.parametrize("place", [f"u:{CANARY}@HOST", f"HOST/?token={CANARY}", f"{CANARY}@HOST"])
def test_no_secret_of_envoy_grafana_or_a_pushgateway_is_shown_or_kept(
    root: Path, place: str
) -> None:
    with server() as (host, asked):
        url = f"http://{place.replace('HOST', host)}"
        write(root, RECORDING, target=f"{{envoy: ../routes.json, admin: '{url}'}}")
        given = {"VERDICT_PUSHGATEWAY": url, "VERDICT_GRAFANA_URL": url}
        outputs = commands(root, **given)
        assert leaks(root, *outputs) == []
        paths = [one["path"] for one in asked]
    assert any(path.startswith("/metrics/job/") for path in paths)
    assert any(path.startswith("/config_dump") for path in paths)


def test_no_argument_of_a_hook_and_no_webhook_is_shown_or_kept(root: Path) -> None:
    """One word that is a whole command line can't be run, and says so without it."""
    one_word = f"command: ['TOKEN={CANARY} curl -H \"Authorization: Bearer {CANARY}\" http://h']"
    written = (
        one_word,
        f"command: [/nowhere/hook, '--token={CANARY}']",
        f"http: 'http://127.0.0.1:9/services/{CANARY}'",
        f"http: 'http://u:{CANARY}@127.0.0.1:9'",
    )
    write(root, RECORDING)
    hooks = "".join(f"    - when: before_stage\n      {hook}\n" for hook in written)
    with (root / "experiments" / "exam.yaml").open("a") as spec:
        spec.write(f"  hooks:\n{hooks}")
    outputs = [verdict(root, "run"), verdict(root, "deliver", "exam", "--once")]
    assert "the hook before_stage (TOKEN) can't be run" in outputs[-1].stdout
    assert leaks(root, *outputs) == []


@pytest.mark.parametrize("proxy", ["u:SECRET@[broken", "u:SECRET@", ":SECRET@", "u:SECRET@h:port"])
def test_a_proxy_that_is_none_is_named_and_not_shown(root: Path, proxy: str) -> None:
    url = "http://mesh.example:9090"
    write(
        root,
        f"{{prometheus: '{url}', scrape_interval: 2s}}",
        target=f"{{envoy: ../routes.json, admin: '{url}'}}",
    )
    given = {"http_proxy": f"http://{proxy.replace('SECRET', CANARY)}", "VERDICT_PUSHGATEWAY": url}
    outputs = commands(root, **given)
    assert leaks(root, *outputs) == []
    named = [done for done in outputs if "the proxy in http_proxy" in done.stderr]
    assert {2} <= {done.returncode for done in named}
    assert len(named) == 3  # gate, run, deliver


def test_no_answer_of_the_service_holds_a_secret(root: Path) -> None:
    """A spec for each place that takes one; the service answers for them all."""
    text = SPEC.split("delivery:")[0]
    dsns = {f"DSN_{n}": dsn.replace("hunter2", CANARY) for n, dsn in enumerate(MALFORMED)}
    with server() as (host, asked):
        sources = [(source.replace("HOST", host), "") for source in SOURCES.values()]
        sources = [(f"{source[:-1]}, scrape_interval: 2s}}", more) for source, more in sources]
        sources += [(RECORDING, USERS.replace("EXAM_DSN", name)) for name in dsns]
        names = [f"exam-{number}" for number in range(len(sources))]
        for name, (source, more) in zip(names, sources, strict=True):
            written = text.replace("experiment: exam\n", f"experiment: {name}\n")
            path = root / "experiments" / f"{name}.yaml"
            path.write_text(written.replace(RECORDING, source) + more[1:])
        command = [sys.executable, "-m", "flows.cli", "--root", str(root), "serve", "--port", "0"]
        given = {"SECRET": CANARY, "USER_NAME": "u", "HOME": str(root / "home"), **dsns}
        with started(command, given) as (_, url):
            paths = [f"/{way}/{name}" for name in names for way in ("verdict", "argo")]
            paths += ["/metrics", "/readyz", f"/verdict/exam-0?token={CANARY}"]
            answers = {path: requests.get(url + path, timeout=PATIENCE_S) for path in paths}
            hook = {"name": "exam", "namespace": "default", "metadata": {"experiment": "exam-0"}}
            answers["hook"] = requests.post(f"{url}/flagger/rollout", json=hook, timeout=PATIENCE_S)
    assert asked
    assert answers["/readyz"].json()["problems"]
    bodies = {path: answer.text + str(answer.headers) for path, answer in answers.items()}
    assert {path for path, body in bodies.items() if CANARY in body} <= {paths[-1]}
    assert sum(answer.status_code == 503 for answer in answers.values()) > len(names)
    specs = {root / "experiments" / f"{name}.yaml" for name in names}
    assert set(map(Path, leaks(root))) <= specs


def test_no_artifact_of_prefect_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    for kind in ("markdown", "table"):
        name = f"flows.prefect_artifacts.create_{kind}_artifact"
        monkeypatch.setattr(name, lambda *given, **named: made.append(f"{given} {named}"))
    safe_text.hide(CANARY)
    why = f"KeyError: http://u:{CANARY}@mesh:9090 Bearer {CANARY}\x1b[2J"
    document = {"experiment": "e", "decision": "hold", "score": None, "look_at": "now"}
    show_table([document | {"reasons": [why]}], {"broken": why})
    assert len(made) == 1
    assert CANARY not in made[0]
    assert "\\x1b" not in made[0]


def test_what_nobody_thought_of_is_shown_without_secrets(root: Path) -> None:
    code = (
        "import sys, flows.cli.main as main, flows.look.look as look\n"
        "from flows.formats.urls import endpoint_of\n"
        f"def fail(*_, **__): raise KeyError(endpoint_of('http://u:{CANARY}@h').credentials)\n"
        "look.pull_if_behind = fail\n"
        "sys.exit(main.main(['--root', sys.argv[1], 'gate', 'exam']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "KeyError" in done.stderr
    # Python shows the line of the code, too, if it is in a file: here it has none.
    assert leaks(root, done) == []
