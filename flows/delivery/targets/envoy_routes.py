"""Weights in a file of route configurations that Envoy watches (RDS from the file system)."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flows.delivery.targets.envoy_admin import await_version, count_refused
from flows.delivery.targets.target import (
    ALL_ROUTES,
    AppliedSplit,
    ShiftedRoutes,
    TargetRefused,
    TargetUnavailable,
)
from flows.formats.problems import os_reason
from flows.formats.text_file import STREAM, is_stream
from flows.warehouse.file_lock import LockHeld, file_lock

# Where Envoy accepts what it has no use for: the metadata of a route.
_OURS = "split-verdict"
_LOCK_WAIT_S = 10.0
_YAML = (".yaml", ".yml")
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EnvoyRoutes:
    """Every route of the file that splits traffic between the variants' clusters.

    clusters: Envoy's names, by variant. admin: Envoy's admin address; with it a shift waits until
    Envoy obeys.
    """

    path: Path
    clusters: Mapping[str, str]
    admin: str | None = None
    routes: ShiftedRoutes = ALL_ROUTES

    @property
    def title(self) -> str:
        """The target in words."""
        return f"Envoy's {self.path}"

    def read(self) -> AppliedSplit:
        """The split as the file has it, and Envoy with it, if `admin` is known.

        Raises TargetUnavailable or TargetRefused.
        """
        self._remove_leftover()
        _, data = self._load()
        if self.admin is not None:
            await_version(self.admin, str(data.get("version_info", "")), _names(data))
        return self._split(data)

    def shift(
        self, weights: Mapping[str, float], *, fence: int, expected: str, reason: str
    ) -> AppliedSplit:
        """Replaces the file by one with these weights; see TrafficTarget.shift.

        With `admin` it returns when Envoy has the new routes. What Envoy rejects is taken back.
        """
        with self._alone():
            old, data = self._load()
            now = self._split(data)
            now.check(self.title, fence=fence, expected=expected)
            if now.fence == fence and _same(now.weights, weights):
                return self.read()
            was = str(data.get("version_info"))
            data["version_info"] = str(int(was) + 1) if was.isdecimal() else "1"
            for entry in self._entries(data):
                self._set(entry, weights, fence, reason)
            self._replace_if_taken(old, data)
            return self._split(data)

    def _replace_if_taken(self, old: bytes, data: _Json) -> None:
        """Writes the file, and waits for Envoy; what Envoy rejects is taken back.

        What Envoy may still take (it hasn't answered) stays: the read that follows tells.
        """
        refused = None if self.admin is None else count_refused(self.admin, _names(data))
        self._replace(self._text(data).encode())
        if self.admin is None:
            return
        try:
            await_version(self.admin, str(data["version_info"]), _names(data), refused=refused)
        except TargetRefused:
            self._replace(old)
            raise

    @contextmanager
    def _alone(self) -> Iterator[None]:
        deadline = time.monotonic() + _LOCK_WAIT_S
        try:
            with file_lock(self._lock, shared=False, deadline=deadline):
                yield
        except LockHeld as error:
            raise TargetUnavailable(f"{self.title} is being changed by another process") from error
        except OSError as error:
            raise TargetUnavailable(f"{self.title} can't be written: {os_reason(error)}") from error

    @property
    def _lock(self) -> Path:
        return self.path.with_name(f".{self.path.name}.lock")

    def _load(self) -> tuple[bytes, _Json]:
        if is_stream(self.path):
            raise TargetRefused(f"{self.title} {STREAM}")
        try:
            content = self.path.read_bytes()
            # JSON is YAML, too; but Envoy's JSON may be large, and YAML is slow.
            is_json = self.path.suffix not in _YAML
            data = json.loads(content) if is_json else yaml.safe_load(content)
        except OSError as error:
            raise TargetUnavailable(f"{self.title} can't be read: {error.strerror}") from error
        except (ValueError, yaml.YAMLError, RecursionError) as error:
            kind = "JSON" if is_json else "YAML"
            raise TargetRefused(f"{self.title} is not whole {kind}: {error}") from error
        if not isinstance(data, dict) or not isinstance(data.get("resources"), list):
            raise TargetRefused(f"{self.title} has no `resources`: it must be a DiscoveryResponse")
        return content, data

    def _split(self, data: _Json) -> AppliedSplit:
        entries = self._entries(data)
        found = [self._weights(route) for route in entries]
        if any(other != found[0] for other in found):
            names = ", ".join(sorted(route.get("name", "") for route in entries))
            raise TargetRefused(
                f"{self.title}: the routes {names} split differently; name one "
                "(delivery.target.route)"
            )
        # Other services' routes in the same file are none of our business.
        text = json.dumps(entries, sort_keys=True).encode()
        return AppliedSplit(
            found[0], max(map(_fence, entries)), hashlib.sha256(text).hexdigest()[:16]
        )

    def _entries(self, data: _Json) -> list[_Json]:
        """The routes that split the variants' clusters."""
        wanted = set(self.clusters.values())
        found = [
            route
            for route in _routes(data)
            if wanted <= {entry.get("name") for entry in _weighted(route)}
            and self.routes.name in (None, route.get("name"))
        ]
        if not found:
            where = f"route {self.routes.name}" if self.routes.name else "route"
            raise TargetRefused(
                f"{self.title}: no {where} has weighted_clusters with "
                f"{' and '.join(sorted(wanted))}; name both clusters there, one with weight 0"
            )
        self.routes.check(self.title, len(found))
        return found

    def _weights(self, route: _Json) -> dict[str, float]:
        """Percent by variant; clusters that are no variant must have no weight."""
        weights = {str(entry.get("name")): entry.get("weight", 0) for entry in _weighted(route)}
        if not all(isinstance(weight, int) and weight >= 0 for weight in weights.values()):
            raise TargetRefused(f"{self.title}: weights must be whole numbers, not {weights}")
        others = {n: w for n, w in weights.items() if w and n not in self.clusters.values()}
        total = sum(weights.values())
        if others or not total:
            raise TargetRefused(
                f"{self.title}: the weights are {weights}; they must be those of "
                f"{' and '.join(self.clusters.values())} alone, and more than 0"
            )
        return {name: 100 * weights[cluster] / total for name, cluster in self.clusters.items()}

    def _set(self, route: _Json, weights: Mapping[str, float], fence: int, reason: str) -> None:
        scale = 1 if all(float(weight).is_integer() for weight in weights.values()) else 1000
        by_cluster = {self.clusters[n]: round(weight * scale) for n, weight in weights.items()}
        for entry in _weighted(route):
            entry["weight"] = by_cluster.get(str(entry.get("name")), 0)
        # Since Envoy 1.24 the sum is the total; an older file may still say another one.
        route["route"]["weighted_clusters"].pop("total_weight", None)
        ours = {"fence": fence, "reason": reason}
        route.setdefault("metadata", {}).setdefault("filter_metadata", {})[_OURS] = ours

    def _text(self, data: _Json) -> str:
        if self.path.suffix in _YAML:
            return yaml.safe_dump(data, sort_keys=False)
        return json.dumps(data, indent=1)

    def _replace(self, content: bytes) -> None:
        """Envoy watches renames; a file that is written in place it would read half."""
        partial = self._partial
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                # Envoy may run as somebody else: who could read the file still can.
                os.fchmod(file.fileno(), self.path.stat().st_mode & 0o777)
                os.fsync(file.fileno())
            partial.rename(self.path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    @property
    def _partial(self) -> Path:
        return self.path.with_name(f".{self.path.name}.partial")

    def _remove_leftover(self) -> None:
        """Removes what a killed controller had half written, unless one is writing now."""
        if self._partial.exists():
            with suppress(LockHeld, OSError), file_lock(self._lock, shared=False, deadline=0):
                self._partial.unlink(missing_ok=True)


def _routes(data: _Json) -> Iterator[_Json]:
    for resource in _objects(data, "resources"):
        for host in _objects(resource, "virtual_hosts"):
            yield from _objects(host, "routes")


def _weighted(route: _Json) -> list[_Json]:
    return _objects(route, "route", "weighted_clusters", "clusters")


def _objects(data: Any, *path: str) -> list[_Json]:
    """The objects of the list at that path; none where the file has something else."""
    for field in path:
        data = data.get(field) if isinstance(data, dict) else None
    return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []


def _names(data: _Json) -> set[str]:
    return {str(resource.get("name", "")) for resource in _objects(data, "resources")}


def _fence(route: _Json) -> int:
    data: Any = route
    for field in ("metadata", "filter_metadata", _OURS, "fence"):
        data = data.get(field) if isinstance(data, dict) else None
    # Envoy's metadata knows no whole numbers.
    return int(data) if isinstance(data, int | float) and math.isfinite(data) else 0


def _same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether both are written as the same weights, to a thousandth of a percent."""
    return all(abs(weight - other.get(name, 0.0)) < 0.001 for name, weight in one.items())
