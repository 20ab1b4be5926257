"""A version's share of its service is said once, and a service has 100 percent."""

from __future__ import annotations

import pytest

from dashboards.service_shares import VersionTraffic, service_shares


def traffic(
    experiment: str, version: str, per_second: float, at_ms: int = 0, **changed: bool
) -> VersionTraffic:
    return VersionTraffic(experiment, at_ms, "shop", "prod", version, per_second, **changed)


ONE = [traffic("a", "v1", 90.0), traffic("a", "v2", 10.0)]
CASES = {
    "one experiment": (ONE, {("a", "v1"): 90.0, ("a", "v2"): 10.0}),
    "other versions of the service": (
        [*ONE, traffic("b", "v3", 50.0), traffic("b", "v4", 50.0)],
        {("a", "v1"): 45.0, ("a", "v2"): 5.0, ("b", "v3"): 25.0, ("b", "v4"): 25.0},
    ),
    "the same versions, looked at later": (
        [*ONE, traffic("b", "v1", 30.0, 1), traffic("b", "v2", 10.0, 1)],
        {("b", "v1"): 75.0, ("b", "v2"): 25.0},
    ),
    "users beside requests": (
        [*ONE, traffic("b", "red", 5.0, 1, is_users=True)],
        {("a", "v1"): 90.0, ("a", "v2"): 10.0},
    ),
    "users alone": (
        [traffic("b", "red", 5.0, is_users=True), traffic("b", "blue", 15.0, is_users=True)],
        {("b", "red"): 25.0, ("b", "blue"): 75.0},
    ),
    "a version without traffic": (
        [traffic("a", "v1", 3.0), traffic("a", "v2", 0.0)],
        {("a", "v1"): 100.0, ("a", "v2"): 0.0},
    ),
    "no traffic": ([traffic("a", "v1", 0.0), traffic("a", "v2", 0.0)], {}),
    "nothing": ([], {}),
}


@pytest.mark.parametrize("case", CASES)
def test_shares_of_a_service_add_up_to_100_percent(case: str) -> None:
    listed, expected = CASES[case]
    for order in (listed, listed[::-1]):
        found = service_shares(order)
        shares = {(name, s.version): s.percentage for name, each in found.items() for s in each}
        assert shares == pytest.approx(expected)


def test_a_service_of_the_same_name_elsewhere_is_another_one() -> None:
    there = [VersionTraffic("c", 0, "shop", "test", "v1", 1.0)]
    assert len(service_shares([*ONE, *there])["c"]) == 1
    assert service_shares([*ONE, *there])["c"][0].percentage == 100.0
