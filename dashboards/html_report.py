"""The HTML report: a page per experiment and an index of the fleet, each a file by itself.

The pages need no script, no network and no other file, say nothing by colour alone, and are the
same for the same verdicts, byte for byte.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from analysis.verdict import Decision
from dashboards import report_numbers as numbers
from dashboards import report_sections as sections
from dashboards.html_table import paragraph, section, small, table, tag
from dashboards.report_latency import latency_section
from dashboards.report_view import BrokenSpec, ExperimentReport

INDEX = "index.html"
_STYLE = Path(__file__).with_name("report.css")
# What needs somebody comes first.
_URGENCY = (Decision.ROLLBACK, Decision.INVALID, Decision.HOLD, Decision.PROMOTE)
_PAGE = Markup(
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    '<link rel="icon" href="data:,">\n<title>{}</title>\n<style>\n{}</style>\n</head>\n'
    "<body>\n{}</body>\n</html>\n"
)


def report_files(
    reports: Sequence[ExperimentReport],
    folder: Path,
    *,
    broken: Sequence[BrokenSpec] = (),
    without: Collection[str] = (),
) -> dict[Path, str]:
    """A page per experiment and the index, by their path; the index last, when its links lead.

    broken: experiments whose specs can't be read, which the index names. without: experiments whose
    own page isn't wanted.
    """
    ordered = sorted(reports, key=lambda report: report.verdict.experiment)
    pages = {
        folder / file_name(report.verdict.experiment): experiment_page(report)
        for report in ordered
        if report.verdict.experiment not in without
    }
    return pages | {folder / INDEX: index_page(ordered, broken)}


def file_name(experiment: str) -> str:
    """The page of an experiment; one that is called index doesn't take the index's place."""
    name = f"{experiment}.html"
    return f"{experiment}_.html" if name == INDEX else name


def is_page_of(experiment: str, text: str) -> bool:
    """Whether a text is the page that was published of an experiment."""
    return text.startswith(_PAGE.partition("{}")[0]) and _head(experiment) in text


def _head(experiment: str) -> Markup:
    return Markup('<nav><a href="{}">All experiments</a></nav>\n<main>\n<h1>{}</h1>\n').format(
        INDEX, experiment
    )


def experiment_page(report: ExperimentReport) -> str:
    """The page of one experiment: the decision and why, then what it rests on."""
    where = f"{report.service} in {report.namespace}"
    parts = [
        _head(report.verdict.experiment),
        paragraph(f"{where}: {report.description}" if report.description else where, "soft"),
        sections.verdict_box(report.verdict),
        paragraph(f"Look at {numbers.moment(report.verdict.look_at)}.", "soft small"),
        sections.notes_section(report.verdict),
        sections.metrics_section(report.verdict),
        sections.history_section(report),
        sections.split_section(report),
        latency_section(report.verdict),
        sections.quality_section(report.verdict),
        sections.facts_section(report),
        Markup("</main>\n"),
    ]
    return _page(f"{report.verdict.decision.value}: {report.verdict.experiment}", parts)


def index_page(reports: Sequence[ExperimentReport], broken: Sequence[BrokenSpec] = ()) -> str:
    """Every experiment with its decision and the first reason, those that need somebody first."""
    ordered = sorted(
        reports, key=lambda r: (_URGENCY.index(r.verdict.decision), r.verdict.experiment)
    )
    unread = sorted(broken, key=lambda one: one.experiment)
    rows: list[tuple[str, ...]] = [_broken_row(one) for one in unread]
    rows += [
        (
            _link(report),
            tag(report.verdict.decision.value, report.verdict.decision.value),
            numbers.score(report.verdict.decision, report.verdict.score),
            Markup("{}{}").format(
                report.verdict.reasons[0] if report.verdict.reasons else "",
                small(_more(report.verdict.reasons)),
            ),
            numbers.moment(report.verdict.look_at),
        )
        for report in ordered
    ]
    headings = ("experiment", "decision", "score", "why", "look")
    caption = "The latest look at each, those that need somebody first."
    parts = [
        Markup("<main>\n<h1>Traffic experiments</h1>\n"),
        paragraph(_totals(reports)),
        section("Verdicts", table(caption, headings, rows)) if rows else Markup(),
        Markup("</main>\n"),
    ]
    return _page("Traffic experiments", parts)


def _page(title: str, parts: Sequence[Markup]) -> str:
    # Our own style sheet, which holds nothing that HTML reads; as an argument it would be escaped.
    style = Markup(_STYLE.read_text(encoding="utf-8"))
    return str(_PAGE.format(title, style, Markup("").join(parts)))


def _link(report: ExperimentReport) -> Markup:
    return Markup('<a href="{}">{}</a>{}').format(
        quote(file_name(report.verdict.experiment)),
        report.verdict.experiment,
        small(report.service),
    )


def _broken_row(broken: BrokenSpec) -> tuple[str, ...]:
    name: str = broken.experiment
    if broken.has_page:
        name = Markup('<a href="{}">{}</a>{}').format(
            quote(file_name(name)), name, small("its last page")
        )
    why = Markup("{}{}").format(
        f"spec can't be read: {broken.problems[0]}", small(_more(broken.problems))
    )
    return name, tag("no verdict", "invalid"), "none", why, "none"


def _more(reasons: Sequence[str]) -> str:
    rest = len(reasons) - 1
    return f"and {rest} more" if rest > 0 else ""


def _totals(reports: Sequence[ExperimentReport]) -> Markup:
    counts = [(d, sum(report.verdict.decision is d for report in reports)) for d in _URGENCY]
    named = [
        tag(f"{count} {decision.value}", decision.value) for decision, count in counts if count
    ]
    return Markup(", ").join(named) if named else Markup("No verdicts yet.")
