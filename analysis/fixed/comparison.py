"""Two samples of users: differences of means and proportions, absolute and relative.

One test per metric, inverted to everything: the p-value, the absolute and the relative interval
come from the same statistic and multiplier, so they can't contradict each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtr, stdtrit

from analysis.arrays import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class Sample:
    """Sufficient statistics of one variant: users, mean and variance, float64[...] each.

    rest: what the mean's last digit leaves out, float64[...]; it counts where means are compared.
    mix_variance, mix_covariance: of a candidate compared within strata whose shares are estimated,
    what chance in these shares adds to the baseline's variance, and to its covariance with the
    difference; its part in the difference's variance is in variance. Both are of the means.
    """

    n: FloatArray
    mean: FloatArray
    variance: FloatArray
    rest: FloatArray = field(default_factory=lambda: np.array(0.0))
    mix_variance: FloatArray = field(default_factory=lambda: np.array(0.0))
    mix_covariance: FloatArray = field(default_factory=lambda: np.array(0.0))

    def __post_init__(self) -> None:
        for name in ("rest", "mix_variance", "mix_covariance"):
            values = np.broadcast_to(getattr(self, name), self.mean.shape)
            object.__setattr__(self, name, values)

    def part(self, kept: BoolArray | NDArray[np.intp]) -> Sample:
        """Some cells of arrays of one axis."""
        return Sample(*(getattr(self, name)[kept] for name in Sample.__slots__))

    @classmethod
    def stacked(cls, samples: Sequence[Sample]) -> Sample:
        """Single samples, one after the other."""
        return cls(
            *(np.array([float(getattr(s, name)) for s in samples]) for name in cls.__slots__)
        )

    @classmethod
    def joined(cls, samples: Sequence[Sample]) -> Sample:
        """Samples of one axis each, one after the other."""
        return cls(*(np.concatenate([getattr(s, name) for s in samples]) for name in cls.__slots__))

    @property
    def variance_of_mean(self) -> FloatArray:
        """Variance of the sample mean; infinite without users."""
        return np.divide(
            self.variance, self.n, out=np.full_like(self.mean, np.inf), where=self.n > 0
        )


# The baseline, and a candidate.
Pair = tuple[Sample, Sample]


def mean_sample(n: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> Sample:
    """A sample of values, its variance with n - 1 in the denominator."""
    arrays = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (n, mean, variance)))
    return Sample(*(np.array(a) for a in arrays))


def proportion_sample(n: ArrayLike, successes: ArrayLike) -> Sample:
    """A sample of yes or no, its variance p (1 - p)."""
    n_array, x = (np.asarray(a, dtype=np.float64) for a in np.broadcast_arrays(n, successes))
    p = np.divide(x, n_array, out=np.full(x.shape, np.nan), where=n_array > 0)
    return Sample(n_array, p, p * (1 - p))


@dataclass(frozen=True, slots=True)
class Bounds:
    """An interval of the difference and one of the relative difference: float64[...] each."""

    lower: FloatArray
    upper: FloatArray
    relative_lower: FloatArray
    relative_upper: FloatArray


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate minus baseline: float64[...] each.

    standard_error: infinite where it isn't known, as where no user differs from another in either
    sample: nothing is then claimed. degrees_of_freedom: of Student's t; infinite for proportions
    (normal).
    """

    baseline: Sample
    candidate: Sample
    difference: FloatArray
    standard_error: FloatArray
    degrees_of_freedom: FloatArray

    def part(self, kept: BoolArray | NDArray[np.intp]) -> Comparison:
        """Some cells of arrays of one axis."""
        return Comparison(
            self.baseline.part(kept),
            self.candidate.part(kept),
            self.difference[kept],
            self.standard_error[kept],
            self.degrees_of_freedom[kept],
        )

    @property
    def statistic(self) -> FloatArray:
        """The difference in standard errors; nan where these aren't known."""
        return np.divide(
            self.difference,
            self.standard_error,
            out=np.full_like(self.difference, np.nan),
            where=np.isfinite(self.standard_error),
        )

    @property
    def p_value(self) -> FloatArray:
        """Two-sided p-value of no difference, for a single look."""
        return np.asarray(2 * stdtr(self._dof, -np.abs(self.statistic)))

    @property
    def _dof(self) -> FloatArray:
        # Student's t at 1e15 degrees of freedom is the normal to the last digit.
        return np.minimum(self.degrees_of_freedom, 1e15)

    def fixed_multiplier(self, alpha: float) -> FloatArray:
        """Multiplier of a two-sided interval of level 1 - alpha, for a single look."""
        normal = -ndtri(alpha / 2)
        student = -stdtrit(self._dof, alpha / 2)
        return np.where(np.isinf(self.degrees_of_freedom), normal, student)

    def interval(self, multiplier: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """The interval of the difference that is multiplier standard errors wide to each side."""
        half_width = np.asarray(multiplier) * self.standard_error
        return self.difference - half_width, self.difference + half_width

    def bounds(self, multiplier: ArrayLike) -> Bounds:
        """Both intervals by one multiplier."""
        return Bounds(*self.interval(multiplier), *self.relative_interval(multiplier))

    def error_at(self, growth: ArrayLike) -> FloatArray:
        """The standard error of candidate - (1 + growth) baseline: float64[...]."""
        d = np.asarray(growth, dtype=np.float64)
        b, c = self.baseline, self.candidate
        mix = d * (d * c.mix_variance - 2 * c.mix_covariance)
        found = c.variance_of_mean + (1 + d) ** 2 * b.variance_of_mean + mix
        return np.sqrt(np.maximum(found, 0.0))

    def relative_interval(self, multiplier: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """The interval of difference / |baseline| from the same test and multiplier.

        The size of the baseline, so that a loss that shrinks is a rise. All lifts d for which the
        difference and d |baseline| are within multiplier standard errors of each other (Fieller
        1954); solved for the lift itself, as 1 + d has no digits of it at large means. Where the
        baseline can't be told from zero the set is unbounded: (-inf, inf).
        """
        z = np.asarray(multiplier, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            size = np.abs(self.baseline.mean)
            sign = np.sign(self.baseline.mean)
            lift, half_width = self.difference / size, z * (self.standard_error / size)
            # Squared errors of both means in units of the baseline, and what strata add to them.
            of_baseline, of_candidate = (
                np.square(z * np.sqrt(variant.variance_of_mean) / size)
                for variant in (self.baseline, self.candidate)
            )
            of_mix = np.square(z * np.sqrt(self.candidate.mix_variance) / size)
            with_mix = z / size * (z / size * self.candidate.mix_covariance)
            # a d^2 - 2 b d + c <= 0; c is positive exactly where the absolute interval excludes 0.
            a = 1 - of_baseline - of_mix
            c = (np.abs(self.difference) - z * self.standard_error) / size
            c = c * (np.abs(lift) + half_width)
            b = lift + sign * (of_baseline - with_mix)
            b = np.where(c > 0, np.copysign(b, lift), b)
            ratio = self.candidate.mean / self.baseline.mean
            part = of_mix * lift**2 - 2 * with_mix * (sign * lift + of_baseline) + with_mix**2
            part = part - of_mix * of_baseline
            root = np.sqrt(np.maximum(a * of_candidate + of_baseline * ratio**2 + part, 0.0))
            far = b + np.copysign(root, b)
            ends = far / a, np.where(far == 0, 0.0, c / far)
        bounded = np.isfinite(z * self.standard_error) & (a > 0) & (size > 0)
        return (
            np.where(bounded, np.minimum(*ends), -np.inf),
            np.where(bounded, np.maximum(*ends), np.inf),
        )


def difference_of(baseline: Sample, candidate: Sample) -> FloatArray:
    """Candidate minus baseline, with the digits that means of 1e9 leave out."""
    return np.asarray((candidate.mean - baseline.mean) + (candidate.rest - baseline.rest))


def standard_error(baseline: Sample, candidate: Sample) -> FloatArray:
    """Of the difference; infinite where the variances are both zero or one isn't known."""
    error = np.sqrt(baseline.variance_of_mean + candidate.variance_of_mean)
    return np.where(error > 0, error, np.inf)


def compare_proportions(baseline: Sample, candidate: Sample) -> Comparison:
    """Two proportions with unpooled variance (Wald); the same variance serves test and interval."""
    error = standard_error(baseline, candidate)
    difference = difference_of(baseline, candidate)
    return Comparison(baseline, candidate, difference, error, np.full(error.shape, np.inf))


def compare_means(baseline: Sample, candidate: Sample) -> Comparison:
    """Two means with unequal variances (Welch 1947), Satterthwaite's degrees of freedom."""
    v_b, v_c = baseline.variance_of_mean, candidate.variance_of_mean
    with np.errstate(divide="ignore", invalid="ignore"):
        dof = (v_b + v_c) ** 2 / (v_b**2 / (baseline.n - 1) + v_c**2 / (candidate.n - 1))
    return Comparison(
        baseline,
        candidate,
        difference_of(baseline, candidate),
        standard_error(baseline, candidate),
        np.where(np.isfinite(dof), dof, 1.0),
    )
