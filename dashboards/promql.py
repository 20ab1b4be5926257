"""PromQL as text: conditions on labels, selectors, sums of rates."""

from __future__ import annotations

import re
from typing import NamedTuple

# Grafana puts the window in: at least four scrapes, so that every rate has its two samples.
RATE_WINDOW = "$__rate_interval"


class Match(NamedTuple):
    """One condition on a label; op is one of =, !=, =~, !~; value is not yet quoted."""

    label: str
    op: str
    value: str


Matches = tuple[Match, ...]


def equals(**labels: str) -> Matches:
    """Conditions that want exactly these label values."""
    return tuple(Match(label, "=", value) for label, value in labels.items())


def any_of(label: str, values: tuple[str, ...]) -> Match:
    """The condition that a label has one of the values."""
    if len(values) == 1:
        return Match(label, "=", values[0])
    return Match(
        label, "=~", "|".join(re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", v) for v in values)
    )


def quote(text: str) -> str:
    """A PromQL string; the same rules hold for label values in the text exposition format."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def select(metric: str, *matches: Match) -> str:
    """A selector; a metric that isn't a plain name is a pattern for names."""
    conditions = [f"{match.label}{match.op}{quote(match.value)}" for match in matches]
    if re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", metric):
        return f"{metric}{{{', '.join(conditions)}}}" if conditions else metric
    return f"{{{', '.join([f'__name__=~{quote(metric)}', *conditions])}}}"


def sum_of_rates(
    metric: str, scope: Matches, picks: tuple[Matches, ...], by: tuple[str, ...]
) -> str:
    """The sum of the rates of all series within the scope that any of the picks takes.

    by: labels to keep apart. No series counts twice: `or` leaves out what it has already.
    """
    rates = [f"rate({select(metric, *scope, *pick)}[{RATE_WINDOW}])" for pick in picks]
    grouping = f" by ({', '.join(by)}) " if by else ""
    return f"sum{grouping}({' or '.join(rates)})"
