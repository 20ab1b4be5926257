"""Is every day's traffic, or every segment's users, divided as configured?

Over the whole plan deviations of days cancel: a split that favours the candidate on some days and
the baseline on others is right overall, and still every day's users differ between the variants. So
each part (a day, a country) is held against its own configured split, and the parts together too.

Each part's evidence is that of sample_ratio's e-process, on users (requests) of that part alone. A
part is off with a small probability beforehand, _OFF; the product over parts of (1 - _OFF + _OFF e)
is an e-process again, so it may be asked at every look, with whatever parts there are by then. A
sound part costs at most a thirtieth, a part that is off has to show thirty times the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.evidence import StageCounts
from analysis.quality.sample_ratio import (
    ALARM_P_VALUE,
    BEYOND_TOLERANCE_LEVEL,
    SampleRatio,
    check_sample_ratios,
)
from analysis.sequential.e_values import always_valid_p

_OFF = 1 / 30


@dataclass(frozen=True, slots=True)
class PartRatios:
    """What the check of the parts found.

    p_value: always-valid, of all parts together. parts: how many were tested.
    off: the parts whose deviation surely exceeds the tolerance, the worst first.
    mismatch: there is one, and all parts together can't be chance.
    """

    p_value: float
    parts: int
    off: tuple[tuple[str, SampleRatio], ...]
    mismatch: bool


def check_parts(
    parts: Mapping[str, Sequence[StageCounts]], *, tolerance: float
) -> PartRatios | None:
    """Holds each part's counts against its split; None where fewer than two can be.

    parts: by name, its stages as check_sample_ratio takes them.
    """
    if len(parts) < 2:
        return None
    level = BEYOND_TOLERANCE_LEVEL / max(len(parts), round(1 / _OFF))
    ratios = check_sample_ratios(list(parts.values()), tolerance=tolerance, level=level)
    found = {name: ratio for name, ratio in zip(parts, ratios, strict=True) if ratio is not None}
    if len(found) < 2:
        return None
    evidence = np.array([ratio.log_e for ratio in found.values()])
    log_e = float(np.logaddexp(np.log1p(-_OFF), np.log(_OFF) + evidence).sum())
    p_value = float(always_valid_p(log_e))
    off = [(name, ratio) for name, ratio in found.items() if ratio.exceeds]
    off.sort(key=lambda each: -each[1].log_e)
    return PartRatios(p_value, len(found), tuple(off), bool(off) and p_value < ALARM_P_VALUE)
