"""Pending windows are read in spans that fit, in order, each once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from flows.formats.time import instant
from flows.ingest.requests import count_spans
from flows.ingest.requests.count_spans import SpanCounts, counted_spans
from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.requests.windows import Window
from flows.ingest.sources.samples import Samples, Selector, TooMuch
from flows.spec.experiment import Mesh
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import (
    HOUR,
    START,
    experiment,
    istio,
    two_versions,
)

HOURS = [Window(START + n * HOUR, START + (n + 1) * HOUR) for n in range(6)]


def _spans(source: ScrapedSource, windows: list[Window]) -> list[SpanCounts]:
    return list(counted_spans(FAMILIES[Mesh.ISTIO], experiment(), source, windows))


def test_the_first_window_is_read_alone_and_then_as_many_as_fit() -> None:
    spans = _spans(two_versions(START + 6 * HOUR), HOURS)
    assert [[w.window for w in span.windows] for span in spans] == [HOURS[:1], HOURS[1:]]


@pytest.mark.parametrize(("fitting", "sizes"), [(6, [6]), (2, [2, 2, 2]), (0.5, [1] * 6)])
def test_where_windows_were_read_before_the_first_span_holds_as_many_as_fit(
    monkeypatch: pytest.MonkeyPatch, fitting: float, sizes: list[int]
) -> None:
    [_, second] = _spans(two_versions(START + 6 * HOUR), HOURS[:2])
    monkeypatch.setattr(count_spans, "_MOST_SAMPLES", int(fitting * second.samples))
    spans = counted_spans(
        FAMILIES[Mesh.ISTIO],
        experiment(),
        two_versions(START + 6 * HOUR),
        HOURS,
        largest=second.samples,
    )
    assert [len(span.windows) for span in spans] == sizes


def test_spans_never_hold_more_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    [first, *_] = _spans(two_versions(START + 6 * HOUR), HOURS)
    monkeypatch.setattr(count_spans, "_MOST_SAMPLES", 3 * first.samples)
    spans = _spans(two_versions(START + 6 * HOUR), HOURS)
    assert [each.window for span in spans for each in span.windows] == HOURS
    # The first hour begins late; those after it show that only two fit.
    assert [len(span.windows) for span in spans] == [1, 3, 2]


def test_what_is_too_much_at_once_is_read_in_shorter_spans() -> None:
    source = two_versions(START + 6 * HOUR)

    class Limited(ScrapedSource):
        longest_ms = 3 * HOUR

        def read(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> Samples:
            if end_ms - start_ms > self.longest_ms:
                raise TooMuch("http://mesh answers 300 minutes with more than 512 MB")
            return super().read(selectors, start_ms, end_ms)

    limited = Limited(source.series)
    spans = _spans(limited, HOURS)
    assert [each.window for span in spans for each in span.windows] == HOURS
    assert max(len(span.windows) for span in spans) == 2
    limited.longest_ms = HOUR // 2
    with pytest.raises(TooMuch, match="more than 512 MB"):
        _spans(limited, HOURS)


def test_a_span_ends_at_a_hole() -> None:
    apart = [HOURS[0], HOURS[1], HOURS[3]]
    spans = _spans(two_versions(START + 6 * HOUR), apart)
    assert [[w.window for w in span.windows] for span in spans] == [[hour] for hour in apart]


def test_a_span_names_the_variants_that_had_requests_and_what_the_server_said() -> None:
    source = two_versions()
    source.warnings = ("cut short",)
    [span] = _spans(source, HOURS[:1])
    assert span.variants == {"stable", "canary"}
    assert span.warnings == ("cut short",)
    [empty] = _spans(ScrapedSource(), HOURS[:1])
    assert (empty.variants, empty.samples) == (set(), 0)


def _every(first_s: float, half_s: float | None = None) -> list[int]:
    """An hour's scrapes, so many seconds apart for 25 minutes, and after that."""
    times, at = list[float](), 0.0
    while at < 3600:
        at += first_s if at < 1500 else half_s or first_s
        times.append(at)
    return [START + round(1000 * at) for at in times if at <= 3600]


@pytest.mark.parametrize(
    ("times", "bucket", "said"),
    [
        (_every(1), "15s", ""),
        (_every(15), "15s", ""),
        (_every(17.3), "15s", ""),
        (_every(30), "15s", "every 30s, and plan.bucket is 15s"),
        (_every(60), "15s", "every 1m, and plan.bucket is 15s"),
        (_every(60), "60s", ""),
        (_every(120), "60s", "every 2m, and plan.bucket is 1m"),
        (_every(15, 61), "15s", "every 1m1s, and plan.bucket is 15s"),
        # A hole is no interval, nor are a few scrapes that came late.
        ([t for t in _every(15) if not 600_000 < t - START < 3_500_000], "15s", ""),
        (_every(15)[:4], "15s", ""),
        (_every(15)[:1], "15s", ""),
        ([], "15s", ""),
    ],
)
def test_scrapes_that_are_rarer_than_buckets_are_said(
    times: list[int], bucket: str, said: str
) -> None:
    source = ScrapedSource()
    for version, pod, shift in (("v1", "a", 0), ("v2", "b", 4_000)):
        seen = {t + shift: float(i) for i, t in enumerate(times)}
        if seen:
            source.add(istio(version, pod), seen)
    spec = experiment(plan={"start": instant(START), "duration": "6h", "bucket": bucket})
    [span] = counted_spans(FAMILIES[Mesh.ISTIO], spec, source, HOURS[:1])
    notes = [note for window in span.windows for note in window.notes]
    assert len(notes) == bool(said)
    assert said in " ".join(notes)
