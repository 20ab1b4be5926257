"""What a source warned of reaches who reads the verdict, and partial data is asked for again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.cli.main import main
from flows.formats.time import milliseconds_of
from flows.ingest.pull import pull_if_behind
from flows.ingest.sources.samples import Selector
from flows.look.remarks import notes_on_series
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader
from tests.builders.recordings import write_recording
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import HOUR, START, add_pod, experiment, istio

END = START + 2 * HOUR
NO_SPLIT = (
    "no split is configured, so whether requests are divided as intended is not known; set `split` "
    "or `plan.stages`"
)
PARTIAL = "store gateway is away"
AT = datetime.fromtimestamp(END / 1000 + 1200, UTC).isoformat()
SPEC = f"""
experiment: checkout
service: checkout
namespace: shop
mesh: istio
variants: {{stable: {{version: v1}}, canary: {{version: v2}}}}
metrics: {{errors: {{kind: error_share}}}}
plan: {{start: {datetime.fromtimestamp(START / 1000, UTC).isoformat()}, duration: 2h}}
sources: {{requests: {{prometheus: "http://localhost:9090"}}}}
"""


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> ScrapedSource:
    """What the spec's Prometheus holds: two versions with the same traffic."""
    held = ScrapedSource()
    add_pod(held, istio("v1", "a"), START + 60_000, END)
    add_pod(held, istio("v2", "b"), START + 60_000, END)
    monkeypatch.setattr("flows.ingest.pull.open_source", lambda *a: (held, milliseconds_of(a[2])))
    return held


@pytest.fixture(params=["", "start observed, end inside a bucket"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A workspace; also with a plan whose end is in the middle of a window and of a bucket."""
    (tmp_path / "experiments").mkdir()
    spec = tmp_path / "experiments" / "checkout.yaml"
    spec.write_text(SPEC)
    if request.param:
        begin = datetime.fromtimestamp(START / 1000, UTC).isoformat()
        spec.write_text(SPEC.replace(f"start: {begin}, duration: 2h", "duration: 1h58m50s"))
    return tmp_path


def gate(root: Path, name: str, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """The verdict, and what was said on standard error."""
    assert main(["--root", str(root), "gate", name, "--json", "--at", AT]) != 2
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def requests_of(root: Path) -> int:
    with open_reader(root / "var" / "warehouse.duckdb") as con:
        ((count,),) = con.execute("select sum(requests) from request_buckets").fetchall()
        return int(count)


def test_partial_answer_is_said_and_healed(
    root: Path, source: ScrapedSource, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = next(key for key in source.series if ("destination_version", "v2") in key)
    missing = {t: v for t, v in source.series[canary].items() if t > END - HOUR // 2}
    for t in missing:
        del source.series[canary][t]
    source.warnings = (PARTIAL,)
    first, said = gate(root, "checkout", capsys)
    assert f"warning: {PARTIAL}" in said
    day = f"{datetime.fromtimestamp(START / 1000, UTC):%Y-%m-%d}"
    window = f"between {day} 16:00 and {day} 18:00 UTC"
    assert first["notes"] == [
        f"requests {window} may be incomplete, their source said: {PARTIAL}",
        NO_SPLIT,
    ]
    counted = requests_of(root)
    # As long as nothing changes, a later look says the same.
    assert gate(root, "checkout", capsys)[0] == first

    source.series[canary] |= missing
    source.warnings = ()
    healed, said = gate(root, "checkout", capsys)
    assert (healed["notes"], said) == ([NO_SPLIT], "")
    assert requests_of(root) == counted + 10 * len(missing)
    # Whole and long over: nothing is read any more.
    reads = len(source.reads)
    assert gate(root, "checkout", capsys)[0] == healed
    assert len(source.reads) == reads


def test_samples_that_arrive_late_are_read_for_a_while_after_the_end(
    source: ScrapedSource, tmp_path: Path
) -> None:
    warehouse = tmp_path / "w.duckdb"
    now_ms = milliseconds_of(datetime.now(UTC)) // 15_000 * 15_000
    source.series.clear()
    add_pod(source, istio("v1", "a"), now_ms - 1_800_000, now_ms - 900_000)
    add_pod(source, istio("v2", "b"), now_ms - 1_800_000, now_ms - 660_000)

    def ended(minutes_ago: int) -> Experiment:
        end = datetime.fromtimestamp(now_ms / 1000, UTC) - timedelta(minutes=minutes_ago)
        return experiment(plan={"start": end - timedelta(minutes=30), "duration": "30m"})

    def pull(spec: Experiment) -> int:
        before = len(source.reads)
        pull_if_behind(spec, warehouse, spec_dir=tmp_path, at=datetime.now(UTC))
        return len(source.reads) - before

    def counted() -> dict[str, int]:
        with open_reader(warehouse) as con:
            return dict(
                con.execute("select variant, count(*) from counter_samples join series "
                "using (series_id) group by all").fetchall()
            )  # fmt: skip

    assert pull(ended(10))
    few = counted()
    add_pod(source, istio("v1", "a"), now_ms - 1_800_000, now_ms - 660_000)
    assert pull(ended(10))
    assert counted() == {"stable": few["canary"], "canary": few["canary"]}
    assert few["stable"] < few["canary"]
    # An hour later nobody waits for them any more; what is known is known.
    warehouse.unlink()
    for version, pod in (("v1", "a"), ("v2", "b")):
        add_pod(source, istio(version, pod), now_ms - 7_200_000, now_ms)
    assert pull(ended(70))
    assert not pull(ended(70))


def test_a_version_that_is_no_variant_is_named_where_the_split_is_off(
    root: Path,
    source: ScrapedSource,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = f"{notes_on_series.__module__}.open_source"
    monkeypatch.setattr(opened, lambda *a: (source, milliseconds_of(a[2])))
    add_pod(source, istio("v1.1", "c"), START + 60_000, END)
    spec = root / "experiments" / "checkout.yaml"
    spec.write_text(f"{spec.read_text()}split: {{stable: 75, canary: 25}}\n")
    document, _ = gate(root, "checkout", capsys)
    assert document["decision"] == "invalid"
    reason = document["reasons"][0]
    assert reason.startswith("checkout also has requests of v1.1, which is of no variant"), reason


def _quiz(root: Path) -> Path:
    """The folder of an experiment whose users are in users.csv and bought.csv beside it."""
    folder = root / "experiments"
    folder.mkdir()
    (folder / "quiz.yaml").write_text(
        "experiment: quiz\nservice: quiz\nvariants: {a: {}, b: {}}\n"
        "metrics: {bought: {kind: proportion, outcome: bought}}\n"
        "plan: {start: 2026-01-01T00:00:00Z, duration: 14d}\n"
        "sources: {exposures: {files: users.csv}, outcomes: {files: bought.csv}}\n"
    )
    return folder


def test_rows_of_users_that_were_left_out_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _quiz(tmp_path)
    times = [("1", "a"), ("2", "b"), ("", "a"), ("4", "c")]
    (folder / "users.csv").write_text(
        "user_id,variant,exposed_at\n" + "".join(f"{u},{v},2026-01-02\n" for u, v in times)
    )
    (folder / "bought.csv").write_text("user_id,outcome,occurred_at\n1,sold,2026-01-02\n")
    expected = [
        "1 row of exposures left out: no user",
        "variants that the spec doesn't have are ignored: 'c' (1 row)",
        "no metric asks for any of these outcomes: 'sold' (1 row)",
    ]
    for _ in range(2):
        document, said = gate(tmp_path, "quiz", capsys)
        assert [note for note in document["notes"] if note in expected] == expected
        assert said.splitlines() == [f"warning: {line}" for line in expected]


def test_users_under_a_variants_name_in_other_letters_are_no_reason_to_promote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _quiz(tmp_path)
    rows = "".join(f"{user},{'aBb'[user % 3]},2026-01-02\n" for user in range(30))
    (folder / "users.csv").write_text(f"user_id,variant,exposed_at\n{rows}")
    (folder / "bought.csv").write_text("user_id,outcome,occurred_at\n1,bought,2026-01-02\n")
    document, _ = gate(tmp_path, "quiz", capsys)
    assert document["decision"] == "invalid"
    assert any("10 of 30 exposures name a variant in other" in said for said in document["reasons"])


ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [checkout]
  http:
    - route:
        - {{destination: {{host: checkout, subset: v1}}, weight: {stable}}}
        - {{destination: {{host: checkout, subset: v2}}, weight: {canary}}}
"""


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("canary", "decision"), [((50, 50), "promote"), ((50, 5), "invalid"), ((0, 100), "invalid")]
)
def test_a_split_from_manifests_that_disagree_is_told_and_never_promoted(
    canary: tuple[int, int],
    decision: str,
    root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Today's traffic is halves: with halves configured all is well, else nobody knows."""
    spec, files = root / "experiments" / "checkout.yaml", ("one.yaml", "two.yaml")
    spec.write_text(f"{spec.read_text()}manifests: [{', '.join(files)}]\n")
    for name, percent in zip(files, canary, strict=True):
        route = ROUTE.format(name=name[:3], stable=100 - percent, canary=percent)
        (spec.parent / name).write_text(route)
    verdict, _ = gate(root, "checkout", capsys)
    assert verdict["decision"] == decision, verdict["reasons"]
    told = [reason for reason in verdict["reasons"] if "configure several splits" in reason]
    assert bool(told) == (decision == "invalid")
    if told:
        stable = 100 - canary[0]
        assert "VirtualService shop/one" in told[0]
        assert f" has stable {stable}, canary {canary[0]}; " in told[0]
        assert "Set `split` or `plan.stages` to the one that is in force" in told[0]


def test_a_spec_that_names_other_series_is_counted_anew_or_waits(
    root: Path, source: ScrapedSource, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = root / "experiments" / "checkout.yaml"
    first, text = gate(root, "checkout", capsys)[0], spec.read_text()
    add_pod(source, istio("v3", "c") | {"response_code": "503"}, START + 60_000, END)

    def gate_of(version: str) -> dict[str, Any]:
        spec.write_text(text.replace("version: v2", f"version: {version}"))
        return gate(root, "checkout", capsys)[0]

    decided = [gate_of(version)["decision"] for version in ("v3", "v4", "v2")]
    assert [first["decision"], *decided] == ["promote", "rollback", "invalid", "promote"]
    # What the server has forgotten can't be counted anew, and says nothing of another version.
    source.series.clear()
    forgotten = gate_of("v5")
    assert forgotten["decision"] == "hold"
    assert any("were counted for an earlier spec" in reason for reason in forgotten["reasons"])


def test_another_recording_in_its_place_is_counted_anew_or_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiments").mkdir()
    live, file = '{prometheus: "http://localhost:9090"}', "requests.parquet"
    spec = SPEC.replace(live, f"{{recording: {file}}}")
    (tmp_path / "experiments" / "checkout.yaml").write_text(spec)

    def gate_of(start: int, code: str) -> dict[str, Any]:
        held = ScrapedSource()
        add_pod(held, istio("v1", "a"), start, END)
        add_pod(held, istio("v2", "b") | {"response_code": code}, start, END)
        names = ("istio_requests_total", "up", "process_start_time_seconds")
        samples = held.read([Selector(name) for name in names], START, END)
        write_recording(tmp_path / "experiments" / file, samples)
        return gate(tmp_path, "checkout", capsys)[0]

    first = START + 60_000
    decided = [gate_of(first, code)["decision"] for code in ("200", "503", "200")]
    assert decided == ["promote", "rollback", "promote"]
    # Of the first hour nothing is told any more.
    shorter = gate_of(START + HOUR + 60_000, "200")
    assert shorter["decision"] != "promote"
    assert any("earlier spec or recording" in reason for reason in shorter["reasons"])


@pytest.mark.parametrize("hours", [-48, -3, 3, 48])
def test_a_plan_that_is_over_before_its_recording_begins_is_told_so(
    hours: int, tmp_path: Path
) -> None:
    """As one that begins after it: whatever the recording has up to the look."""
    held = ScrapedSource()
    add_pod(held, istio("v1", "a"), START, END)
    samples = held.read([Selector("istio_requests_total")], START, END)
    write_recording(tmp_path / "requests.parquet", samples)
    begin = datetime.fromtimestamp(START / 1000, UTC) + timedelta(hours=hours)
    spec = experiment(
        plan={"start": begin, "duration": "2h"},
        sources={"requests": {"recording": "requests.parquet"}},
    )
    at = max(begin + timedelta(hours=1), datetime.fromtimestamp(END / 1000, UTC))
    (said,) = notes_on_series(spec, tmp_path / "w.duckdb", spec_dir=tmp_path, at=at)
    assert f"but the plan starts at {begin:%Y-%m-%d %H:%M:%S} UTC" in said
