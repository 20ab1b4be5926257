"""The token bucket, on a clock of the test's own."""

from __future__ import annotations

import pytest

from flows.service.rate_limit import RateLimit, client_of


def test_burst_is_granted_and_then_the_rate() -> None:
    limit = RateLimit(per_second=4, burst=3)
    assert [limit.wait_s("a", now=10.0) for _ in range(4)] == [0, 0, 0, 0.25]
    assert limit.wait_s("a", now=10.25) == 0
    assert limit.wait_s("a", now=10.25) == pytest.approx(0.25)


def test_rest_never_grants_more_than_the_burst() -> None:
    limit = RateLimit(per_second=100, burst=2)
    limit.wait_s("a", now=0)
    granted = [limit.wait_s("a", now=1e6) == 0 for _ in range(3)]
    assert granted == [True, True, False]


def test_clients_do_not_take_from_each_other() -> None:
    limit = RateLimit(per_second=1, burst=1)
    assert limit.wait_s("a", now=0) == 0
    assert limit.wait_s("b", now=0) == 0
    assert limit.wait_s("a", now=0) > 0


def test_client_that_calls_stays_limited_among_very_many() -> None:
    limit = RateLimit(per_second=0.001, burst=1)
    limit.wait_s("a", now=0)
    for other in range(30_000):
        limit.wait_s(f"b{other}", now=0)
        if other % 5000 == 0:
            assert limit.wait_s("a", now=0) > 0


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("unknown", "unknown"),
    ],
)
def test_ipv6_clients_are_networks(address: str, client: str) -> None:
    assert client_of(address) == client
