"""The report's templates: everything in them is escaped, and characters that turn text round show.

A page is the same for the same records, byte for byte: nothing here reads a clock or a name of
this machine.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis.explain.spans import span_s
from dashboards import report_numbers as numbers

_TEMPLATES = Path(__file__).with_name("templates")
# They turn the text behind them round, or hide it: a name could pass for another one.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f]")
_CODE = re.compile("`([^`]+)`")
# Behind its hyphen a browser would break the line.
_TINY = re.compile(r"\bp (?:=|&lt;) [\d.e+-]*\d|\b\d[\d.]*e-\d+")
_PERCENT = re.compile(r"(?<=\d) %")
_SPARK_WIDTH, _SPARK_HEIGHT = 72, 16


@dataclass(frozen=True, slots=True)
class Site:
    """Where a page is read: as a file, or from `verdict serve`, which tells it of what is new.

    grafana: URL of the Grafana that has the boards; "" if nobody has said.
    state: of a page from the service, another one when its content is; "" for a file.
    has_session: whether its reader can sign out.
    """

    grafana: str = ""
    state: str = ""
    has_session: bool = False


FILES = Site()


def rendered(template: str, **context: object) -> str:
    """A page."""
    return _environment().get_template(template).render(**context)


@cache
def content_security_policy() -> str:
    """What a page may do in a browser: run its own style and script, and ask its own server."""
    script, style = (_hash_of(name) for name in ("report.js", "report.css"))
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _hash_of(name: str) -> str:
    """Of a file as base.html has it: behind a line's end."""
    text = "\n" + (_TEMPLATES / name).read_text(encoding="utf-8")
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def visible(value: object) -> object:
    """Text with its invisible characters spelled out: U+202E as [U+202E]."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _HIDDEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", value)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=visible,
    )
    environment.filters |= {"age": _age, "iso": _iso, "spark": _spark, "url": quote}
    environment.filters |= {"page": page_of, "code": _code, "span": span_s}
    environment.globals["numbers"] = numbers
    # Our own files, which hold nothing that HTML reads; as text they would be escaped.
    environment.globals["own_file"] = lambda name: Markup(
        (_TEMPLATES / name).read_text(encoding="utf-8")
    )
    return environment


def page_of(experiment: str) -> str:
    """The page of an experiment; one that is called index doesn't take the index's place."""
    return f"{experiment}_.html" if experiment == "index" else f"{experiment}.html"


def _age(at: datetime, now: datetime) -> str:
    """How long before the page's time it was."""
    seconds = (now - at).total_seconds()
    return f"{span_s(seconds)} earlier" if seconds >= 1 else "newest"


def _code(sentence: str) -> Markup:
    """The sentence with what stands between backticks as code."""
    text = _CODE.sub(r"<code>\1</code>", str(escape(visible(sentence))))
    text = _PERCENT.sub("\N{NO-BREAK SPACE}%", text)
    return Markup(_TINY.sub(r'<span class="whole">\g<0></span>', text))


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _spark(scores: Sequence[float | None]) -> str:
    """Points of a line through the scores, 0 at the bottom; looks without a score are left out."""
    step = _SPARK_WIDTH / max(len(scores) - 1, 1)
    return " ".join(
        f"{round(i * step)},{round(_SPARK_HEIGHT - 1 - (_SPARK_HEIGHT - 2) * score / 100)}"
        for i, score in enumerate(scores)
        if score is not None
    )
