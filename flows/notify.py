"""Sends words to people: a new decision, a stage, a wait for a person, a failed run; each once."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
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
# What notify_child answers, and what is said of it.
_SENT, _REFUSED = "sent", "refused"
_WHY = {_REFUSED: "refused by URL", "unknown": "no service of Apprise has URL"}
_CHILD = str(Path(__file__).with_name("notify_child.py"))


@dataclass(frozen=True, slots=True)
class WrongUrl:
    """One of the services' URLs that Apprise can't read, and what to write; no part of its own."""

    found: str
    remedy: str


def warn_of_wrong_urls(warehouse: Path, warn: Callable[[str], None]) -> None:
    """Warns of services' URLs that can't be read before a message is due. Never raises.

    One that could be read isn't asked of again: it takes Apprise as long as a run without news.
    """
    named = set(services())
    if not named:
        return
    try:
        known: set[str] = set()
        if warehouse.exists():
            with open_reader(warehouse) as con:
                rows = run(con, "aggregate/readable_services", services=[*named]).fetchall()
                known = {service for (service,) in rows}
        wrong = wrong_urls(known)
        for one in wrong.values():
            warn(f"{one.found}: {one.remedy}")
        readable = named - known - wrong.keys()
        if readable and warehouse.exists():
            with open_writer(warehouse) as con:
                run(con, "load/readable_services", services=[*readable])
    except Exception as error:  # noqa: BLE001 - words to people never end what they tell of
        warn(f"notifications: {type(error).__name__}: {error}")


def wrong_urls(known: Set[str] = frozenset()) -> dict[str, WrongUrl]:
    """What is wrong with the URLs of services, but for those that are known to be readable.

    Raises OSError or subprocess.SubprocessError if Apprise can't be asked.
    """
    named = enumerate(services().items(), 1)
    asked = [(place, service, url) for place, (service, url) in named if service not in known]
    if not asked:
        return {}
    answer = subprocess.run(
        [sys.executable, "-P", _CHILD, "check"],
        input=f"{json.dumps([url for _, _, url in asked])}\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        timeout=_WAIT_S,
        check=True,
    )
    forms: list[str | None] = json.loads(answer.stdout)
    return {
        service: _wrong(place, form)
        for (place, service, _), form in zip(asked, forms, strict=True)
        if form is not None
    }


def _wrong(place: int, form: str) -> WrongUrl:
    url = f"URL {place} of {SERVICES}"
    if form:
        return WrongUrl(f"{url} lacks something that its service needs", f"write {form}")
    known = "slack://, mailtos:// or json://, https://github.com/caronc/apprise/wiki"
    return WrongUrl(f"{url} has no scheme of Apprise", f"begin it with one, such as {known}")


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
    answers = {
        place: apart.begin(
            partial(
                _send_to,
                url,
                [one for one in messages if one.service == service],
                warehouse,
                deadline,
            )
        )
        for place, (service, url) in enumerate(urls.items(), 1)
    }
    wait(answers.values())
    said = {place: answer.result() for place, answer in answers.items()}
    sent = sum(words[_SENT] for words in said.values())
    if failed := len(messages) - sent:
        of = counted(len(messages), "notification")
        why = [f"{_WHY[w]} {place} of {SERVICES}" for place in said for w in _WHY if said[place][w]]
        warn(f"{failed} of {of} not sent: {', '.join(why)}; tried again later")
    return sent


def _send_to(url: str, messages: Sequence[Message], warehouse: Path, deadline: float) -> Tally[str]:
    """Sends one service its messages in their order; how many it answered how by the deadline."""
    said = Tally[str]()
    if not messages:
        return said
    for message, answer in zip(messages, _answers(url, messages, deadline), strict=True):
        with open_writer(warehouse) as con, transaction(con):
            settle(con, message, datetime.now(UTC) if answer == _SENT else None)
        said[answer] += 1
    return said


def _answers(url: str, messages: Sequence[Message], deadline: float) -> Iterator[str]:
    """What the service says to each message; one that refuses isn't asked again now."""
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
    answer = _SENT
    try:
        with suppress(BrokenPipeError):
            _hand(child, url)
        for message in messages:
            wait_s = min(_WAIT_S, deadline - time.monotonic())
            if answer == _SENT:
                answer = _REFUSED
                if wait_s > 0:
                    with suppress(BrokenPipeError):
                        _hand(child, [message.title, message.body, wait_s])
                    answer = cast("TextIO", child.stdout).readline().strip() or _REFUSED
            yield answer
    finally:
        watch.cancel()
        child.kill()
        with suppress(BrokenPipeError):
            child.communicate()


def _hand(child: subprocess.Popen[str], what: object) -> None:
    pipe = cast("TextIO", child.stdin)
    pipe.write(f"{json.dumps(what)}\n")
    pipe.flush()
