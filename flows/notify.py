"""Sends words to people: a new decision, a stage, a wait for a person, a failed run; each once."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TextIO, cast

from flows.formats import apart
from flows.formats.text import counted
from flows.warehouse.connection import open_reader, open_writer, transaction
from flows.warehouse.outbox import SERVICES, Message, claim, note, services, settle, unsent
from flows.warehouse.statements import run

# For one message, and for all that is to be sent at once; a claim lasts longer.
_WAIT_S, _WHOLE_S = 20.0, 40.0
_CHILD = str(Path(__file__).with_name("notify_child.py"))


def send_notifications(warehouse: Path, warn: Callable[[str], None]) -> int:
    """Sends what is noted and not sent yet; returns how many were. Never raises.

    A message is claimed, sent, and then written down as sent: of a process that was killed in
    between, another sends it after two minutes. warn is told what failed, without any URL.
    """
    urls = services()
    if not urls or not warehouse.exists():
        return 0
    try:
        return _send_all(warehouse, urls, warn)
    except Exception as error:  # noqa: BLE001 - words to people never end what they tell of
        warn(f"notifications: {type(error).__name__}: {error}")
        return 0


def note_failure(warehouse: Path, experiment: str, why: str) -> None:
    """Notes that an experiment could not be judged, once until it is again. Never raises."""
    if not services():
        return
    try:
        with open_writer(warehouse) as con, transaction(con):
            row = run(con, "aggregate/latest_look", experiment=experiment).fetchone()
            since = row[0] if row else None
            name = hashlib.sha256(why.encode()).hexdigest()[:12]
            note(con, experiment, f"failed {name} since {since}", f"{experiment}: failed", why)
    except Exception as error:  # noqa: BLE001 - what failed is shown in any case
        logging.getLogger(__name__).warning("the failure isn't noted: %s", error)


class Sender:
    """Sends beside its caller, whom a slow service doesn't keep; warn is told what failed."""

    def __init__(self, warehouse: Path, warn: Callable[[str], None]) -> None:
        self._work = partial(send_notifications, warehouse, warn)
        # One is sent, the next waits: what is noted after that one began goes with it.
        self._turns, self._post = threading.Semaphore(2), threading.Lock()
        self._last: Future[None] | None = None

    def send(self) -> None:
        """Sends what is noted by now, soon."""
        if self._turns.acquire(blocking=False):
            self._last = apart.begin(self._send)

    def finish(self) -> None:
        """Waits until what was to be sent is sent, or was tried."""
        if self._last is not None:
            wait([self._last], 2 * _WHOLE_S)

    def _send(self) -> None:
        try:
            with self._post:
                self._work()
        finally:
            self._turns.release()


def _send_all(warehouse: Path, urls: dict[str, str], warn: Callable[[str], None]) -> int:
    now = datetime.now(UTC)
    with open_reader(warehouse) as con:
        if not unsent(con, now):
            return 0
    with open_writer(warehouse) as con, transaction(con):
        messages = claim(con, now)
    deadline = time.monotonic() + _WHOLE_S
    # Each service by itself: a slow one keeps no other's from arriving.
    answers = [
        apart.begin(
            partial(
                _send_to,
                urls[service],
                [message for message in messages if message.service == service],
                warehouse,
                deadline,
            )
        )
        for service in dict.fromkeys(message.service for message in messages)
    ]
    wait(answers)
    sent = sum(answer.result() for answer in answers)
    if failed := len(messages) - sent:
        of = counted(len(messages), "notification")
        warn(f"{failed} of {of} not sent: a service of {SERVICES} refuses; tried again later")
    return sent


def _send_to(url: str, messages: Sequence[Message], warehouse: Path, deadline: float) -> int:
    """Sends one service its messages in their order; returns how many it took by the deadline."""
    sent = 0
    for message, is_taken in zip(messages, _taken(url, messages, deadline), strict=True):
        with open_writer(warehouse) as con, transaction(con):
            settle(con, message, datetime.now(UTC) if is_taken else None)
        sent += is_taken
    return sent


def _taken(url: str, messages: Sequence[Message], deadline: float) -> Iterator[bool]:
    """Whether the service takes each message; one that refuses isn't asked again now."""
    child = subprocess.Popen(
        [sys.executable, "-P", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    # It ends by itself when a message's time is over; this one is for whatever it then still does.
    watch = threading.Timer(2 * _WHOLE_S, child.kill)
    watch.daemon = True
    watch.start()
    is_up = True
    try:
        with suppress(BrokenPipeError):
            _hand(child, url)
        for message in messages:
            wait_s = min(_WAIT_S, deadline - time.monotonic())
            if is_up := is_up and wait_s > 0:
                with suppress(BrokenPipeError):
                    _hand(child, [message.title, message.body, wait_s])
                is_up = cast("TextIO", child.stdout).readline() == "1\n"
            yield is_up
    finally:
        watch.cancel()
        child.kill()
        with suppress(BrokenPipeError):
            child.communicate()


def _hand(child: subprocess.Popen[str], what: object) -> None:
    pipe = cast("TextIO", child.stdin)
    pipe.write(f"{json.dumps(what)}\n")
    pipe.flush()
