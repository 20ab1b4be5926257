"""Chunks read side by side are what an encoder wrote one after the other."""

from __future__ import annotations

import contextlib
import itertools
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ingest.sources.remote_read import decode_answer
from flows.ingest.sources.series_frames import NotReadable
from flows.ingest.sources.xor_chunks import decode_chunks
from tests.builders.reference_chunks import (
    Sample,
    encode_chunk,
    encode_frame,
    encode_histogram_frame,
)

START = 1_760_000_000_000
_ANY_FLOAT = st.floats(width=64) | st.integers(0, 2**53).map(float)
# Each size class of differences, with its edges, and one that needs all 64 bits.
_STEP = st.one_of(
    st.just(15_000),
    st.integers(14_990, 15_010),
    st.sampled_from([1, 8191, 8192, 8193, 65_535, 65_536, 65_537, 524_288, 524_289, 2**40]),
    st.integers(1, 2**41),
)
_POINTS = st.lists(st.tuples(_STEP, _ANY_FLOAT), min_size=0, max_size=12)


def _samples(points: list[tuple[int, float]]) -> list[Sample]:
    ts_ms, found = START, []
    for step, value in points:
        found.append((ts_ms, value))
        ts_ms += step
    return found


def _decoded(chunks: list[bytes]) -> list[list[Sample]]:
    """Chunks with other bytes between them, as in an answer."""
    body = b"".join(b"\xff\xff" + chunk for chunk in chunks)
    ends = np.cumsum([2 + len(chunk) for chunk in chunks], dtype=np.int64)
    starts = ends - np.array([len(chunk) for chunk in chunks], dtype=np.int64)
    counts, ts_ms, values = decode_chunks(body, starts, ends)
    pairs = list(zip(ts_ms.tolist(), values.tolist(), strict=True))
    edges = np.concatenate([[0], np.cumsum(counts)])
    return [pairs[a:b] for a, b in itertools.pairwise(edges)]


def _bits(samples: list[Sample]) -> list[tuple[int, bytes]]:
    """NaN included: bits tell NaN from NaN."""
    return [(ts_ms, struct.pack(">d", value)) for ts_ms, value in samples]


@given(st.lists(_POINTS, min_size=1, max_size=6))
@settings(max_examples=300)
def test_chunks_of_any_lengths_decode_to_what_was_encoded(
    points: list[list[tuple[int, float]]],
) -> None:
    series = [_samples(one) for one in points]
    found = _decoded([encode_chunk(one) for one in series])
    assert [_bits(one) for one in found] == [_bits(one) for one in series]


def test_more_chunks_than_are_read_side_by_side() -> None:
    dice = random.Random(3)
    chunks = [
        _samples([(15_000 + dice.randrange(3), float(dice.randrange(900))) for _ in range(size)])
        for size in (dice.choice((1, 2, 5, 9)) for _ in range(9000))
    ]
    assert _decoded([encode_chunk(chunk) for chunk in chunks]) == chunks


def test_no_chunks_are_no_samples() -> None:
    none = np.empty(0, np.int64)
    assert [column.size for column in decode_chunks(b"", none, none)] == [0, 0, 0]


def test_chunk_that_ends_early_is_an_error() -> None:
    chunk = encode_chunk(_samples([(15_000, 0.1 * i) for i in range(9)]))
    for size in range(len(chunk) - 1):
        with pytest.raises(ValueError, match=r"end before|more bits"):
            _decoded([chunk[:size]])


LABELS = {"__name__": "requests_total", "pod": "a"}


def _counter(first: int, last: int) -> list[Sample]:
    return [(START + 15_000 * i, float(i)) for i in range(first, last)]


def test_chunks_over_the_edges_are_trimmed() -> None:
    body = encode_frame(LABELS, [_counter(0, 20), _counter(20, 40)])
    found = decode_answer(body, {}, START + 15_000 * 5, START + 15_000 * 25)
    assert found.values.tolist() == list(range(6, 26))
    assert found.ts_ms.tolist() == [START + 15_000 * i for i in range(6, 26)]


def test_overlapping_and_repeated_chunks_hold_each_sample_once() -> None:
    body = encode_frame(LABELS, [_counter(0, 20), _counter(10, 30)])
    body += encode_frame(LABELS, [_counter(10, 30), _counter(30, 40)])
    body += encode_frame(LABELS | {"pod": "b"}, [_counter(5, 6)])
    found = decode_answer(body, {}, START - 1, START + 15_000 * 99)
    assert found.offsets.tolist() == [0, 40, 41]
    assert found.values.tolist() == [*range(40), 5]


def test_series_without_a_sample_in_the_window_is_left_out() -> None:
    body = encode_frame(LABELS, [_counter(0, 9)]) + encode_frame({"pod": "b"}, [_counter(9, 20)])
    found = decode_answer(body, {}, START + 15_000 * 9, START + 15_000 * 99)
    assert found.labels == ({"pod": "b"},)
    assert found.offsets.tolist() == [0, 10]


_SOME_TIMES = st.lists(st.integers(0, 60), max_size=25, unique=True).map(sorted)


@given(st.lists(_SOME_TIMES, min_size=1, max_size=5), st.integers(-1, 60), st.integers(0, 61))
def test_any_window_holds_what_lies_in_it(times: list[list[int]], after: int, length: int) -> None:
    scraped = {f"p{i}": [(START + t, t + i / 8) for t in own] for i, own in enumerate(times)}
    body = b"".join(
        encode_frame(LABELS | {"pod": pod}, [own[:9], own[9:]] if own[9:] else [own])
        for pod, own in scraped.items()
        if own
    )
    found = decode_answer(body, {}, START + after, START + after + length)
    pieces = itertools.pairwise(found.offsets.tolist())
    pairs = list(zip(found.ts_ms.tolist(), found.values.tolist(), strict=True))
    inside = {
        pod: kept
        for pod, own in scraped.items()
        if (kept := [one for one in own if after < one[0] - START <= after + length])
    }
    assert {
        labels["pod"]: pairs[a:b] for labels, (a, b) in zip(found.labels, pieces, strict=True)
    } == inside


def test_staleness_markers_go_and_other_nans_are_reported() -> None:
    marker = struct.unpack(">d", (0x7FF0000000000002).to_bytes(8, "big"))[0]
    chunk = [(START, 1.0), (START + 1, marker), (START + 2, float("nan")), (START + 3, 2.0)]
    found = decode_answer(encode_frame(LABELS, [chunk]), {}, START - 1, START + 9)
    assert found.values.tolist() == [1, 1, 2]
    assert found.notes == (
        "not finite: 1 sample of requests_total; the values before them are taken",
    )


def test_external_labels_are_taken_off() -> None:
    body = encode_frame({**LABELS, "cluster": "east", "zone": "own"}, [_counter(0, 2)])
    found = decode_answer(body, {"cluster": "east", "zone": "z"}, 0, START + 15_000)
    assert found.labels == ({**LABELS, "zone": "own"},)


def test_native_histograms_are_left_to_json() -> None:
    with pytest.raises(NotReadable, match="another encoding than XOR"):
        decode_answer(encode_histogram_frame(LABELS), {}, 0, 2)


def test_answer_that_breaks_off_anywhere_is_no_answer() -> None:
    first = encode_frame(LABELS, [_counter(0, 5)])
    body = first + encode_frame({"pod": "b"}, [_counter(0, 5)])
    for size in range(1, len(body)):
        if size != len(first):
            with pytest.raises(NotReadable):
                decode_answer(body[:size], {}, 0, 2 * START)


@given(st.binary(max_size=60), st.integers(0, 200))
@settings(max_examples=300)
def test_garbage_is_no_answer_or_empty_but_never_a_crash(noise: bytes, at: int) -> None:
    body = encode_frame(LABELS, [_counter(0, 5)])
    at = min(at, len(body))
    with contextlib.suppress(NotReadable):
        decode_answer(body[:at] + noise + body[at + len(noise) :], {}, 0, 2 * START)
