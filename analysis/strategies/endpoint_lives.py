"""What endpoints had of a variant's requests while they were there: pods come and go in a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.arrays import BoolArray, FloatArray, np
from analysis.strategies.declaration import share_bounds

# Requests that an endpoint would have had, by its rate, before its first or after its last one:
# fewer may be missing by chance.
_SURELY_ABSENT = 20.0
# With fewer fair requests an endpoint says nothing of how shares vary.
_LEAST_FAIR = 30.0


@dataclass(frozen=True, slots=True)
class Spread:
    """name: of the endpoint with most of what would be fair; share: what it has; fair: would be.

    least: the bound of its share from below. variation: of the endpoints' requests over what would
    be fair, chance taken off.
    """

    name: str
    share: float
    fair: float
    least: float
    variation: float


def there(by_endpoint: Mapping[str, FloatArray]) -> BoolArray:
    """Buckets in which each endpoint was there: bool[endpoints, buckets], in the given order."""
    counts = np.array(list(by_endpoint.values()))
    seen, at = counts > 0, np.arange(counts.shape[1])
    first, last = seen.argmax(axis=1), counts.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)
    rate = counts.sum(axis=1) / (last - first + 1)
    begin = np.where(first * rate < _SURELY_ABSENT, 0, first)
    end = np.where((at[-1] - last) * rate < _SURELY_ABSENT, at[-1], last)
    return np.asarray((at >= begin[:, None]) & (at <= end[:, None]))


def most_at_once(by_endpoint: Mapping[str, FloatArray]) -> int:
    """How many endpoints were there at the same time; pods that are replaced are no more."""
    return int(there(by_endpoint).sum(axis=0).max()) if by_endpoint else 0


def spread(by_endpoint: Mapping[str, FloatArray], present: BoolArray, endpoints: int) -> Spread:
    """How requests spread over endpoints while they are present, as `there` has it.

    endpoints: how many there are at once; those that no series shows never got a request.
    """
    counts = np.array(list(by_endpoint.values()))
    number = present.sum(axis=0)
    unseen = max(0, endpoints - int(number.max()))
    total, number = counts.sum(axis=0), number + unseen
    fair = (present * (total / np.maximum(number, 1))).sum(axis=1)
    requests, of = counts.sum(axis=1), (present * total).sum(axis=1)
    most = int((requests / np.maximum(fair, 1.0)).argmax())
    never = float((total / np.maximum(number, 1)).sum())
    all_fair = np.append(fair, [never] * unseen)
    known = all_fair >= _LEAST_FAIR
    ratio = (np.append(requests, [0.0] * unseen) / np.maximum(all_fair, 1.0))[known]
    # Chance alone varies counts as well: by the root of one over their mean.
    chance = float((1 / all_fair[known]).mean()) if known.any() else 0.0
    return Spread(
        name=list(by_endpoint)[most],
        share=float(requests[most] / of[most]),
        fair=float(fair[most] / of[most]),
        least=share_bounds(float(requests[most]), float(of[most]))[0],
        variation=max(0.0, float(ratio.var()) - chance) ** 0.5 if known.any() else 0.0,
    )
