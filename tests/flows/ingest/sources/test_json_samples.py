"""The columnar decoding of JSON answers against a plain JSON parser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ingest.sources.json_samples import decode_matrix
from flows.ingest.sources.samples import SourceRefused

_TRAPS = st.sampled_from(
    ["],[", ']]},{"metric":{', '"values":[[', '","values":[[1,"2"]]', "\\", "\n", "é\u2028", "NaN"]
)
_TEXT = st.lists(_TRAPS | st.text(max_size=8), max_size=3).map("".join)
_LABELS = st.dictionaries(_TEXT, _TEXT, max_size=4)
# As Go prints numbers: shortest digits that give the same float, exponents beyond 21 digits.
_NUMBER = st.one_of(
    st.integers(0, 2**53).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["1e+21", "1.5e-07", "-0", "0.1", "123456789.00000001"]),
)
_TIME = st.integers(1_000_000_000_000, 2_000_000_000_000)
_SERIES = st.tuples(_LABELS, st.dictionaries(_TIME, _NUMBER, min_size=1, max_size=6))


def _go_time(ts_ms: int) -> str:
    seconds, rest = divmod(ts_ms, 1000)
    return f"{seconds}.{rest:03}" if rest else str(seconds)


def _answer(series: list[tuple[dict[str, str], dict[int, str]]], **more: Any) -> bytes:
    """An answer as Prometheus writes it: without spaces, values as texts."""
    items = [
        '{{"metric":{},"values":[{}]}}'.format(
            json.dumps(labels, separators=(",", ":"), ensure_ascii=len(labels) % 2 == 0),
            ",".join(f'[{_go_time(t)},"{values[t]}"]' for t in sorted(values)),
        )
        for labels, values in series
    ]
    result = ",".join(items)
    rest = "".join(f",{json.dumps(name)}:{json.dumps(value)}" for name, value in more.items())
    data = f'{{"resultType":"matrix","result":[{result}]}}'
    return f'{{"status":"success","data":{data}{rest}}}'.encode()


@given(st.lists(_SERIES, max_size=4))
@settings(max_examples=400)
def test_answers_with_any_labels_decode_as_a_json_parser_reads_them(
    series: list[tuple[dict[str, str], dict[int, str]]],
) -> None:
    body = _answer(series)
    found = decode_matrix(body)
    plain = json.loads(body)["data"]["result"]
    assert list(found.labels) == [item["metric"] for item in plain]
    pairs = [pair for item in plain for pair in item["values"]]
    assert found.ts_ms.tolist() == [round(seconds * 1000) for seconds, _ in pairs]
    assert [v.hex() for v in found.values.tolist()] == [float(v).hex() for _, v in pairs]
    assert found.offsets.tolist()[1:] == [
        sum(len(item["values"]) for item in plain[: i + 1]) for i in range(len(plain))
    ]


def test_spaces_between_the_tokens_do_not_matter() -> None:
    body = _answer([({"__name__": "a", "b": "], ["}, {1_700_000_000_123: "7"})])
    spaced = json.dumps(json.loads(body), indent=1).encode()
    assert decode_matrix(spaced).ts_ms.tolist() == [1_700_000_000_123]
    assert decode_matrix(spaced).labels == decode_matrix(body).labels


def test_values_that_no_counter_has_are_the_ones_before_and_named() -> None:
    odd = {1000: "NaN", 2000: "1", 3000: "+Inf", 4000: "-Inf", 5000: "2"}
    found = decode_matrix(
        _answer([({"__name__": "a"}, odd), ({"__name__": "only_nan"}, {1000: "NaN"})])
    )
    assert found.labels == ({"__name__": "a"},)
    assert found.values.tolist() == [1, 1, 1, 1, 2]
    assert found.notes == (
        "not finite: 4 samples of a, only_nan; the values before them are taken",
    )
    assert found.warnings == ()


def test_warnings_and_infos_are_kept() -> None:
    body = _answer([], warnings=["a store is down"], infos=["not a counter"])
    found = decode_matrix(body)
    assert (found.warnings, found.notes) == (("a store is down",), ("not a counter",))
    assert decode_matrix(_answer([], warnings=None)).warnings == ()


def test_native_histograms_are_named_and_the_rest_is_read() -> None:
    body = (
        b'{"status":"success","data":{"resultType":"matrix","result":['
        b'{"metric":{"__name__":"native"},"histograms":[[1,{"count":"1","buckets":[[0,"1"]]}]]},'
        b'{"metric":{"__name__":"mixed"},"values":[[1,"2"]],"histograms":[[2,{"count":"1"}]]},'
        b'{"metric":{"__name__":"plain"},"values":[[1,"3"]]}]}}'
    )
    found = decode_matrix(body)
    assert [labels["__name__"] for labels in found.labels] == ["mixed", "plain"]
    assert found.values.tolist() == [2, 3]
    assert found.warnings == tuple(
        f"{name} has native histograms, which are not read" for name in ("mixed", "native")
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>please log in</html>", "no Prometheus answer: '<html>please log in"),
        (b"", "no Prometheus answer"),
        (b"[]", "no Prometheus answer"),
        (b'{"status":"success","data":{"resultType":"vector","result":[]}}', "a vector, no matrix"),
        (
            _answer([({}, {1000: "one"})]),
            "not a number: '1, one' in the place of a time and a value$",
        ),
        (_answer([({}, {1000: ""})]), "lacks a time or a value"),
        (_answer([({}, {1000: "1"})])[:-9], "no Prometheus answer"),
        (_answer([({}, {1000: "1"})]).replace(b'[[1,"1"]]', b"[7]"), "not a time and a value"),
        (_answer([({}, {1000: "1"})]).replace(b'[[1,"1"]]', b"[{}]"), "not pairs"),
    ],
)
def test_what_is_no_matrix_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(SourceRefused, match=words.replace("[", r"\[")):
        decode_matrix(body)


@pytest.mark.parametrize("place", range(2))
@pytest.mark.parametrize(
    "odd",
    [
        b'[1700000015,"5,6"]',
        b'[1700000015,"5","6"]',
        b'[1700000015,"5",]',
        b'[1e30,"5"]',
        b'[-1e30,"5"]',
        b'[NaN,"5"]',
        b'[Infinity,"5"]',
        b'[9300000000000000,"5"]',
        b"[1700000015]",
        b'[1700000015,"1.5e"]',
    ],
)
def test_a_pair_that_is_no_time_and_value_is_refused_wherever_it_stands(
    odd: bytes, place: int
) -> None:
    """As 5 at some time it would be counted; from the second line on a CSV parser reads that."""
    pairs = [b'[1700000000,"4"]', b'[1700000030,"7"]']
    pairs[place] = odd
    written = b",".join(pairs)
    body = _answer([({}, {1000: "1"})]).replace(b'[1,"1"]', written)
    assert written in body
    with pytest.raises(SourceRefused):
        decode_matrix(body)


@pytest.mark.parametrize("seconds", ["1e30", "-1e30", "1e999", "NaN", "null", '"now"', "[]"])
def test_a_native_histogram_at_no_time_is_refused(seconds: str) -> None:
    entry = f'[{seconds},{{"count":"5","sum":"3","buckets":[[0,"0.5","1","5"]]}}]'
    body = _answer([({"__name__": "slow"}, {1000: "1"})]).replace(b'"values":[[1,"1"]]', b"%s")
    with pytest.raises(SourceRefused, match="no native histogram"):
        decode_matrix(body % f'"histograms":[{entry}]'.encode(), native=True)
