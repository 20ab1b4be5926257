"""The match rules of Istio's HTTP routes (and Flagger's A/B tests) as a readable cohort."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flows.manifests.split import MatchedRequests
from flows.manifests.values import fields_of, items_of, labels_of

_TEXTS = ("uri", "scheme", "method", "authority")
_BY_NAME = {"headers": "header", "queryParams": "query parameter"}
_WORDS = {"exact": "is", "prefix": "starts with", "suffix": "ends with", "regex": "matches"}


def cohort_of(matches: Any) -> MatchedRequests:
    """Each entry is an alternative; the conditions of one entry must all hold."""
    entries = [tuple(_conditions(fields_of(item))) for item in items_of(matches)]
    return MatchedRequests(tuple(entries))


def _conditions(entry: dict[str, Any]) -> Iterator[str]:
    for name in _TEXTS:
        if name in entry:
            yield f"{name} {_condition(entry[name])}"
    for field, word in _BY_NAME.items():
        for name, rule in fields_of(entry.get(field)).items():
            yield f"{word} {name} {_condition(rule)}"
    for name, rule in fields_of(entry.get("withoutHeaders")).items():
        yield f"not header {name} {_condition(rule)}"
    for label, value in labels_of(entry.get("sourceLabels")):
        yield f"caller has label {label}={value}"
    for field, word in (("sourceNamespace", "caller is in namespace"), ("port", "port is")):
        if field in entry:
            yield f"{word} {entry[field]}"
    gateways = [str(item) for item in items_of(entry.get("gateways"))]
    if gateways:
        yield f"gateway is {' or '.join(gateways)}"


def _condition(rule: Any) -> str:
    """A string match in words; without a rule, presence is enough."""
    known = {
        word: fields_of(rule)[name] for name, word in _WORDS.items() if name in fields_of(rule)
    }
    return " and ".join(f"{word} {value!r}" for word, value in known.items()) or "is present"
