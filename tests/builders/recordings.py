"""Writes a recording of raw samples."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flows.ingest.sources.recording import SCHEMA
from flows.ingest.sources.samples import Samples


def write_recording(path: Path, samples: Samples) -> None:
    """Writes samples as a recording, series in the order of their labels."""
    texts = [json.dumps(dict(labels), sort_keys=True) for labels in samples.labels]
    offsets = pa.array(samples.offsets, pa.int32())
    table = pa.table(
        [
            pa.array(texts, pa.string()),
            pa.ListArray.from_arrays(offsets, pa.array(samples.ts_ms, pa.int64())),
            pa.ListArray.from_arrays(offsets, pa.array(samples.values, pa.float64())),
        ],
        schema=SCHEMA,
    )
    order = pa.array(np.argsort(np.array(texts, dtype=object), kind="stable"))
    pq.write_table(
        table.take(order),
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=["labels"],
        column_encoding={"ts_ms.list.element": "DELTA_BINARY_PACKED"},
    )
