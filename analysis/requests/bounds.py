"""An estimate from buckets with the bounds that hold at every look at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri, stdtrit

from analysis.arrays import FloatArray
from analysis.sequential.confidence_sequence import one_sided_multiplier, student_adjusted
from analysis.sequential.roots import bracket_root

_TINY = 1e-300  # keeps a division finite where there are no degrees of freedom


# Persistence, as inflation of a variance, that a spread's degrees of freedom always allow for.
_LEAST_INFLATION = 2.0


# From so many on, bursts that were missed no longer weigh enough by themselves.
_MANY_BUCKETS = 240.0


@dataclass(frozen=True, slots=True)
class Estimator:
    """An estimate with its standard errors and effective number of buckets: float64[..., metrics].

    over_time: standard errors from buckets, for the lower and for the upper bound.
    degrees: of freedom of these: fewer where buckets persist.
    skew: a sixth of the third cumulant over the variance: how far bursts that may still be to come
        lift the upper bound.
    between: what pods add, where they are known.
    """

    estimate: FloatArray
    over_time: tuple[FloatArray, FloatArray]
    buckets: FloatArray
    degrees: FloatArray
    skew: FloatArray
    between: PodError | None = None

    @property
    def standard_error(self) -> FloatArray:
        """On the side of the lower bound, pods included."""
        return self._with_pods(self.over_time[0])

    @property
    def upper_error(self) -> FloatArray:
        """On the side of the upper bound, pods included."""
        return self._with_pods(self.over_time[1])

    def of_test(self, i: int) -> Estimator:
        """That of the i-th of several tests: of float64[..., tests, metrics]."""
        return replace(
            self,
            estimate=self.estimate[..., i, :],
            over_time=(self.over_time[0][..., i, :], self.over_time[1][..., i, :]),
            degrees=self.degrees[..., i, :],
            skew=self.skew[..., i, :],
            between=None if self.between is None else self.between.of_test(i),
        )

    def lower(self, *, alpha: FloatArray | float, n_opt: float) -> FloatArray:
        """The lower bound of level alpha, at every look at once; tightest after n_opt buckets."""
        width = self._multiplier(alpha, n_opt)[1] * self.over_time[0]
        if self.between is None:
            return self.estimate - width
        return self.between.lower(self.estimate, width, alpha)

    def upper(self, *, alpha: FloatArray | float, n_opt: float) -> FloatArray:
        """The upper bound of level alpha, at every look at once; tightest after n_opt buckets.

        A sum of bursts and its spread are low together, so that its studentised lower tail is
        heavier than Student's; z standard errors go (1 + 2 z^2) skew farther (Johnson 1978). Early,
        bursts that were missed weigh more (over_time), and the sequence itself is wide.
        """
        return self._upper(*self._multiplier(alpha, n_opt), alpha)

    def upper_at_one_look(self, *, alpha: float) -> FloatArray:
        """The upper bound of level alpha for one look, beside one that holds at every look."""
        normal = np.where(self.buckets < 2, np.inf, -ndtri(alpha))
        return self._upper(normal, student_adjusted(normal, self.degrees), alpha)

    def _upper(
        self, normal: FloatArray, student: FloatArray, alpha: FloatArray | float
    ) -> FloatArray:
        late = np.minimum(1.0, self.buckets / _MANY_BUCKETS)
        with np.errstate(invalid="ignore"):  # no skew times an unbounded multiplier
            skewed = np.where(self.skew > 0, self.skew * (1 + 2 * normal**2) * late, 0.0)
        width = np.maximum(
            student * self.over_time[1], np.asarray(student * self.over_time[0] + skewed)
        )
        return self.estimate + (width if self.between is None else self.between.add(width, alpha))

    def _with_pods(self, error: FloatArray) -> FloatArray:
        return error if self.between is None else np.hypot(error, self.between.error)

    def _multiplier(self, alpha: FloatArray | float, n_opt: float) -> tuple[FloatArray, FloatArray]:
        """Standard errors to a one-sided bound: of a known variance, and of one from buckets."""
        normal = one_sided_multiplier(self.buckets, alpha=alpha, n_opt=n_opt)
        return normal, student_adjusted(normal, self.degrees)


@dataclass(frozen=True, slots=True)
class PodError:
    """What pods add to the error of candidate - factor * baseline: float64[..., metrics] each.

    Pods are drawn once and not at each look, so a multiplier is that of one look; of a quarter of
    the level, as pods' shares are skewed and few.

    error, degrees: as pods are seen to differ, and the degrees of freedom of that. Of two or three
    pods little is seen, and such a bound says nothing.
    baseline: factor times its share. relative_*: standard error of a version's share for each unit
    of it, if pods differ as much as they plausibly do; NaN where they differ by more.
    """

    error: FloatArray
    degrees: FloatArray
    baseline: FloatArray
    relative_baseline: FloatArray
    relative_candidate: FloatArray

    def of_test(self, i: int) -> PodError:
        """As Estimator has it."""
        return replace(
            self,
            error=self.error[..., i, :],
            degrees=self.degrees[..., i, :],
            baseline=self.baseline[..., i, :],
        )

    def add(self, width: FloatArray, alpha: FloatArray | float) -> FloatArray:
        """The width by buckets with that by pods, as they are seen to differ."""
        return np.hypot(width, -stdtrit(self.degrees, np.asarray(alpha) / 4) * self.error)

    def lower(
        self, estimate: FloatArray, width: FloatArray, alpha: FloatArray | float
    ) -> FloatArray:
        """The lower bound: as pods are seen to differ or as they plausibly do, whichever is higher.

        Plausibly: the difference s at which the estimate d is just not too high, where pods
        differ in proportion to shares of b and b + s: (d - s)^2 = width^2 + (y b)^2 + (x (b + s))^2
        with x and y the relative errors times a normal quantile.
        """
        seen = estimate - self.add(width, alpha)
        z = -ndtri(np.asarray(alpha) / 4)
        b, x2 = self.baseline, (z * self.relative_candidate) ** 2
        fixed = width**2 + (z * self.relative_baseline * b) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            root = np.sqrt(x2 * (estimate + b) ** 2 + fixed * (1 - x2))
            plausible = (estimate**2 - fixed - x2 * b**2) / (estimate + x2 * b + root)
        usable = (estimate > 0) & np.isfinite(plausible)
        return np.maximum(seen, np.where(usable, plausible, -np.inf))


@dataclass(frozen=True, slots=True)
class BetweenPods:
    """How far each version's share depends on which pods it has: float64[metrics] each.

    var_*: of the share, beyond what requests within pods explain. degrees_*: pods minus one.
    relative_*: as in PodError.
    """

    var_baseline: FloatArray
    var_candidate: FloatArray
    degrees_baseline: FloatArray
    degrees_candidate: FloatArray
    relative_baseline: FloatArray
    relative_candidate: FloatArray

    def of_contrast(self, factor: FloatArray, share: FloatArray) -> PodError:
        """Of candidate - factor * baseline, of which the share is so much: float64[..., metrics].

        Degrees of freedom as Satterthwaite (1946) has them.
        """
        baseline = factor**2 * self.var_baseline
        degrees = pooled_degrees(
            self.var_candidate, self.degrees_candidate, baseline, self.degrees_baseline
        )
        return PodError(
            np.sqrt(self.var_candidate + baseline),
            degrees,
            factor * share,
            self.relative_baseline,
            self.relative_candidate,
        )


def degrees_left(
    buckets: FloatArray, inflation: FloatArray, spread: FloatArray, least: FloatArray
) -> FloatArray:
    """Degrees of freedom of a spread over persistent buckets: float64[..., metrics].

    inflation: of the spread's variance by persistence; a few buckets can't rule a little of it
    out. least: the variance that is believed whatever was seen; what persists in a spread far
    below it (rounding, at worst) costs nothing.
    """
    believed = np.clip(spread / np.maximum(least, _TINY), 0.0, 1.0)
    return np.asarray(buckets / (1 + (np.maximum(inflation, _LEAST_INFLATION) - 1) * believed) - 1)


def pooled_degrees(
    first: FloatArray, first_degrees: FloatArray, second: FloatArray, second_degrees: FloatArray
) -> FloatArray:
    """Degrees of freedom of a sum of two variances, each with its own (Satterthwaite 1946)."""
    share = np.divide(
        first,
        first + second,
        out=np.ones(np.shape(first + second)),
        where=np.isfinite(first) & (first + second > 0),
    )
    doubt = share**2 / np.maximum(first_degrees, _TINY)
    doubt = doubt + (1 - share) ** 2 / np.maximum(second_degrees, _TINY)
    return np.asarray(1 / np.maximum(doubt, _TINY))


# beyond(ratios float64[..., 2, metrics]) -> the same shape, as accepted_ratios has it
RatioTest = Callable[[FloatArray], FloatArray]

_LARGEST = 1e9  # a ratio beyond it is as good as infinite
_STEPS, _NEAR = 25, 2.5e-6  # of a bracket, and how near to a bound it comes in one


def accepted_ratios(
    beyond: RatioTest, point: FloatArray, anchors: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The lowest and the highest ratio that two one-sided tests don't reject: float64[metrics].

    beyond: by how much a test's bound lies beyond a ratio, which is rejected above 0: [..., 0, :]
    by the test against larger ratios, [..., 1, :] by the one against smaller ones; both are asked
    at once, as what they share costs the most.
    point: float64[metrics], the estimated ratio, accepted; infinite or NaN without a denominator.
    anchors: float64[k, metrics], ratios at which tests and answers must agree exactly.
    0 and infinity where no ratio is rejected: shares have no negative ratio.
    """
    end = _position(np.where(np.isfinite(point), point, _LARGEST))
    ends = np.stack([np.zeros_like(end), np.full_like(end, _position(np.array(_LARGEST)))])
    ordered = _position(np.sort(anchors, axis=0))
    both = np.broadcast_to(ordered[:, None], (len(ordered), 2, end.size))
    *refused, at_ends = beyond(_ratio(np.concatenate([both, ends[None]]))) > 0
    steps = list(zip(ordered, refused, strict=True))
    low, low_end = ends[0], end
    for anchor, is_refused in steps:
        low = np.where(is_refused[0] & (anchor < end), anchor, low)
    for anchor, is_refused in steps[::-1]:
        low_end = np.where((anchor > low) & (anchor < low_end) & ~is_refused[0], anchor, low_end)
    low_end = np.where(at_ends[0] | (low > 0), low_end, 0.0)
    high, high_end, bounded = ends[1], end, at_ends[1]
    for anchor, is_refused in steps[::-1]:
        moved = is_refused[1] & (anchor > end)
        high, bounded = np.where(moved, anchor, high), bounded | moved
    for anchor, is_refused in steps:
        within = (anchor < high) & (anchor > high_end) & ~is_refused[1]
        high_end = np.where(within, anchor, high_end)
    lowest, highest = _narrowed(beyond, np.stack([low, high]), np.stack([low_end, high_end]))
    return lowest, np.where(bounded, highest, np.inf)


def _narrowed(beyond: RatioTest, rejected: FloatArray, accepted: FloatArray) -> FloatArray:
    """The outermost accepted ratios of brackets of positions: float64[2, metrics].

    A test that jumps (where degrees of freedom end) may accept some beyond others that it rejects:
    so the first step that is accepted, counted from the rejected end, and what is before it.
    """
    steps = np.arange(1, _STEPS)[:, None, None] / _STEPS
    refused = beyond(_ratio(rejected + (accepted - rejected) * steps)) > 0
    first = np.where(refused.all(axis=0), _STEPS, (~refused).argmax(axis=0) + 1)

    def ratio(part: FloatArray) -> FloatArray:
        return _ratio(rejected + (accepted - rejected) * part)

    step = (first - 1) / _STEPS, first / _STEPS
    _, part = bracket_root(lambda part: -beyond(ratio(part)), *step, apart=1, of_bracket=_NEAR)
    return ratio(part)


def _position(ratio: FloatArray) -> FloatArray:
    """From [0, infinity) to [0, 1)."""
    return np.asarray(ratio / (1 + ratio))


def _ratio(position: FloatArray) -> FloatArray:
    return np.asarray(position / (1 - position))
