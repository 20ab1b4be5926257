"""What our judge says of one metric: its label, the harm that decided it, and the reason."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from analysis.kayenta.config import MetricConfig
from analysis.kayenta.few_values_judge import FewValues
from analysis.kayenta.harms import Harm
from analysis.kayenta.series_means import FEWEST_TO_PASS


class ValueLabel(StrEnum):
    """high, low: harm beyond the margin is proven; pass: it is excluded."""

    PASS = "pass"
    HIGH = "high"
    LOW = "low"
    UNCERTAIN = "uncertain"
    NO_DATA = "no_data"


_HARM_WORDS = {
    Harm.INCREASE: "the experiment's rise",
    Harm.DECREASE: "the experiment's fall",
    Harm.SPREAD: "the experiment's spread around its median",
}
_FEW_WORDS = {
    ValueLabel.PASS: "isn't shown to exceed what is allowed",
    ValueLabel.UNCERTAIN: "may exceed what is allowed",
    ValueLabel.HIGH: "exceeds what is allowed",
    ValueLabel.LOW: "exceeds what is allowed",
}


class BoundedMean(NamedTuple):
    """A mean and its bounds. A tuple: thousands of Estimates take longer to make."""

    value: float
    lower: float
    upper: float


class ValueJudgement(NamedTuple):
    """What our judge says of one metric.

    excess: of the harm that decided, beyond what is allowed of it: margin, relative to the control,
    and absolute, in the metric's unit. difference: mean of experiment - control over pairs. pairs:
    intervals that both have values in. independent_pairs: how many independent ones tell as much.
    few: the exact test of few values, where that decided.
    """

    config: MetricConfig
    label: ValueLabel
    harm: Harm
    excess: BoundedMean
    difference: BoundedMean
    margin: float
    absolute: float
    probability_within_margin: float
    pairs: int
    independent_pairs: float
    few: FewValues | None

    @property
    def name(self) -> str:
        """The metric's."""
        return self.config.name

    @property
    def fails(self) -> bool:
        """Whether harm beyond the margin is proven."""
        return self.label in (ValueLabel.HIGH, ValueLabel.LOW)

    @property
    def critical_failure(self) -> bool:
        """Whether that of a critical metric is."""
        return self.config.critical and self.fails

    @property
    def reason(self) -> str:
        """Why it has its label, in a sentence; put into words only where somebody reads it."""
        if self.few is not None:
            return f"{_HARM_WORDS[self.harm]} {_FEW_WORDS[self.label]}: {self.few.reason}"
        if self.label is ValueLabel.NO_DATA:
            return "no interval has a value of both the control and the experiment"
        more = f" and {self.absolute:g}" if self.absolute else ""
        what, allowed = _HARM_WORDS[self.harm], f"what is allowed ({100 * self.margin:g} %{more})"
        if self.harm is Harm.SPREAD:
            allowed = "what is allowed"
        excess = self.excess
        if self.label is ValueLabel.PASS:
            return f"{what} stays below {allowed} by at least {-excess.upper:.4g}"
        if self.label is ValueLabel.UNCERTAIN and self.pairs < FEWEST_TO_PASS:
            noun = "interval" if self.pairs == 1 else "intervals"
            return f"{self.pairs} {noun}, fewer than {FEWEST_TO_PASS}, can't exclude harm"
        if self.label is ValueLabel.UNCERTAIN:
            return f"{what} beyond {allowed} lies between {excess.lower:.4g} and {excess.upper:.4g}"
        return f"{what} exceeds {allowed} by at least {excess.lower:.4g}"
