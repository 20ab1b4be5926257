"""Decodes Prometheus' JSON answer to a range selector, column by column."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, NotRequired

import numpy as np
import polars as pl
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from flows.formats.safe_text import safe_text
from flows.ingest.sources.json_pairs import Numbers, Pairs, pairs_apart, read_usual
from flows.ingest.sources.native_samples import native_samples
from flows.ingest.sources.samples import LATEST_S, Samples, SourceRefused, finite

# From `1700000015,"6"],[1700000030,"7"` to the lines `,1700000015,6`: one pass over the bytes.
_LINES = bytes.maketrans(b"]", b"\n")
_NO_LINES = b'["'
_SCHEMA = {"nothing": pl.String, "seconds": pl.Float64, "value": pl.Float64}


def decode_matrix(body: bytes, *, native: bool = False, of_query: bool = False) -> Samples:
    """The samples of a `/api/v1/query` answer whose resultType is matrix.

    native: the native histograms instead, as classic buckets; else a warning names them.
    of_query: infinite values and NaN are kept; else they are left out, with a note. The server's
    infos are notes, too: they say what may be meant otherwise, not that something is missing.
    The pairs of time and value, nearly all of the bytes, are read where they are, or go through one
    CSV parser if any is unusual; what is left of the answer is small and goes through the JSON
    parser, so labels and warnings are exact.
    Raises SourceRefused if the body is no such answer.
    """
    pairs, rest = pairs_apart(body)
    answer = _parse(rest)
    result = answer["data"]["result"]
    said, notes = (tuple(_said(texts)) for texts in (answer.get("warnings"), answer.get("infos")))
    if answer.get("isPartial"):
        said = (*said, "the answer is partial, not all storage nodes answered (isPartial)")
    if native:
        found = native_samples(result)
        return replace(found, warnings=(*said, *found.warnings), notes=notes)
    series = [(item["metric"], written) for item in result if (written := item.get("values"))]
    counts = [written[0] for _, written in series]
    if any(not isinstance(count, int) for count in counts):
        return decode_matrix(_compact(body), of_query=of_query)
    ts_ms, values = read_usual(body, pairs) or _parse_pairs(body, pairs)
    if sum(counts) != ts_ms.size:
        raise SourceRefused("the server's answer holds pairs that are not a time and a value")
    samples = Samples(
        labels=tuple(labels for labels, _ in series),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        ts_ms=ts_ms,
        values=values,
        warnings=(*said, *_unread(result)),
        notes=notes,
    )
    return samples if of_query else finite(samples)


class _Series(TypedDict):
    """One series of an answer; values and histograms are looked at where they are read."""

    metric: dict[str, str]
    values: NotRequired[list[Any] | None]
    histograms: NotRequired[list[Any] | None]


class _Data(TypedDict):
    resultType: str
    result: list[_Series]


class _QueryAnswer(TypedDict):
    """An answer as the HTTP API has it; some servers send null instead of no warnings."""

    data: _Data
    warnings: NotRequired[list[str] | None]
    infos: NotRequired[list[str] | None]
    isPartial: NotRequired[bool | None]  # of a cluster of VictoriaMetrics


_SHAPE = TypeAdapter(_QueryAnswer)


def _parse(text: bytes) -> _QueryAnswer:
    """The answer if it has the shape of one. Raises SourceRefused with the field that has not."""
    try:
        answer = _SHAPE.validate_json(text, strict=True)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(map(str, wrong["loc"])) or "the answer"
        start = " ".join(text[:80].decode(errors="replace").split())
        raise SourceRefused(
            f"the server's answer is no Prometheus answer: {start!r} ({field}: {wrong['msg']})"
        ) from error
    if answer["data"]["resultType"] != "matrix":
        raise SourceRefused(f"the server answered a {answer['data']['resultType']}, no matrix")
    return answer


def _compact(body: bytes) -> bytes:
    """The answer as Prometheus writes it; something on the way put spaces in."""
    try:
        text = json.dumps(from_json(body), separators=(",", ":")).encode()
    except ValueError as error:
        raise SourceRefused(
            f"the server's answer holds values that are not pairs: {error}"
        ) from error
    if text == body:
        raise SourceRefused("the server's answer holds values that are not pairs")
    return text


def _parse_pairs(body: bytes, pairs: Pairs) -> Numbers:
    """Times in milliseconds and values of all series, one after the other."""
    if not pairs.counts.size:
        return np.empty(0, np.int64), np.empty(0, np.float64)
    whole = memoryview(body)
    places = zip(pairs.begins.tolist(), pairs.ends.tolist(), strict=True)
    joined = b"," + b"],[".join([whole[begin:end] for begin, end in places])
    text = joined.translate(_LINES, _NO_LINES)
    try:
        frame = pl.read_csv(text, has_header=False, schema=_SCHEMA, columns=[1, 2], quote_char=None)
    except pl.exceptions.PolarsError as error:
        wrong = _first_wrong(text)
        raise SourceRefused(
            f"the server's answer holds a value that is not a number: {wrong}"
        ) from error
    if frame["seconds"].null_count() or frame["value"].null_count():
        raise SourceRefused("the server's answer lacks a time or a value")
    seconds = frame["seconds"].to_numpy()
    # The parser skips what a line has beside the two, from the second line on.
    if text.count(b",") != 2 * len(frame) or not (np.abs(seconds) < LATEST_S).all():
        raise SourceRefused(
            f"the server's answer holds a pair that is no time and value: {_first_wrong(text)}"
        )
    return np.rint(seconds * 1000).astype(np.int64), frame["value"].to_numpy()


def _first_wrong(text: bytes) -> str:
    """The first pair that is no time and value, shortened: what the server sent."""
    for line in text.decode(errors="replace").split("\n"):
        pair = line.split(",")[1:]
        if len(pair) != 2 or not all(map(_is_number, pair)) or not abs(float(pair[0])) < LATEST_S:
            return f"{', '.join(pair)[:60]!r} in the place of a time and a value"
    return "a time or a value"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _said(texts: list[str] | None) -> list[str]:
    """Warnings or infos that say something."""
    return [safe_text(text) for text in texts or () if text]


def _unread(result: list[_Series]) -> list[str]:
    native = sorted(
        {item["metric"].get("__name__", "?") for item in result if "histograms" in item}
    )
    return [f"{name} has native histograms, which are not read" for name in native]
