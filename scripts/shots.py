"""Writes what people see as pictures, and runs axe-core on the pages if it is given.

    python -m scripts.shots [--root .] [--to build/shots] [--axe axe.min.js]

The pages of var/report and those of `verdict serve` with its login, 360 and 1440 pixels wide, light
and dark; `watch`, `gate` and `doctor` on a terminal of 80 columns. Needs Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import fcntl
import json
import os
import secrets
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from scripts.chromium import Browser, opened, program

_WIDTHS, _THEMES = (360, 1440), ("light", "dark")
# Beyond this a picture can't be read any more.
_HIGHEST = 16_000
# So wide are as many columns.
_COLUMNS, _TERMINAL = 80, 800
_AXE = """axe.run(document, {resultTypes: ["violations", "incomplete"]}).then((found) =>
  JSON.stringify([found.violations, found.incomplete].map((each) => each.map((one) =>
    `${one.id}: ${one.nodes.length}, first ${one.nodes[0].target.join(" ")}`))))"""
# What axe-core leaves undecided is text on a drawing: the least contrast of it with what it is on.
_CONTRAST = """axe.run(document, {runOnly: ["color-contrast"]}).then((found) => {
  const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
    .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => {
    while (one && /rgba\\(.*, 0\\)|transparent/.test(getComputedStyle(one).backgroundColor))
      one = one.parentElement;
    return one ? getComputedStyle(one).backgroundColor : "rgb(255, 255, 255)";
  };
  const contrasts = found.incomplete.flatMap((each) => each.nodes).map((node) => {
    const one = document.querySelector(node.target.at(-1)), style = getComputedStyle(one);
    const both = [light(one.closest("svg") ? style.fill : style.color), light(behind(one))];
    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
  });
  return contrasts.length ? Math.min(...contrasts).toFixed(2) : "";
})"""
_TOKEN = "SHOTS_TOKEN"


async def _shoot(browser: Browser, pages: dict[str, str], pictures: Path, axe: str) -> int:
    """Pictures of pages by name; returns how many problems were found."""
    problems = 0
    for (name, url), width, theme in product(pages.items(), _WIDTHS, _THEMES):
        await _look_as(browser, width, theme)
        await browser.go(url)
        height: int = await browser.evaluate("document.documentElement.scrollHeight")
        path = pictures / f"{name}-{width}-{theme}.png"
        path.write_bytes(await _picture(browser, width, height))
        wide = await browser.evaluate("document.documentElement.scrollWidth")
        said = "" if wide <= width else f", {wide} px wide: it overflows"
        problems += wide > width
        if axe:
            await browser.evaluate(axe)
            violations, undecided = json.loads(await browser.evaluate(_AXE))
            said += f", axe: {violations or 'no violations'}, undecided: {undecided or 'none'}"
            problems += len(violations)
            if undecided:
                least = await browser.evaluate(_CONTRAST)
                said += f", least contrast of it {least}"
                problems += float(least) < 4.5
        print(f"{path} {height} px high{said}", flush=True)
    return problems


async def _look_as(browser: Browser, width: int, theme: str, height: int = 900) -> None:
    await browser.ask(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
    )  # fmt: skip
    feature = {"name": "prefers-color-scheme", "value": theme}
    await browser.ask("Emulation.setEmulatedMedia", features=[feature])


async def _picture(browser: Browser, width: int, height: int) -> bytes:
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, _HIGHEST), "scale": 1}
    found = await browser.ask(
        "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
    )
    return base64.b64decode(found["data"])


@contextmanager
def _served(root: Path, token: str) -> Iterator[str]:
    """`verdict serve` on a free port."""
    command = [sys.executable, "-m", "flows.cli", "--root", str(root), "serve", "--port", "0"]
    with subprocess.Popen(
        [*command, "--token-env", _TOKEN], env={**os.environ, _TOKEN: token},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


async def _sign_in(browser: Browser, url: str, token: str) -> None:
    await browser.go(f"{url}/login")
    await browser.evaluate(f"document.querySelector('#token').value = {json.dumps(token)}")
    await browser.evaluate("document.querySelector('main form').submit()")
    while await browser.evaluate("location.pathname") == "/login":
        await asyncio.sleep(0.1)


def _on_terminal(arguments: Sequence[str]) -> str:
    """What a command prints on a terminal of 80 columns, with its colours."""
    mine, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, _COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("COLUMNS", None)
    with subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *arguments],
        stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(its)
        printed = b""
        while chunk := _read(mine):
            printed += chunk
        code = process.wait()
    os.close(mine)
    return f"$ verdict {' '.join(arguments[2:])}\n{printed.decode()}[exit code {code}]\n"


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side has closed it
        return b""


def _terminal_pages(root: Path, experiment: str, folder: Path) -> dict[str, str]:
    """Pages that look as the terminal does, by name."""
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    pages = {}
    for command in (["watch", experiment, "--once"], ["gate", experiment], ["doctor"]):
        printed = _on_terminal(["--root", str(root), *command])
        # Of a line that was taken away, what came after it is left.
        lines = [line.rsplit("\r\x1b[K", 1)[-1].rstrip("\r") for line in printed.split("\n")]
        with Path(os.devnull).open("w") as nowhere:
            console = Console(record=True, width=_COLUMNS, file=nowhere, force_terminal=True)
            console.print(Text.from_ansi("\n".join(lines)), soft_wrap=True)
        page = folder / f"terminal-{command[0]}.html"
        page.write_text(console.export_html(), encoding="utf-8")
        pages[page.stem] = page.as_uri()
    return pages


async def _everything(options: argparse.Namespace, path: str) -> int:
    report = options.root / "var" / "report"
    files = {page.stem: page.resolve().as_uri() for page in sorted(report.glob("*.html"))}
    axe = options.axe.read_text(encoding="utf-8") if options.axe else ""
    pages = [page for page in report.glob("*.html") if page.stem != "index"]
    if not pages:
        print(f"no pages in {report}: run `verdict run` (or make demo) first", file=sys.stderr)
        return 2
    name = max(pages, key=lambda page: page.stat().st_size).stem
    token = secrets.token_hex(32)
    with tempfile.TemporaryDirectory() as folder, _served(options.root, token) as url:
        terminal = _terminal_pages(options.root, name, Path(folder))
        async with opened(path) as browser:
            problems = await _shoot(browser, {"login": f"{url}/login"}, options.to, axe)
            problems += await _shoot(browser, files, options.to, axe)
            await _sign_in(browser, url, token)
            live = {"live-index": f"{url}/report/index.html", "live-api": f"{url}/api.html"}
            live |= {"live-page": f"{url}/report/{name}.html", "live-none": f"{url}/report/0.html"}
            problems += await _shoot(browser, live, options.to, axe)
            await _look_as(browser, _TERMINAL, "light", height=100)
            for stem, page in terminal.items():
                await browser.go(page)
                height: int = await browser.evaluate("document.documentElement.scrollHeight")
                picture = options.to / f"{stem}.png"
                picture.write_bytes(await _picture(browser, _TERMINAL, height))
                print(picture)
    return problems


def main() -> int:
    """Exit code 1 if a page overflows or breaks a rule of axe-core."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--root", type=Path, default=Path())
    arguments.add_argument("--to", type=Path, default=Path("build/shots"))
    arguments.add_argument("--axe", type=Path)
    options = arguments.parse_args()
    path = program()
    if path is None:
        print("no Chromium is installed: apt-get install -y chromium", file=sys.stderr)
        return 2
    options.to.mkdir(parents=True, exist_ok=True)
    return min(asyncio.run(_everything(options, path)), 2)


if __name__ == "__main__":
    sys.exit(main())
