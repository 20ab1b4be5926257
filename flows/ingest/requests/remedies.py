"""What to write in a spec whose variants no series names: their Services, or labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from flows.ingest.requests.mesh.family import Family, Labels, diagnostic_selectors, versions_of
from flows.ingest.sources.samples import Matcher, Selector
from flows.spec.experiment import Experiment

_MOST_VALUES, _MOST_LABELS = 10, 3
# Of the client, the request and its answer, the pod and who scraped it: they name no version.
_OTHERS = re.compile(
    r"^(__|source_|request_|response_|grpc_|status|code$|method|path|route|le$|error|classification"
    r"|connection_|reporter|direction|instance|job|pod$|pod_name|node|container|endpoint|uid|tls"
    r"|prometheus|.*principal|.*cluster_id|srv_port|client_id|server_id|target_)"
)


def services_alike(spec: Experiment, of_service: Sequence[Selector]) -> list[Selector]:
    """Selects what is counted for Services that are named like the spec's; none if none can be."""
    words = _words(spec.service)
    stem = [word for word in words if word not in _names(spec)] or words
    pattern = f".*{'.*'.join(map(re.escape, stem))}.*"
    return [
        Selector(
            one.metric,
            tuple(
                Matcher(m.label, "=~", pattern) if m.value == spec.service else m
                for m in one.matchers
            ),
        )
        for one in of_service
        if any(m.value == spec.service for m in one.matchers)
    ]


def own_services(spec: Experiment, wanted: Sequence[Matcher], found: Sequence[Labels]) -> str:
    """What to write where each version seems to have a Service of its own (exam-blue of exam)."""
    label = next((m.label for m in wanted if m.value == spec.service), "")
    values = {labels.get(label, "") for labels in found}
    short, _, rest = spec.service.partition(".")
    if rest and short in values:
        return f". Write `service: {short}`, and its namespace in `namespace`"
    known = {*_words(spec.service), *_names(spec)}
    own = sorted(value for value in values if known & {*_words(value)})
    if len(own) < len(spec.variants):
        return ""
    named = ", ".join(f"{name}: {{service: ...}}" for name in spec.variants)
    return (
        f". If each version has a Service of its own ({', '.join(own[:_MOST_VALUES])}), name it: "
        f"`variants: {{{named}}}`"
    )


def how_to_tell_apart(
    family: Family, spec: Experiment, found: Sequence[Labels], alike: Sequence[Labels]
) -> str:
    """Sentences on Services and on labels that may be the variants'; empty where versions are told.

    found: of the service's series; alike: of Services that are named like it.
    """
    versions = {version for labels in found for version in versions_of(family, spec, labels)}
    if len(versions - {"latest"}) >= len(spec.variants):
        return ""
    wanted = diagnostic_selectors(family, spec)[0][0].matchers
    return own_services(spec, wanted, alike) + _by_labels(family, spec, found)


def _by_labels(family: Family, spec: Experiment, found: Sequence[Labels]) -> str:
    told = sorted(_telling(family, spec, found))[:_MOST_LABELS]
    if not told:
        return ""
    listed = "; ".join(f"{label} ({', '.join(values)})" for _, label, values in told)
    named = ", ".join(f"{name}: {{labels: {{{told[0][1]}: ...}}}}" for name in spec.variants)
    return f". Labels that tell its series apart: {listed}; name one: `variants: {{{named}}}`"


def _telling(
    family: Family, spec: Experiment, found: Sequence[Labels]
) -> Iterator[tuple[int, str, list[str]]]:
    """Labels with as many values as there are variants, or a few more; likely ones first."""
    versions = family.views[spec.reporter].version_labels
    for label in {name for labels in found for name in labels}:
        values = sorted({labels.get(label, "") for labels in found} - {"", "unknown"})
        if label in versions or _OTHERS.match(label):
            continue
        if len(spec.variants) <= len(values) <= _MOST_VALUES:
            names = {word for value in values for word in _words(value)}
            yield len(_names(spec) - names), label, values


def _names(spec: Experiment) -> set[str]:
    """What a version may be called in the name of something that is its own."""
    called = (text for name, one in spec.variants.items() for text in (name, one.version or ""))
    return {word for text in called for word in _words(text)}


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]
