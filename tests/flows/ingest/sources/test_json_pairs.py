"""Pairs of time and value read where they are, against a plain JSON parser."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ingest.sources.json_pairs import pairs_apart, read_usual
from flows.ingest.sources.json_samples import decode_matrix
from flows.ingest.sources.samples import SourceRefused

_TIME = st.integers(10**12, 10**13 - 1)
_SERIES = st.dictionaries(_TIME, st.integers(0, 10**12 - 1), min_size=1, max_size=6)
_LABEL = st.sampled_from(["a", "]]", "],[", '"values":[[1', "[1700000000"])


def _answer(pairs_of_series: list[str], label: str = "a") -> bytes:
    metric = json.dumps({"x": label}, separators=(",", ":"))
    items = ",".join(f'{{"metric":{metric},"values":[{one}]}}' for one in pairs_of_series)
    text = f'{{"status":"success","data":{{"resultType":"matrix","result":[{items}]}}}}'
    return text.encode()


def _pair(ts_ms: int, value: str) -> str:
    seconds, rest = divmod(ts_ms, 1000)
    return f'[{seconds}{f".{rest:03}" if rest else ""},"{value}"]'


@given(st.lists(_SERIES, min_size=1, max_size=5), _LABEL)
@settings(max_examples=300)
def test_usual_pairs_are_what_a_json_parser_reads(series: list[dict[int, int]], label: str) -> None:
    written = [",".join(_pair(t, str(v)) for t, v in one.items()) for one in series]
    body = _answer(written, label)
    pairs, rest = pairs_apart(body)
    assert [item["values"] for item in json.loads(rest)["data"]["result"]] == [
        [len(one)] for one in series
    ]
    found = read_usual(body, pairs)
    assert found is not None
    assert found[0].tolist() == [t for one in series for t in one]
    assert found[1].tolist() == [float(v) for one in series for v in one.values()]


def test_more_pairs_than_are_read_at_once() -> None:
    series = [{10**12 + 15_000 * i: i * (s + 1) for i in range(700)} for s in range(100)]
    body = _answer([",".join(_pair(t, str(v)) for t, v in one.items()) for one in series])
    found = read_usual(body, pairs_apart(body)[0])
    assert found is not None
    assert found[0].tolist() == [t for one in series for t in one]
    assert found[1].tolist() == [v for one in series for v in one.values()]


@pytest.mark.parametrize(
    "odd",
    [
        '[1700000015,"6.5"]',
        '[1700000015,"-6"]',
        '[1700000015,""]',
        '[1700000015,"1e+21"]',
        '[1700000015,"NaN"]',
        '[1700000015,"1234567890123"]',
        '[1700000015.5,"6"]',
        '[1700000015.25,"6"]',
        '[1700000015.1234,"6"]',
        '[170000001,"6"]',
        '[17000000155,"6"]',
        '[17000000x5,"6"]',
        '[170000001x,"6"]',
        '[1700000015.1x3,"6"]',
        '[1700000015,"x6"]',
        '[1700000015,"12345678x"]',
        "[1700000015,6]",
        '[1700000015, "6"]',
        '[1700000015;"6"]',
        '[1700000015,"6"] ',
        '[1700000015,"6",]',
        "[1700000015]",
        "[]",
    ],
)
@pytest.mark.parametrize("place", range(3))
def test_any_other_pair_is_left_to_a_parser(odd: str, place: int) -> None:
    pairs = ['[1700000000,"5"]', '[1700000030,"7"]', '[1700000045,"8"]']
    pairs[place] = odd
    body = _answer([",".join(pairs), '[1700000000,"1"]'])
    assert read_usual(body, pairs_apart(body)[0]) is None


def test_answers_that_break_off_are_refused() -> None:
    body = _answer(['[1700000000,"5"],[1700000030.125,"7"]', '[1700000000,"123456789012"]'])
    for size in range(len(body)):
        with pytest.raises(SourceRefused):
            decode_matrix(body[:size])
