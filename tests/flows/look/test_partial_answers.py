"""Nothing is promoted on answers that may lack something; what is whole again, is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.ingest.sources.json_samples import decode_matrix
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import START, istio, scrapes
from tests.flows.look import test_remarks
from tests.flows.look.test_remarks import END, PARTIAL, gate

source, root = test_remarks.source, test_remarks.root
TIMES = scrapes(START + 60_000, END)
_FAILS = istio("v2", "b", response_code="500")
Break = Callable[[ScrapedSource], None]


def _says_partial(held: ScrapedSource) -> None:
    held.warnings = (PARTIAL,)


def _failures(value: Callable[[int], float]) -> Break:
    """One request in ten fails, and what the series says of it."""
    return lambda held: held.add(
        _FAILS, {t: value(i) if value(i) != 0 else float(i) for i, t in enumerate(TIMES)}
    )


BROKEN: dict[str, Break] = {
    "a partial answer": _says_partial,
    "NaN all along": _failures(lambda i: math.nan),
    "negative all along": _failures(lambda i: -1.0),
    "infinite all along": _failures(lambda i: math.inf),
    "NaN in the end": _failures(lambda i: math.nan if i > 12 else 0.0),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_holds_until_the_answer_is_whole(
    root: Path, source: ScrapedSource, broken: Break, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {key: dict(samples) for key, samples in source.series.items()}
    broken(source)
    found, _ = gate(root, "checkout", capsys)
    assert found["decision"] == "hold"
    assert any("may lack what is harm" in one for one in found["waits"])
    assert any("may be incomplete" in one for one in found["notes"])
    source.warnings = ()
    source.series = whole
    healed, said = gate(root, "checkout", capsys)
    assert (healed["decision"], healed["waits"], said) == ("promote", [], "")


@pytest.mark.parametrize(("partial", "warnings"), [("true", 1), ("false", 0), ("null", 0)])
def test_victoria_metrics_says_that_nodes_are_away(partial: str, warnings: int) -> None:
    values = '{"metric":{"__name__":"up"},"values":[[1760000000,"1"]]}'
    data = f'{{"resultType":"matrix","result":[{values}]}}'
    answer = f'{{"status":"success","isPartial":{partial},"data":{data}}}'
    assert json.loads(answer)
    assert len(decode_matrix(answer.encode()).warnings) == warnings
