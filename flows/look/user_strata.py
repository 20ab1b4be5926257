"""A metric compared within strata, and within the plan's splits where these changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.fixed.comparison import Pair, Sample
from analysis.users.estimates import adjust, sample_of
from analysis.users.post_stratification import large_enough, one_sided, post_stratify
from analysis.users.splits import compare_within_splits
from analysis.users.sums import Moments, Sums
from flows.ingest.users.cohort_sums import CohortSums, Part
from flows.ingest.users.quantities import CROSSED, MetricQuantities, dimension_name
from flows.spec.experiment import Experiment

# So many of the users at most may be in strata that only one variant has.
_FEW = 0.01


def compare_users(
    spec: Experiment,
    places: MetricQuantities,
    sums: CohortSums,
    *,
    part: tuple[str, str] = ("", ""),
    strata: Sequence[str] = (),
) -> tuple[dict[str, Pair], float]:
    """One metric of all users, or of a part of them, each split's compared among themselves.

    strata: of all users, compared within them; users of unknown segments are a stratum too.
    Returns the estimates by candidate and the share of their variance that strata and covariates
    removed. Candidates are compared one by one: one that had no users under a split takes nothing
    of what that split says of another.
    """
    plain = _compared(spec, MetricQuantities(places.value), sums, part)
    if strata:
        found = _compared_within(spec, strata, places, sums)
    elif places.covariates:
        found = _compared(spec, places, sums, part)
    else:
        return plain, 0.0
    return found, _removed(plain, found)


def why_not_within(spec: Experiment, strata: Sequence[str], sums: CohortSums) -> str | None:
    """Why users can't be compared within strata, where too many are in strata of one variant.

    These are put together with others, and would be compared with users of another kind.
    """
    if not strata:
        return None
    splits = [sums.whole] if len(sums.by_split) < 2 else list(sums.by_split.values())
    for candidate in spec.candidates:
        cells = [cell for parts in splits for cell in _alone(spec, candidate, strata, parts)]
        users = sum(n for n, _, _ in cells)
        lost = sum(n for _, n, _ in cells)
        if lost > _FEW * users:
            worst = max((n, what) for _, n, what in cells)[1]
            return (
                f"{lost:,.0f} of {users:,.0f} users are in strata by {', '.join(strata)} that "
                f"hardly any user of the other variant is in ({worst}), so nobody is there to "
                "compare them with. Write segments alike for all variants, or leave out `stratify`"
            )
    return None


def _alone(
    spec: Experiment, candidate: str, strata: Sequence[str], parts: Mapping[Part, Sums]
) -> list[tuple[float, float, str]]:
    """Of every stratum the users, those whom nobody is there to compare with, and who it has."""
    arms = _cells(spec, strata, parts)
    old, new = (np.array([float(c.n) for c in arms[v]]) for v in (spec.baseline, candidate))
    crossed = [name.split(CROSSED) for name in (*_names(strata, parts), "")]
    names = [" x ".join(part or "none" for part in name) for name in crossed]
    return [
        (a + b, alone, f"in {name} {spec.baseline} has {a:,.0f}, {candidate} {b:,.0f}")
        for name, a, b, alone in zip(names, old, new, one_sided([old, new]), strict=True)
    ]


def _compared_within(
    spec: Experiment,
    strata: Sequence[str],
    places: MetricQuantities,
    sums: CohortSums,
) -> dict[str, Pair]:
    if len(sums.by_split) < 2:
        arms = _cells(spec, strata, sums.whole)
        return {
            candidate: _two(
                post_stratify(
                    [arms[spec.baseline], arms[candidate]], places.value, places.covariates
                ).samples
            )
            for candidate in spec.candidates
        }
    splits = [_cells(spec, strata, parts) for _, parts in sorted(sums.by_split.items())]
    found = {}
    for candidate in spec.candidates:
        # Within each split alone, so that no user is compared with one of another split.
        merged = [large_enough([arms[spec.baseline], arms[candidate]]) for arms in splits]
        left, right = ([cell for arms in merged for cell in arms[i]] for i in (0, 1))
        found[candidate] = compare_within_splits(left, right, places.value, places.covariates)
    return found


def _compared(
    spec: Experiment, places: MetricQuantities, sums: CohortSums, part: tuple[str, str]
) -> dict[str, Pair]:
    if len(sums.by_split) < 2:
        return {
            candidate: _one_split(
                [_of(sums.whole, (v, *part)).moments for v in (spec.baseline, candidate)], places
            )
            for candidate in spec.candidates
        }
    arms = {
        variant: [_of(parts, (variant, *part)) for _, parts in sorted(sums.by_split.items())]
        for variant in spec.variants
    }
    return {
        candidate: compare_within_splits(
            arms[spec.baseline], arms[candidate], places.value, places.covariates
        )
        for candidate in spec.candidates
    }


def _one_split(moments: Sequence[Moments], places: MetricQuantities) -> Pair:
    if places.covariates:
        return _two(adjust(moments, places.value, places.covariates).samples)
    return _two([sample_of(each, places.value) for each in moments])


def _two(samples: Sequence[Sample]) -> Pair:
    baseline, candidate = samples
    return baseline, candidate


def _removed(before: Mapping[str, Pair], after: Mapping[str, Pair]) -> float:
    """The share of the differences' variance that is gone, over the candidates that have users."""
    whole, left = 0.0, 0.0
    for candidate, pair in before.items():
        was, now = (sum(float(s.variance_of_mean) for s in p) for p in (pair, after[candidate]))
        if np.isfinite(was) and np.isfinite(now):
            whole, left = whole + was, left + now
    return (whole - left) / whole if whole > 0 else 0.0


def _cells(
    spec: Experiment, strata: Sequence[str], parts: Mapping[Part, Sums]
) -> dict[str, list[Sums]]:
    """By variant of the spec, the sums of every stratum in the same order."""
    dimension = dimension_name(strata)
    names = _names(strata, parts)
    arms = {}
    for variant in spec.variants:
        cells = [_of(parts, (variant, dimension, name)) for name in names]
        arms[variant] = [*cells, _rest(_of(parts, (variant, "", "")), cells)]
    return arms


def _names(strata: Sequence[str], parts: Mapping[Part, Sums]) -> list[str]:
    """The known strata."""
    dimension = dimension_name(strata)
    return sorted({part for _, of, part in parts if of == dimension})


def _of(parts: Mapping[Part, Sums], part: Part) -> Sums:
    """The sums of a part, or of nobody."""
    found = parts.get(part)
    if found is not None:
        return found
    shift = next((each.shift for each in parts.values()), np.zeros(0))
    q = len(shift)
    return Sums(np.array(0.0), shift, np.zeros(q), np.zeros((q, q)))


def _rest(whole: Sums, parts: Sequence[Sums]) -> Sums:
    """Users in no part; all sums are about the same shift."""
    rest = whole
    for part in parts:
        rest = rest.without(part)
    if float(rest.n) == 0:
        return Sums(rest.n, rest.shift, np.zeros_like(rest.total), np.zeros_like(rest.products))
    return rest
