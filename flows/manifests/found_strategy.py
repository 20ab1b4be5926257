"""A traffic strategy as an object of the mesh configures it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.manifests.objects import Manifest
from flows.manifests.values import fields_of


@dataclass(frozen=True, slots=True)
class FoundStrategy:
    """A strategy that an object configures.

    fields: of the spec's `strategy`. settings: what else is configured, as
    sentences. doubts: what could not be read, or not be meant so. header: the request header whose
    values are groups, and the label that must carry them; arms: what requests without it and with
    it are called, where it tells the variants. subsets: of a DestinationRule, by the names of their
    variants, the baseline's first.
    """

    kind: str
    origin: Manifest
    service: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    subsets: Mapping[str, str] = field(default_factory=dict)
    injected: float = 0.0
    arms: tuple[str, ...] = ()


def label_of(header: str) -> str:
    """The label of the mesh's metrics that has a header's values: Prometheus has no dash in one."""
    return re.sub(r"^(?=\d)|[^A-Za-z0-9_]", "_", header)


def settings_of(value: Any, path: str = "") -> Iterator[str]:
    """Settings as "http.maxRetries 3"; items of a list by their place."""
    items = enumerate(value) if isinstance(value, list) else fields_of(value).items()
    for name, item in items:
        where = f"{path}[{name}]" if isinstance(value, list) else f"{path}.{name}".lstrip(".")
        if isinstance(item, dict | list):
            yield from settings_of(item, where)
        else:
            yield f"{where} {item}"
