"""Reads VALUES.json: one series of the control and one of the experiment for each metric.

Two forms are read:

- ours: {"metrics": [{"name": "errors", "control": [0, 1, null], "experiment": [2, 0, "NaN"],
  "start": "2026-01-31T12:00:00Z", "step": 60}]}; start and step (seconds) may be left out
- Kayenta's list of metric set pairs, as its storage and its API have it:
  [{"name": "errors", "id": "...", "tags": {}, "values": {"control": [...], "experiment": [...]},
  "scopes": {"experiment": {"startTimeIso": "...", "stepMillis": 60000}}}]; a metric may stand
  several times with different tags, and each is judged; times are the experiment's, if there. Of a
  side without data Kayenta stores a start and a step of 0, and what it divided by 0 as "Infinity"

A value is a number, or null or "NaN" where nothing was measured. Control and experiment may have
different numbers of values. An infinite value counts as a thousand times the metric's largest size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from analysis.arrays import FloatArray
from flows.formats.json_file import JsonFile, read_json
from flows.formats.problems import FieldPath, RowFault, did_you_mean, each_once

Finding = tuple[FieldPath, str]

_LARGEST_FILE = 200_000_000
_LARGEST_VALUE = 1e100  # its square and sums of such squares are still numbers
_INFINITE = 1000.0  # of the largest size of a metric's finite values; of 1 where they are all 0
_MOST_FINDINGS = 20
_FIRST_YEAR, _LAST_YEAR = 1970, 2200
# Seconds of one interval: sums of them are still times.
_SHORTEST_STEP, _LONGEST_STEP = 0.001, 366 * 86_400
# What Kayenta's storage has in a number's place.
_SENTINELS = {None: math.nan, "NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FORMS = (
    'must be {"metrics": [{"name", "control": [...], "experiment": [...]}]} '
    'or Kayenta\'s [{"name", "values": {"control": [...], "experiment": [...]}}]'
)


@dataclass(frozen=True, slots=True)
class MetricSeries:
    """The values of one metric in both versions: float64[intervals], NaN where none is known.

    tags: what tells series of one metric apart. start: of the first interval; step: in seconds.
    infinite: values that were. control_step: where it is another than the experiment's.
    """

    name: str
    control: FloatArray
    experiment: FloatArray
    tags: dict[str, str] = attribute(default_factory=dict)
    start: datetime | None = None
    step: float | None = None
    infinite: int = 0
    control_step: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether neither version has a place for a value."""
        return not self.control.size and not self.experiment.size

    @property
    def title(self) -> str:
        """The name, with the tags if there are any."""
        return titled(self.name, self.tags)


def titled(name: str, tags: Mapping[str, str]) -> str:
    """A metric's name with the tags that tell its series apart."""
    written = ", ".join(f"{tag}={value}" for tag, value in sorted(tags.items()))
    return f"{name} ({written})" if written else name


def load_metric_values(path: Path, names: Sequence[str]) -> tuple[MetricSeries, ...]:
    """The series of all metrics that the config names, in its order.

    Raises InputError with what is wrong: a broken or truncated file, a value that is no number, a
    metric of the config without values, values of a metric that the config doesn't have.
    """
    file = read_json(path, largest=_LARGEST_FILE)
    root, items = _items(file)
    findings: list[Finding] = []
    series = [
        found
        for index, item in enumerate(items)
        if (found := _series(item, (*root, index), findings)) is not None
    ]
    findings = [(where, said) for where, _, said in each_once(map(_fault, findings), "places")]
    if not findings:
        findings += _mismatches(series, root, names)
    if findings:
        more = len(findings) - _MOST_FINDINGS
        shown = findings[:_MOST_FINDINGS]
        raise file.error([*shown, (root, f"has {more} more problems")] if more > 0 else shown)
    return tuple(sorted(series, key=lambda item: names.index(item.name)))


def _fault(finding: Finding) -> tuple[FieldPath, RowFault]:
    """A finding, which other values and metrics may share: what would be right ends it."""
    path, said = finding
    names = ".".join(part for part in path if isinstance(part, str))
    return path, RowFault("", said, f"{names}: {said.rpartition(', ')[2]}")


def _items(file: JsonFile) -> tuple[FieldPath, list[Any]]:
    """Where the list of metrics stands, and the list."""
    if isinstance(file.data, list):
        return (), file.data
    if isinstance(file.data, dict) and isinstance(file.data.get("metrics"), list):
        return ("metrics",), file.data["metrics"]
    raise file.error([((), _FORMS)])


def _series(item: Any, at: FieldPath, findings: list[Finding]) -> MetricSeries | None:
    """One metric's series; what is wrong with it goes to findings."""
    if not isinstance(item, dict):
        findings.append((at, f"is {_shown(item)}, must be an object with name and values"))
        return None
    before = len(findings)
    name = item.get("name")
    if not isinstance(name, str) or not name:
        findings.append(((*at, "name"), f"is {_shown(name)}, must be the metric's name"))
    nested = item.get("values")
    holder, inside = (nested, (*at, "values")) if isinstance(nested, dict) else (item, at)
    control, experiment = (
        _values(holder.get(side), (*inside, side), findings) for side in ("control", "experiment")
    )
    start, step = _start(item, at, findings), _step(item, at, findings)
    if start is None and step is None:
        start, step = _scope(item, at, findings)
    tags = item.get("tags") or {}
    if not isinstance(tags, dict):
        findings.append(((*at, "tags"), f"is {_shown(tags)}, must be an object"))
    if len(findings) > before:
        return None
    labels = {str(key): str(value) for key, value in tags.items()}
    infinite = int(np.isinf(control).sum() + np.isinf(experiment).sum())
    control, experiment = _bounded(control, experiment)
    theirs = _scope_step(item, "control")
    other = None if theirs in {None, _scope_step(item, "experiment") or theirs} else theirs
    return MetricSeries(str(name), control, experiment, labels, start, step, infinite, other)


def _bounded(*sides: FloatArray) -> tuple[FloatArray, ...]:
    """The values, an infinite one far beyond every finite one of both sides.

    So it keeps its rank, is no gap, which could count as 0, and is beyond whatever ratio is
    allowed: a version whose every call fails is one whose errors are divided by no success.
    """
    values = np.concatenate(sides)
    finite = values[np.isfinite(values)]
    far = _INFINITE * (float(np.abs(finite).max()) or 1.0) if finite.size else np.nan
    return tuple(np.where(np.isinf(v), np.copysign(far, v), v) for v in sides)


def _values(raw: Any, at: FieldPath, findings: list[Finding]) -> FloatArray:
    if not isinstance(raw, list):
        told = "is missing" if raw is None else f"is {_shown(raw)}"
        findings.append((at, f"{told}, must be a list of numbers"))
        return np.empty(0)
    wrong = list(_not_numbers(raw, at))
    if wrong:
        findings += wrong
        return np.empty(0)
    return np.array(
        [value if _is_number(value) else _SENTINELS[value] for value in raw], dtype=np.float64
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _not_numbers(raw: list[Any], at: FieldPath) -> Iterator[Finding]:
    for index, value in enumerate(raw):
        if value is None or (isinstance(value, str) and value in _SENTINELS):
            continue
        if not _is_number(value):
            yield (*at, index), f'is {_shown(value)}, must be a number, null or "NaN"'
        elif abs(value) > _LARGEST_VALUE:
            yield (*at, index), f"is {_shown(value)}, beyond {_LARGEST_VALUE:g} nothing is judged"


def _scope(
    item: dict[str, Any], at: FieldPath, findings: list[Finding]
) -> tuple[datetime | None, float | None]:
    """Start and step as Kayenta's pairs have them; a control of another day has the same index.

    They are the control's where the experiment has no data: its step is then 0.
    """
    scopes = item.get("scopes")
    for side in ("experiment", "control"):
        scope = scopes.get(side) if isinstance(scopes, dict) else None
        if not isinstance(scope, dict) or scope.get("stepMillis") == 0:
            continue
        inside, millis = (*at, "scopes", side), scope.get("stepMillis")
        if millis is not None and not _is_step(millis, per_second=1000):
            told = f"is {_shown(millis)}, must be the milliseconds of one interval, 1 to a year's"
            findings.append(((*inside, "stepMillis"), told))
            return None, None
        start = _start(scope, inside, findings, field="startTimeIso")
        return start, None if millis is None else millis / 1000
    return None, None


def _scope_step(item: dict[str, Any], side: str) -> float | None:
    """The seconds of one interval that a pair's scope of one side has, if it has them."""
    scopes = item.get("scopes")
    scope = scopes.get(side) if isinstance(scopes, dict) else None
    millis = scope.get("stepMillis") if isinstance(scope, dict) else None
    return cast("float", millis) / 1000 if _is_step(millis, per_second=1000) else None


def _start(
    item: dict[str, Any], at: FieldPath, findings: list[Finding], *, field: str = "start"
) -> datetime | None:
    raw = item.get(field)
    if raw is None:
        return None
    try:
        start = datetime.fromisoformat(raw)
        if _FIRST_YEAR <= start.year <= _LAST_YEAR:
            return start
        raise ValueError(raw)
    except (TypeError, ValueError):
        told = f"is {_shown(raw)}, must be a time like 2026-01-31T12:00:00Z"
        findings.append(((*at, field), told))
        return None


def _step(item: dict[str, Any], at: FieldPath, findings: list[Finding]) -> float | None:
    raw = item.get("step")
    if raw is None:
        return None
    if _is_step(raw, per_second=1):
        return cast("float", raw)
    told = f"is {_shown(raw)}, must be the seconds of one interval, 0.001 to a year's"
    findings.append(((*at, "step"), told))
    return None


def _is_step(raw: Any, *, per_second: int) -> bool:
    return _is_number(raw) and bool(
        _SHORTEST_STEP * per_second <= raw <= _LONGEST_STEP * per_second
    )


def _mismatches(
    series: Sequence[MetricSeries], root: FieldPath, names: Sequence[str]
) -> Iterator[Finding]:
    """Metrics of the config without values, values without a metric, and series given twice."""
    there = {item.name for item in series}
    titles: dict[str, int] = {}
    for index, item in enumerate(series):
        if item.name not in names:
            hint = did_you_mean(item.name, names) or f"; it has {', '.join(names)}"
            yield (*root, index, "name"), f"is {item.name!r}, which the config doesn't have{hint}"
        if titles.setdefault(item.title, index) != index:
            yield (*root, index), f"gives {item.title!r} again; tags must tell series apart"
    for name in names:
        if name not in there:
            yield root, f"has no values of {name!r}; give empty lists if there are none"


def _shown(value: Any) -> str:
    """A value in few characters, as JSON has it."""
    if value is None:
        return "null"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
