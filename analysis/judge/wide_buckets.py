"""Short buckets are judged several as one, as soon as there are enough of them.

A state of minutes is seen in how alike neighbouring buckets are, over as many lags as the square
root of the buckets has (requests/long_run_variance.py): by buckets of a second in an hour that is
one minute, and states of five pass for harm. So a plan may have any `bucket`, by which its first
minutes are decided sooner, and is judged as by the default one once it has lasted.

Of healthy versions whose failures swing by a log-sd of 1 over five minutes, at 1000 requests a
second, 50 % were rolled back within an hour by buckets of one second and 32 by two, where it is
1.5 % by 15; 3 % of them are now (200 runs each; `python -m benchmarks.late_harm --only buckets`).
"""

from __future__ import annotations

from dataclasses import replace

from analysis.evidence import Evidence
from analysis.plan import Plan

# The length that the tests were tuned by, and so many that are left at least.
_WIDE_MS, _LEAST_LEFT = 15_000, 48


def in_wide_buckets(plan: Plan, evidence: Evidence) -> tuple[Plan, Evidence]:
    """The plan and what was seen, on the buckets that they are judged by."""
    width = width_of(plan, evidence.buckets)
    if width == 1:
        return plan, evidence
    return with_width(plan, width), evidence.merged(width)


def width_of(plan: Plan, buckets: int) -> int:
    """How many of the plan's buckets are judged as one, after so many of them."""
    return max(1, min(-(-_WIDE_MS // plan.bucket_ms), buckets // _LEAST_LEFT))


def with_width(plan: Plan, width: int) -> Plan:
    """The plan, of which so many buckets are one."""
    return replace(plan, bucket_ms=width * plan.bucket_ms)
