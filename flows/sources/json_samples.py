"""Decodes Prometheus' JSON answer to a range selector, column by column."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.sources.samples import Samples, SourceRefused

# Inside a JSON string each quote is escaped, so no label can hold this text.
_VALUES = b'"values":[['


def decode_matrix(body: bytes) -> Samples:
    """The samples of a `/api/v1/query` answer whose resultType is matrix.

    The pairs of time and value, nearly all of the bytes, go through one CSV parser; what is left
    of the answer is small and goes through the JSON parser, so labels and warnings are exact.
    Raises SourceRefused if the body is no such answer.
    """
    head, *parts = body.split(_VALUES)
    pairs, rest = [], [head]
    for part in parts:
        # Times and values hold no bracket, so the first two in a row end the series.
        numbers, _, after = part.partition(b"]]")
        pairs.append(numbers)
        rest += [b'"values":[', str(numbers.count(b"],[") + 1).encode(), b"]", after]
    answer = _parse(b"".join(rest))
    result = answer["data"]["result"]
    series = [item for item in result if "values" in item]
    counts = [item["values"][0] for item in series]
    ts_ms, values = _parse_pairs(pairs)
    samples = Samples(
        labels=tuple(item["metric"] for item in series),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        ts_ms=ts_ms,
        values=values,
        warnings=(*answer.get("warnings", ()), *answer.get("infos", ()), *_unread(result)),
    )
    return without_oddities(samples)


def _parse(text: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(text)
        if answer["data"]["resultType"] != "matrix":
            raise SourceRefused(f"the server answered a {answer['data']['resultType']}, no matrix")
    except (ValueError, KeyError, TypeError) as error:
        start = text[:80].decode(errors="replace")
        raise SourceRefused(f"the server's answer is no Prometheus answer: {start!r}") from error
    return dict(answer)


def _parse_pairs(pairs: list[bytes]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Times in milliseconds and values of all series, one after the other."""
    if not pairs:
        return np.empty(0, np.int64), np.empty(0, np.float64)
    text = b'"],['.join(pair.removesuffix(b'"') for pair in pairs)
    text = text.replace(b'"],[', b"\n").replace(b',"', b",")
    frame = pl.read_csv(
        io.BytesIO(text),
        has_header=False,
        schema={"ts": pl.Float64, "value": pl.Float64},
        null_values=["NaN", "+Inf", "-Inf"],
        quote_char=None,
    )
    ts_ms = np.rint(frame["ts"].to_numpy() * 1000).astype(np.int64)
    return ts_ms, frame["value"].fill_null(float("nan")).to_numpy()


def _unread(result: list[dict[str, Any]]) -> list[str]:
    native = sorted(
        {item["metric"].get("__name__", "?") for item in result if "values" not in item}
    )
    return [f"{name} has native histograms, which are not read" for name in native]


def without_oddities(samples: Samples) -> Samples:
    """The samples without NaN and infinite values, which no counter has; a warning counts them."""
    odd = ~np.isfinite(samples.values)
    if not odd.any():
        return samples
    names = sorted({samples.labels[i].get("__name__", "?") for i in samples.series_of_sample[odd]})
    kept = np.concatenate([[0], np.cumsum(~odd)])
    warning = f"{int(odd.sum())} samples of {', '.join(names)} were not finite and are left out"
    return Samples(
        samples.labels,
        kept[samples.offsets],
        samples.ts_ms[~odd],
        samples.values[~odd],
        (*samples.warnings, warning),
    )
