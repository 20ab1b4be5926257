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
_USUAL = (
    "  errors: {kind: error_share, objective: 0.05, critical: true}",
    "  p99: {kind: slow_share, above: 1s, quantile: 0.99, objective: 0.01}",
)


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


def found_in(files: Sequence[Path], scope: str) -> MetricsFound:
    """The metrics of manifests and canary configs. Raises InputError."""
    said = tuple(said_of(metrics_in(files, scope)))
    names = {"errors", "p99"}
    return MetricsFound(
        tuple(
            replace(one, name=f"{one.name}-query") if one.name in names else one
            for one in said
            if isinstance(one, ConvertedMetric)
        ),
        tuple(one for one in said if isinstance(one, str)),
    )


def metric_lines(found: MetricsFound) -> list[str]:
    """The metrics section, the usual metrics first; nothing where none is found."""
    lines = [f"# {' '.join(text.split())}" for text in found.others]
    if found.converted:
        lines += ["metrics:", *_USUAL]
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
