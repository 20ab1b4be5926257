"""Whether an Envoy has taken new routes in, by its admin interface."""

from __future__ import annotations

import re
import time
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from flows.delivery.targets.target import TargetRefused, TargetUnavailable
from flows.formats.urls import endpoint_of

if TYPE_CHECKING:
    import requests

_WAIT_S = 10.0
_TIMEOUT_S = 3.0
_POLL_S = 0.05


def await_version(
    admin: str, version: str, names: AbstractSet[str], *, refused: int | None = None
) -> None:
    """Returns when Envoy has this version of the route configurations of these names.

    refused: what count_refused said before the file was changed; None if it wasn't changed now.
    Raises TargetRefused if Envoy rejects the file since, TargetUnavailable if neither comes about.
    """
    deadline = time.monotonic() + _WAIT_S
    while True:
        versions = _versions(admin, names)
        if versions == {version}:
            return
        if refused is not None and count_refused(admin, names) > refused:
            raise TargetRefused(
                f"Envoy at {admin} rejects version {version} of its routes; its log says why "
                "(Filesystem config update rejected)"
            )
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_S)
    raise TargetUnavailable(
        f"Envoy at {admin} has not taken version {version} of its routes in {_WAIT_S:g} s; it has "
        f"{', '.join(sorted(versions)) or 'nothing'}. Either it rejects the file, then its log "
        "says why; or only version_info was changed, which Envoy overlooks"
    )


def count_refused(admin: str, names: AbstractSet[str]) -> int:
    """How many updates of these route configurations Envoy has rejected or could not parse.

    RDS has no error_state in the config dump: these counters are all that the admin tells.
    Raises TargetUnavailable.
    """
    ours = "|".join(re.escape(name.replace(":", "_")) for name in names)
    pattern = rf"\.rds\.(?:{ours})\.update_(?:rejected|failure): (\d+)$"
    stats = _get(admin, "stats", filter=r"\.update_(rejected|failure)$").text
    return sum(int(count) for count in re.findall(pattern, stats, re.MULTILINE))


def _versions(admin: str, names: AbstractSet[str]) -> set[str]:
    answer = _get(admin, "config_dump", resource="dynamic_route_configs")
    try:
        configs = answer.json().get("configs", [])
    except ValueError as error:
        raise TargetUnavailable(
            f"{endpoint_of(admin).shown} is no Envoy's admin: {error}"
        ) from error
    # Envoy leaves out what is empty.
    return {
        str(config.get("version_info", ""))
        for config in configs
        if config.get("route_config", {}).get("name") in names
    }


def _get(admin: str, page: str, **query: str) -> requests.Response:
    import requests  # noqa: PLC0415 - only a delivery pays for it

    server = endpoint_of(admin)
    try:
        answer = requests.get(
            f"{server.url}/{page}",
            params={**server.parameters, **query},
            auth=server.credentials,
            timeout=_TIMEOUT_S,
        )
        answer.raise_for_status()
    except requests.RequestException as error:
        raise TargetUnavailable(
            f"Envoy's admin at {server.shown} doesn't answer: {error}"
        ) from error
    return answer
