"""Tables of the report: text is escaped, and roles survive the cards of a phone."""

from __future__ import annotations

from markupsafe import Markup

from dashboards.html_table import bullets, facts, paragraph, section, small, table, tag

HOSTILE = '<script>alert("x")</script>&'
ESCAPED = "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;&amp;"


def test_every_text_is_escaped() -> None:
    parts = [
        table(HOSTILE, (HOSTILE, HOSTILE), [(HOSTILE, HOSTILE)]),
        bullets([HOSTILE]),
        facts([(HOSTILE, HOSTILE)]),
        section(HOSTILE),
        paragraph(HOSTILE, HOSTILE),
        tag(HOSTILE, HOSTILE),
        small(HOSTILE),
    ]

    assert all("<script>" not in part and ESCAPED in part for part in parts)


def test_markup_is_kept() -> None:
    assert "<b>1</b>" in table("", ("a", "b"), [("x", Markup("<b>1</b>"))])


def test_cells_carry_their_column_and_role() -> None:
    html = table("caption", ("metric", "harm"), [("errors", "2 points")])

    assert '<td role="cell" data-label="harm">2 points</td>' in html
    assert '<th role="rowheader" scope="row">errors</th>' in html
