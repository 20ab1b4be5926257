"""Pods as clusters: what a version's share owes to the pods that it happens to have.

Requests of one pod are alike, so a version of few pods is known less well than its many requests
say. What pods of one version differ by, beyond what sampling explains, is a component of variance.
A pod that is worse than its siblings is named, so that a person repairs a pod and not a version.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace

import numpy as np
from scipy.special import betaincinv, chdtri

from analysis.arrays import BoolArray
from analysis.requests.bounds import BetweenPods
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.gross_failure import worse_log_e
from analysis.requests.pod_counts import PodCounts

# Pods differ for sure where their spread is beyond this tail of what sampling gives.
_CHANCE = 0.04
# Ratio of variances up to which both versions' pods are taken to differ alike.
_ALIKE = 10.0
_MANY = 1e9  # degrees of freedom of a variance that is known to be none
# Standard deviation of pods' shares over their mean, at the most that is plausible among pods of
# one version that are well: exp(0.6 z), z normal, has that.
_PLAUSIBLE = 0.66
_UNLIKELY = 0.01


@dataclass(frozen=True, slots=True)
class PodVariance:
    """What pods add to the variance of one version's share, and its degrees of freedom.

    relative: standard error of the share for each unit of it, if pods differ by as much as is
    plausible; NaN where they differ by more.
    """

    variance: float
    degrees: float
    relative: float


@dataclass(frozen=True, slots=True)
class BadPod:
    """A pod that is surely worse than its siblings of the same version, by more than the margin.

    share, siblings_share: of requests that failed. siblings: pods that it was compared with.
    difference_without: candidate minus baseline, without every pod that is named.
    gross: worse by so much that no margin or burst explains it.
    harms: surely harms its users beyond the margin, and by more than pods of one version differ.
    harm_up_to: it is hardly worse than its siblings by more than this.
    """

    variant: str
    pod: str
    share: float
    siblings_share: float
    siblings: int
    requests: float
    difference_without: float
    gross: bool
    harms: bool = False
    harm_up_to: float = 1.0


_NOTHING = PodVariance(0.0, _MANY, 0.0)


def between_pods(
    baseline: PodCounts, candidate: PodCounts, overdispersion: tuple[float, float]
) -> tuple[PodVariance, PodVariance]:
    """What pods add to the variance of each version's share.

    Only what surely is between pods; of those of the same stretches of time, where there are such.
    Both versions' pods are taken to differ alike, so that a version with one or two of them is
    judged by all; unless one version's differ far more.
    overdispersion: of each version's failures, at least 1: bursts are no difference of pods.
    """
    both = baseline, candidate
    spreads = [_spread(*one) for one in zip(both, overdispersion, strict=True)]
    if not any(spread.degrees for spread in spreads):
        # Of versions with one pod at a time the only siblings are those of other times.
        at_any_time = [replace(counts, stretches=None) for counts in both]
        spreads = [_spread(*one) for one in zip(at_any_time, overdispersion, strict=True)]
    if not any(spread.sure for spread in spreads):
        return _NOTHING, _NOTHING
    degrees = sum(spread.degrees for spread in spreads)
    pooled = sum(spread.degrees * spread.variance for spread in spreads) / degrees
    known = [spread.variance for spread in spreads if spread.degrees]
    if max(known) <= _ALIKE * min(known):
        found = [
            PodVariance(pooled * spread.concentration, degrees, spread.relative)
            for spread in spreads
        ]
    else:
        found = [
            PodVariance(spread.variance * spread.concentration, spread.degrees, spread.relative)
            if spread.sure
            else replace(_NOTHING, relative=spread.relative)
            for spread in spreads
        ]
    return found[0], found[1]


@dataclass(frozen=True, slots=True)
class _Spread:
    """How one version's pods differ: the variance of a pod's share, and its degrees of freedom.

    sure: it is more than sampling gives. concentration: sum of squares of the pods' parts of the
    requests, so the variance of the version's share is that much of a pod's.
    """

    variance: float
    degrees: float
    sure: bool
    concentration: float
    share: float

    @property
    def relative(self) -> float:
        """As PodVariance has it."""
        if self.variance > (_PLAUSIBLE * self.share) ** 2:
            return np.nan
        return _PLAUSIBLE * float(np.sqrt(self.concentration))


def relative_spread(counts: PodCounts) -> tuple[float, int]:
    """Standard deviation of the pods' shares over their mean, sampling included; and how many."""
    spread = _spread(counts, 1.0)
    share = max(spread.share, 1 / max(float(counts.total.sum()), 1.0))
    return float(np.sqrt(spread.variance)) / share, int((counts.total > 0).sum())


def _spread(counts: PodCounts, overdispersion: float) -> _Spread:
    """Of the pods that had requests; no degrees of freedom with one."""
    total = counts.total[counts.total > 0]
    if not total.size:
        return _Spread(0.0, 0.0, sure=False, concentration=0.0, share=0.0)
    weights = total / total.sum()
    concentration = float((weights**2).sum())
    degrees = float(total.size - counts.groups)
    if not degrees:
        return _Spread(0.0, 0.0, False, concentration, counts.share)
    off = counts.bad[counts.total > 0] / total - counts.expected[counts.total > 0]
    raw = float((weights**2 * off**2).sum()) * total.size / degrees
    share = (counts.bad.sum() + 1) / (total.sum() + 2)
    sampling = overdispersion * share * (1 - share) / total.sum()
    sure = raw > float(chdtri(degrees, _CHANCE)) / degrees * sampling
    return _Spread(raw / concentration, degrees, sure, concentration, counts.share)


def stack_between(found: list[tuple[PodVariance, PodVariance] | None]) -> BetweenPods:
    """One row per metric; None where pods aren't known."""
    rows = np.array(
        [[astuple(one) for one in row or (_NOTHING, _NOTHING)] for row in found], dtype=np.float64
    )
    return BetweenPods(
        var_baseline=rows[:, 0, 0],
        var_candidate=rows[:, 1, 0],
        degrees_baseline=rows[:, 0, 1],
        degrees_candidate=rows[:, 1, 1],
        relative_baseline=rows[:, 0, 2],
        relative_candidate=rows[:, 1, 2],
    )


def bad_pods(
    baseline: PodCounts,
    candidate: PodCounts,
    *,
    names: tuple[str, str],
    margin: float,
    gross_gap: float,
    alpha: float,
    overdispersion: float,
    harmful: BoolArray | None = None,
) -> tuple[BadPod, ...]:
    """The pods of either version that are worse than their siblings, by more than the margin.

    Exact at every look, for failures that come alone or in bursts of the given size; alpha is
    shared by the pods. Fewer than half of a version's pods are named (one of two): more are the
    version itself.
    names: of the two versions. gross_gap: from so much worse on a pod is called gross.
    harmful: bool[pods], those of the candidate that surely harm their users; they are named too.
    """
    both = baseline, candidate
    level = alpha / max(sum(len(counts.names) for counts in both), 1)
    limit = -np.log(level) * overdispersion
    named = [_worse(counts, margin, limit) for counts in both]
    harms = [np.zeros_like(named[0]), np.zeros_like(named[1]) if harmful is None else harmful]
    named = [found | sure for found, sure in zip(named, harms, strict=True)]
    left = [counts.without(out) for counts, out in zip(both, named, strict=True)]
    difference = left[1].share - left[0].share
    return tuple(
        BadPod(
            variant=variant,
            pod=counts.names[i],
            share=float(counts.bad[i] / counts.total[i]),
            siblings_share=(siblings := counts.beside(i).without(out)).share,
            siblings=int((siblings.total > 0).sum()),
            requests=float(counts.total[i]),
            difference_without=difference,
            gross=_log_e(counts, i, out, gross_gap) >= limit,
            harms=bool(sure[i]),
            harm_up_to=_largest_share(counts, i) - siblings.share,
        )
        for variant, counts, out, sure in zip(names, both, named, harms, strict=True)
        for i in np.flatnonzero(out).tolist()
    )


def _worse(counts: PodCounts, margin: float, limit: float) -> BoolArray:
    """bool[pods]: the worst pod first, each against those that are not named yet."""
    named = np.zeros(len(counts.names), dtype=np.bool_)
    shares = counts.bad / np.maximum(counts.total, 1)
    for i in np.argsort(-shares, kind="stable").tolist()[: most_named(len(named))]:
        if _log_e(counts, i, named, margin) < limit:
            break
        named[i] = True
    return named


def _largest_share(counts: PodCounts, pod: int) -> float:
    """What a pod's share hardly exceeds (Clopper, Pearson 1934)."""
    bad, good = float(counts.bad[pod]), float(counts.total[pod] - counts.bad[pod])
    return float(betaincinv(bad + 1, good, 1 - _UNLIKELY)) if good > 0 else 1.0


def most_named(pods: int) -> int:
    return 1 if pods == 2 else max(0, (pods - 1) // 2)


def _log_e(counts: PodCounts, pod: int, named: BoolArray, gap: float) -> float:
    """Log e-value against "this pod's share is at most its siblings' plus gap"."""
    counts, others = counts.beside(pod), ~named
    others[pod] = False
    both = [
        BucketCounts(counts.total[[at]].sum(axis=1)[:, None], counts.bad[[at]].sum(axis=1)[:, None])
        for at in (np.flatnonzero(others), np.array([pod]))
    ]
    return float(worse_log_e(both[0], both[1], gap=gap)[0, 0])
