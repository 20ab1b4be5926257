"""Sends messages to one service in a process of its own: what hangs or swells there ends with it.

Run as a script. Reads the service's URL, then lines of JSON: title, body, and the seconds it may
take. Answers each with `sent`, `refused` or `unknown` (no service has such a URL), or ends.

With the argument `check` it reads a list of URLs instead, and answers with a list: null for each
that a service has, else how the service of its scheme writes one, "" where none has the scheme.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from apprise import Apprise

_MOST_BYTES = 1 << 30


def _main() -> None:
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    # What a service's plugin prints is no answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if sys.argv[1:] == ["check"]:
        print(json.dumps(_checked(json.loads(sys.stdin.readline()))), file=answers, flush=True)
        return
    url = json.loads(sys.stdin.readline())
    lines = SimpleQueue[str]()
    threading.Thread(target=_answer_all, args=(url, lines, answers), daemon=True).start()
    for line in sys.stdin:
        lines.put(line)
    # Whoever asked has ended: what is under way isn't settled by anybody.
    os._exit(0)


def _answer_all(url: str, lines: SimpleQueue[str], answers: TextIO) -> None:
    while True:
        _answer(url, lines.get(), answers)


def _answer(url: str, line: str, answers: TextIO) -> None:
    title, body, wait_s = json.loads(line)
    # Ends the process, wherever it then is.
    signal.setitimer(signal.ITIMER_REAL, wait_s)
    answer = _send(url, title, body)
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(answer, file=answers, flush=True)


def _checked(urls: list[str]) -> list[str | None]:
    import apprise  # noqa: PLC0415

    forms = {
        scheme: f"{next(iter(service['details']['templates']))}, {service['setup_url']}"
        for service in apprise.Apprise().details()["schemas"]
        for scheme in (*(service["protocols"] or ()), *(service["secure_protocols"] or ()))
    }
    schemes = [url.partition("://")[0].lower() for url in urls]
    return [
        None if _service(url) else forms.get(scheme, "").replace("{schema}", scheme)
        for url, scheme in zip(urls, schemes, strict=True)
    ]


def _service(url: str) -> Apprise | None:
    import apprise  # noqa: PLC0415 - slow; its time counts

    # Its log would name the service.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    # Most clients ask for the page behind a redirect, and leave the message out.
    service = apprise.Apprise(asset=apprise.AppriseAsset(http_redirects=False))
    return service if service.add(url) else None


def _send(url: str, title: str, body: str) -> str:
    try:
        service = _service(url)
        if service is None:
            return "unknown"
        import apprise  # noqa: PLC0415 - loaded by now

        form = apprise.NotifyFormat.TEXT
        return "sent" if service.notify(title=title, body=body, body_format=form) else "refused"
    except Exception:  # noqa: BLE001 - a plugin's; its words may hold the URL
        return "refused"


if __name__ == "__main__":
    _main()
