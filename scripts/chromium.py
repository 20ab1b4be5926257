"""A Chromium without a screen, asked by its debugging protocol."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def program() -> str | None:
    """The browser's path; None if none is installed."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Browser:
    """One tab of a Chromium without a screen, by its debugging protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = count(1)

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one command. Raises RuntimeError if it fails."""
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            told = await self._socket.receive_json(timeout=120)
            if told.get("id") == number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                result: dict[str, Any] = told["result"]
                return result

    async def evaluate(self, script: str) -> Any:
        """What a script comes to."""
        found = await self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    async def go(self, url: str) -> None:
        """Opens a page, and waits until it is loaded."""
        await self.ask("Page.navigate", url=url)
        while await self.evaluate("document.readyState") != "complete":
            await asyncio.sleep(0.05)


@asynccontextmanager
async def opened(path: str) -> AsyncIterator[Browser]:
    """The first tab of a browser of its own, with a profile that is thrown away."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            path, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                socket_url = await _tab(Path(profile) / "DevToolsActivePort")
                async with (
                    aiohttp.ClientSession() as session,
                    session.ws_connect(socket_url, max_msg_size=0) as socket,
                ):
                    yield Browser(socket)
            finally:
                process.terminate()


async def _tab(port_file: Path) -> str:
    """Where the browser's first tab listens."""
    while not port_file.exists() or not port_file.read_text():
        await asyncio.sleep(0.1)
    port = port_file.read_text().split()[0]
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/json/list") as answer,
    ):
        tabs = await answer.json()
    return next(str(tab["webSocketDebuggerUrl"]) for tab in tabs if tab["type"] == "page")
