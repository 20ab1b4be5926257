"""Words to people, written down with what they tell; flows/notify.py sends them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flows.formats.safe_text import hide, safe_text
from flows.warehouse.statements import Connection, run

SERVICES = "VERDICT_NOTIFY_URLS"
"""Environment variable with the services' URLs (Apprise), separated by spaces or lines."""

# Who is killed while sending leaves a message to others after so long.
_CLAIM = timedelta(minutes=2)
# A service that has refused is left alone for so long: looks go on meanwhile.
_PAUSE = timedelta(minutes=1)
# Older news is none.
_LATEST = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Message:
    """One message for one service; service: the hash of its URL."""

    experiment: str
    message: str
    service: str
    title: str
    body: str


def services(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The services' URLs by a hash that gives nothing of them away; empty where none is named."""
    written = (os.environ if environment is None else environment).get(SERVICES, "")
    urls = [url for url in re.split(r"\s+", written) if url]
    for url in urls:
        hide(url)
    return {hashlib.sha256(url.encode()).hexdigest()[:6]: url for url in urls}


def note(con: Connection, experiment: str, message: str, title: str, body: str) -> None:
    """Notes a message for every service, in the caller's transaction; again changes nothing.

    message: identity of what it tells.
    """
    for service in services():
        run(
            con,
            "load/notification",
            experiment=experiment,
            message=message,
            service=service,
            title=safe_text(title),
            body=safe_text(body),
            noted_at=datetime.now(UTC),
        )


def unsent(con: Connection, now: datetime) -> list[Message]:
    """What is to be sent to the services that are named now, and nobody is sending."""
    asked = {"services": list(services()), "since": now - _LATEST, "now": now}
    rows = run(con, "aggregate/unsent_notifications", **asked).fetchall()
    return [Message(*row) for row in rows]


def claim(con: Connection, now: datetime) -> list[Message]:
    """The same, claimed: another process leaves them alone for a while."""
    found = unsent(con, now)
    for one in found:
        run(con, "load/claimed_notification", **_key(one), until=now + _CLAIM)
    return found


def settle(con: Connection, message: Message, sent_at: datetime | None) -> None:
    """Writes down that it was sent; without a time that it is to be tried again, in a while."""
    until = None if sent_at else datetime.now(UTC) + _PAUSE
    run(con, "load/sent_notification", **_key(message), sent_at=sent_at, until=until)


def _key(message: Message) -> dict[str, str]:
    return {
        "experiment": message.experiment,
        "message": message.message,
        "service": message.service,
    }
