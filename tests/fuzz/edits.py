"""Inputs near the kept ones: pieces of them cut, doubled, exchanged, damaged."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

_LARGEST = 200_000


@st.composite
def edited(draw: st.DrawFn, kept: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """One of the kept inputs after a few edits."""
    data = draw(st.sampled_from(kept))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from((0, 1, 2, 4, 16, 64, 512)))
        part = data[at : at + length]
        kind = draw(st.sampled_from(("cut", "double", "token", "flip", "splice", "bytes", "lines")))
        if kind == "double":
            part = part * draw(st.sampled_from((2, 3, 50)))
        elif kind == "token":
            part = draw(st.sampled_from(tokens))
        elif kind == "flip":
            mask = draw(st.integers(1, 255))
            part = bytes(byte ^ mask for byte in part)
        elif kind == "splice":
            other = draw(st.sampled_from(kept))
            begin = draw(st.integers(0, len(other)))
            part = other[begin : begin + draw(st.integers(0, 200))]
        elif kind == "bytes":
            part = draw(st.binary(max_size=12))
        elif kind == "lines":
            lines = data.split(b"\n")
            data = b"\n".join(draw(st.permutations(lines)) if len(lines) < 60 else lines[::-1])
            continue
        else:
            part = b""
        data = (data[:at] + part + data[at + length :])[:_LARGEST]
    return data
