"""Whether an Envoy has taken new routes in, by its admin interface."""

from __future__ import annotations

import re
import time
from collections.abc import Set as AbstractSet

from pydantic import BaseModel, ValidationError

from flows.delivery.targets.target import TargetRefused, TargetUnavailable
from flows.formats.network_words import network_words
from flows.formats.urls import endpoint_of

_WAIT_S = 10.0
_TIMEOUT_S = 3.0
_POLL_S = 0.05
_LARGEST = 64 << 20


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
    stats = _get(admin, "stats", filter=r"\.update_(rejected|failure)$").decode(errors="replace")
    return sum(int(count) for count in re.findall(pattern, stats, re.MULTILINE))


class _Named(BaseModel):
    name: str = ""


class _RouteConfig(BaseModel):
    """One of the dump's; Envoy leaves out what is empty."""

    version_info: str = ""
    route_config: _Named = _Named()


class _Dump(BaseModel):
    configs: list[_RouteConfig] = []


def _versions(admin: str, names: AbstractSet[str]) -> set[str]:
    answer = _get(admin, "config_dump", resource="dynamic_route_configs")
    try:
        dump = _Dump.model_validate_json(answer, strict=True)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(map(str, wrong["loc"])) or "the answer"
        raise TargetUnavailable(
            f"{endpoint_of(admin).shown} is no Envoy's admin: {field}: {wrong['msg']}"
        ) from error
    return {one.version_info for one in dump.configs if one.route_config.name in names}


def _get(admin: str, page: str, **query: str) -> bytes:
    """The body, read within the time and the size that an Envoy needs."""
    import requests  # noqa: PLC0415 - only a delivery pays for it

    from flows.ingest.sources.login import SpecSession  # noqa: PLC0415

    server = endpoint_of(admin)
    body, deadline = bytearray(), time.monotonic() + _WAIT_S
    try:
        with (
            SpecSession(_WAIT_S) as session,
            session.get(
                f"{server.url}/{page}",
                params={**server.parameters, **query},
                auth=server.credentials,
                timeout=_TIMEOUT_S,
                stream=True,
            ) as answer,
        ):
            answer.raise_for_status()
            for part in answer.iter_content(1 << 16):
                body += part
                if len(body) > _LARGEST:
                    break
            if len(body) > _LARGEST or time.monotonic() > deadline:
                raise requests.ReadTimeout(f"{len(body)} bytes in {_WAIT_S:g} s, and more")
    except (requests.RequestException, ValueError) as error:
        # ValueError: the length of a chunk is negative.
        said = network_words(error)
        raise TargetUnavailable(
            f"Envoy's admin at {server.shown} doesn't answer: {said}"
        ) from error
    return bytes(body)
