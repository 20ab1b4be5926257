"""The short form of `make chaos`: each fault once or twice, at seeded instants."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos.full_disk import fill_often
from tests.chaos.jobs import Job, of_data, of_deliveries
from tests.chaos.kills import kill_often
from tests.chaos.planted_secrets import plant_secrets
from tests.chaos.serving import kill_serving
from tests.chaos.sources import fail_while_delivering, kill_postgres
from tests.chaos.tally import Tally, table
from tests.servers.faulty_source import WIRES

JOBS = [*of_data("quiz-format"), *of_deliveries()]
SEED = 7


def assert_clean(tally: Tally, tried: int) -> None:
    assert tally.is_clean, "\n".join(tally.said)
    assert tally.tried >= tried


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_kill_loses_and_doubles_nothing(job: Job, tmp_path: Path) -> None:
    assert_clean(kill_often(job, 1, tmp_path, random.Random(SEED)), 1)


def test_a_service_that_is_killed_is_replaced(tmp_path: Path) -> None:
    assert_clean(kill_serving(1, tmp_path, random.Random(SEED)), 1)


def test_a_full_disk_is_one_line_and_costs_nothing(tmp_path: Path) -> None:
    (pull,) = (job for job in JOBS if job.name == "pull")
    assert_clean(fill_often(pull, 1, tmp_path, random.Random(SEED)), 1)


def test_users_are_whole_after_their_server_died_mid_read(tmp_path: Path) -> None:
    assert_clean(kill_postgres(1, tmp_path, random.Random(SEED), users=20_000), 1)


def test_what_a_source_does_on_the_wire_ends_no_delivery(tmp_path: Path) -> None:
    quick = {name: wire for name, wire in WIRES.items() if name in {"reset", "no HTTP"}}
    # One more leads to another host.
    assert_clean(fail_while_delivering(tmp_path, quick, answers=False), len(quick) + 1)


def test_no_malformed_place_shows_its_secret(tmp_path: Path) -> None:
    assert_clean(plant_secrets(tmp_path, every=14), 8)


def test_what_is_amiss_is_counted_and_said() -> None:
    amiss = Tally("pull", tried=3)
    amiss.fail("lost", "two rows", 2)
    amiss.hear("Traceback (most recent call last):\nKeyError", "killed")
    shown = table([amiss, Tally("run", tried=1)]).splitlines()
    assert shown[1].split() == ["pull", "3", "2", "0", "0", "0", "1", "0", "0"]
    assert shown[3].split() == ["all", "4", "2", "0", "0", "0", "1", "0", "0"]
    assert shown[4:6] == ["pull: two rows", "pull: killed: Traceback (most recent call last):"]
