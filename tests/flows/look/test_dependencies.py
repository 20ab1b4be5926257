"""Experiments that come after others: they hold until those are promoted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.delivery.deliver import deliver, tell
from flows.formats.problems import InputError
from flows.look.basis import basis_of
from flows.look.dependencies import waits_for
from flows.look.look import look_at_experiment
from flows.plan.delivered import identity_of
from flows.spec.read_spec import read_spec
from flows.warehouse.connection import open_reader, open_writer, transaction
from flows.warehouse.delivery_log import DeliveryEventKind, Event, add_event
from flows.workspace.experiments import load_spec
from flows.workspace.paths import Workspace
from tests.builders.delivery_workspace import SPEC, canary_share, delivery_workspace, one_step
from tests.servers.own_process import verdict

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=14)


@pytest.fixture(autouse=True)
def _files_are_of_another_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that was written just now can't be told whether it changed."""
    monkeypatch.setattr("flows.ingest.sources.local_files._CLOCK_TICK_NS", 0)


def write(root: Path, name: str, *, after: str = "[]", bad: int = 9) -> None:
    """A finished experiment: promoted, or rolled back with fewer who finish."""
    folder = root / "experiments"
    folder.mkdir(exist_ok=True)
    rows = [f"u{i},{'ab'[i % 2]},{int(i // 2 % 10 < (bad if i % 2 else 9))}" for i in range(4000)]
    (folder / f"{name}.csv").write_text("\n".join(["user_id,variant,done", *rows, ""]))
    (folder / f"{name}.yaml").write_text(
        f"experiment: {name}\nservice: quiz\nvariants: {{a: {{}}, b: {{}}}}\n"
        f"split: {{a: 50, b: 50}}\nafter: {after}\n"
        "metrics: {done: {kind: proportion, outcome: done, role: guardrail, margin: 0.1}}\n"
        f"plan: {{start: {START.isoformat()}, duration: 14d}}\n"
        f"sources: {{users: {{files: {name}.csv, outcomes: {{done: done}}}}}}\n"
    )


def look(root: Path, name: str) -> tuple[str, str]:
    found = look_at_experiment(Workspace(root), name, at=END)
    return found.decision.value, found.reasons[0]


def test_one_holds_until_the_other_is_promoted(tmp_path: Path) -> None:
    write(tmp_path, "first")
    write(tmp_path, "second", after="[first]")
    assert look(tmp_path, "second") == ("hold", "waits for first: it has no verdict yet")
    assert look(tmp_path, "first")[0] == "promote"
    assert look(tmp_path, "second")[0] == "promote"


def test_a_failure_holds_those_that_depend_on_it_but_hides_no_harm(tmp_path: Path) -> None:
    write(tmp_path, "first", bad=5)
    write(tmp_path, "second", after="[first]")
    write(tmp_path, "third", after="[second, first]")
    write(tmp_path, "harmful", after="[first]", bad=5)
    assert look(tmp_path, "first")[0] == "rollback"
    told = "waits for first: its verdict of 2026-03-15 00:00 UTC is rollback"
    assert look(tmp_path, "second") == ("hold", told)
    assert look(tmp_path, "third")[0] == "hold"
    assert look(tmp_path, "harmful")[0] == "rollback"


def test_a_plan_tells_what_it_waits_for(tmp_path: Path) -> None:
    """As the verdict would at that time: never looked at, promoted, judged otherwise."""
    write(tmp_path, "first")
    write(tmp_path, "bad", bad=5)
    write(tmp_path, "second", after="[first, bad]")
    expected = ("--users-per-day", "100", "--mean", "0.5", "--at", END.isoformat())

    def planned() -> list[str]:
        done = verdict("--root", tmp_path, "plan", "second", *expected)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.replace("\n  ", " ").splitlines()
        return [line.partition(";")[0] for line in lines if line.startswith("waits for ")]

    unknown = "waits for {}: it has no verdict yet"
    assert planned() == [unknown.format("first"), unknown.format("bad")]
    look(tmp_path, "first")
    assert planned() == [unknown.format("bad")]
    look(tmp_path, "bad")
    assert planned() == ["waits for bad: its verdict of 2026-03-15 00:00 UTC is rollback"]


def _data(root: Path, name: str) -> None:
    write(root, name, bad=5)


def _spec(root: Path, name: str) -> None:
    file = root / "experiments" / f"{name}.yaml"
    file.write_text(file.read_text().replace("margin: 0.1", "margin: 0.11"))


def _broken(root: Path, name: str) -> None:
    (root / "experiments" / f"{name}.yaml").write_text("experiment: [")


def _rows(root: Path, name: str) -> None:
    """What the warehouse holds is another now, and nobody has looked since."""
    with open_writer(Workspace(root).warehouse) as con:
        con.execute("update user_parts set state = state || '+' where experiment = ?", [name])


@pytest.mark.parametrize("change", [_data, _spec, _broken, _rows])
@pytest.mark.parametrize("changed", ["first", "before"])
def test_a_promote_of_what_changed_since_counts_for_nothing(
    tmp_path: Path, change: Callable[[Path, str], None], changed: str
) -> None:
    write(tmp_path, "before")
    write(tmp_path, "first", after="[before]")
    write(tmp_path, "second", after="[first]")
    for name in ("before", "first", "second"):
        assert look(tmp_path, name)[0] == "promote"

    change(tmp_path, changed)

    if change is not _broken:
        decision, said = look(tmp_path, "second")
        assert (decision, said[:25]) == ("hold", "waits for first: its spec")
    with open_reader(Workspace(tmp_path).warehouse) as con:
        spec = read_spec(tmp_path / "experiments" / "second.yaml")
        assert list(waits_for(con, spec, tmp_path / "experiments", END))


def test_of_files_that_only_an_engine_sees_a_pull_tells(tmp_path: Path) -> None:
    """A promote that rests on them can count, as one that rests on a query can."""
    write(tmp_path, "first")
    file = tmp_path / "experiments" / "first.yaml"
    far = file.read_text().replace("first.csv", "s3a://lake/first.parquet")
    file.write_text(far + 'engine: {spark: "sc://127.0.0.1:1"}\n')
    basis = basis_of(read_spec(file), file.parent)
    assert basis.inputs
    assert basis.is_pulled


def test_a_second_look_at_what_changed_decides_anew(tmp_path: Path) -> None:
    write(tmp_path, "first")
    write(tmp_path, "second", after="[first]")
    assert [look(tmp_path, name)[0] for name in ("first", "second")] == ["promote"] * 2
    _spec(tmp_path, "first")
    assert look(tmp_path, "second")[0] == "hold"
    assert [look(tmp_path, name)[0] for name in ("first", "second")] == ["promote"] * 2
    _data(tmp_path, "first")
    # Users without times are judged once: other ones are no second try.
    assert [look(tmp_path, name)[0] for name in ("first", "second")] == ["invalid", "hold"]


@pytest.mark.parametrize(
    ("orders", "said"),
    [
        ({"a": "[b]", "b": "[a]"}, "after: is a circle: a after b after a"),
        ({"a": "[a]"}, "after: is a circle: a after a"),
        ({"a": "[b]", "b": "[c]", "c": "[b]"}, "is a circle: b after c after b"),
        ({"a": "[b]"}, "after: names b: there is no such experiment"),
    ],
)
def test_circles_and_unknown_names_are_refused(
    tmp_path: Path, orders: dict[str, str], said: str
) -> None:
    for name, after in orders.items():
        write(tmp_path, name, after=after)
    with pytest.raises(InputError) as caught:
        load_spec(tmp_path / "experiments" / "a.yaml")
    assert said in str(caught.value)


def test_two_ways_to_one_experiment_are_no_circle(tmp_path: Path) -> None:
    for name, after in {"a": "[b, c]", "b": "[d]", "c": "[d]", "d": "[]"}.items():
        write(tmp_path, name, after=after)
    assert load_spec(tmp_path / "experiments" / "a.yaml").after == ["b", "c"]


def test_ladder_of_experiments_is_climbed_once(tmp_path: Path) -> None:
    """Of 25 rungs with two ways each there would be 33 million chains."""
    for rung in range(25):
        after = f"[l{rung + 1}, r{rung + 1}]" if rung < 24 else "[]"
        for side in "lr":
            write(tmp_path, f"{side}{rung}", after=after)
    assert load_spec(tmp_path / "experiments" / "l0.yaml").after == ["l1", "r1"]


def test_a_delivery_of_another_version_counts_for_nothing(tmp_path: Path) -> None:
    workspace = delivery_workspace(tmp_path)
    file = tmp_path / "experiments" / "exam.yaml"
    write(tmp_path, "second", after="[exam]")
    identity = identity_of(load_spec(file))
    with open_writer(workspace.warehouse) as con, transaction(con):
        for kind, stage, said in (
            (DeliveryEventKind.BEGAN, 2, identity),
            (DeliveryEventKind.SHIFTING, 3, "no harm"),
            (DeliveryEventKind.SHIFTED, 3, "no harm"),
        ):
            add_event(con, "exam", Event(1, 0, kind, stage, {}, said), fence=1)
    with open_reader(workspace.warehouse) as con:
        spec = load_spec(tmp_path / "experiments" / "second.yaml")
        assert list(waits_for(con, spec, file.parent, END)) == []
        for text in (SPEC.replace("v2.1.0", "v2.2.0"), "experiment: ["):
            file.write_text(text)
            (told,) = waits_for(con, spec, file.parent, END)
            assert "changed since it was promoted; deliver it again" in told


def test_delivery_begins_and_advances_only_after_the_other(tmp_path: Path) -> None:
    workspace = delivery_workspace(tmp_path)
    write(tmp_path, "first")
    file = tmp_path / "experiments" / "exam.yaml"
    file.write_text(f"{SPEC}after: [first]\n")
    step = one_step(workspace)
    assert (canary_share(workspace), "waits for first" in step.said) == (0, True)
    assert look(tmp_path, "first")[0] == "promote"
    one_step(workspace)
    assert canary_share(workspace) == 5
    # A delivery of it that begins holds this one, and a person's approval changes nothing.
    began = Event(1, int(datetime.now(UTC).timestamp() * 1000), DeliveryEventKind.BEGAN, 3, {}, "")
    with open_writer(workspace.warehouse) as con, transaction(con):
        add_event(con, "first", began, fence=1)
    tell(workspace, "exam", DeliveryEventKind.APPROVED, "go")
    (step,) = deliver(workspace, "exam", once=True)
    assert "waits for first: its delivery is at stage 0 of 3" in step.said
    assert canary_share(workspace) == 5
