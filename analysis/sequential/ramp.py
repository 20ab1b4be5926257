"""Two versions under a split that changes: an e-process over steps with a declared split each.

Of users it tests the split itself (sample ratio mismatch); of events it compares rates. A test
against the last split, or of pooled counts, alarms at every ramp; here each step is held against
its own split, and one change d of the log odds is common to all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from analysis.arrays import FloatArray
from analysis.sequential.e_values import SequentialTest, log_average, log_total
from analysis.sequential.roots import bracket_root

_NODES = 40
_FARTHEST = 700.0  # log odds; exp() of more overflows


@dataclass(frozen=True, slots=True)
class _Steps:
    """Both versions' counts and the candidate's declared share, per step; its counts in all."""

    total: FloatArray
    share: FloatArray
    candidate: FloatArray

    def widened(self) -> _Steps:
        """The same for a further axis of d, the last one."""
        return _Steps(self.total[..., None, :], self.share[..., None, :], self.candidate[..., None])

    def log_likelihood(self, d: FloatArray) -> FloatArray:
        """Log likelihood of d over that of 0: float64[...]."""
        grown = np.log1p(self.share * np.expm1(d[..., None]))
        return np.asarray(self.candidate * d - (self.total * grown).sum(axis=-1))

    def slopes(self, d: FloatArray) -> tuple[FloatArray, FloatArray]:
        """First derivative of log_likelihood, and minus the second."""
        p = expit(logit(self.share) + d[..., None])
        slope = self.candidate - (self.total * p).sum(axis=-1)
        return slope, (self.total * p * (1 - p)).sum(axis=-1)


def compare_steps(
    baseline: ArrayLike,
    candidate: ArrayLike,
    candidate_share: ArrayLike,
    *,
    spreads: Sequence[float],
    alpha: ArrayLike,
    apart: bool = False,
) -> SequentialTest:
    """Tests "d = 0 in every step" at every look, and bounds d: float64[...].

    The interval is infinite where a side has no counts yet, and the estimate then at the edge.

    baseline, candidate: float64[..., steps], counts. candidate_share: float64[..., steps], as
    declared, of both versions' users (or exposure), in (0, 1).
    spreads: standard deviations of the normal mixtures over d, averaged; fixed beforehand.
    alpha: float64[...], level of each cell's interval. Raises ValueError outside (0, 1).
    apart: whether along the first axis the answers are, to the bit, those of a call each.
    A product over steps of likelihood ratios at the same d, each with its own split, integrated by
    Gauss-Hermite at the posterior's mode.
    """
    levels = np.asarray(alpha, np.float64)
    if not np.all((levels > 0) & (levels < 1)):
        raise ValueError(f"alpha is {alpha!r}, must lie between 0 and 1")
    given = (baseline, candidate, candidate_share)
    b, c, p = np.broadcast_arrays(*(np.atleast_1d(np.asarray(a, np.float64)) for a in given))
    if not np.all((p > 0) & (p < 1)):
        raise ValueError("declared shares must lie between 0 and 1; leave out steps without split")
    steps = _Steps(b + c, p, np.asarray(c.sum(axis=-1)))
    precisions = np.array([0.0, *(s**-2 for s in spreads)])
    modes = _modes(steps, precisions, 0 if apart else None)
    log_e = log_average(_mixtures(steps, modes[..., 1:], precisions[1:]))
    lower, upper = _ends(steps, modes[..., 0], np.log(levels) + log_e, 1 if apart else None)
    return SequentialTest(modes[..., 0], lower, upper, log_e)


def _modes(steps: _Steps, precisions: FloatArray, apart: int | None) -> FloatArray:
    """Where the likelihood times N(0, 1 / precision) is largest: float64[..., precisions]."""
    wide = steps.widened()

    def rising(d: FloatArray) -> FloatArray:
        return np.asarray(precisions * d - wide.slopes(d)[0])

    shape = (*steps.candidate.shape, precisions.size)
    return bracket_root(rising, np.full(shape, -_FARTHEST), _FARTHEST, apart=apart)[0]


def _ends(
    steps: _Steps, mode: FloatArray, room: FloatArray, apart: int | None
) -> tuple[FloatArray, FloatArray]:
    """The least and the largest d whose log likelihood is at least room."""
    total = steps.total.sum(axis=-1)
    both = _Steps(
        np.stack([steps.total, steps.total]),
        np.stack([steps.share, 1 - steps.share]),
        np.stack([steps.candidate, total - steps.candidate]),
    )

    def rising(d: FloatArray) -> FloatArray:
        return np.asarray(both.log_likelihood(d) - room)

    # The likelihood is at most exp(d X) / prod (1 - p)^n, which gives an end outside.
    some = np.maximum(both.candidate, 1.0)
    start = (room + (both.total * np.log1p(-both.share)).sum(axis=-1)) / some
    low, high = np.maximum(start, -_FARTHEST), np.stack([mode, -mode])
    end, _ = bracket_root(rising, low, high, apart=apart)
    lower, mirrored = np.where(both.candidate > 0, end, -np.inf)
    return lower, -mirrored


def _mixtures(steps: _Steps, modes: FloatArray, precisions: FloatArray) -> FloatArray:
    """Log of the likelihood ratio's mean over d ~ N(0, 1 / precision): float64[..., precisions]."""
    wide = steps.widened()
    curvature = wide.slopes(modes)[1] + precisions
    z, log_weights = _gauss_hermite()
    d = modes[..., None] + np.sqrt(2 / curvature)[..., None] * z
    values = wide.widened().log_likelihood(d) - precisions[:, None] * d**2 / 2
    total = log_total(values + z**2 + log_weights)
    return np.asarray(total + np.log(precisions / curvature) / 2 - np.log(np.pi) / 2)


@cache
def _gauss_hermite() -> tuple[FloatArray, FloatArray]:
    z, weights = np.polynomial.hermite.hermgauss(_NODES)
    return np.asarray(z), np.log(weights)
