"""Weights in the three kinds of manifest that split traffic: where they are, and what they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from flows.delivery.targets.target import ALL_ROUTES, ShiftedRoutes, TargetRefused
from flows.formats.problems import FieldPath

_Json = Mapping[str, Any]

# The list that holds the weights, and within it, where each entry says what it sends to.
LISTS = {"TrafficSplit": "backends", "VirtualService": "http", "HTTPRoute": "rules"}
_WITHIN = {"VirtualService": "route", "HTTPRoute": "backendRefs"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One weighted backend: where its weight is, by which names it goes, and how much it has."""

    weight_at: FieldPath
    names: frozenset[str]
    weight: Decimal


def read_weights(
    manifest: _Json, names: Mapping[str, str], routes: ShiftedRoutes = ALL_ROUTES
) -> dict[str, float]:
    """Percent by variant, of the lists that split traffic between them.

    names: what the manifest calls each variant. Raises TargetRefused if there is no such list, if
    lists differ, or if others have a part in it.
    """
    found = [_percent(manifest, entries, names) for entries in _splits(manifest, names, routes)]
    if any(other != found[0] for other in found):
        raise TargetRefused(
            f"{title_of(manifest)}: its routes split differently ("
            + "; ".join(_shown(one) for one in found)
            + "); name the one that is shifted (delivery.target.route)"
        )
    return found[0]


def changed_weights(
    manifest: _Json,
    names: Mapping[str, str],
    weights: Mapping[str, float],
    routes: ShiftedRoutes = ALL_ROUTES,
) -> dict[FieldPath, int]:
    """The whole number to write at each weight's place, for percents by variant.

    Raises TargetRefused as read_weights does, and for percents that the kind can't say.
    """
    is_whole = all(float(weight).is_integer() for weight in weights.values())
    if manifest["kind"] == "VirtualService" and not is_whole:
        # Istio up to 1.16 refuses weights that don't sum to 100.
        raise TargetRefused(
            f"{title_of(manifest)} has whole percents only, not {_shown(weights)}: round the stage"
        )
    scale = 1 if is_whole else 1000
    by_name = {names[variant]: round(weight * scale) for variant, weight in weights.items()}
    return {
        entry.weight_at: next((n for name, n in by_name.items() if name in entry.names), 0)
        for entries in _splits(manifest, names, routes)
        for entry in entries
    }


def title_of(manifest: _Json) -> str:
    """Kind and name of an object."""
    return f"{manifest.get('kind')}/{manifest.get('metadata', {}).get('name')}"


def _splits(manifest: _Json, names: Mapping[str, str], routes: ShiftedRoutes) -> list[list[_Entry]]:
    """The lists to shift: those that name every variant, of the routes that are meant."""
    wanted = set(names.values())
    found = [
        entries
        for entries in _lists(manifest, routes.name)
        if all(any(name in entry.names for entry in entries) for name in wanted)
    ]
    if not found:
        within = f" of route {routes.name}" if routes.name else ""
        raise TargetRefused(
            f"{title_of(manifest)}: no list of backends{within} has "
            f"{' and '.join(sorted(wanted))}; write "
            "both, one with weight 0, or say what they are called (delivery.target.names)"
        )
    routes.check(title_of(manifest), len(found))
    return found


def _lists(manifest: _Json, route: str | None) -> Iterator[list[_Entry]]:
    kind = str(manifest.get("kind"))
    outer = _items(manifest, ("spec", LISTS[kind]))
    if kind == "TrafficSplit":
        yield [_entry(manifest, kind, at, item) for at, item in outer]
        return
    for at, item in outer:
        if route is not None and item.get("name") != route:
            continue
        inner = _items(item, (_WITHIN[kind],))
        yield [_entry(manifest, kind, (*at, *where), one) for where, one in inner]


def _items(data: Any, path: Sequence[str]) -> list[tuple[FieldPath, _Json]]:
    for name in path:
        data = data.get(name) if isinstance(data, Mapping) else None
    if not isinstance(data, list):
        return []
    return [((*path, i), item) for i, item in enumerate(data) if isinstance(item, Mapping)]


def _entry(manifest: _Json, kind: str, at: FieldPath, item: _Json) -> _Entry:
    if kind == "VirtualService":
        destination = item.get("destination") or {}
        # Subset and host both tell versions apart; a host may be written short.
        host = str(destination.get("host", ""))
        names = {destination.get("subset"), host, host.partition(".")[0]}
    else:
        names = {item.get("service" if kind == "TrafficSplit" else "name")}
    raw = item.get("weight", 1 if kind == "HTTPRoute" else 0)
    try:
        weight = _quantity(raw)
    except InvalidOperation as error:
        field = ".".join(map(str, (*at, "weight")))
        raise TargetRefused(
            f"{title_of(manifest)}: {field} is {raw!r}, must be a number"
        ) from error
    return _Entry((*at, "weight"), frozenset(str(name) for name in names if name), weight)


def _quantity(raw: object) -> Decimal:
    """TrafficSplit v1alpha1 has Kubernetes quantities: 500m is a half."""
    text = str(raw)
    return Decimal(text[:-1]) / 1000 if text.endswith("m") else Decimal(text)


def _percent(
    manifest: _Json, entries: Sequence[_Entry], names: Mapping[str, str]
) -> dict[str, float]:
    total = sum(entry.weight for entry in entries)
    found = {
        variant: sum(entry.weight for entry in entries if name in entry.names)
        for variant, name in names.items()
    }
    if not total or sum(found.values()) != total:
        raise TargetRefused(
            f"{title_of(manifest)}: all weight must be with {' and '.join(names.values())}, and "
            "more than 0"
        )
    return {variant: float(100 * weight / total) for variant, weight in found.items()}


def _shown(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
