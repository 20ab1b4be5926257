"""Every strategy's check, on counts as they should be and as they should not.

Covers analysis.strategies.stickiness, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analysis.arrays import FloatArray
from analysis.strategies.chaos import Chaos
from analysis.strategies.circuit_breaking import CircuitBreaking
from analysis.strategies.declaration import Counted, Found, Strategy, share_bounds
from analysis.strategies.feature_flags import FeatureFlags
from analysis.strategies.hedging import Hedging
from analysis.strategies.load_balancing import LoadBalancing
from analysis.strategies.pools_and_outliers import PoolsAndOutliers
from analysis.strategies.rate_limiting import RateLimiting
from analysis.strategies.several_experiments import SeveralExperiments
from analysis.strategies.timeouts_and_retries import TimeoutsAndRetries

# Half of the plan that the buckets are of is still to come.
_BUCKETS, _BUCKET_S, _LEFT_S = 60, 2.0, 60.0
Counts = Mapping[str, float | FloatArray | Mapping[str, Any]]


def _seen(canary: Counts, stable: Counts | None = None) -> Counted:
    """Events a bucket, in every one of 60 buckets or as given, by the values of a label or not."""
    amounts: dict[str, dict[str, dict[str, FloatArray]]] = {}
    for variant, counts in (("stable", stable or canary), ("canary", canary)):
        for counter, said in counts.items():
            by_value = said if isinstance(said, Mapping) else {"": said}
            laid = {k: np.broadcast_to(v, _BUCKETS).astype(float) for k, v in by_value.items()}
            amounts.setdefault(counter, {})[variant] = laid
    return Counted("stable", ("canary",), _BUCKET_S, amounts, left_s=_LEFT_S)


def _at(*buckets: range, events: float) -> FloatArray:
    """So many events in these buckets, none in others."""
    found = np.zeros(_BUCKETS)
    for one in buckets:
        found[one.start : one.stop] = events
    return found


# 30 tokens a second are 60 a bucket.
_LIMIT = RateLimiting(tokens=30, fill=1, tiers=("premium", "standard"))
_CHAOS = Chaos(delayed=0.1, aborted=0.05, tolerance=0.5, recovery=20)
_FAULTS = {"requests": 200.0, "delayed": 20.0, "aborted": 10.0, "failures": 0.0}
_STEADY = {"requests": 200.0, "failures": 1.0}
_BURST = _at(range(20, 24), events=30)
_RETRIES = TimeoutsAndRetries(retry_ratio=0.2, once=("POST",))
_HEDGES = Hedging(load=0.2, once=("POST",))


_FLAG = FeatureFlags(enabled=0.3, groups=("PH",))
_HASHED = LoadBalancing(key="user_id", moved=0.05)
_PODS = dict.fromkeys("abcd", 25.0)


def _keys(later: Mapping[str, str], loose: float = 0.0) -> Counts:
    """Twelve keys on four endpoints; later: where some go from the middle on."""
    keys: dict[str, FloatArray] = {}
    for key in range(12):
        name, half = "0123456789xy"[key], _BUCKETS // 2
        home = "abcd"[key % 4]
        keys[f"{name}|{home}"] = _at(range(half if name in later else _BUCKETS), events=5)
        if name in later:
            keys[f"{name}|{later[name]}"] = _at(range(half, _BUCKETS), events=5)
        if loose:
            keys[f"{name}|{'bcda'[key % 4]}"] = np.full(_BUCKETS, loose)
    return {"arrivals": _PODS, "keys": keys}


def _lives(*, weight: Mapping[str, float] | None = None, **lives: tuple[int, int]) -> Counts:
    """Endpoints that are there from one bucket to another, and share 120 requests in each."""
    weights = {name: (weight or {}).get(name, 1.0) for name in lives}
    there = {name: _at(range(*life), events=weights[name]) for name, life in lives.items()}
    each = 120 / np.sum(list(there.values()), axis=0)
    return {"arrivals": {name: found * each for name, found in there.items()}}


def _flags(ph: float, others: float) -> Counts:
    return {"requests": {"PH": ph, "ID": others}}


def _groups(a: float, b: float, failed_a: float, failed_b: float) -> Counts:
    return {"requests": {"a": a, "b": b}, "failures": {"a": failed_a, "b": failed_b}}


def _tiers(premium: float, standard: float) -> Mapping[str, float]:
    return {"premium": premium, "standard": standard}


def _routes(get: float, post: float, *, failed: float = 0) -> Counts:
    return {
        "requests": {"GET": 100.0, "POST": 40.0},
        "attempts": {"GET": get, "POST": post},
        "failed attempts": {"GET": failed, "POST": 0.0},
    }


@pytest.mark.parametrize(
    ("strategy", "canary", "stable", "worst", "says"),
    [
        (
            _LIMIT,
            {"requests": _tiers(40, 60), "refusals": _tiers(10, 30)},
            None,
            Found.GOOD,
            "limit is kept",
        ),
        (
            _LIMIT,
            {"requests": _tiers(40, 60), "refusals": _tiers(0, 0)},
            None,
            Found.HARM,
            "is not kept",
        ),
        (
            _LIMIT,
            {"requests": _tiers(20, 30), "refusals": _tiers(0, 0)},
            None,
            Found.WAIT,
            "no request reached",
        ),
        (
            _LIMIT,
            {"requests": _tiers(40, 60), "refusals": _tiers(40, 58)},
            None,
            Found.HARM,
            "nearly everybody",
        ),
        (
            _LIMIT,
            {"requests": _tiers(40, 60), "refusals": _tiers(24, 16)},
            None,
            Found.HARM,
            "refuses 60.0% of user_tier premium",
        ),
        (
            RateLimiting(tokens=30, fill=1, label="user"),
            {"requests": {"a": 20, "b": 20, "c": 60}, "refusals": {"a": 18, "b": 1, "c": 21}},
            None,
            Found.HARM,
            "of user a",
        ),
        (_LIMIT, {"requests": _tiers(1, 1), "refusals": _tiers(0, 0)}, None, Found.WAIT, "too few"),
        (_CHAOS, _FAULTS, _STEADY, Found.GOOD, "10.0% of requests of canary were delayed"),
        (_CHAOS, _FAULTS, _FAULTS, Found.UNFIT, "should have none"),
        (_CHAOS, {**_FAULTS, "aborted": 40.0}, _STEADY, Found.UNFIT, "20.0% of requests"),
        (_CHAOS, {**_FAULTS, "aborted": 0.0}, _STEADY, Found.UNFIT, "0.0% of requests"),
        (_CHAOS, {"requests": 200.0}, _STEADY, Found.UNFIT, "were delayed"),
        (
            Chaos(delayed=0.0, aborted=0.05, tolerance=0.5),
            {"requests": 200.0, "aborted": 10.0},
            _STEADY,
            Found.GOOD,
            "0.0% of requests of canary were delayed, 0.0% are configured",
        ),
        (
            Chaos(delayed=0.0, aborted=0.05, tolerance=0.5),
            {"requests": 200.0},
            _STEADY,
            Found.UNFIT,
            "0.0% of requests of canary were aborted, 5.0% are configured",
        ),
        (
            Chaos(delayed=0.0, aborted=0.0),
            {"requests": 200.0},
            _STEADY,
            Found.UNFIT,
            "no fault is configured",
        ),
        (
            _CHAOS,
            {"requests": 10.0, "delayed": 1.0, "aborted": 0.5},
            _STEADY,
            Found.WAIT,
            "not known well enough",
        ),
        (
            _CHAOS,
            {
                **_FAULTS,
                "delayed": _at(range(30), events=20),
                "aborted": _at(range(30), events=10),
                "failures": 10.0,
            },
            _STEADY,
            Found.HARM,
            "no recovery",
        ),
        (
            _CHAOS,
            {
                **_FAULTS,
                "delayed": _at(range(30), events=20),
                "aborted": _at(range(30), events=10),
                "failures": _at(range(35), events=10),
            },
            _STEADY,
            Found.GOOD,
            "20 s after the last fault",
        ),
        (
            CircuitBreaking(recovery=20),
            {"requests": 200.0, "refusals": _BURST},
            None,
            Found.GOOD,
            "opened 1 times, for 8 s",
        ),
        (
            CircuitBreaking(recovery=20),
            {"requests": 200.0, "refusals": 0.0},
            None,
            Found.WAIT,
            "never opened",
        ),
        (
            CircuitBreaking(recovery=20),
            {"requests": 200.0, "refusals": _at(range(20, 60), events=9)},
            None,
            Found.HARM,
            "no recovery within 20 s",
        ),
        (
            CircuitBreaking(recovery=20),
            {"requests": 200.0, "refusals": _at(range(57, 60), events=9)},
            None,
            Found.WAIT,
            "is still open",
        ),
        (
            CircuitBreaking(recovery=20),
            {"requests": 200.0, "refusals": _at(range(8), events=170)},
            None,
            Found.WAIT,
            "refused 11.3% of 12,000 requests (budget 10.0%); it keeps its budget only if",
        ),
        (
            CircuitBreaking(recovery=20),
            {
                "requests": 200.0,
                "refusals": _at(*(range(a, a + 4) for a in (5, 25, 45)), events=190),
            },
            None,
            Found.HARM,
            "refuses too much: canary refused 19.0%",
        ),
        (_RETRIES, _routes(110, 40, failed=10), None, Found.GOOD, "10.0% more attempts"),
        (_RETRIES, _routes(110, 42), None, Found.HARM, "canary retried POST"),
        (_RETRIES, _routes(150, 40), None, Found.HARM, "50.0% more attempts than requests on GET"),
        (_RETRIES, _routes(110, 10), None, Found.WAIT, "no attempts on POST are counted"),
        (_RETRIES, {"requests": {"GET": 9.0}}, None, Found.WAIT, "no attempts on GET"),
        (
            TimeoutsAndRetries(once=("PUT",)),
            _routes(110, 40),
            None,
            Found.WAIT,
            "no requests of PUT",
        ),
        (_LIMIT, {"requests": {"premium": 50.0}}, None, Found.WAIT, "of user_tier standard"),
        (LoadBalancing(), {"arrivals": _PODS}, None, Found.GOOD, "of 4 endpoints"),
        (
            LoadBalancing(),
            {"arrivals": {"a": 50.0, "b": 20.0, "c": 20.0, "d": 10.0}},
            None,
            Found.HARM,
            "a has 50.0% of requests, 25.0% would be fair",
        ),
        (
            LoadBalancing(),
            {"arrivals": {"a": 50.0, "b": 50.0}},
            {"arrivals": _PODS},
            Found.HARM,
            "of 4 endpoints",
        ),
        (
            LoadBalancing(largest=3, variation=0.3),
            {"arrivals": {"a": 40.0, "b": 40.0, "c": 10.0, "d": 10.0}},
            None,
            Found.HARM,
            "endpoints are uneven",
        ),
        (LoadBalancing(), {"arrivals": {"a": 1.0, "b": 1.0}}, None, Found.WAIT, "too few"),
        (
            LoadBalancing(),
            _lives(a=(0, 60), b=(0, 60), c=(50, 60)),
            None,
            Found.GOOD,
            "47.2% would",
        ),
        (LoadBalancing(), _lives(a=(0, 60), b=(0, 9), c=(9, 60)), None, Found.GOOD, "50.0% would"),
        (
            LoadBalancing(),
            {"arrivals": {"a": 50.0, "b": 50.0}},
            _lives(a=(0, 30), b=(0, 30), c=(30, 60), d=(30, 60)),
            Found.GOOD,
            "of 2 endpoints",
        ),
        (LoadBalancing(), {}, {"arrivals": _PODS}, Found.WAIT, "too few requests, or endpoints"),
        (
            LoadBalancing(),
            _lives(a=(0, 60), b=(0, 20), c=(0, 20), d=(0, 20)),
            None,
            Found.WAIT,
            "left, or get nothing any more: before, of 4 endpoints",
        ),
        (
            LoadBalancing(),
            _lives(a=(0, 60), b=(0, 60), c=(40, 60), weight={"c": 6.0}),
            None,
            Found.HARM,
            "c has 75.0% of requests, 33.3% would be fair",
        ),
        (
            LoadBalancing(),
            {"arrivals": {"a": 50.0, "b": 50.0, "c": _at(range(7, 8), range(51, 52), events=3)}},
            None,
            Found.HARM,
            "of 3 endpoints",
        ),
        (_HASHED, _keys({}), None, Found.GOOD, "100.0% of requests of canary reached the endpoint"),
        (_HASHED, _keys({}, loose=5.0), None, Found.HARM, "50.0% of requests of canary reached"),
        (_HASHED, {"arrivals": _PODS, "keys": {"|a": 99.0}}, None, Found.WAIT, "of each user_id"),
        (
            _HASHED,
            _keys(dict.fromkeys("048", "b")),
            None,
            Found.GOOD,
            "0 of 9 values of user_id left an endpoint of canary that stayed when others (a)",
        ),
        (
            _HASHED,
            _keys(dict(zip("04815926x", "bbbcccddd", strict=True))),
            None,
            Found.HARM,
            "6 of 9 values of user_id left an endpoint",
        ),
        (
            PoolsAndOutliers(),
            {"requests": 100.0, "ejections": 0.0},
            None,
            Found.GOOD,
            "0 ejections",
        ),
        (PoolsAndOutliers(), {"requests": 1.0}, None, Found.WAIT, "too few"),
        (
            PoolsAndOutliers(),
            {"requests": 100.0, "unhealthy": 9.0},
            None,
            Found.HARM,
            "9.0% of requests of canary found no healthy endpoint (UH), 1.0% may",
        ),
        (
            PoolsAndOutliers(),
            {"requests": 100.0, "overflow": 9.0},
            None,
            Found.HARM,
            "found the pool full (UO)",
        ),
        (
            PoolsAndOutliers(),
            {"requests": 100.0, "ejections": 0.2},
            {"requests": 100.0},
            Found.HARM,
            "12 ejections of endpoints of canary, 0 of stable",
        ),
        (_FLAG, _flags(30, 0), _flags(70, 100), Found.GOOD, "on for 30.0% of requests of country"),
        (_FLAG, _flags(37.5, 0), _flags(62.5, 100), Found.UNFIT, "37.5% of requests of country PH"),
        (_FLAG, _flags(30, 9), _flags(70, 91), Found.UNFIT, "of country ID, it is for PH"),
        (_FLAG, {"requests": {"ID": 0.0}}, {"requests": {"ID": 99.0}}, Found.WAIT, "not known"),
        (SeveralExperiments(), _groups(50, 50, 1, 1), None, Found.GOOD, "alike within each"),
        (SeveralExperiments(), _groups(50, 2, 1, 0), None, Found.WAIT, "too few requests in each"),
        (
            SeveralExperiments(),
            _groups(30, 70, 1, 1),
            _groups(50, 50, 1, 1),
            Found.UNFIT,
            "b has 70.0% of canary's requests, 50.0% of the baseline's",
        ),
        (
            SeveralExperiments(),
            _groups(50, 50, 1, 20),
            _groups(50, 50, 1, 1),
            Found.WAIT,
            "points with experiment_group b",
        ),
        (
            SeveralExperiments(user="user_id"),
            {**_groups(50, 50, 1, 1), "users": dict.fromkeys("abcdefgh", 10.0)},
            {**_groups(50, 50, 1, 1), "users": dict.fromkeys("defghijk", 10.0)},
            Found.NOTE,
            "5 of 11 users had requests of canary and the baseline: the weights are not sticky",
        ),
        (
            SeveralExperiments(user="user_id"),
            {**_groups(50, 50, 1, 1), "users": dict.fromkeys("abcdefgh", 10.0)},
            {**_groups(50, 50, 1, 1), "users": dict.fromkeys("ijklmnop", 10.0)},
            Found.GOOD,
            "0 of 16 users",
        ),
        # A refusal is one however it is said.
        *(
            (_LIMIT, {"requests": _tiers(40, 60), way: _tiers(10, 30)}, None, Found.GOOD, "is kept")
            for way in ("refusals by flag", "refusals by gRPC")
        ),
        # A tier of which next to nothing was seen may be refused altogether.
        (
            _LIMIT,
            {"requests": _tiers(1, 99), "refusals": _tiers(1, 39)},
            None,
            Found.WAIT,
            "too few requests of user_tier premium",
        ),
        # What fits no route, country, group or pod is not waited for; much of it is.
        (
            _RETRIES,
            {
                "requests": {"GET": 100.0, "POST": 40.0, "unknown": 1.0},
                "attempts": {"GET": 110.0, "POST": 40.0},
            },
            None,
            Found.GOOD,
            "10.0% more attempts",
        ),
        (
            _RETRIES,
            {
                "requests": {"GET": 100.0, "POST": 40.0, "unknown": 9.0},
                "attempts": {"GET": 110.0, "POST": 40.0},
            },
            None,
            Found.WAIT,
            "no attempts on unknown",
        ),
        (
            FeatureFlags(enabled=0.5),
            {"requests": {"PH": 100.0, "LU": 0.1, "LI": 0.0}},
            {"requests": {"PH": 100.0, "LU": 0.0, "LI": 0.2}},
            Found.GOOD,
            "country LI and 1 more rare ones",
        ),
        (
            FeatureFlags(enabled=0.5),
            {"requests": {"PH": 100.0, "LU": 1.0, "LI": 1.0}},
            {"requests": {"PH": 100.0, "LU": 0.0, "LI": 0.0}},
            Found.UNFIT,
            "on for 100.0% of requests of country LI and 1 more rare ones",
        ),
        (
            SeveralExperiments(),
            {"requests": {"a": 50.0, "b": 50.0, "unknown": 0.1}},
            None,
            Found.GOOD,
            "alike within each",
        ),
        # One variant without any series of a group: they surely depend on each other.
        (
            SeveralExperiments(),
            {"requests": {"a": 50.0, "b": 50.0}},
            {"requests": {"a": 100.0}},
            Found.UNFIT,
            "b has 50.0% of canary's requests, 0.0% of the baseline's",
        ),
        (
            SeveralExperiments(),
            {"requests": {"a": 100.0}},
            {"requests": {"a": 50.0, "b": 50.0}},
            Found.UNFIT,
            "b has 0.0% of canary's requests, 50.0% of the baseline's",
        ),
        *(
            (
                LoadBalancing(),
                {"arrivals": {"a": 25.0, "b": 25.0, pod: 50.0}},
                None,
                Found.WAIT,
                "50.0% of requests of canary have no pod",
            )
            for pod in ("", "unknown")
        ),
        (_HEDGES, _routes(110, 40), None, Found.GOOD, "10.0% more attempts"),
        (_HEDGES, _routes(110, 42), None, Found.HARM, "canary hedged POST"),
        (_HEDGES, _routes(150, 40), None, Found.HARM, "20% are allowed"),
    ],
)
def test_counts_lead_to(
    strategy: Strategy, canary: Counts, stable: Counts | None, worst: Found, says: str
) -> None:
    found = list(strategy.check(_seen(canary, stable)))
    order = (Found.GOOD, Found.NOTE, Found.WAIT, Found.HARM, Found.UNFIT)

    assert max((one.found for one in found), key=order.index) is worst
    assert any(says in one.detail for one in found if one.found is worst), found


def test_bounds_of_a_share_hold_at_every_look() -> None:
    dice = np.random.default_rng(5)
    looks = np.arange(50, 1001, 50)
    missed = 0
    for _ in range(200):
        events = dice.binomial(1, 0.1, 1000).cumsum()[looks - 1]
        bounds = [share_bounds(float(x), float(n)) for x, n in zip(events, looks, strict=True)]
        missed += any(not low <= 0.1 <= high for low, high in bounds)
    assert missed <= 2
    assert bounds[-1][1] - bounds[-1][0] < 0.12
    assert share_bounds(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("tried", "found"), [(40.0, Found.GOOD), (48.0, Found.HARM)])
@pytest.mark.parametrize("missed", ["requests", "attempts"])
def test_a_missed_scrape_is_no_second_attempt(missed: str, tried: float, found: Found) -> None:
    """Requests are scraped at the caller, attempts at the pods: either may be missed alone."""
    seen = _seen(_routes(100, tried))
    known = np.ones(_BUCKETS, dtype=np.bool_)
    known[20:23] = False
    for amounts in seen.amounts[missed]["canary"].values():
        amounts[~known] = 0.0
    told = _RETRIES.check(replace(seen, known={missed: {"canary": known}}))
    (once,) = (one for one in told if one.name == "tried once")
    assert once.found is found, once.detail
