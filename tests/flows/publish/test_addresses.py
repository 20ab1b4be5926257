"""Where boards and pages link to."""

from __future__ import annotations

import pytest

from flows.publish.addresses import Addresses, AddressRefused, read_addresses


def test_addresses_are_the_environments_or_nothing() -> None:
    assert read_addresses({}) == Addresses("", "")
    said = {"VERDICT_GRAFANA_URL": "https://g.example/grafana/", "VERDICT_URL": "http://v:8080"}
    assert read_addresses(said) == Addresses("https://g.example/grafana", "http://v:8080")


@pytest.mark.parametrize(
    "url",
    [
        "grafana.example", "javascript:alert(1)", "https://user:secret@g.example", "https://",
        "https://g.example?token=secret", "https://g.example/${__from}", "https://g.example/a b",
        "https://g.example/\n", "https://g.example/)x", "https://[", "data:text/html,x",
    ],
)  # fmt: skip
def test_what_cannot_be_linked_to_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused, match="VERDICT_URL is") as caught:
        read_addresses({"VERDICT_URL": f"{url}x" if url.endswith("\n") else url})
    assert "secret" not in str(caught.value)
