"""Tables and lists of the HTML report: escaped, and readable where a phone shows rows as cards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

# Shown as cards, a table is no table for a screen reader any more; so its roles are spelled out.
_TABLE = Markup(
    '<table role="table"><caption>{}</caption><thead role="rowgroup"><tr role="row">{}</tr>'
    '</thead><tbody role="rowgroup">{}</tbody></table>'
)
_HEADING = Markup('<th role="columnheader" scope="col">{}</th>')
_ROW = Markup('<tr role="row"><th role="rowheader" scope="row">{}</th>{}</tr>')
_CELL = Markup('<td role="cell" data-label="{}">{}</td>')


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A table whose first column names the rows; cells are text, or Markup that is kept."""
    body = [
        _ROW.format(
            first,
            _joined(
                _CELL.format(name, cell) for name, cell in zip(headings[1:], rest, strict=True)
            ),
        )
        for first, *rest in rows
    ]
    return _TABLE.format(caption, _joined(map(_HEADING.format, headings)), _joined(body))


def bullets(sentences: Iterable[str]) -> Markup:
    """A list of sentences."""
    return Markup("<ul>{}</ul>").format(_joined(map(Markup("<li>{}</li>").format, sentences)))


def facts(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Names and what they are."""
    item = Markup("<dt>{}</dt><dd>{}</dd>")
    return Markup("<dl>{}</dl>").format(_joined(item.format(*pair) for pair in pairs))


def section(heading: str, *parts: Markup) -> Markup:
    """A part of the page under its heading."""
    return Markup("<section><h2>{}</h2>{}</section>\n").format(heading, _joined(parts))


def paragraph(text: str, name: str = "") -> Markup:
    """Text, or Markup that is kept; name: its class."""
    return Markup('<p class="{}">{}</p>').format(name, text)


def tag(word: str, name: str) -> Markup:
    """A word in a colour; the word says all that the colour does."""
    return Markup('<span class="tag {}">{}</span>').format(name, word)


def small(text: str) -> Markup:
    """An aside on a line of its own."""
    return Markup('<div class="small soft">{}</div>').format(text)


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)
