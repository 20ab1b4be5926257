"""How many outcomes of a name reach the users that they are compared for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class VariantReach:
    """Outcomes of one name of one variant's users whose values are final.

    users: those users. rows: their outcomes up to the look; dated: whether all of them have the
    same time of day, as dates have. counted: rows within the window after the exposure; happened:
    of these, those that did happen; without_value: those without a value. just_before: rows within
    as long before the exposure; same_day: rows less than a day before it. alike: rows of no exposed
    user whose id is that of one of these users but for its form.
    expected_before, expected_in_window: at the rate of the rows further before the exposure, or
    after the window, how many would lie nearer than the nearest of them.
    Of a sample, one user in `each`: users_before, with a row just before; sampled: rows within the
    window, repeated: of these, those that equal another one.
    """

    users: int = 0
    rows: int = 0
    dated: bool = False
    counted: int = 0
    happened: int = 0
    without_value: int = 0
    valueless: int = 0
    just_before: int = 0
    same_day: int = 0
    expected_before: float = 0.0
    expected_in_window: float = 0.0
    alike: int = 0
    each: int = 1
    users_before: int = 0
    sampled: int = 0
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class OutcomeReach:
    """Outcomes of one name that a metric is made of.

    rows: up to the look, whoever did them; foreign: of these, those of no exposed user. examples:
    an id of such a one and the exposed user's that it resembles, or any of each side. only_in:
    other names of outcomes that users of just one variant have, and how many rows.
    exposures_dated: whether all exposures have the same time of day.
    """

    outcome: str
    rows: int
    foreign: int
    by_variant: Mapping[str, VariantReach]
    examples: tuple[str, str] | None = None
    only_in: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    exposures_dated: bool = False

    @property
    def alike(self) -> int:
        """Rows of no exposed user whose id is that of one but for its form."""
        return sum(each.alike for each in self.by_variant.values())
