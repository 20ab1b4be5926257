"""What a strategy declares, what it sees of its counters at a look, and what it may find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from analysis.arrays import BoolArray, FloatArray, np

# Of each share that is held against a bound, at all looks at once.
_ALPHA = 0.001
# All shares are alike beforehand: a beta distribution of 1 and 1.
_UNIFORM = 2.0
_FEW = 0.01


class FieldKind(StrEnum):
    """What a field of a strategy is in a spec."""

    SHARE = "share"
    BUDGET = "budget"
    NUMBER = "number"
    DURATION = "duration"
    TEXT = "text"
    COUNTER = "counter"
    NAMES = "names"


def share(default: float, says: str) -> Any:
    """A field that is a share of 0 to 1, or a text like 5%."""
    return field(default=default, metadata={"kind": FieldKind.SHARE, "says": says})


def budget(default: float, says: str) -> Any:
    """A field that is a share above 0 and below 1: the objective of a metric."""
    return field(default=default, metadata={"kind": FieldKind.BUDGET, "says": says})


def number(default: float, says: str) -> Any:
    """A field that is a number above 0."""
    return field(default=default, metadata={"kind": FieldKind.NUMBER, "says": says})


def duration(default_s: float, says: str) -> Any:
    """A field that is a time such as 30s in a spec, and seconds here."""
    return field(default=default_s, metadata={"kind": FieldKind.DURATION, "says": says})


def text(default: str, says: str) -> Any:
    """A field that is a text."""
    return field(default=default, metadata={"kind": FieldKind.TEXT, "says": says})


def selector(default: str, says: str) -> Any:
    """A field that is a counter's selector with {{version}} in it."""
    return field(default=default, metadata={"kind": FieldKind.COUNTER, "says": says})


def names(default: tuple[str, ...], says: str) -> Any:
    """A field that is a list of names."""
    return field(default=default, metadata={"kind": FieldKind.NAMES, "says": says})


PAIR = "|"


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter of each variant.

    of: "requests" for those of the mesh, a name for a statistic of the variant's Envoy cluster
        (upstream_rq_retry), or a selector with {{version}} in it.
    where: conditions on labels beside the variant's own; a code is response_code, however the mesh
        calls it. flag: Envoy's response flag that these have. by: a label, or several with a comma
        between; their values are counted apart, joined by PAIR.
    needed: whether nothing is known without it; else a counter without a series counted nothing.
    of_candidates: whether only the candidates need it.
    """

    of: str
    where: str = ""
    flag: str = ""
    by: str = ""
    needed: bool = False
    of_candidates: bool = False


REQUESTS = Counter("requests", needed=True)


@dataclass(frozen=True, slots=True)
class Counted:
    """What a strategy's counters counted up to a look.

    amounts: by counter, variant and value of the label it is counted by ("" without one),
        float64[buckets] of at least one value.
    shares: the configured share of each variant, where one is.
    left_s: until the plan ends.
    known: by counter and variant, bool[buckets]: whether anything was seen of it; always where it
        isn't said. What is unknown counts as nothing.
    """

    baseline: str
    candidates: Sequence[str]
    bucket_s: float
    amounts: Mapping[str, Mapping[str, Mapping[str, FloatArray]]]
    shares: Mapping[str, float] = field(default_factory=dict)
    left_s: float = 0.0
    known: Mapping[str, Mapping[str, BoolArray]] = field(default_factory=dict)

    def series(self, counter: str, variant: str) -> FloatArray:
        """Events by bucket; empty where nothing was counted."""
        of_value = self.amounts.get(counter, {}).get(variant, {})
        return np.sum(list(of_value.values()), axis=0) if of_value else np.zeros(0)

    def total(self, counter: str, variant: str) -> float:
        """All events."""
        return float(self.series(counter, variant).sum())

    def by(self, counter: str, variant: str) -> dict[str, float]:
        """All events by the values of the counter's label."""
        of_value = self.amounts.get(counter, {}).get(variant, {})
        return {value: float(found.sum()) for value, found in sorted(of_value.items())}


class Found(StrEnum):
    """What follows from a finding: nothing, a note, a rollback, a hold, or an invalid verdict."""

    GOOD = "good"
    NOTE = "note"
    HARM = "harm"
    WAIT = "wait"
    UNFIT = "unfit"


@dataclass(frozen=True, slots=True)
class StrategyFinding:
    """One thing that a strategy looked at, and what it saw, as a sentence."""

    name: str
    found: Found
    detail: str


class Strategy(Protocol):
    """The shape of a strategy's class, a frozen dataclass: its fields are its parameters."""

    kind: ClassVar[str]

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """The metrics of a spec that says none, as a spec has them."""

    @property
    def counters(self) -> Mapping[str, Counter]:
        """What is counted for its check, by name."""

    def check(self, seen: Counted) -> Iterator[StrategyFinding]:
        """What the counters say; valid at every look."""


def frequent(*counts: Mapping[str, float]) -> list[str]:
    """The names that have one in a hundred events, of any of the counts.

    Rare ones are mostly what nobody named: probes, scanners, a label that the proxy doesn't know.
    """
    found = ({name for name in one if one[name] >= _FEW * sum(one.values())} for one in counts)
    return sorted(set[str]().union(*found))


def share_bounds(events: float, of: float) -> tuple[float, float]:
    """Bounds of a share that hold at all looks at once; 0 and 1 where nothing is known."""
    if of <= 0:
        return 0.0, 1.0
    # scipy's functions are slow to import, and every spec that is read comes by here.
    from analysis.sequential.multinomial import shares_with_concentration  # noqa: PLC0415

    counts = np.array([max(of - events, 0.0), min(events, of)])
    found = shares_with_concentration(counts, [0.5, 0.5], alpha=_ALPHA, concentration=_UNIFORM)
    return float(found.lower[1]), float(found.upper[1])
