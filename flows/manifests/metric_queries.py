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
_BAD = re.compile(
    r"[45][\d.x*\[\]|-]*\+?|5xx|4xx|(?:fail\w*|error\w*|Unavailable|Internal|Unknown)"
)
_GOOD = re.compile(r"[123][\d.x*|-]*\+?|2xx|ok|OK|0|success\w*")
# What to do with a metric of each kind of provider.
_INSTEAD = {
    "job": "run it as a hook before a stage (docs/how-to/delivery.md)",
    "web": "call it as a hook before a stage (docs/how-to/delivery.md)",
    "kayenta": "`verdict judge` takes its canary config (docs/how-to/kayenta.md)",
}
_EXPORT = "have Prometheus scrape the same counter, and write it as in docs/reference/metrics.md"
COMPARES = (
    "its query compares versions itself, which the judge does: write what it says of one version"
)
_COMMENT = re.compile(rf"({_QUOTED})|#[^\n]*")
# Of a quantity the sum of events is no part of their number.
_AMOUNT = re.compile(r"_(?:sum|seconds|milliseconds|bytes)(?:_total)?\b")
_OF_A_COUNTER = re.compile(r"\b(?:i?rate|increase|i?delta|deriv|changes|resets)\s*\(")
_OURS = frozenset({"version", "service", "namespace", "variant"})


class NotConvertible(UserError):
    """A metric of another tool that can't be one here; the message says why."""


@dataclass(frozen=True, slots=True)
class FoundMetric:
    """A metric of another tool, as it stands there.

    query: PromQL, or why there is none (other). origin: where it stands. lowest, highest: what its
    value must be. fields: others that a metric here has; with a kind, that is all of it.
    remedy: what to do where a name in the query isn't known.
    """

    name: str
    origin: str
    query: str = ""
    other: str = ""
    lowest: float | None = None
    highest: float | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[str, ...] = ()
    remedy: str = ""


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


def no_promql(provider: str, *, has_query: bool) -> str:
    """Why a provider's metric can't be one here, and what to do."""
    if provider == "prometheus" and not has_query:
        return "it has no query"
    if not provider:
        return f"it names no provider; {_EXPORT}"
    return f"{provider} answers no PromQL; {_INSTEAD.get(provider, _EXPORT)}"


def converted(found: FoundMetric) -> ConvertedMetric:
    """The metric here. Raises NotConvertible."""
    if found.other:
        raise NotConvertible(found.other)
    if "kind" in found.fields:
        return ConvertedMetric(found.name, found.origin, found.fields, found.checks)
    plain = _COMMENT.sub(lambda part: part[1] or "", found.query)
    query, checks = _requests_once(re.sub(r"\s+", " ", plain).strip())
    left = dict.fromkeys(one for one in _left_over(query) if one not in _OURS)
    if left:
        raise NotConvertible(f"what {', '.join(left)} stands for is not known{found.remedy}")
    better, doubt = _direction(found, query)
    fields = _ratio(found, query, better) or _gauge(found, query, better)
    checks = [*found.checks, *checks, *([doubt] if doubt else []), *_second_limit(found, better)]
    bound = found.highest if better == "lower" else found.lowest
    if bound is not None and "objective" not in fields:
        checks.append(
            f"its limit {bound:g} isn't converted: a ratio's is a share between 0 and 1, both "
            "excluded; set `objective`"
        )
    if fields["kind"] == "gauge" and "_total" in query and not _OF_A_COUNTER.search(query):
        checks.append("a counter only grows: write `kind: rate`, or rate() of it")
    if not _left_over(query) or set(_left_over(query)) <= {"namespace"}:
        raise NotConvertible("nothing in the query names a version: add a label with {{version}}")
    more = {name: value for name, value in found.fields.items() if name != "better"}
    return ConvertedMetric(found.name, found.origin, {**fields, **more}, tuple(checks))


def _second_limit(found: FoundMetric, better: str) -> Iterator[str]:
    """Of a range, the limit on the better side: a metric here has one on the worse."""
    if found.lowest is None or found.highest is None:
        return
    side, limit = ("above", found.lowest) if better == "lower" else ("below", found.highest)
    yield f"that it must be {side} {limit:g} isn't converted"


def _left_over(query: str) -> list[str]:
    return [first or second for first, second in _LEFT.findall(query)]


def _direction(found: FoundMetric, query: str) -> tuple[str, str]:
    """Which values are better, and the doubt about that.

    Where a quotient's upper counter says itself what it counts, a limit must fit that.
    """
    said = found.fields.get("better")
    if said is None and (found.highest is None) is not (found.lowest is None):
        said = "lower" if found.highest is not None else "higher"
    parts = _RATIO.fullmatch(query)
    counts_bad = _counts_bad(parts[2], parts[3]) if parts else None
    if parts is None or counts_bad is None:
        looks_good = re.search(r"success|availab|ok\b|throughput|conversion", found.name.lower())
        guess = "higher" if looks_good else "lower"
        return (said or guess), ("" if said else "is lower or higher better?")
    read = "lower" if counts_bad is (parts[1] is None) else "higher"
    if said in (None, read):
        return read, ""
    what = "failures" if counts_bad else "successes"
    return said, f"the upper counter looks like that of {what}, its limit says otherwise"


def _counts_bad(upper: str, lower: str) -> bool | None:
    """Whether the conditions that only the upper counter has pick out bad events."""
    seen = set()
    for label, sign, value in re.findall(r"(\w+)\s*(=~|!~|!=|=)\s*[\"']([^\"']*)[\"']", upper):
        if re.search(rf"\b{label}\s*{re.escape(sign)}\s*[\"']{re.escape(value)}[\"']", lower):
            continue
        if _BAD.fullmatch(value):
            seen.add(not sign.startswith("!"))
        elif _GOOD.fullmatch(value):
            seen.add(sign.startswith("!"))
        else:
            return None
    return seen.pop() if len(seen) == 1 else None


def _requests_once(query: str) -> tuple[str, list[str]]:
    """A quotient of a histogram's buckets as one of its counts: buckets hold a request each."""
    parts = _RATIO.fullmatch(query)
    buckets = re.compile(r"_bucket(?=\s*[{\[])")
    if parts is None or not all(buckets.search(parts[at]) for at in (2, 3)):
        return query, []
    if re.search(r"\ble\s*=", query):
        return query, []
    return buckets.sub("_count", query), ["_count instead of the sum of all buckets"]


def _ratio(found: FoundMetric, query: str, better: str) -> dict[str, str] | None:
    """A ratio of two counters; None if the query is another one."""
    parts = _RATIO.fullmatch(query)
    if parts is None or _AMOUNT.search(parts[2].partition("{")[0]):
        return None
    if parts[2] == parts[3]:
        raise NotConvertible(COMPARES)
    try:
        for text in (parts[2], parts[3]):
            parse_selector(_LEFT.sub("x", text))
    except ValueError as error:
        raise NotConvertible(f"its selector {error}; correct the query") from error
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
