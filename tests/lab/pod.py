"""One pod: answers requests as it is told to, and counts what it answered.

`python -m tests.lab.pod PORT CONTROL_PORT TRUTH_FILE BEHAVIOUR_JSON`. The control port takes
`PUT /control` with some fields of Behaviour, and tells its counts at `GET /truth`.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.lab.http_server import Reply, Request, serve
from tests.lab.truth import TruthFile, read_truth


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a pod answers. Shares are of its requests; times are in milliseconds."""

    error_share: float = 0.0
    error_status: int = 503
    grpc_error_share: float = 0.0
    """Share of gRPC requests that get HTTP 200 with grpc-status 14."""
    base_ms: float = 8.0
    """Median latency."""
    jitter: float = 0.35
    """Standard deviation of the latency's logarithm."""
    slow_share: float = 0.0
    slow_ms: float = 0.0
    """What a slow request takes longer."""


class Pod:
    """Answers requests after a random time."""

    def __init__(self, truth_file: Path, behaviour: Behaviour) -> None:
        """The truth file is continued if it exists."""
        self._truth = TruthFile(truth_file)
        self._truth_file = truth_file
        self._random = random.Random()
        self.behaviour = behaviour
        self.in_flight = 0

    def answer(self, request: Request, reply: Reply) -> None:
        """Schedules the answer to a request of a user."""
        self.in_flight += 1
        is_grpc = request.headers.get("content-type", "").startswith("application/grpc")
        delay_s = self._latency_ms() / 1000
        asyncio.get_running_loop().call_later(delay_s, self._finish, reply, is_grpc)

    def _latency_ms(self) -> float:
        how, dice = self.behaviour, self._random
        extra_ms = how.slow_ms if dice.random() < how.slow_share else 0.0
        return how.base_ms * dice.lognormvariate(0.0, how.jitter) + extra_ms

    def _finish(self, reply: Reply, is_grpc: bool) -> None:
        """Counts and answers; nobody is answered who has gone."""
        self.in_flight -= 1
        if not reply.is_awaited:
            return
        how, headers = self.behaviour, {"content-type": "text/plain"}
        status = how.error_status if self._random.random() < how.error_share else 200
        answer = str(status)
        if is_grpc and status == 200:
            grpc_status = 14 if self._random.random() < how.grpc_error_share else 0
            headers = {"content-type": "application/grpc", "grpc-status": str(grpc_status)}
            answer = f"200 grpc {grpc_status}" if grpc_status else answer
        self._truth.count(answer)
        reply.send(status, b"" if is_grpc else b"ok", headers)

    def control(self, request: Request, reply: Reply) -> None:
        """Answers a control call."""
        if request.path == "/control" and request.method == "PUT":
            self.behaviour = replace(self.behaviour, **json.loads(request.body))
            reply.send(200, json.dumps(asdict(self.behaviour)).encode())
        elif request.path == "/truth":
            told = {"answers": read_truth(self._truth_file), "in_flight": self.in_flight}
            reply.send(200, json.dumps(told).encode())
        else:
            reply.send(404, b"")


async def run(port: int, control_port: int, pod: Pod) -> None:
    """Serves until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await serve(port, pod.answer)
    await serve(control_port, pod.control)
    await stopped.wait()


def main(port: str, control_port: str, truth_file: str, behaviour: str) -> None:
    """Runs one pod."""
    pod = Pod(Path(truth_file), Behaviour(**json.loads(behaviour)))
    asyncio.run(run(int(port), int(control_port), pod))


if __name__ == "__main__":
    main(*sys.argv[1:])
