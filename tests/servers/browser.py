"""A real browser without a screen; what it makes of a page."""

from __future__ import annotations

import html
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.places import PATIENCE_S

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars",
)  # fmt: skip


def browser() -> str:
    """The path of a browser; without one the test is skipped, or fails where CI=true."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found:
        return found
    reason = "no Chromium is installed; install it with: apt-get install -y chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def loaded(page: str, script: str, *, width: int, folder: Path) -> str:
    """What a script says of a page in a frame of that width; it knows the document as `page`."""
    program, host = browser(), folder / "host.html"
    host.write_text(
        f'<!doctype html><pre></pre><iframe width="{width}" height="900" style="border:0" '
        f'srcdoc="{html.escape(page)}"></iframe><script>'
        "const frame = document.querySelector('iframe');"
        "const say = (page) => {" + script + "};"
        "frame.onload = () => {"
        "  document.querySelector('pre').textContent = say(frame.contentDocument);"
        "  document.body.dataset.done = 'yes'; frame.remove(); };"
        "</script>",
        encoding="utf-8",
    )
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [program, *_OPTIONS, profile, "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run(
        [*command, host.as_uri()], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert 'data-done="yes"' in done.stdout, done.stderr
    return html.unescape(done.stdout.partition("<pre>")[2].partition("</pre>")[0])
