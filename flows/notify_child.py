"""Sends messages to one service in a process of its own: what hangs or swells there ends with it.

Run as a script. Reads the service's URL, then lines of JSON: title, body, and the seconds it may
take. Answers each with `sent`, `refused` or `unknown` (no service has such a URL), or ends.
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
from typing import TextIO

_MOST_BYTES = 1 << 30


def _main() -> None:
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    # What a service's plugin prints is no answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
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


def _send(url: str, title: str, body: str) -> str:
    import apprise  # noqa: PLC0415 - slow; its time counts

    # Its log would name the service.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    try:
        # Most clients ask for the page behind a redirect, and leave the message out.
        service = apprise.Apprise(asset=apprise.AppriseAsset(http_redirects=False))
        if not service.add(url):
            return "unknown"
        form = apprise.NotifyFormat.TEXT
        return "sent" if service.notify(title=title, body=body, body_format=form) else "refused"
    except Exception:  # noqa: BLE001 - a plugin's; its words may hold the URL
        return "refused"


if __name__ == "__main__":
    _main()
