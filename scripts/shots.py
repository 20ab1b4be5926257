"""Writes pages as pictures: 360 and 1440 pixels wide, light and dark, and runs axe-core if given.

    python -m scripts.shots PAGES PICTURES [--axe axe.min.js]

PAGES: a folder with HTML files. Needs Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import shutil
import subprocess
import sys
import tempfile
from itertools import count, product
from pathlib import Path
from typing import Any

import aiohttp

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WIDTHS, _THEMES = (360, 1440), ("light", "dark")
# Beyond this a picture can't be read any more.
_HIGHEST = 9000
_AXE = """axe.run(document, {resultTypes: ["violations", "incomplete"]}).then((found) =>
  JSON.stringify([found.violations, found.incomplete].map((each) => each.map((one) =>
    `${one.id}: ${one.nodes.length}, first ${one.nodes[0].target.join(" ")}`))))"""


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

    async def open(self, page: Path, width: int, theme: str) -> int:
        """Loads a page; returns its height."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        feature = {"name": "prefers-color-scheme", "value": theme}
        await self.ask("Emulation.setEmulatedMedia", features=[feature])
        await self.ask("Page.navigate", url=page.resolve().as_uri())
        while await self.evaluate("document.readyState") != "complete":
            await asyncio.sleep(0.05)
        height: int = await self.evaluate("document.documentElement.scrollHeight")
        return height

    async def picture(self, width: int, height: int) -> bytes:
        """The page as PNG."""
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, _HIGHEST), "scale": 1}
        found = await self.ask(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
        )
        return base64.b64decode(found["data"])


async def _shoot(socket_url: str, pages: list[Path], pictures: Path, axe: str) -> int:
    problems = 0
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(socket_url, max_msg_size=0) as socket,
    ):
        browser = Browser(socket)
        for page, width, theme in product(pages, _WIDTHS, _THEMES):
            height = await browser.open(page, width, theme)
            path = pictures / f"{page.stem}-{width}-{theme}.png"
            path.write_bytes(await browser.picture(width, height))
            wide = await browser.evaluate("document.documentElement.scrollWidth")
            said = "" if wide <= width else f", {wide} px wide: it overflows"
            problems += wide > width
            if axe:
                await browser.evaluate(axe)
                violations, undecided = json.loads(await browser.evaluate(_AXE))
                said += f", axe: {violations or 'no violations'}, undecided: {undecided or 'none'}"
                problems += len(violations)
            print(f"{path} {height} px high{said}")
    return problems


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


def main() -> int:
    """Exit code 1 if a page overflows or breaks a rule of axe-core."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("pages", type=Path)
    arguments.add_argument("pictures", type=Path)
    arguments.add_argument("--axe", type=Path)
    options = arguments.parse_args()
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        print("no Chromium is installed: apt-get install -y chromium", file=sys.stderr)
        return 2
    options.pictures.mkdir(parents=True, exist_ok=True)
    axe = options.axe.read_text(encoding="utf-8") if options.axe else ""
    with tempfile.TemporaryDirectory() as profile:
        command = [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as browser:
            try:
                socket_url = asyncio.run(_tab(Path(profile) / "DevToolsActivePort"))
                pages = sorted(options.pages.glob("*.html"))
                problems = asyncio.run(_shoot(socket_url, pages, options.pictures, axe))
            finally:
                browser.terminate()
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
