"""Metrics of other tools as lines of a new spec, or as templates of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flows.formats.atomic_file import write_atomically
from flows.formats.problems import FileProblem
from flows.manifests.metric_manifests import metrics_in
from flows.manifests.metric_queries import ConvertedMetric, said_of

# A spec that names metrics has no default ones.
_USUAL = {
    "errors": "  errors: {kind: error_share, objective: 0.05, critical: true}",
    "p99": "  p99: {kind: slow_share, above: 1s, quantile: 0.99, objective: 0.01}",
}
# Metrics of requests that another tool has, too: they go before the usual ones.
_REQUESTS = ("error_share", "slow_share")


@dataclass(frozen=True, slots=True)
class MetricsFound:
    """converted: those that can be metrics here; others: a sentence each on why they can't."""

    converted: tuple[ConvertedMetric, ...]
    others: tuple[str, ...]

    def without(self, problems: Sequence[FileProblem]) -> MetricsFound:
        """The same without those that a spec's problems are about."""
        parts = [(problem.field.split("."), problem.message) for problem in problems]
        wrong = {path[1]: text for path, text in parts if path[0] == "metrics" and len(path) > 1}
        kept = tuple(one for one in self.converted if one.name not in wrong)
        said = [
            f"{one.origin}: {one.name} isn't converted: {wrong[one.name]}"
            for one in self.converted
            if one.name in wrong
        ]
        return MetricsFound(kept, (*self.others, *said))


def found_in(files: Sequence[Path], scope: str, origin: str = "") -> MetricsFound:
    """The metrics of manifests and canary configs. Raises InputError.

    origin: what configures the split; what another Canary asks is not this experiment's.
    """
    every = metrics_in(files, scope)
    found = [one for one in every if one.origin == origin or not one.origin.startswith("Canary ")]
    said = tuple(said_of(found))
    return MetricsFound(
        tuple(
            replace(one, name=f"{one.name}-query") if _is_a_twin(one) else one
            for one in said
            if isinstance(one, ConvertedMetric)
        ),
        tuple(one for one in said if isinstance(one, str)),
    )


def _is_a_twin(metric: ConvertedMetric) -> bool:
    return metric.name in _USUAL and metric.fields.get("kind") not in _REQUESTS


def metric_lines(found: MetricsFound) -> list[str]:
    """The metrics section, the usual metrics first; nothing where none is found."""
    lines = [f"# {' '.join(text.split())}" for text in found.others]
    if found.converted:
        own = {one.name for one in found.converted}
        lines += ["metrics:", *(line for name, line in _USUAL.items() if name not in own)]
    for one in found.converted:
        doubt = f"  # CHECK: {'; '.join(one.checks)}" if one.checks else ""
        lines.append(f"  {one.name}: {{{one.inline()}}}{doubt}")
    return lines


def write_templates(folder: Path, found: MetricsFound, *, force: bool) -> Iterator[str]:
    """A file per metric, for `template:` of specs; says of each what was done."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in found.converted:
        path = folder / f"{one.name}.yaml"
        if path.exists() and not force:
            yield f"{path} is there already; --force overwrites it"
            continue
        checks = [f"# CHECK: {check}" for check in one.checks]
        fields = [f"{name}: {value}" for name, value in one.fields.items()]
        write_atomically(path, "\n".join([f"# From {one.origin}.", *checks, *fields, ""]))
        yield f"wrote {path}; a spec takes it by {one.name}: {{template: metrics/{path.name}}}"
