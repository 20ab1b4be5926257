"""Sends words to people: a new decision, a stage, a wait for a person, a failed run; each once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from flows.formats import apart
from flows.formats.text import counted
from flows.warehouse.connection import open_reader, open_writer, transaction
from flows.warehouse.outbox import SERVICES, Message, claim, note, services, settle, unsent
from flows.warehouse.statements import run

_WAIT_S = 20.0


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


def _send_all(warehouse: Path, urls: dict[str, str], warn: Callable[[str], None]) -> int:
    now = datetime.now(UTC)
    with open_reader(warehouse) as con:
        if not unsent(con, now):
            return 0
    with open_writer(warehouse) as con, transaction(con):
        messages = claim(con, now)
    failed, down = 0, set[str]()
    for message in messages:
        # One that refuses isn't asked again now: a delivery goes on meanwhile.
        is_sent = message.service not in down and _send(urls[message.service], message)
        failed += not is_sent
        down |= set() if is_sent else {message.service}
        with open_writer(warehouse) as con, transaction(con):
            settle(con, message, datetime.now(UTC) if is_sent else None)
    if failed:
        of = counted(len(messages), "notification")
        warn(f"{failed} of {of} not sent: a service of {SERVICES} refuses; tried again later")
    return len(messages) - failed


def _send(url: str, message: Message) -> bool:
    """Whether the service took it. One that sends a byte now and then is waited for once."""
    try:
        return apart.within(_WAIT_S, url, partial(_notify, url, message))
    except TimeoutError:
        return False


def _notify(url: str, message: Message) -> bool:
    import apprise  # noqa: PLC0415 - slow, and needed where there is something to send

    # Its log would name the service.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    try:
        service = apprise.Apprise()
        return bool(
            service.add(url)
            and service.notify(
                title=message.title, body=message.body, body_format=apprise.NotifyFormat.TEXT
            )
        )
    except Exception:  # noqa: BLE001 - a plugin's; its words may hold the URL
        return False
