"""Where less is better, a candidate whose outcomes are lost is not promoted for it.

Of 1,000 users in each variant 10 % of a complain, and of b 20 %; most of b's rows are lost in some
way. Without the loss it is rolled back, and with none of the harm it is promoted all the same.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.delivery.approve import approve
from flows.formats.time import milliseconds_of
from flows.ingest.users.pull_users import pull_users
from flows.look.evaluate import score_experiment
from flows.spec.experiment import Experiment
from flows.workspace.paths import Workspace
from tests.builders.complaints import (
    KINDS,
    METRIC,
    USERS,
    chance,
    complaints,
    is_lost,
    later,
    look,
    spec_for,
    written,
)
from tests.builders.user_formats import CSV, Row
from tests.builders.user_specs import LOOK, day

Change = Callable[[Row], dict[str, Any]]
# What becomes of a lost row, and what the reasons say of it.
LOSSES: dict[str, tuple[Change, str]] = {
    "id with a prefix": (lambda row: {"user_id": f"acct-{row['user_id']}"}, "form of their ids"),
    "id of another kind": (
        lambda row: {"user_id": f"{row['user_id'] * 7919:x}-x"},
        "of another kind",
    ),
    "e-mail": (lambda row: {"user_id": f"u{row['user_id']}@example.org"}, "of another kind"),
    "hash": (
        lambda row: {"user_id": f"{zlib.crc32(bytes(row['user_id'])) * 10**20:032x}"},
        "of another kind",
    ),
    "no id": (lambda row: {"user_id": None}, "count for nobody"),
    "no time": (lambda row: {"occurred_at": None}, "count for nobody"),
    "no name": (lambda row: {"outcome": None}, "count for nobody"),
    "typed wrongly": (lambda row: {"outcome": "complaimt"}, "'complaimt'"),
    "in capitals": (lambda row: {"outcome": "COMPLAINT"}, "'COMPLAINT'"),
    "with a version": (lambda row: {"outcome": "complaint_v2"}, "'complaint_v2'"),
    "another experiment": (lambda row: {"experiment": "quiz-b"}, "name another experiment"),
    "no experiment": (lambda row: {"experiment": None}, "name another experiment"),
    "a year ahead": (later(days=365), "later than the last pull"),
    "days late": (later(days=3), "after the window"),
    "a year early": (later(days=-365), "before the exposure"),
    "hours early": (later(hours=-5), "before"),
    "said to be false": (lambda row: {"value": "false"}, "are zero or false"),
}


@pytest.mark.parametrize("lost_share", [0.65, 0.9])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_candidate_is_not_promoted_for_what_is_lost(
    tmp_path: Path, loss: str, lost_share: float
) -> None:
    change, said = LOSSES[loss]
    rows = [row | change(row) if is_lost(row, lost_share) else row for row in complaints()]
    document = look(tmp_path, rows)
    assert document.decision.value in ("invalid", "hold")
    assert said in " ".join(document.reasons)


@pytest.mark.parametrize(
    "change",
    [
        lambda row: {"user_id": row["user_id"] + 1_000_000},
        lambda row: {"outcome": "grievance"},
        None,
    ],
    ids=["ids of the same shape", "any other name", "gone"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_far_fewer_than_expected_is_for_a_person_to_say(
    tmp_path: Path, kind: str, change: Change | None
) -> None:
    rows = [
        row if not is_lost(row, 0.95) else row | change(row) if change else None
        for row in complaints()
    ]
    document = look(tmp_path, [row for row in rows if row is not None], KINDS[kind])
    assert document.decision.value == "hold"
    assert "were expected" in " ".join(document.reasons)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_lost_alike_in_both_is_no_obstacle(tmp_path: Path, kind: str) -> None:
    rows = complaints(share_of_b=0.06)
    elsewhere = [row | {"experiment": "other"} for row in rows]
    early = [row | later(days=-30)(row) for row in rows]
    other = [row | {"outcome": "visit"} for row in rows]
    strangers = [row | {"user_id": row["user_id"] + 1_000_000} for row in early[::4]]
    document = look(tmp_path, [*rows, *elsewhere, *early, *other, *strangers], KINDS[kind])
    assert document.decision.value == "promote", document.reasons


# Where more is better, the baseline's are lost: its 40 % look like fewer than the candidate's 20 %.
FLATTERING = {name: LOSSES[name] for name in LOSSES if name != "hours early"}


@pytest.mark.parametrize("loss", FLATTERING)
def test_a_candidate_is_not_promoted_for_what_the_baseline_lost(tmp_path: Path, loss: str) -> None:
    change, said = FLATTERING[loss]
    rows = [
        row | change(row) if row["user_id"] % 2 and chance(row["user_id"], "lost") < 0.65 else row
        for row in complaints(share_of_a=0.4)
    ]
    document = look(tmp_path, rows, {**METRIC, "better": "higher"})
    assert document.decision.value in ("invalid", "hold")
    assert said in " ".join(document.reasons)


def _halved(change: Change) -> list[dict[str, Any]]:
    """No harm, and most outcomes of both variants changed: harm of twice the margin would pass."""
    rows = complaints(share_of_b=0.1)
    return [row | change(row) if chance(row["user_id"], "lost") < 0.6 else row for row in rows]


# Other rows than the spec names, by how they are called and what the spec names.
NAMES: dict[str, tuple[list[dict[str, Any]], str, str | None]] = {
    "in capitals": (_halved(lambda row: {"outcome": "COMPLAINT"}), "complaint", "COMPLAINT"),
    "other signs": (_halved(lambda row: {"outcome": "com-plaint "}), "complaint", "com-plaint"),
    "a letter lacks": (complaints(), "complain", "complaint"),
    "letters exchanged": (complaints(), "compliant", "complaint"),
    "other words": (complaints(), "refund", None),
    "another number": (_halved(lambda row: {"outcome": "complaint_2"}), "complaint_1", None),
    "only another number": (
        [row | {"outcome": "error_502"} for row in complaints()],
        "error_500",
        None,
    ),
    "no letters": ([row | {"outcome": "\N{THUMBS UP SIGN}"} for row in complaints()], "-", None),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_written_otherwise_is_no_health(tmp_path: Path, name: str) -> None:
    rows, outcome, said = NAMES[name]
    document = look(tmp_path, rows, {**METRIC, "outcome": outcome})
    assert document.decision.value == ("hold" if said else "promote")
    assert not said or f"outcomes {said!r}, which no metric reads" in " ".join(document.reasons)


@pytest.mark.parametrize("form", ["{:06}", "u{}"])
def test_a_user_with_an_odd_id_hides_no_ids_of_another_form(tmp_path: Path, form: str) -> None:
    """0 begins with a zero, as do ids that were filled with zeros; u is nobody's number."""
    rows = _halved(lambda row: {"user_id": form.format(row["user_id"])})
    odd = {"user_id": "u1x", "variant": "a", "exposed_at": day(0)}
    CSV(tmp_path, "exposures-odd", [odd])
    document = look(tmp_path, rows, users=range(2001))
    assert document.decision.value == "invalid"
    assert "only because of the form of their ids" in " ".join(document.reasons)


def _signed(of_a: float, of_b: float) -> list[dict[str, Any]]:
    """Without harm; of each variant so much of the amounts is below 0."""
    return [
        row | {"value": -10 if chance(row["user_id"], "sign") < share else 10}
        for row in complaints(share_of_a=0.2, share_of_b=0.2)
        for share in [of_a if row["user_id"] % 2 else of_b]
    ]


# Of the amounts of a and of b, how much is below 0, and which are held with what is better.
SIGNS: dict[str, tuple[float, float, str | None]] = {
    "all of b": (0, 1, "lower"),
    "a quarter of b": (0, 0.25, "lower"),
    "all of a": (1, 0, "higher"),
    "a quarter of a": (0.25, 0, "higher"),
    "of both alike": (0.25, 0.25, None),
}


@pytest.mark.parametrize("better", ["lower", "higher"])
@pytest.mark.parametrize("name", SIGNS)
def test_amounts_of_another_sign_are_no_gain(tmp_path: Path, name: str, better: str) -> None:
    of_a, of_b, held = SIGNS[name]
    metric = {**KINDS["mean"], "margin": 1.5, "better": better}
    document = look(tmp_path, _signed(of_a, of_b), metric)
    said = "are below 0 and 0.0% of" in " ".join(document.reasons)
    assert said is (held == better)
    assert document.decision.value == ("hold" if said else document.decision.value)
    assert held is not None or document.decision.value == "promote"


@pytest.mark.parametrize(("better", "decision"), [("lower", "hold"), ("higher", "rollback")])
def test_less_than_nothing_is_no_gain(tmp_path: Path, better: str, decision: str) -> None:
    """Twice as much of what is written as negative amounts."""
    rows = [row | {"value": -row["value"]} for row in complaints(0.3)]
    document = look(tmp_path, rows, {**KINDS["mean"], "better": better})
    assert document.decision.value == decision
    said = "where amounts of harm are written as negative numbers" in " ".join(document.reasons)
    assert said is (better == "lower")


@pytest.mark.parametrize("kind", ["proportion", "count"])
def test_signs_say_nothing_of_what_only_happens(tmp_path: Path, kind: str) -> None:
    metric = {**KINDS[kind], "margin": 0.1}
    assert look(tmp_path, _signed(0, 1), metric).decision.value == "promote"


# Numbers that went through floating point, as JavaScript and as Python write them.
ROUNDED: dict[str, Callable[[int], str]] = {
    "shortest": lambda number: f"{float(number):.16e}".replace(".", "")[:17] + "00",
    "exact": lambda number: f"{float(number):.0f}",
}


@pytest.mark.parametrize("form", ROUNDED)
def test_ids_that_lost_digits_in_floating_point_hide_no_harm(tmp_path: Path, form: str) -> None:
    """Of both variants' outcomes most are lost, and so is most of the harm."""

    def number(user: int) -> int:
        return 10**18 + 7_919_000_077 * user + 1

    exposures = [
        {
            "user_id": number(user),
            "variant": "ab"[user % 2 == 0],
            "exposed_at": day(0) + timedelta(minutes=5 * user),
        }
        for user in USERS
    ]
    CSV(tmp_path, "exposures", exposures)
    rows = [row | {"user_id": number(row["user_id"])} for row in complaints(share_of_b=0.1)]
    rows = [
        row | {"user_id": ROUNDED[form](row["user_id"])} if chance(i, "lost") < 0.6 else row
        for i, row in enumerate(rows)
    ]
    CSV(tmp_path, "outcomes", rows)
    warehouse = tmp_path / "w.duckdb"
    pull_users(spec_for(METRIC), warehouse, spec_dir=tmp_path, until_ms=milliseconds_of(LOOK))
    document = score_experiment(spec_for(METRIC), warehouse, at=LOOK)
    assert document.decision.value == "invalid"
    assert "only because of the form of their ids" in document.reasons[0]


@pytest.mark.parametrize(
    ("column", "said"), [("variant", "are these the missing ones?"), ("user_id", "have no user")]
)
def test_users_of_a_table_that_lack_who_they_are_hide_no_harm(
    tmp_path: Path, column: str, said: str
) -> None:
    """Zeros say of everybody else that it didn't happen: they are no outcomes that vary."""
    did = {row["user_id"] for row in complaints(share_of_b=0.12)}
    rows = [
        {
            "user_id": user,
            "variant": "ab"[user % 2 == 0],
            "at": day(0) + timedelta(minutes=5 * user),
            "complaint": int(user in did),
        }
        for user in USERS
    ]
    lost = [r | {column: None} if r["complaint"] and is_lost(r, 0.8) else r for r in rows]
    CSV(tmp_path, "users", lost)
    table = {"files": "users*", "at": "at", "outcomes": {"complaint": "complaint"}}
    spec = Experiment.model_validate(written(METRIC) | {"sources": {"users": table}})
    warehouse = tmp_path / "w.duckdb"
    pull_users(spec, warehouse, spec_dir=tmp_path, until_ms=milliseconds_of(LOOK))
    document = score_experiment(spec, warehouse, at=LOOK)
    assert document.decision.value == "hold"
    assert said in " ".join(document.reasons)


def test_exposures_that_are_noted_with_the_outcome_alone_are_no_gain(tmp_path: Path) -> None:
    rows = complaints(share_of_a=0.4)
    did = {row["user_id"] for row in rows}
    kept = [user for user in USERS if user % 2 or user in did]
    more = {**METRIC, "better": "higher"}
    document = look(tmp_path, rows, more, users=kept, split={"a": 80, "b": 20})
    assert document.decision.value in ("invalid", "hold")
    assert "every user of b did it" in " ".join(document.reasons)


def test_a_name_that_only_one_variant_has_is_said(tmp_path: Path) -> None:
    rows = complaints(share_of_b=0.1)
    clicks = [row | {"outcome": "old_button"} for row in rows if row["user_id"] % 2]
    document = look(tmp_path, [*rows, *clicks])
    assert document.decision.value == "promote"
    assert any("nearly only a's users have outcomes 'old_button'" in n for n in document.notes)


def test_outcomes_that_are_yet_to_come_are_said(tmp_path: Path) -> None:
    rows = complaints(share_of_b=0.1)
    ahead = [row | later(days=365)(row) for row in rows[:9]]
    document = look(tmp_path, [*rows, *ahead])
    assert document.decision.value == "promote"
    assert any("later than the last pull count for nothing" in note for note in document.notes)


def test_a_person_can_say_that_fewer_are_right(tmp_path: Path) -> None:
    rows = [row for row in complaints(share_of_b=0.1) if not is_lost(row, 0.95)]
    workspace = Workspace(tmp_path)
    workspace.experiments.mkdir()
    (workspace.root / "var").mkdir()
    (workspace.experiments / "quiz.yaml").write_text(json.dumps(written(METRIC)))
    assert look(tmp_path, rows, warehouse=workspace.warehouse).decision.value == "hold"
    assert approve(workspace, "quiz", "approved by ann").signals == ("complained",)
    spec = spec_for(METRIC)
    document = score_experiment(spec, workspace.warehouse, at=datetime.now(UTC))
    assert document.decision.value == "promote"
