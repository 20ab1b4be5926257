"""A test that holds once is made once: users without times are not judged again by other rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from tests.builders.user_formats import CSV, PARQUET
from tests.builders.user_specs import START, day, spec_of
from tests.builders.user_sums import PAID, PLAN, look_again, paid, sums_spec, write_sums

MARGIN = {"paid": PAID | {"margin": 0.2}}
Write = Callable[[Path, float, str], None]


def _table(folder: Path, share: float, name: str = "users") -> None:
    """400 users, a row each, of b this share paid and of a a half."""
    paid_in = {"a": 0.5, "b": share}
    rows = [
        {"user_id": i, "variant": v, "paid": int(i // 2 % 100 < 100 * paid_in[v])}
        for i, v in ((i, "ab"[i % 2]) for i in range(400))
    ]
    PARQUET(folder, name, rows)


def _sums(folder: Path, share: float, name: str = "sums") -> None:
    write_sums(folder, [paid("a", 500), paid("b", 1000 * share)], f"{name}.json")


def _wide_spec(**changes: Any) -> Experiment:
    sources = {"users": {"files": "users*", "outcomes": {"paid": "paid"}}}
    fields = {"split": {"a": 50, "b": 50}, "metrics": MARGIN, "plan": PLAN}
    return spec_of(sources, **(fields | changes))


def _sums_spec(**changes: Any) -> Experiment:
    return sums_spec(**({"metrics": MARGIN} | changes))


CASES = [(_table, _wide_spec, "users"), (_sums, _sums_spec, "sums")]
KINDS = pytest.mark.parametrize(("write", "spec", "name"), CASES, ids=["wide", "sums"])


def _is_locked(document: VerdictDocument) -> bool:
    return any("are judged once, and were at the look of" in r for r in document.reasons)


@KINDS
def test_other_rows_are_not_judged_again(
    tmp_path: Path, write: Write, spec: Callable[..., Experiment], name: str
) -> None:
    """Whatever the first verdict was: each further look would be another chance for an error."""
    for share, first in ((0.5, "promote"), (0.1, "rollback"), (0.33, "hold")):
        folder = tmp_path / first
        folder.mkdir()
        write(folder, share, name)
        assert look_again(folder, spec()).decision.value == first
        write(folder, 0.49, name)
        again = look_again(folder, spec(description="other words"))
        assert again.decision.value == "invalid"
        assert f"at the look of 2026-01-15 00:00 UTC ({first}); their source has other rows" in (
            " ".join(again.reasons)
        )
        longer = look_again(folder, spec(plan=PLAN | {"duration": "20d"}))
        assert _is_locked(longer)
        write(folder, share, name)
        assert look_again(folder, spec()).decision.value == first


@KINDS
def test_the_same_rows_are_judged_alike_however_they_are_kept(
    tmp_path: Path, write: Write, spec: Callable[..., Experiment], name: str
) -> None:
    write(tmp_path, 0.5, name)
    first = look_again(tmp_path, spec())
    assert look_again(tmp_path, spec()).to_json() == first.to_json()
    (kept,) = tmp_path.glob(f"{name}.*")
    kept.rename(tmp_path / f"{name}-renamed{kept.suffix}")
    renamed = look_again(tmp_path, spec())
    assert (renamed.decision, renamed.reasons) == (first.decision, first.reasons)


@KINDS
def test_what_compared_nothing_locks_nothing(
    tmp_path: Path, write: Write, spec: Callable[..., Experiment], name: str
) -> None:
    """A look before the end, an invalid one, and one of which nothing is known."""
    write(tmp_path, 0.1, name)
    assert look_again(tmp_path, spec(), day(5)).decision.value == "hold"
    assert look_again(tmp_path, spec(split={"a": 90, "b": 10})).decision.value == "invalid"
    write(tmp_path, 0.5, name)
    assert look_again(tmp_path, spec()).decision.value == "promote"


@KINDS
def test_a_new_start_is_another_plan(
    tmp_path: Path, write: Write, spec: Callable[..., Experiment], name: str
) -> None:
    write(tmp_path, 0.1, name)
    look_again(tmp_path, spec())
    write(tmp_path, 0.5, name)
    later = spec(plan=PLAN | {"start": day(1)})
    assert look_again(tmp_path, later).decision.value == "promote"


def test_users_with_times_are_judged_again(tmp_path: Path) -> None:
    header = {"user_id": 0, "variant": "a", "seen": START.isoformat(), "paid": 1}
    rows = [header | {"user_id": i, "variant": "ab"[i % 2], "paid": i // 2 % 2} for i in range(400)]
    sources = {"users": {"files": "users*", "at": "seen", "outcomes": {"paid": "paid"}}}
    spec = spec_of(
        sources, split={"a": 50, "b": 50}, metrics={"paid": PAID | {"margin": 0.3}}, plan=PLAN
    )
    CSV(tmp_path, "users", rows)
    assert look_again(tmp_path, spec).decision.value == "promote"
    CSV(tmp_path, "users", rows[:390])
    assert not _is_locked(look_again(tmp_path, spec))
