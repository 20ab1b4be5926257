"""What the load generator is told, and what it tells afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Profile:
    """Requests of random users to one service, at random times (Poisson)."""

    host: str
    rate: float
    """Requests per second."""
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    users: int = 1000
    uuids: bool = False
    """Users are called by a UUID; by default by a name that ends in their number."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """The users of an A/B test: each comes some times, and may complete what it came for."""

    experiment: str
    host: str
    users: int
    conversion: Mapping[str, float]
    """Probability that a user completes, by the variant that answered its first visit."""
    path: str = "/"
    complete_path: str = "/complete"
    outcome: str = "completed"
    headers: Mapping[str, str] = field(default_factory=dict)
    visits: float = 2.0
    """Mean number of visits per user, at least one each."""
    complete_within_s: float = 5.0
    """The longest time from the first visit to the completion."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """One run of the generator."""

    port: int
    seconds: float
    seed: int
    folder: str
    """Where the results are written."""
    profiles: Sequence[Profile] = ()
    crowds: Sequence[Crowd] = ()

    def to_json(self) -> str:
        """As the process reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> LoadPlan:
        """The reverse of to_json."""
        fields = json.loads(text)
        fields["profiles"] = [Profile(**one) for one in fields["profiles"]]
        fields["crowds"] = [Crowd(**one) for one in fields["crowds"]]
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What the clients saw."""

    answers: Mapping[str, Mapping[str, int]]
    """Requests per host and status; status "0" got no answer."""
    variants: Mapping[str, Mapping[str, int]]
    """Requests per host and variant that answered; "" without one."""
    sent: int
    seconds: float
    late_ms_p99: float
    """How far requests were sent after their time: large values mean an overloaded machine."""
    exposures: Path
    """Parquet: experiment, user_id, variant, exposed_at; only written with a crowd."""
    outcomes: Path
    """Parquet: user_id, outcome, occurred_at, value; only written with a crowd."""

    @classmethod
    def read(cls, folder: Path) -> LoadResult:
        """What the generator wrote."""
        told = json.loads((folder / "result.json").read_text())
        return cls(
            **told,
            exposures=folder / "exposures.parquet",
            outcomes=folder / "outcomes.parquet",
        )
