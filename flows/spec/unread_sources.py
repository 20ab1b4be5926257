"""Sources that a spec names and no metric of it reads."""

from __future__ import annotations

from collections.abc import Iterator

from flows.spec.experiment import Experiment

_OF_USERS = ("exposures", "outcomes", "users", "conversions")


def unread_sources(spec: Experiment) -> Iterator[str]:
    """A sentence for each: what isn't read is not judged, and its harm isn't seen.

    A server of requests may be named for counters and queries alone: then it is with no mesh.
    """
    for name in _OF_USERS:
        if not spec.user_metrics and getattr(spec.sources, name) is not None:
            yield (
                f"sources.{name}: no metric reads it: add one, such as "
                "{kind: proportion, outcome: bought, window: 7d}"
            )
    is_server = bool(spec.pulled_series) and spec.mesh is None
    if spec.sources.requests is not None and not spec.request_metrics and not is_server:
        yield (
            "sources.requests: no metric reads requests, so neither errors nor latency are judged: "
            "add errors: {kind: error_share} and p99: {kind: slow_share, above: 1s}"
        )
