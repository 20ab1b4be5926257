"""A real PostgreSQL server of a test's own, gone with the test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.places import PATIENCE_S

USER, PASSWORD = "tester", "right-horse"
_INSTALL = "apt-get install postgresql"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens: on 127.0.0.1 it trusts `tester`, and wants `guest` a password."""

    port: int
    process: subprocess.Popen[bytes]
    binaries: Path
    folder: Path

    @property
    def dsn(self) -> str:
        """The connection URI of a user who needs no password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def guest(self, password: str) -> str:
        """The connection URI of a user who needs one."""
        return f"postgresql://guest:{password}@127.0.0.1:{self.port}/postgres"

    def sql(self, text: str) -> None:
        """Runs statements."""
        command = [str(self.binaries / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-d", self.dsn]
        subprocess.run([*command, "-c", text], check=True, cwd=self.folder, timeout=PATIENCE_S)

    def kill(self) -> None:
        """Ends the server and every session at once, as a crash would."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(timeout=PATIENCE_S)

    def freeze(self) -> None:
        """Stops the server and every session where they are; the kernel still takes calls."""
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets all of them go on."""
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _processes(self) -> list[int]:
        """The server first, which could start others."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]


def find_binaries() -> Path:
    """The folder of PostgreSQL's programs; skips the test, under CI=true fails it, without."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)
    on_path = shutil.which("postgres")
    found = [*installed, *([Path(on_path).resolve()] if on_path else [])]
    if found:
        return found[0].parent
    reason = f"no PostgreSQL server here: {_INSTALL}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _as_user() -> Sequence[str]:
    """How to start a server: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return ()
    return ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running() -> Iterator[Server]:
    """A server with an empty database."""
    binaries, become = find_binaries(), _as_user()
    folder = Path(tempfile.mkdtemp(prefix="verdict-postgres-"))
    try:
        if become:
            shutil.chown(folder, "postgres", "postgres")
        data = folder / "data"
        initdb = [str(binaries / "initdb"), "-D", str(data), "-U", USER, "-A", "trust", "--no-sync"]
        quiet = subprocess.DEVNULL
        subprocess.run([*become, *initdb], check=True, cwd=folder, stdout=quiet, timeout=PATIENCE_S)
        rules = data / "pg_hba.conf"
        rules.write_text(f"host all guest 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        port = _free_port()
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        options = [word for setting in settings for word in ("-c", setting)]
        command = [*become, str(binaries / "postgres"), "-D", str(data), "-p", str(port), *options]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        server = Server(port, process, binaries, folder)
        try:
            _wait(server)
            server.sql(f"create role guest login password '{PASSWORD}'")
            yield server
        finally:
            if process.poll() is None:
                server.kill()
    finally:
        shutil.rmtree(folder)


def _wait(server: Server, patience_s: float = PATIENCE_S) -> None:
    give_up = time.monotonic() + patience_s
    while time.monotonic() < give_up and server.process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1):
            command = [str(server.binaries / "pg_isready"), "-q", "-d", server.dsn]
            asked = subprocess.run(command, check=False, cwd=server.folder, timeout=PATIENCE_S)
            if asked.returncode == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"PostgreSQL did not start: {(server.folder / 'log').read_text()}")
