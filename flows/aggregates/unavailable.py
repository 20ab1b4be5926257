"""Which methods have no answer to which rows, and why: said, so that a gap is no riddle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from analysis.fixed.share_tests import MOST_EXACT_USERS
from flows.aggregates.analyzed_document import AnalyzedRow, OverVariants

_MOST_NAMES = 3
_EXACT = "Fisher's, Boschloo's and Barnard's test"


def unavailable_methods(rows: Sequence[AnalyzedRow], whole: Sequence[OverVariants]) -> list[str]:
    """A sentence per method and reason, with the first metrics that it is about."""
    found: dict[tuple[str, str], list[str]] = {}
    gaps = [(row.metric, row.segment, gap) for row in rows for gap in _of_row(row)]
    gaps += [(one.metric, one.segment, gap) for one in whole for gap in _over_variants(one)]
    for metric, segment, gap in gaps:
        name = f"{metric} ({segment})" if segment else metric
        names = found.setdefault(gap, [])
        if name not in names:
            names.append(name)
    return [f"{method}: not of {_listed(names)}: {why}" for (method, why), names in found.items()]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _of_row(row: AnalyzedRow) -> Iterator[tuple[str, str]]:
    unknown = _why_unknown(row)
    is_share = row.further.exact_share is not None
    if unknown is not None:
        yield "tests, intervals and posteriors of the difference", unknown
    else:
        yield from _lifts(row)
    if row.type == "proportion":
        yield from _of_shares(row, is_share=is_share)
    if row.type == "count" and row.further.rate_ratio is None:
        yield "rate ratio", _why_no_rates(row)
    if not math.isfinite(row.split_p):
        seen = row.users_baseline + row.users_candidate > 0
        yield "tests of the split", "no `share` is configured" if seen else "there are no users"


def _why_unknown(row: AnalyzedRow) -> str | None:
    """Why nothing is said of a row's difference; None where something is."""
    if math.isfinite(row.p_value):
        return None
    least = min(row.users_baseline, row.users_candidate)
    if least < (1 if row.type == "proportion" else 2):
        return "a variant has too few users"
    if row.type == "ratio" and not math.isfinite(row.difference):
        return "a variant's denominators sum to 0"
    if not math.isfinite(row.difference):
        return "a variant has no estimate"
    return (
        "users don't differ from each other, or no digits of it are in the sums (give them about "
        "a `shift` near the mean)"
    )


def _lifts(row: AnalyzedRow) -> Iterator[tuple[str, str]]:
    if not math.isfinite(row.fixed.relative_lower) or not math.isfinite(row.fixed.relative_upper):
        yield "bounded relative interval", "the baseline may be 0"
    for name, lift in (("delta", row.further.lift_delta), ("log", row.further.lift_log)):
        if lift.method == "fieller":
            known = math.isfinite(lift.p_value)
            why = (
                "the baseline may be 0, or the ratio isn't above 0: Fieller's interval stands there"
            )
            yield f"lift by {name}", why if known else "users of a variant are all alike"


def _of_shares(row: AnalyzedRow, *, is_share: bool) -> Iterator[tuple[str, str]]:
    if not is_share:
        yield "tests and posteriors of shares", "covariates or strata adjust it"
        return
    if "fisher" not in row.other_p and row.users_baseline * row.users_candidate > 0:
        largest = max(row.users_baseline, row.users_candidate)
        if largest > MOST_EXACT_USERS:
            yield _EXACT, f"more than {MOST_EXACT_USERS} users"
        elif row.users_baseline % 1 or row.users_candidate % 1:
            yield _EXACT, "the number of users isn't whole"
    if any(math.isnan(p) for p in row.other_p.values()):
        yield "z-test", "no user, or every user, has the outcome"


def _why_no_rates(row: AnalyzedRow) -> str:
    if row.variance_removed is not None:
        return "covariates or strata adjust it"
    if _why_unknown(row) is not None:
        return "a variant has too few users, or they are all alike"
    return "events are below 0, or too many"


def _over_variants(one: OverVariants) -> Iterable[tuple[str, str]]:
    if math.isfinite(one.p_value):
        return ()
    alike = "a variant has fewer than two users, or they are all alike"
    why = "fewer than two variants have users, or all users are alike"
    return [(one.test, why if one.test == "chi-square" else alike)]
