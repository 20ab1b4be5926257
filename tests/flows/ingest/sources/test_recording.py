"""A recording answers like the Prometheus it was made from, and says what is wrong with a file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.ingest.sources.recording import Recording
from flows.ingest.sources.samples import Matcher, Samples, Selector, SourceRefused
from tests.builders.recordings import write_recording

PODS = ("a", "b", "ab", "")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Three samples (1, 2, 3 s) of each pod; the last one has no pod label."""
    path = tmp_path / "requests.parquet"
    labels = [{"__name__": "requests_total"} | ({"pod": pod} if pod else {}) for pod in PODS]
    times = np.array([1000, 2000, 3000] * len(PODS), dtype=np.int64)
    values = np.arange(times.size, dtype=np.float64)
    write_recording(path, Samples(tuple(labels), np.arange(0, 13, 3), times, values))
    return path


@pytest.mark.parametrize(
    ("op", "value", "pods"),
    [
        ("=", "a", {"a"}),
        ("=", "", {""}),
        ("!=", "a", {"b", "ab", ""}),
        ("=~", "a|b", {"a", "b"}),
        ("=~", "a", {"a"}),
        ("=~", "a.*", {"a", "ab"}),
        ("!~", "a.*", {"b", ""}),
        ("=~", ".*", {"a", "b", "ab", ""}),
    ],
)
def test_conditions_select_as_in_prometheus(
    recording: Path, op: str, value: str, pods: set[str]
) -> None:
    selector = Selector("requests_total", (Matcher("pod", op, value),))
    found = Recording(recording).read([selector], 0, 9000)
    assert {labels.get("pod", "") for labels in found.labels} == pods


def test_window_leaves_out_its_start_and_holds_its_end(recording: Path) -> None:
    found = Recording(recording).read([Selector("requests_total")], 1000, 2000)
    assert found.ts_ms.tolist() == [2000] * 4
    assert found.offsets.tolist() == [0, 1, 2, 3, 4]
    assert Recording(recording).read([Selector("requests_total")], 3000, 9000).labels == ()


def test_overlapping_selectors_give_each_series_once(recording: Path) -> None:
    twice = [Selector("requests_total"), Selector("requests_total", (Matcher("pod", "=", "a"),))]
    assert len(Recording(recording).read(twice, 0, 9000).labels) == 4


def test_what_was_written_is_read(recording: Path, tmp_path: Path) -> None:
    found = Recording(recording).read([Selector("requests_total")], 0, 9000)
    write_recording(tmp_path / "again.parquet", found)
    again = Recording(tmp_path / "again.parquet").read([Selector("requests_total")], 0, 9000)
    assert again.labels == found.labels
    assert again.values.tolist() == found.values.tolist()


def test_recording_of_nothing_is_empty(tmp_path: Path) -> None:
    none = Samples((), np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0))
    write_recording(tmp_path / "empty.parquet", none)
    opened = Recording(tmp_path / "empty.parquet")
    assert (opened.end_ms, opened.read([Selector("up")], 0, 9000).labels) == (0, ())
    assert opened.outside(0, 9000) == "the recording has no samples"


@pytest.mark.parametrize(
    ("start_s", "until_s", "said"),
    [
        (0, 2, ""),
        (2, 9, ""),
        (0, 9, ""),
        (3, 9, "from 1970-01-01 00:00:01 to 1970-01-01 00:00:03 UTC, but the plan starts at "),
        (-9, 1, "but the plan starts at 1969-12-31 23:59:51 UTC: correct `plan.start`"),
    ],
)
def test_recording_of_another_time_is_said(
    recording: Path, start_s: int, until_s: int, said: str
) -> None:
    found = Recording(recording).outside(1000 * start_s, 1000 * until_s)
    assert said in found
    assert bool(said) == bool(found)


@pytest.mark.parametrize(("until_s", "is_said"), [(0.5, True), (2, False)])
def test_a_look_before_the_recording_begins_blames_no_plan(
    recording: Path, until_s: float, *, is_said: bool
) -> None:
    found = Recording(recording).outside(-9000, round(1000 * until_s), is_planned=False)
    assert "plan" not in found
    assert ("and the look is at 1970-01-01 00:00:00 UTC" in found) == is_said


def test_reading_does_not_import_pandas(recording: Path) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from flows.ingest.sources.recording import Recording;"
        f"Recording(Path({str(recording)!r})); print('pandas' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_truncated_file_is_refused_by_name(recording: Path) -> None:
    whole = recording.read_bytes()
    for size in (0, 3, len(whole) // 2, len(whole) - 1):
        recording.write_bytes(whole[:size])
        with pytest.raises(SourceRefused, match=r"requests\.parquet is not a whole Parquet file"):
            Recording(recording)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match="no such recording"):
        Recording(tmp_path / "gone.parquet")
    with pytest.raises(SourceRefused, match="not a whole Parquet file"):
        Recording(tmp_path)


_GOOD = {"labels": [json.dumps({"__name__": "a"})] * 2, "ts_ms": [[1, 2], [1]]}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"user": [1]}, "column labels is missing .it has user."),
        (_GOOD | {"values": [[1.0], [1.0, 2.0]]}, "row 0 has 2 times but 1 values"),
        (_GOOD | {"values": [[1.0, None], [1.0]]}, "values has gaps"),
        (_GOOD | {"values": [[1.0, 2.0], None]}, "values has gaps"),
        (_GOOD | {"values": ["x", "y"]}, "other types than a recording"),
        ({"labels": ["{", "{}"], "ts_ms": [[1], [1]], "values": [[1.0], [1.0]]}, "row 0: .* JSON"),
        ({"labels": ["[1]"], "ts_ms": [[1]], "values": [[1.0]]}, "row 0: .* object of texts"),
        ({"labels": ['{"a": 1}'], "ts_ms": [[1]], "values": [[1.0]]}, "object of texts"),
        ({"labels": ["{}"], "ts_ms": [[2, 1]], "values": [[1.0, 2.0]]}, "times of row 0 don't"),
        *(
            (
                {"labels": ["{}"], "ts_ms": [[1_800_000_000 * unit]], "values": [[1.0]]},
                "row 0 has .*2999",
            )
            for unit in (1_000_000, 1_000_000_000)
        ),
    ],
)
def test_foreign_file_is_refused_with_what_is_wrong(
    tmp_path: Path, columns: dict[str, list[object]], words: str
) -> None:
    path = tmp_path / "foreign.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(SourceRefused, match=rf"foreign\.parquet: .*{words}"):
        Recording(path)


def test_pattern_that_is_none_is_refused(recording: Path) -> None:
    with pytest.raises(SourceRefused, match=r"pod=~.*unterminated"):
        Recording(recording).read([Selector("requests_total", (Matcher("pod", "=~", "("),))], 0, 1)
