"""Metrics of counters and queries that the spec names itself, and what a text stands for.

In a text, {{version}} and other names in braces stand for a variant's own, so that one metric
names the series of every variant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from flows.spec.fields import Number, Share
from flows.spec.metric_fields import MarginField, MarginSpec, MetricFields, ShareMarginField

# What new sessions are pulled as; no metric has such a name.
SESSIONS = "(sessions)"
PLACEHOLDER = re.compile(r"\{\{\s*([a-z_.A-Z0-9-]+)\s*\}\}")
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_MATCHER = re.compile(rf"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*({_QUOTED})\s*")
_SELECTOR = re.compile(rf"^\s*({_NAME})\s*(?:\{{(.*)\}})?\s*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ParsedSelector:
    """A counter's name, and conditions on its labels: label, operator, value."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


def parse_selector(text: str) -> ParsedSelector:
    """What a selector such as orders_total{status="failed"} names. Raises ValueError."""
    found = _SELECTOR.match(text)
    if found is None:
        raise ValueError(
            "must be a counter with conditions on its labels, such as "
            'orders_total{status="failed"}; differences are taken of raw samples, without rate()'
        )
    return ParsedSelector(found[1], tuple(_matchers(found[2] or "")))


def _matchers(text: str) -> Iterator[tuple[str, str, str]]:
    rest = text.strip()
    while rest:
        found = _MATCHER.match(rest)
        after = rest[found.end() :] if found else ""
        if after and not after.startswith(","):
            raise ValueError(f"needs a comma before {after[:30]!r}")
        if found is None:
            raise ValueError(f'has no condition such as status="failed" at {rest[:30]!r}')
        yield found[1], found[2], re.sub(r"\\(.)", r"\1", found[3][1:-1])
        rest = after[1:].strip()


def _a_selector(text: str) -> str:
    parse_selector(PLACEHOLDER.sub("x", text))
    return text


CounterText = Annotated[
    str,
    AfterValidator(_a_selector),
    Field(description='A counter, such as orders_total{version="{{version}}"}.'),
]


class CounterRatio(MetricFields):
    """Share of the events of one counter that another counts as bad, by exact differences."""

    kind: Literal["ratio"]
    bad: CounterText | None = Field(None, description="The counter of bad events; or `good`.")
    good: CounterText | None = Field(None, description="Instead of bad: those that are not.")
    of: CounterText = Field(description="The counter of all events; it counts the bad ones too.")
    margin: ShareMarginField = MarginSpec(absolute=0.005)
    objective: Annotated[Share, Field(gt=0, lt=1)] | None = Field(
        None, description="The share of bad events that must not be exceeded."
    )

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.bad is None) == (self.good is None):
            raise ValueError("needs `bad` or `good`: the counter of those events")
        _check_apart(self.parts)
        return self

    @property
    def parts(self) -> dict[str, str]:
        """The texts by what they are."""
        return {"part": self.bad or self.good or "", "of": self.of}

    @property
    def counted(self) -> str:
        """What its values are of, as in a sentence."""
        what = "bad" if self.good is None else "not good"
        return f"{what} of {_name_of(self.of)}"


class _Value(MetricFields):
    better: Literal["higher", "lower"] = Field(
        description="Whether higher or lower values are better."
    )
    margin: MarginField = MarginSpec(relative=0.05)
    objective: Number | None = Field(
        None,
        description="Maximum of the candidate's own value (minimum, if higher is better).",
    )


class CounterRate(_Value):
    """Events of a counter per request or second, by exact differences.

    Per second: as many as the version would have with all of the traffic, by its configured share.
    """

    kind: Literal["rate"]
    counter: CounterText
    per: str = Field(
        "request",
        description="request: the mesh's requests; second; or another counter of what it is per.",
    )

    @model_validator(mode="after")
    def _known_per(self) -> Self:
        if self.per in ("requests", "seconds"):
            raise ValueError(f"per: is {self.per!r}, must be {self.per[:-1]!r}")
        if self.per not in ("request", "second"):
            try:
                _a_selector(self.per)
            except ValueError as error:
                raise ValueError(f"per must be request, second or a counter: {error}") from error
        _check_apart(self.parts)
        return self

    @property
    def parts(self) -> dict[str, str]:
        """The texts by what they are."""
        of = {} if self.per in ("request", "second") else {"of": self.per}
        return {"part": self.counter, **of}

    @property
    def counted(self) -> str:
        """What its values are of, as in a sentence."""
        per = self.per if "of" not in self.parts else _name_of(self.per)
        return f"{_name_of(self.counter)} per {per}"


class Gauge(_Value):
    """A PromQL query's value for each variant: memory, CPU, the length of a queue, lag."""

    kind: Literal["gauge"]
    query: str = Field(
        min_length=1, description='PromQL with one value, such as max(lag{version="{{version}}"}).'
    )

    @property
    def parts(self) -> dict[str, str]:
        """The texts by what they are."""
        return {"query": self.query}

    @property
    def counted(self) -> str:
        """What its values are of, as in a sentence."""
        return "on average"


MeasuredMetric = CounterRatio | CounterRate | Gauge


def _check_apart(parts: dict[str, str]) -> None:
    """Raises ValueError where two parts are the same counter."""
    texts = (
        PLACEHOLDER.sub(lambda one: re.sub(r"\W", "_", one[1]), text) for text in parts.values()
    )
    counters = [(one.metric, frozenset(one.matchers)) for one in map(parse_selector, texts)]
    if len(set(counters)) < len(counters):
        raise ValueError("has the same counter above and below, which says nothing")


def _name_of(text: str) -> str:
    return parse_selector(PLACEHOLDER.sub("x", text)).metric
