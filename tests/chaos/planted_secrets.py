"""A secret in every malformed place that takes one: no output and no file shows it."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.builders.delivery_workspace import SPEC, delivery_workspace
from tests.chaos.commands import Command, start
from tests.chaos.tally import Tally
from tests.flows.ingest.sources.test_postgres_dsn import MALFORMED, SECRET
from tests.places import PATIENCE_S
from tests.servers.scripted_server import tcp_server

CANARY = "Kanarienvogel-7f3a"
_RECORDING = "{recording: ../demo/requests.parquet, scrape_interval: 2s}"
_USERS = """\
  exposures: {dsn_env: EXAM_DSN, query: select 1}
  outcomes: {dsn_env: EXAM_DSN, query: select 1}
metrics:
  paid: {kind: proportion, outcome: paid, role: guardrail, margin: 0.05, window: 1h}
delivery:
"""
_TOKENS = ("{}\n", "{}\r\nX-More: y", "x\n{}", "\xb2{}", "{} ", "\x00{}", "{}" + "y" * 100_000)
_URLS = (
    "http://u:{}@HOST", "http://{}@HOST", "http://u:x@{}@HOST", "http://HOST/?token={}",
    "htp://u:{}@HOST", "http://HOST:{}@x", "http://u:{}@HOST:port", "http://u:%{}@HOST",
    "http://u:{}/x@HOST", "http://HOST/?{}", "http://HOST/?access-key={}", "http://[u:{}@HOST",
)  # fmt: skip
_COMMANDS = (("gate", "exam", "--json"), ("run",), ("deliver", "exam", "--once"))


def plant_secrets(folder: Path, *, every: int) -> Tally:
    """Each malformed connection string, token and URL (or each so manieth) with each command."""
    tally = Tally("planted secrets")
    with tcp_server(_echo) as url:
        cases = list(_cases(url.removeprefix("http://")))[::every]
        for number, (spec, environment) in enumerate(cases):
            root = folder / f"planted-{number}"
            root.mkdir(parents=True)
            delivery_workspace(root)
            path = root / "experiments" / "exam.yaml"
            path.write_text(spec)
            for arguments in _COMMANDS[:: 1 if every == 1 else 2]:
                _try(root, arguments, environment, path, tally)
            shutil.rmtree(root)
    return tally


def _cases(host: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """A spec and its environment."""
    for dsn in MALFORMED:
        # What isn't text can't be in an environment.
        if "\x00" not in dsn:
            text = dsn.replace(SECRET, CANARY)
            yield SPEC.replace("delivery:\n", _USERS), {"EXAM_DSN": text}
    for token in _TOKENS:
        if "\x00" not in token:
            source = f"{{url: 'http://{host}', token_env: SECRET, scrape_interval: 2s}}"
            yield SPEC.replace(_RECORDING, source), {"SECRET": token.replace("{}", CANARY)}
    for written in _URLS:
        named = written.replace("HOST", host).replace("{}", CANARY)
        yield SPEC.replace(_RECORDING, f"{{url: '{named}', scrape_interval: 2s}}"), {}


def _try(
    root: Path, arguments: tuple[str, ...], environment: Mapping[str, str], spec: Path, tally: Tally
) -> None:
    tally.tried += 1
    what = f"{arguments[0]} with {environment or spec.read_text()[-300:]}".replace(CANARY, "***")
    ended = start(root, Command(root, arguments), environment=environment).wait(PATIENCE_S)
    if ended is None:
        tally.fail("hangs", what)
        return
    tally.hear(ended.output, what)
    if ended.code not in {2, 4} and arguments[0] != "deliver":
        tally.fail("other", f"{what}: ends with {ended.code}: {ended.output[-300:]}")
    if CANARY in ended.output:
        tally.fail("secrets", f"{what}: is printed")
    for file in root.rglob("*"):
        if file != spec and file.is_file() and CANARY.encode() in file.read_bytes():
            tally.fail("secrets", f"{what}: is in {file.relative_to(root)}")


def _echo(client: socket.socket) -> None:
    """Refuses, and says again all that it was asked with."""
    with client:
        asked = client.recv(1 << 20).decode(errors="replace").encode("unicode_escape")
        client.sendall(b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n%s" % (len(asked), asked))
