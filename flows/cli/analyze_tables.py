"""The answers of `verdict analyze` as tables on a terminal of 80 columns."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.table import Table

from flows.aggregates.analyzed_document import (
    AnalyzedRow,
    OverLooks,
    ScorecardDocument,
    SegmentsDiffer,
)
from flows.cli.lines import plain_console, say
from flows.look.scorecard_document import Interval, ScorecardRow

_Line = tuple[str, str, str]


def show(document: ScorecardDocument) -> None:
    """One line per comparison, and what is to be known beside it."""
    level = f"{1 - document.alpha:.0%}"
    table = Table(title="candidate against baseline, relative", title_justify="left")
    for heading in ("metric", "lift", f"{level} at one look", f"{level} at all looks", "wins"):
        table.add_column(heading, overflow="fold")
    several = len({row.experiment for row in document.rows}) > 1
    for row in document.rows:
        table.add_row(*_cells(row, names_experiment=several))
    plain_console().print(table)
    say("wins: chance that the candidate is larger; *: found by e-BH, however often one looks")
    for limit in document.limits:
        say(limit, indent="  ")
    for row in document.rows:
        for line in _remarks(row):
            say(line, indent="  ")
    for segments in document.segments:
        if segments.reversed:
            say(
                f"{segments.metric}, {segments.candidate}: the segments{_by(segments)} say the "
                f"opposite of all users together ({segments.stratified:+.3g}, not "
                f"{segments.pooled:+.3g}): Simpson's paradox"
            )


def sentence(row: ScorecardRow, looks: OverLooks | None = None) -> str:
    """What the row says, for somebody who reads no table; which direction is good isn't known.

    looks: what all of them say together, where the file has several.
    """
    name = " / ".join(p for p in (row.metric, row.segment) if p)
    seen = f"{_percent(row.relative)} (at one look {_range(row.fixed)})"
    if row.split_log_e > math.log(1000):
        return f"{name}: {row.candidate} and {row.baseline} can't be compared: the split is broken"
    if looks is not None and looks.contradicted_at is not None:
        return (
            f"{name}: nothing is claimed of {row.candidate}: it was {looks.direction} than "
            f"{row.baseline} by day {looks.declared_at:g} and the opposite by day "
            f"{looks.contradicted_at:g}, so the effect isn't one"
        )
    at_all, at_one = _side(row.anytime), _side(row.fixed)
    if at_all:
        return (
            f"{name}: {row.candidate} is {at_all} than {row.baseline} by {seen}; that holds "
            "however often one looks"
        )
    if at_one and looks is not None:
        return (
            f"{name}: over {looks.looks} looks no difference of {row.candidate} from "
            f"{row.baseline} is shown ({_range(row.anytime)}); the last one alone: {seen}"
        )
    if at_one:
        return (
            f"{name}: {row.candidate} is {at_one} than {row.baseline} by {seen}, if this is the "
            f"only look; for looks at any time not yet ({_range(row.anytime)})"
        )
    return f"{name}: no difference of {row.candidate} from {row.baseline} is shown: {seen}"


def _side(interval: Interval) -> str:
    """Which side of zero all of the interval is on; empty where it holds zero."""
    if interval.lower > 0:
        return "larger"
    return "smaller" if interval.upper < 0 else ""


def _cells(row: ScorecardRow, *, names_experiment: bool) -> list[str]:
    name = " / ".join(p for p in (row.metric, row.segment) if p)
    return [
        f"{row.experiment}\n" * names_experiment + f"{name}: {row.candidate}",
        f"{_percent(row.relative)}\nof {row.estimate_baseline:.4g}",
        f"{_range(row.fixed)}\np = {row.p_value:.2g}",
        f"{_range(row.anytime)}\np = {row.anytime_p:.2g}" + (" *" if row.discovery else ""),
        f"{(row.share_posterior or row.posterior).chance_to_win:.1%}",
    ]


def _range(interval: Interval) -> str:
    ends = (interval.relative_lower, interval.relative_upper)
    if all(math.isinf(end) for end in ends):
        return "unbounded"
    return f"{_percent(ends[0])} to {_percent(ends[1])}"


def _percent(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:+.2%}" if math.isfinite(value) else ("-∞" if value < 0 else "∞")


def _remarks(row: ScorecardRow) -> list[str]:
    """What the table doesn't say."""
    name = f"{row.metric}, {row.candidate}"
    found = []
    if row.split_log_e > math.log(1000):
        found.append(
            f"{name}: users are not divided as configured (p = {row.split_p:.1g}); "
            "the versions can't be compared"
        )
    if row.variance_removed is not None:
        found.append(f"{name}: the adjustment removes {row.variance_removed:.0%} of the variance")
    return found


def _by(segments: SegmentsDiffer) -> str:
    return f" by {segments.dimension}" if segments.dimension else ""


def show_all(document: ScorecardDocument) -> None:
    """A table of every method's answer for each comparison, then what concerns all variants."""
    console = plain_console()
    for row in document.rows:
        name = " / ".join(p for p in (row.experiment, row.metric, row.segment) if p)
        table = Table(title=f"{name}: {row.candidate} - {row.baseline}", title_justify="left")
        for heading in ("method", f"{1 - document.alpha:.0%} interval", "p"):
            table.add_column(heading, overflow="fold")
        for line in _every_method(row):
            table.add_row(*line)
        console.print(table)
    console.print(_variants_table(document))
    if document.segments:
        console.print(_segments_table(document))


def _every_method(row: AnalyzedRow) -> Iterator[_Line]:
    further = row.further
    yield "one look", _absolute(row.fixed), f"{row.p_value:.3g}"
    yield "  one-sided: larger, smaller", "", f"{further.p_greater:.3g}, {further.p_less:.3g}"
    yield "  relative", _range(row.fixed), f"{row.p_value:.3g}"
    for name, lift in (("delta", further.lift_delta), ("log", further.lift_log)):
        method = name if lift.method == name else f"{name}: {lift.method}"
        between = f"{_percent(lift.lower)} to {_percent(lift.upper)}"
        yield f"  relative, {method}", between, f"{lift.p_value:.3g}"
    for name, p_value in row.other_p.items():
        yield f"  {name.replace('_', ', ')}", "", f"{p_value:.3g}"
    yield from _within_lines(row)
    yield "every look", _absolute(row.anytime), f"{row.anytime_p:.3g}"
    yield "  relative", _range(row.anytime), f"{row.anytime_p:.3g}"
    for name, test in (
        ("mSPRT", further.msprt),
        ("t", further.anytime_t),
        ("exact, of shares", further.exact_share),
        ("ratio of rates", further.rate_ratio),
    ):
        if test is not None:
            yield (
                f"  {name}",
                f"{_number(test.lower)} to {_number(test.upper)}",
                f"{test.p_value:.3g}",
            )
    planned = further.planned_look
    if planned is not None:
        stop = "stop" if planned.crossed else "go on"
        yield f"look {planned.look} of {planned.looks} planned", _absolute(planned.interval), stop
    posterior = row.share_posterior or row.posterior
    between = f"{_percent(posterior.lower)} to {_percent(posterior.upper)}"
    yield f"posterior: wins {posterior.chance_to_win:.1%}", between, ""
    for name, p_value in (
        ("Bonferroni", further.p_bonferroni),
        ("Holm", row.p_holm),
        ("Hochberg", further.p_hochberg),
        ("Benjamini, Hochberg", row.p_fdr),
        ("Benjamini, Yekutieli", further.p_by),
    ):
        yield f"corrected: {name}", "", f"{p_value:.3g}"


def _within_lines(row: AnalyzedRow) -> Iterator[_Line]:
    within = row.further.within
    if within is None:
        return
    size = _percent(within.margin)[1:] if within.relative else f"{within.margin:.4g}"
    yield f"  not lower by {size}", "", f"{within.p_not_lower:.3g}"
    yield f"  not higher by {size}", "", f"{within.p_not_higher:.3g}"
    ends = (
        (_percent(within.lower), _percent(within.upper))
        if within.relative
        else (f"{within.lower:.4g}", f"{within.upper:.4g}")
    )
    yield f"  equivalent within {size}", " to ".join(ends), f"{within.p_equivalent:.3g}"


def _absolute(interval: Interval) -> str:
    return f"{_number(interval.lower)} to {_number(interval.upper)}"


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else ("-∞" if value < 0 else "∞")


def _variants_table(document: ScorecardDocument) -> Table:
    table = Table(title="all variants at once", title_justify="left")
    for heading in ("metric", "any different", "p", "split: p at one, all looks"):
        table.add_column(heading, overflow="fold")
    for one in document.over_variants:
        name = " / ".join(p for p in (one.experiment, one.metric, one.segment) if p)
        split = "-"
        if not math.isnan(one.split_p):
            split = f"{one.split_p:.3g}, {one.split_anytime_p:.3g}"
        test = f"{one.test}: {one.statistic:.4g}"
        table.add_row(f"{name}\n{', '.join(one.variants)}", test, f"{one.p_value:.3g}", split)
    return table


def _segments_table(document: ScorecardDocument) -> Table:
    table = Table(title="does the effect differ between segments?", title_justify="left")
    for heading in ("metric", "segments", "pooled", "stratified", "p"):
        table.add_column(heading, overflow="fold")
    for one in document.segments:
        table.add_row(
            f"{one.experiment} / {one.metric}: {one.candidate}",
            f"{one.segments}{_by(one)}",
            f"{one.pooled:+.3g}",
            f"{one.stratified:+.3g}" + (" !" if one.reversed else ""),
            f"{one.p_value:.3g}",
        )
    return table
