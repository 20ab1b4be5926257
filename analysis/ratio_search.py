"""All ratios that a test accepts, found by asking it: the test inverted, whatever its variance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# rejects(ratios float64[k, metrics]) -> bool[k, metrics]
RatioTest = Callable[[FloatArray], BoolArray]

_INTERIOR, _ROUNDS = 64, 4
_LARGEST = 1e9  # a ratio beyond it is as good as infinite


def lowest_accepted(rejects: RatioTest, point: FloatArray, anchors: FloatArray) -> FloatArray:
    """The lowest ratio that a test against larger ones doesn't reject: float64[metrics].

    point: float64[metrics], the estimated ratio, accepted; infinite or NaN without a denominator.
    anchors: float64[k, metrics], ratios at which test and answer must agree exactly.
    0 where no ratio is rejected: shares have no negative ratio.
    """
    end = _position(np.where(np.isfinite(point), point, _LARGEST))
    start = np.zeros_like(end)
    for anchor in _position(np.sort(anchors, axis=0)):
        start = np.where(rejects(_ratio(anchor)[None])[0] & (anchor < end), anchor, start)
    for anchor in _position(np.sort(anchors, axis=0))[::-1]:
        inside = (anchor > start) & (anchor < end)
        end = np.where(inside & ~rejects(_ratio(anchor)[None])[0], anchor, end)
    end = np.where(rejects(np.zeros((1, end.size)))[0] | (start > 0), end, 0.0)
    return _ratio(_narrowed(rejects, start, end))


def highest_accepted(rejects: RatioTest, point: FloatArray, anchors: FloatArray) -> FloatArray:
    """The highest ratio that a test against smaller ones doesn't reject; infinite without one."""
    end = _position(np.where(np.isfinite(point), point, _LARGEST))
    start = np.full_like(end, _position(np.array(_LARGEST)))
    for anchor in _position(np.sort(anchors, axis=0))[::-1]:
        start = np.where(rejects(_ratio(anchor)[None])[0] & (anchor > end), anchor, start)
    for anchor in _position(np.sort(anchors, axis=0)):
        inside = (anchor < start) & (anchor > end)
        end = np.where(inside & ~rejects(_ratio(anchor)[None])[0], anchor, end)
    bounded = rejects(_ratio(start)[None])[0]
    return np.where(bounded, _ratio(_narrowed(rejects, start, end)), np.inf)


def _narrowed(rejects: RatioTest, rejected: FloatArray, accepted: FloatArray) -> FloatArray:
    """The accepted end of a bracket, moved towards the rejected one until they all but meet."""
    steps = np.arange(1, _INTERIOR + 1)[:, None] / (_INTERIOR + 1)
    columns = np.arange(accepted.size)
    for _ in range(_ROUNDS):
        inner = rejected + (accepted - rejected) * steps
        grid = np.concatenate([rejected[None], inner, accepted[None]])
        refused = rejects(_ratio(inner))
        # The first step that is accepted, counted from the rejected end.
        first = np.where(refused.all(axis=0), _INTERIOR, (~refused).argmax(axis=0)) + 1
        rejected, accepted = grid[first - 1, columns], grid[first, columns]
    return accepted


def _position(ratio: FloatArray) -> FloatArray:
    """From [0, infinity) to [0, 1)."""
    return np.asarray(ratio / (1 + ratio))


def _ratio(position: FloatArray) -> FloatArray:
    return np.asarray(position / (1 - position))
