"""Sources that fail in every way while a real controller delivers, or while users are pulled."""

from __future__ import annotations

import random
import select
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.canaries import delivering
from tests.chaos.commands import Command, Ended, start
from tests.chaos.contents import compare
from tests.chaos.tally import Tally
from tests.places import PATIENCE_S
from tests.servers import postgres_server
from tests.servers.faulty_source import ANSWERS, Wire, trap
from tests.servers.scripted_server import tcp_server


def fail_while_delivering(folder: Path, wires: Mapping[str, Wire], *, answers: bool) -> Tally:
    """Every fault while a canary has 5 %: the split is kept; then harm goes back."""
    tally = Tally("a source of a delivery")
    with delivering(folder / "live", tally) as canary, trap(canary.proxy) as redirect:
        for name, wire in {**wires, "another host": redirect}.items():
            canary.proxy.wire = wire
            canary.keeps(name)
        canary.proxy.wire = None
        for name, reply in ANSWERS.items() if answers else ():
            canary.counters.reply = reply
            canary.keeps(name)
        canary.counters.reply = None
        if canary.proxy.redirected:
            tally.fail("other", f"{canary.proxy.redirected} questions were sent to another host")
        canary.goes_back()
        tally.hear(canary.running.output, "deliver")
    return tally


def wait_while_delivering(folder: Path, wires: Mapping[str, Wire]) -> Tally:
    """Faults that each take as long as a source may: side by side, each with its own canary."""

    def alone(name: str) -> Tally:
        place = folder / name.replace(" ", "-")
        return fail_while_delivering(place, {name: wires[name]}, answers=False)

    tally = Tally("a slow source of a delivery")
    with ThreadPoolExecutor(len(wires)) as side_by_side:
        for one in side_by_side.map(alone, wires):
            tally.add(one)
    return tally


_SPEC = """\
experiment: quiz
service: quiz
variants: {a: {}, b: {}}
metrics: {bought: {kind: proportion, outcome: purchase, window: 1d}}
plan: {start: 2026-01-01T00:00:00Z, duration: 9d}
sources:
  exposures: {dsn_env: QUIZ_DSN, query: select * from seen}
  outcomes: {dsn_env: QUIZ_DSN, query: select * from bought}
"""
_TABLES = """
    create table seen as
        select g as user_id, case when g % 2 = 0 then 'a' else 'b' end as variant,
            timestamptz '2026-01-01' + g * interval '2 seconds' as exposed_at
        from generate_series(1, {users}) as g;
    create table bought as
        select g as user_id, 'purchase' as outcome, 2.5 as value,
            timestamptz '2026-01-02' + g * interval '2 seconds' as occurred_at
        from generate_series(1, {users}, 3) as g;
"""


def kill_postgres(times: int, folder: Path, random_: random.Random, *, users: int) -> Tally:
    """A server whose connection is cut at any byte, and in the end one that is killed there."""
    tally = Tally("PostgreSQL mid-read")
    folder.mkdir(exist_ok=True)
    undisturbed = folder / "undisturbed"
    with postgres_server.running() as server:
        server.sql(_TABLES.format(users=users))
        passed = [0]
        with _until_byte(server.port, None, passed, lambda: None) as port:
            ended = _pull(undisturbed, port)
        if ended is None or ended.code != 0:
            tally.fail("other", f"the pull fails by itself: {ended}")
            return tally
        for number in range(times):
            root = folder / f"cut-{number}"
            limit = random_.randrange(passed[0])
            # The last one ends the server itself, as a crash would.
            is_last = number == times - 1
            end = server.kill if is_last else lambda: None
            with _until_byte(server.port, limit, [0], end) as port:
                _judge(_pull(root, port), f"cut after {limit} bytes", tally)
            if is_last:
                with postgres_server.running() as fresh:
                    fresh.sql(_TABLES.format(users=users))
                    _pull(root, fresh.port)
            else:
                _pull(root, server.port)
            compare(root, undisturbed, tally)
            shutil.rmtree(root, ignore_errors=True)
    return tally


def _judge(ended: Ended | None, where: str, tally: Tally) -> None:
    tally.tried += 1
    if ended is None:
        tally.fail("hangs", where)
        return
    tally.hear(ended.output, where)
    if ended.code != 2:
        tally.fail("other", f"{where}: ends with {ended.code}: {ended.output[-300:]}")


def _pull(root: Path, port: int) -> Ended | None:
    (root / "experiments").mkdir(parents=True, exist_ok=True)
    (root / "experiments" / "quiz.yaml").write_text(_SPEC)
    dsn = f"postgresql://{postgres_server.USER}@127.0.0.1:{port}/postgres"
    pull = Command(root, ("pull", "--until", "2026-01-10T00:00:00Z"))
    running = start(root, pull, environment={"QUIZ_DSN": dsn})
    ended = running.wait(PATIENCE_S)
    if ended is None:
        running.kill()
    return ended


@contextmanager
def _until_byte(
    port: int, limit: int | None, passed: list[int], end: Callable[[], None]
) -> Iterator[int]:
    """The port of a proxy; after so many bytes of answers it ends, and every connection with it."""

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            while part := _either(client, server):
                side, data = part
                if side is client:
                    server.sendall(data)
                    continue
                left = len(data) if limit is None else max(0, limit - passed[0])
                client.sendall(data[:left])
                passed[0] += min(left, len(data))
                if left < len(data):
                    end()
                    return

    with tcp_server(serve) as url:
        yield int(url.rpartition(":")[2])


def _either(client: socket.socket, server: socket.socket) -> tuple[socket.socket, bytes] | None:
    """What comes next, and from whom; None at an end."""
    ready, _, _ = select.select([client, server], [], [])
    data = ready[0].recv(65536)
    return (ready[0], data) if data else None
