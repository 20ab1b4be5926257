"""Outcomes of exposed users that nothing is made of: other names, left out rows, later times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from analysis.users.outcome_reach import OutcomeReach, VariantReach

# The answer of a statement on the users of a look.
Ask = Callable[[str, Mapping[str, Any]], list[Any]]


@dataclass(frozen=True, slots=True)
class UnreadOutcomes:
    """Rows that count for no metric, by (outcome, variant); the outcome is None without one.

    others: rows by name that no metric reads and by variant. lost: rows that lack a name or a time,
    elsewhere: those of other experiments; each with the number of users. ahead: rows later than the
    last pull. without_user: rows that lack one, by outcome.
    """

    others: Mapping[str, Mapping[str, int]]
    lost: Mapping[tuple[str | None, str], tuple[int, int]]
    elsewhere: Mapping[tuple[str | None, str], tuple[int, int]]
    ahead: Mapping[tuple[str | None, str], int]
    without_user: Mapping[str, int]

    def beside(self, reach: OutcomeReach) -> OutcomeReach:
        """What is known of an outcome's reach, with these."""
        return replace(
            reach,
            others=self.others,
            without_user=self.without_user.get(reach.outcome, 0),
            by_variant={
                variant: self._beside(reach.outcome, variant, each)
                for variant, each in reach.by_variant.items()
            },
        )

    def _beside(self, outcome: str, variant: str, each: VariantReach) -> VariantReach:
        """A row without a name may be one of any outcome."""
        rows, users = self.lost.get((outcome, variant), (0, 0))
        nameless, of_users = self.lost.get((None, variant), (0, 0))
        elsewhere, users_elsewhere = self.elsewhere.get((outcome, variant), (0, 0))
        return replace(
            each,
            lost=rows + nameless,
            users_lost=users + of_users,
            elsewhere=elsewhere,
            users_elsewhere=users_elsewhere,
            ahead=self.ahead.get((outcome, variant), 0),
        )


def read_unread_outcomes(
    ask: Ask,
    asked: Set[str],
    names: Set[str],
    *,
    known_until: datetime,
    later_than: datetime | None,
) -> UnreadOutcomes:
    """Those of a look; asked: the outcomes that metrics are made of; names: of all there are.

    later_than: from when on outcomes are ahead of their time; None if none are.
    """
    others: defaultdict[str, dict[str, int]] = defaultdict(dict)
    if names - asked:
        span = {"since": "-infinity", "until": known_until}
        for outcome, variant, rows in ask("aggregate/outcomes_by_variant", span):
            if outcome not in asked:
                others[outcome][variant] = rows
    lost: defaultdict[tuple[str | None, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    elsewhere: dict[tuple[str | None, str], tuple[int, int]] = {}
    without_user: dict[str, int] = {}
    for lacks, outcome, variant, rows, users in ask("aggregate/left_out_outcomes", {}):
        if lacks == "user" and outcome is not None:
            without_user[outcome] = rows
        elif lacks == "experiment" and variant is not None:
            elsewhere[outcome, variant] = (rows, users)
        elif lacks in ("name", "time") and variant is not None:
            before = lost[outcome, variant]
            lost[outcome, variant] = (before[0] + rows, before[1] + users)
    later = {"since": later_than, "until": "infinity"}
    ahead = ask("aggregate/outcomes_by_variant", later) if later_than else []
    return UnreadOutcomes(
        others=dict(others),
        lost=dict(lost),
        elsewhere=elsewhere,
        ahead={(outcome, variant): rows for outcome, variant, rows in ahead},
        without_user=without_user,
    )
