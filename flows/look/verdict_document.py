"""The verdict as others read it: verdicts/<experiment>/<look>.json and its JSON Schema."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import UnionType
from typing import Any, Self, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field

from analysis.judge.latency_table import LatencyTable
from analysis.judge.segments import SegmentTable
from analysis.metric_result import MetricResult
from analysis.quality.checks import QualityCheck
from analysis.verdict import Decision, Verdict
from flows.formats.atomic_file import write_atomically
from flows.formats.exit_codes import exit_code
from flows.formats.json_schema import JsonDocument, document_schema
from flows.formats.problems import UserError, os_reason
from flows.look.scorecard_document import ScorecardRow
from flows.workspace.paths import verdict_path

# The metadata of a package is a file that would be parsed at every look.
_version = cache(version)


class VerdictNotWritten(UserError):
    """The verdict's file can't be written; the verdict itself is recorded in the warehouse."""


class VerdictDocument(JsonDocument):
    """One verdict with everything that is needed to understand and to replay it."""

    model_config = ConfigDict(title="Verdict")

    experiment: str
    decision: Decision
    exit_code: int = Field(description="What the gate exits with.")
    score: float | None = Field(
        description="Canary health, 0 to 100; null without data, and of an invalid verdict."
    )
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = Field(description="What decides nothing, but should be known.")
    look_at: datetime
    window_start: datetime
    watermark: datetime | None = Field(description="Up to when requests are known without a hole.")
    metrics: tuple[MetricResult, ...]
    quality: tuple[QualityCheck, ...]
    segments: tuple[SegmentTable, ...] = Field(description="Users by segment; exploratory.")
    latency: tuple[LatencyTable, ...] = Field(
        description="By candidate, beside the baseline's, in the same buckets; decides nothing."
    )
    waits: tuple[str, ...] = Field(
        (), description="What must change before the candidate may get more traffic."
    )
    scorecard: tuple[ScorecardRow, ...] = Field(description="User metrics, by every method.")
    spec_hash: str
    software_version: str

    @classmethod
    def of(
        cls, verdict: Verdict, *, spec_hash: str, scorecard: tuple[ScorecardRow, ...] = ()
    ) -> Self:
        """The document of a verdict that was reached under the spec with this hash."""
        said = {field.name: getattr(verdict, field.name) for field in dataclasses.fields(verdict)}
        return cls(
            **said,
            exit_code=exit_code(verdict.decision),
            scorecard=scorecard,
            spec_hash=spec_hash,
            software_version=_version("split-verdict"),
        )

    def write(self, folder: Path) -> Path:
        """Writes folder/<experiment>/<look>.json whole or not at all; returns its path.

        Raises VerdictNotWritten.
        """
        path = self.path_in(folder)
        try:
            return write_atomically(path, self.to_json())
        except OSError as error:
            raise VerdictNotWritten(
                f"{self.experiment}: {path} can't be written: {os_reason(error)}. Free some "
                f"space, or make {folder} a folder that this user may write to"
            ) from error

    def path_in(self, folder: Path) -> Path:
        """Where the verdict is written."""
        return verdict_path(folder, self.experiment, self.look_at)


def verdict_schema() -> str:
    """JSON Schema (draft 2020-12) of a verdict document."""
    return document_schema("verdict", VerdictDocument)


T = TypeVar("T")


_Read: TypeAlias = Callable[[Any, str], Any]
# A bound that isn't known is infinite; any other number that isn't known is no number.
_UNKNOWN = {"lower": -math.inf, "lower_ms": -math.inf, "upper": math.inf, "upper_ms": math.inf}


def restored(kind: type[T], stored: Mapping[str, Any]) -> T:
    """One of our dataclasses as it was before it was written.

    Fields that older software didn't write have their default, or are unknown or empty.
    """
    known = stored.get
    fields = {
        name: read(known(name), name)
        for name, read, has_default in _readers_of(cast(Hashable, kind))
        if name in stored or not has_default
    }
    return kind(**fields)


# Of a scorecard's row what may be missing; every other null is a number that isn't known.
_MAY_BE_NULL = ("variance_removed", "share_posterior")


def stored_document(stored: Mapping[str, Any]) -> VerdictDocument:
    """The document as it was before it was written."""
    verdict = restored(Verdict, stored)
    rows = tuple(ScorecardRow.model_validate(_numbers(row)) for row in stored["scorecard"])
    document = VerdictDocument.of(verdict, spec_hash=stored["spec_hash"], scorecard=rows)
    return document.model_copy(update={"software_version": stored["software_version"]})


def _numbers(stored: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in stored.items():
        if isinstance(value, Mapping):
            found[name] = _numbers(value)
        else:
            unknown = _UNKNOWN.get(name.removeprefix("relative_"), math.nan)
            found[name] = unknown if value is None and name not in _MAY_BE_NULL else value
    return found


def _has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


@cache
def _readers_of(kind: type) -> tuple[tuple[str, _Read, bool], ...]:
    """Of each field its name, what makes its value of what is stored, and if it has a default."""
    hints = get_type_hints(kind)
    return tuple(
        (field.name, _reader(hints[field.name]), _has_default(field))
        for field in dataclasses.fields(kind)
    )


def _reader(kind: Any) -> _Read:
    """What makes a value of a type of what is stored, and of the field's name."""
    if get_origin(kind) is UnionType:
        inner = _reader(next(part for part in get_args(kind) if part is not type(None)))
        return lambda stored, name: None if stored is None else inner(stored, name)
    if get_origin(kind) is tuple:
        one = _reader(get_args(kind)[0])
        return lambda stored, name: tuple(one(each, name) for each in stored or ())
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return lambda stored, _: restored(kind, stored or {})
    if kind is datetime:
        return lambda stored, _: datetime.fromisoformat(stored).astimezone(UTC)
    if kind is float:
        return lambda stored, name: (
            _UNKNOWN.get(name, math.nan) if stored is None else float(stored)
        )
    return lambda stored, _: kind(stored)
