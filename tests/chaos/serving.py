"""The service, killed while it answers: the next one answers, and all is recorded once."""

from __future__ import annotations

import contextlib
import random
import shutil
import threading
import time
from pathlib import Path

import requests

from tests.chaos.commands import Command, Running, start
from tests.chaos.contents import OF_LOOKS, compare
from tests.chaos.jobs import prepare_demo
from tests.chaos.tally import Tally
from tests.places import PATIENCE_S

EXPERIMENT = "quiz-format"
# Of these a row says up to which look users are known.
_UNTIL = ("outcome_reach", "user_state", "user_rates")


def kill_serving(kills: int, folder: Path, random_: random.Random) -> Tally:
    """Kills `verdict serve` so often while it is asked for a verdict."""
    tally = Tally("serve")
    undisturbed = folder / "undisturbed"
    prepare_demo((EXPERIMENT,), undisturbed)
    began = time.monotonic()
    _answer_to_the_end(undisturbed, tally)
    took_s = time.monotonic() - began
    number = 0
    while tally.tried < kills and not tally.hangs and number < 4 * kills:
        number += 1
        root = folder / f"killed-{number}"
        prepare_demo((EXPERIMENT,), root)
        running = _serve(root)
        threading.Thread(target=_ask, args=(running,), daemon=True).start()
        time.sleep(random_.uniform(0, took_s))
        tally.tried += running.kill()
        tally.hear(running.output, "killed")
        _answer_to_the_end(root, tally)
        compare(root, undisturbed, tally, without=(*OF_LOOKS, *_UNTIL))
        shutil.rmtree(root, ignore_errors=True)
    return tally


def _serve(root: Path) -> Running:
    return start(root, Command(root, ("serve", "--port", "0")))


def _answer_to_the_end(root: Path, tally: Tally) -> None:
    """A service that nobody kills answers, and ends when it is asked to."""
    running = _serve(root)
    status = _ask(running)
    if status != 200:
        tally.fail("other", f"answers {status}: {running.output[-500:]}")
    running.process.terminate()
    if running.wait(PATIENCE_S) is None:
        running.kill()
        tally.fail("hangs", "does not end after SIGTERM")
    tally.hear(running.output, "after a kill")


def _ask(running: Running) -> int | None:
    """The status of an answer; None if the service ended before."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and running.process.is_alive():
        words = running.output.partition("listening on ")[2].split()
        if words:
            with contextlib.suppress(requests.RequestException):
                url = f"{words[0]}/verdict/{EXPERIMENT}"
                return requests.get(url, timeout=PATIENCE_S).status_code
            return None
        time.sleep(0.01)
    return None
