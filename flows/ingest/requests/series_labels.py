"""What the labels of a scraped series say: one form of the series, and its target."""

from __future__ import annotations

from collections.abc import Mapping

from flows.ingest.requests.mesh.family import Labels

# Labels of one of several Prometheus servers that scrape the same; of a mesh's counters also
# `replica`, which others may have themselves.
REPLICA_LABELS = ("prometheus_replica", "__replica__")
MESH_REPLICA_LABELS = (*REPLICA_LABELS, "replica")
# Labels of the Prometheus that answered, not of what it scraped.
_SERVER_LABELS = ("prometheus", *MESH_REPLICA_LABELS)


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


def differing(one: Labels, other: Labels) -> set[str]:
    """Labels, of those that both have, in which two series name different targets.

    Pods of two clusters can have one address, and two servers can scrape one pod.
    """
    return {
        name
        for name, value in one.items()
        if name != "__name__" and name not in _SERVER_LABELS and other.get(name, value) != value
    }
