"""Shares and times as calibrations say them."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel

from analysis.calibration.outcome import Rate

_DAY = 86_400


class Share(BaseModel):
    """A share of the runs, with its Monte Carlo standard error."""

    value: float
    standard_error: float

    @classmethod
    def of(cls, rate: Rate) -> Self:
        """The same numbers."""
        return cls(value=rate.value, standard_error=rate.standard_error)


def span(seconds: float | None) -> str:
    """A time as a person says it: 40 s, 21 min, 3.5 h, 9.0 d; a dash for none."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.1f} d"
