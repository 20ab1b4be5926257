"""Istio's Telemetry resource that adds labels to the metrics of requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flows.manifests.yaml_scalar import yaml_comment, yaml_quoted, yaml_scalar


def telemetry(name: str, namespace: str, labels: Mapping[str, str], *, about: Iterable[str]) -> str:
    """The resource. labels: each with the expression of its value. about: comments before it."""
    tags = [f"            {label}: {{value: {yaml_quoted(of)}}}" for label, of in labels.items()]
    return "\n".join(
        (
            *map(yaml_comment, about),
            "# A namespace can have one Telemetry without a selector: add this to it, if there is",
            "# one. Where the spec has `reporter: source`, the callers' proxies count: apply it in",
            "# their namespaces, too, or in Istio's root namespace.",
            "apiVersion: telemetry.istio.io/v1",
            "kind: Telemetry",
            "metadata:",
            f"  name: {name}",
            f"  namespace: {yaml_scalar(namespace)}",
            "spec:",
            "  metrics:",
            "    - providers: [{name: prometheus}]",
            "      overrides:",
            *(
                line
                for metric in ("REQUEST_COUNT", "REQUEST_DURATION")
                for line in (
                    f"        - match: {{metric: {metric}, mode: CLIENT_AND_SERVER}}",
                    "          tagOverrides:",
                    *tags,
                )
            ),
            "",
        )
    )
