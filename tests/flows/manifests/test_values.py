"""Values of any type: what isn't as it should be counts as absent, and nothing raises."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.manifests import values

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
)


@given(ANYTHING)
def test_no_value_raises(value: Any) -> None:
    values.fields_of(value)
    values.items_of(value)
    values.text_of(value)
    values.labels_of(value)
    values.seconds_of(value)
    number, quantity = values.number_of(value), values.quantity_of(value)
    assert number is None or math.isfinite(number)
    assert quantity is None or quantity >= 0


@pytest.mark.parametrize(
    ("written", "quantity"),
    [
        ("5", Fraction(5)),
        (5, Fraction(5)),
        ("500m", Fraction(1, 2)),
        ("1.5k", Fraction(1500)),
        (".5", Fraction(1, 2)),
        ("-1", None),
        (-1, None),
        (True, None),
        ("5Gi", None),
        ("", None),
    ],
)
def test_quantities_are_those_of_kubernetes(written: Any, quantity: Fraction | None) -> None:
    assert values.quantity_of(written) == quantity


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30s", 30), ("1m30s", 90), ("1.5h", 5400), (10, 10), ("10", 10), ("10 s", None), (-1, None)],
)
def test_durations_are_texts_or_seconds(written: Any, seconds: float | None) -> None:
    assert values.seconds_of(written) == seconds


def test_labels_are_texts_as_kubernetes_has_them() -> None:
    assert values.labels_of({"b": 1, "a": True, "c": None, "d": [1]}) == (("a", "true"), ("b", "1"))
