"""What can be understood of a spec with mistakes, so that its rules are checked all the same."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from flows.formats.problems import FieldPath, Finding, nearest
from flows.spec.errors import fields_for, finding_of, written_path
from flows.spec.experiment import Experiment

# Stand in for what is needed and missing or wrong; no rule is checked on them.
_PLACEHOLDERS: dict[str, Any] = {
    "experiment": "unknown",
    "service": "unknown",
    "variants": {"baseline": {}, "candidate": {}},
    "sources": {},
    "outcome": "unknown",
    "above": "1s",
    "before": "1h",
    "duration": "1h",
    "weights": {},
    "url": "http://unknown",
    "metric": "unknown",
}
# The same in place of an item of a list, so that the other items are checked.
_ITEMS: dict[str, Any] = {
    "stages": {"duration": "1h", "weights": {}},
    "adjust": {"before": "1h"},
}
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Parts:
    """A spec as far as it can be understood.

    data: as written. spec: without the wrong parts, defaults and placeholders in their place.
    wrong: the paths of these parts. findings: what is wrong with them.
    """

    data: Any
    spec: Experiment | None
    wrong: frozenset[FieldPath]
    findings: tuple[Finding, ...]

    def is_sound(self, *path: str | int) -> bool:
        """Whether neither the part, nor one within it or around it, is wrong."""
        return not any(
            path[: len(other)] == other or other[: len(path)] == path for other in self.wrong
        )

    @property
    def written_plan(self) -> dict[str, Any]:
        """The plan as written; empty without one."""
        plan = self.data.get("plan")
        return plan if isinstance(plan, dict) else {}

    @property
    def written_stages(self) -> list[Any]:
        """The stages as written; empty without any."""
        stages = self.written_plan.get("stages")
        return stages if isinstance(stages, list) else []

    @property
    def length(self) -> timedelta | None:
        """The stages' durations together; None if one of them is wrong."""
        stages = range(max(1, len(self.written_stages)))
        known = all(self.is_sound("plan", "stages", i, "duration") for i in stages)
        if self.spec is None or not known or not self.is_sound("plan", "duration"):
            return None
        return sum((stage.duration for stage in self.spec.stages), start=timedelta(0))

    @property
    def longest(self) -> timedelta | None:
        """The same of the stages' longest times, which a delivery may take."""
        stages = range(len(self.written_stages))
        known = all(self.is_sound("plan", "stages", i, "at_most") for i in stages)
        if self.spec is None or self.length is None or not known:
            return None
        return sum((stage.longest for stage in self.spec.stages), start=timedelta(0))


def understand(data: Any, texts: Mapping[FieldPath, str]) -> Parts:
    """The parts of a spec that are right by themselves, and what is wrong with the others.

    texts: numbers, times and truth values as they are written, by their paths.
    """
    left, wrong, findings = deepcopy(data), set[FieldPath](), list[Finding]()
    for turn in range(_ROUNDS):
        try:
            spec = Experiment.model_validate(left)
        except ValidationError as error:
            details = error.errors()
        else:
            return Parts(data, spec, frozenset(wrong), tuple(findings))
        paths = [written_path(detail["loc"], left) for detail in details]
        found = list(zip(paths, details, strict=True))
        misspelt = {_meant(*one) for one in found if one[1]["type"] == "extra_forbidden"}
        findings += [
            finding_of(detail, path, texts.get(path))
            for path, detail in found
            if not (detail["type"] == "missing" and path in misspelt)
            and not (turn and _follows(path, detail, wrong))
        ]
        wrong |= {_meant(*one) for one in found}
        for path, detail in found:
            _mend(left, path, missing=detail["type"] == "missing")
    return Parts(data, None, frozenset(wrong), tuple(findings))


def _follows(path: FieldPath, detail: ErrorDetails, wrong: set[FieldPath]) -> bool:
    """Whether an error is only there because wrong parts were left out."""
    return detail["type"] == "missing" or any(other[: len(path)] == path for other in wrong)


def _meant(path: FieldPath, detail: ErrorDetails) -> FieldPath:
    """The part that isn't known: of a misspelt field, the field that was meant."""
    if detail["type"] != "extra_forbidden":
        return path
    return (*path[:-1], nearest(str(path[-1]), fields_for(detail)) or path[-1])


def _mend(data: Any, path: FieldPath, *, missing: bool) -> None:
    """Leaves out the part at a path; of one that is missing, puts in another or leaves out all."""
    if not path:
        return
    parent = data
    for part in path[:-1]:
        if not _has(parent, part):
            return
        parent = parent[part]
    if isinstance(parent, list) and isinstance(path[-1], int) and path[-2] in _ITEMS:
        parent[path[-1]] = deepcopy(_ITEMS[str(path[-2])])
    elif isinstance(parent, list):
        _mend(data, path[:-1], missing=False)
    elif isinstance(parent, dict) and path[-1] in parent:
        del parent[path[-1]]
    elif missing and isinstance(parent, dict) and path[-1] in _PLACEHOLDERS:
        parent[path[-1]] = deepcopy(_PLACEHOLDERS[str(path[-1])])
    elif missing:
        _mend(data, path[:-1], missing=False)


def _has(data: Any, part: str | int) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data
