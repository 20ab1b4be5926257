"""Queries of other tools as metrics of a spec: ratios of counters where they are, else gauges."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from flows.formats.problems import UserError
from flows.manifests.yaml_scalar import yaml_quoted
from flows.spec.measured import parse_selector

_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_COUNTER = rf"[a-zA-Z_:][\w:]*\s*(?:\{{(?:{_QUOTED}|[^\"'}}])*\}})?"
_SUM = rf"sum\s*\(\s*(?:i?rate|increase)\s*\(\s*({_COUNTER})\s*\[[^\]]*\]\s*\)\s*\)"
_RATIO = re.compile(rf"\s*(100\s*-|1\s*-)?\s*{_SUM}\s*/\s*{_SUM}\s*(\*\s*100)?\s*")
_LEFT = re.compile(r"\{\{\s*(.*?)\s*\}\}|\$\{(.*?)\}")
_OURS = frozenset({"version", "service", "namespace", "variant"})


class NotConvertible(UserError):
    """A metric of another tool that can't be one here; the message says why."""


@dataclass(frozen=True, slots=True)
class FoundMetric:
    """A metric of another tool, as it stands there.

    query: PromQL, or why there is none (other). origin: where it stands. lowest, highest: what its
    value must be. fields: others that a metric here has.
    """

    name: str
    origin: str
    query: str = ""
    other: str = ""
    lowest: float | None = None
    highest: float | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConvertedMetric:
    """Its fields as YAML texts, and what a person must look up."""

    name: str
    origin: str
    fields: Mapping[str, str]
    checks: tuple[str, ...]

    def inline(self) -> str:
        """The fields on one line."""
        return ", ".join(f"{name}: {value}" for name, value in self.fields.items())


def converted(found: FoundMetric) -> ConvertedMetric:
    """The metric here. Raises NotConvertible."""
    if found.other:
        raise NotConvertible(found.other)
    query = re.sub(r"\s+", " ", found.query).strip()
    left = [one for one in _left_over(query) if one not in _OURS]
    if left:
        raise NotConvertible(f"what {', '.join(left)} stands for is not known")
    better, doubt = _direction(found)
    fields = _ratio(found, query, better) or _gauge(found, query, better)
    checks = [*found.checks, *([doubt] if doubt else [])]
    if not _left_over(query) or set(_left_over(query)) <= {"namespace"}:
        raise NotConvertible("nothing in the query names a version: add a label with {{version}}")
    more = {name: value for name, value in found.fields.items() if name != "better"}
    return ConvertedMetric(found.name, found.origin, {**fields, **more}, tuple(checks))


def _left_over(query: str) -> list[str]:
    return [first or second for first, second in _LEFT.findall(query)]


def _direction(found: FoundMetric) -> tuple[str, str]:
    """Which values are better, and the doubt about that."""
    if "better" in found.fields:
        return found.fields["better"], ""
    if found.highest is not None:
        return "lower", ""
    if found.lowest is not None:
        return "higher", ""
    looks_good = re.search(r"success|availab|ok\b|throughput|conversion", found.name.lower())
    return ("higher" if looks_good else "lower"), "is lower or higher better?"


def _ratio(found: FoundMetric, query: str, better: str) -> dict[str, str] | None:
    """A ratio of two counters; None if the query is another one."""
    parts = _RATIO.fullmatch(query)
    if parts is None:
        return None
    try:
        for text in (parts[2], parts[3]):
            parse_selector(_LEFT.sub("x", text))
    except ValueError as error:
        raise NotConvertible(f"its selector {error}") from error
    # Of the value itself, less is better: then the upper counter is that of bad events.
    counts_bad = (better == "lower") is (parts[1] is None)
    percent = bool(parts[4]) or (parts[1] or "").startswith("100")
    scale = 100.0 if percent else 1.0
    side = "bad" if counts_bad else "good"
    fields = {"kind": "ratio", side: yaml_quoted(parts[2]), "of": yaml_quoted(parts[3])}
    bound = found.highest if better == "lower" else found.lowest
    if bound is not None:
        share = bound / scale if better == "lower" else 1 - bound / scale
        if 0 < share < 1:
            fields["objective"] = f"{share:.6g}"
    return fields


def _gauge(found: FoundMetric, query: str, better: str) -> dict[str, str]:
    fields = {"kind": "gauge", "query": yaml_quoted(query), "better": better}
    bound = found.highest if better == "lower" else found.lowest
    return fields if bound is None else {**fields, "objective": f"{bound:g}"}


def said_of(metrics: list[FoundMetric]) -> Iterator[ConvertedMetric | str]:
    """Each metric as one here, or a sentence on why it can't be."""
    for found in metrics:
        try:
            yield converted(found)
        except NotConvertible as error:
            yield f"{found.origin}: {found.name} isn't converted: {error}"
