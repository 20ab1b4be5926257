"""The spec's `cohorts`: the requests under each route rule, with one split of their own."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from flows.spec.fields import Percents, Strict


class CohortSpec(Strict):
    """The requests under one route rule."""

    match: dict[str, str] = Field(
        min_length=1,
        description="Labels of the cohort's series, which no other cohort has.",
    )
    split: Percents | None = Field(
        None,
        description="Percent for each variant in this cohort, 0 for none; without it the "
        "experiment's own split or stages hold.",
    )

    @property
    def told_by(self) -> str:
        """The labels, as in a sentence."""
        return ", ".join(f"{label}={value}" for label, value in self.match.items())


def shifted_cohorts(cohorts: Mapping[str, CohortSpec]) -> list[str]:
    """Those that have no split of their own: the stages are theirs."""
    return [name for name, cohort in cohorts.items() if cohort.split is None]
