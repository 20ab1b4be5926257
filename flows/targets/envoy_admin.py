"""Whether an Envoy has taken new routes in, by its admin interface."""

from __future__ import annotations

import time
from collections.abc import Set as AbstractSet
from typing import Any

from flows.targets.target import TargetRefused, TargetUnavailable

_WAIT_S = 10.0
_TIMEOUT_S = 3.0
_POLL_S = 0.05


def await_version(admin: str, version: str, names: AbstractSet[str]) -> None:
    """Returns when Envoy has this version of the route configurations of these names.

    Raises TargetRefused with Envoy's reason if it rejects them, TargetUnavailable if neither
    comes about.
    """
    import requests  # noqa: PLC0415 - only a delivery pays for it

    deadline = time.monotonic() + _WAIT_S
    seen = "nothing"
    while time.monotonic() < deadline:
        try:
            answer = requests.get(
                f"{admin.rstrip('/')}/config_dump",
                params={"resource": "dynamic_route_configs"},
                timeout=_TIMEOUT_S,
            )
            answer.raise_for_status()
            configs: list[dict[str, Any]] = answer.json().get("configs", [])
        except (requests.RequestException, ValueError) as error:
            raise TargetUnavailable(f"Envoy's admin at {admin} doesn't answer: {error}") from error
        ours = [c for c in configs if c.get("route_config", {}).get("name") in names]
        for config in ours:
            rejected = config.get("error_state", {})
            if rejected.get("version_info") == version:
                raise TargetRefused(f"Envoy rejects the routes: {rejected.get('details', '')}")
        versions = {config.get("version_info") for config in ours}
        if versions == {version}:
            return
        seen = ", ".join(sorted(map(str, versions))) or "nothing"
        time.sleep(_POLL_S)
    raise TargetUnavailable(
        f"Envoy at {admin} has not taken version {version} of its routes in {_WAIT_S:g} s; "
        f"it has {seen}"
    )
