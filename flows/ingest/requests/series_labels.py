"""What the labels of a scraped series say: one form of the series, and its target."""

from __future__ import annotations

from collections.abc import Mapping

from flows.ingest.requests.mesh.family import Labels

# Labels of the Prometheus that answered, not of what it scraped.
_SERVER_LABELS = ("prometheus", "prometheus_replica", "__replica__")


def target_of(labels: Labels) -> str:
    """The scraped target's name: job and instance, or the pod where the instance was dropped."""
    if labels.get("instance"):
        return f"{labels.get('job', '')}/{labels['instance']}"
    return labels.get("pod") or labels.get("job", "")


def normalised(labels: Labels) -> Mapping[str, str]:
    """Labels that name one series one way: `le` as a number, nothing of the server's own."""
    clean = {name: value for name, value in labels.items() if name not in _SERVER_LABELS and value}
    if "le" in clean:
        clean["le"] = repr(float(clean["le"]))
    return clean
