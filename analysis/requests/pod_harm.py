"""Pods of a candidate that surely harm their users: a decision, where a name alone is a hint.

A pod is compared with its siblings at the same time, so that what both meet (a storm, a busy hour)
doesn't enter, and from several starts, since one may break late; evidence is that of a named pod
(pods.py), at a level of its own that pods and starts share. Pods of one version differ anyway: so
the null hypothesis lies as far beyond the siblings as the baseline's pods are seen to differ, or as
pods plausibly do, whichever is less, and never nearer than the margin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.gross_failure import worse_log_e
from analysis.requests.pod_counts import PodCounts
from analysis.requests.pods import most_named, relative_spread
from analysis.requests.started_windows import RunningTotals
from analysis.sequential.e_values import log_total

# Weight of the comparison from the start; later ones share the rest.
_FIRST = 0.6
# Standard deviation of the log of pods' shares, at the most that is plausible among pods that are
# well.
_PLAUSIBLE_LOG = 0.6
# Before any is seen, pods are taken to differ by a usual standard deviation of that log, as if so
# many degrees of freedom had shown it; chosen by benchmarks/pod_harm.py.
_USUAL_LOG, _USUAL_DEGREES = 0.3, 4
# Of two pods at the level of many metrics and candidates Student's quantiles are beyond any double.
_LARGEST_LOG = 700.0
# What a pod shows is still there if its last stretches show it.
_LAST_STRETCHES = 2


def harmful_pods(
    baseline: PodCounts,
    candidate: PodCounts,
    *,
    margin: float,
    approved: Mapping[str, float],
    alpha: float,
    overdispersion: float,
) -> NDArray[np.bool_]:
    """Which of the candidate's pods surely harm their users beyond the margin: bool[pods].

    The worst pod first, each against those that aren't found yet, and fewer than half.
    alpha: of all of them. approved: by pod, the harm that a person has allowed it.
    overdispersion: variance of failures over the binomial one, at least 1.
    """
    pods = len(candidate.names)
    found = np.zeros(pods, dtype=np.bool_)
    level = alpha / max(pods, 1)
    times = _differ_by(baseline, level)
    shares = candidate.bad / np.maximum(candidate.total, 1)
    for i in np.argsort(-_latest(candidate, shares), kind="stable").tolist()[: most_named(pods)]:
        others = ~found
        others[i] = False
        siblings, pod = _together(candidate, others), _together(candidate, np.arange(pods) == i)
        natural = (times - 1) * max(baseline.share, candidate.without(~others).share)
        gap = max(margin, natural, approved.get(candidate.names[i], 0.0))
        if gap < 1 and _is_worse_still(baseline, siblings, pod, margin):
            found[i] = _log_e(siblings, pod, gap) >= -np.log(level) * overdispersion
    return found


def _differ_by(baseline: PodCounts, level: float) -> float:
    """How many times its siblings' share a pod's own may have: the least of three answers.

    By the spread of the baseline's pods, whose sampling is left in it, through Student's
    distribution; by the same with the usual spread; as pods plausibly differ, unless they are seen
    to differ by more.
    """
    spread, pods = relative_spread(baseline)
    plausible = float(np.exp(-_PLAUSIBLE_LOG * ndtri(level)))
    if pods < 2:
        return plausible
    seen, usual = float(np.log1p(spread**2)), _USUAL_LOG**2
    degrees = np.array([pods - 1, pods - 1 + _USUAL_DEGREES])
    variance = ((pods - 1) * seen + (degrees - pods + 1) * usual) / degrees
    log_times = float((-stdtrit(degrees, level) * np.sqrt(variance * (1 + 1 / pods))).min())
    likely = math.exp(min(log_times, _LARGEST_LOG))
    return min(likely, plausible) if variance[1] <= _PLAUSIBLE_LOG**2 else likely


def _latest(counts: PodCounts, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of the last stretches, where there are several."""
    if counts.stretches is None:
        return shares
    parts = (counts.stretches.bad, counts.stretches.total)
    bad, total = (x[:, -_LAST_STRETCHES:].sum(axis=1) for x in parts)
    return np.asarray(np.maximum(shares, bad / np.maximum(total, 1)))


def _together(counts: PodCounts, pods: NDArray[np.bool_]) -> BucketCounts:
    """Some pods as one: [1, stretches]."""
    if counts.stretches is None:
        return BucketCounts(
            counts.total[pods].sum(keepdims=True)[None], counts.bad[pods].sum(keepdims=True)[None]
        )
    return BucketCounts(
        counts.stretches.total[pods].sum(axis=0, keepdims=True),
        counts.stretches.bad[pods].sum(axis=0, keepdims=True),
    )


def _is_worse_still(
    baseline: PodCounts, siblings: BucketCounts, pod: BucketCounts, margin: float
) -> bool:
    """Whether it looks worse by more than the margin in the last stretches, also than others."""
    last = slice(-_LAST_STRETCHES, None)
    total = float(pod.total[:, last].sum())
    if not total:
        return False
    share = float(pod.bad[:, last].sum()) / total
    theirs = float(siblings.bad[:, last].sum()) / max(float(siblings.total[:, last].sum()), 1.0)
    return share > max(theirs, baseline.share) + margin


def _log_e(siblings: BucketCounts, pod: BucketCounts, gap: float) -> float:
    """Log e-value, since any stretch, against "the pod's share is at most its siblings' + gap"."""
    stretches = pod.total.shape[1]
    starts = np.arange(stretches)
    rows = np.zeros_like(starts)
    both = RunningTotals.of(siblings, pod).between(starts, np.full_like(starts, stretches), rows)
    log_e = worse_log_e(*(BucketCounts(one.total[None], one.bad[None]) for one in both), gap=gap)[0]
    later = (1 - _FIRST) / np.maximum(starts * (starts + 1), 1)
    return float(log_total(log_e + np.log(np.where(starts == 0, _FIRST, later))))
