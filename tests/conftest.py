"""What a run of all tests begins with."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
import vl_convert
from hypothesis import settings

from flows.formats import safe_text
from tests.builders.empty_warehouse import made_once

# xdist tells its workers how wide the terminal is; what a command prints is to be as in a pipe.
os.environ.pop("COLUMNS", None)

# How long an example takes is the machine's load.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# Garbage is looked for after the imports, which leave none: a quarter of a collection's time.
gc.disable()

# A file is one worker's. These start servers and wait for them, or run whole jobs: begun last, one
# would keep the other workers waiting for its end. All others follow by name.
_LONGEST_FIRST = (
    "jobs/test_prefect_worker.py",
    "jobs/test_strategies.py",
    "jobs/test_harm_matrix.py",
    "jobs/test_main_job.py",
    "flows/test_prefect_flows.py",
    "lab/test_lab.py",
    "lab/test_counts.py",
    "flows/ingest/users/test_pull_users.py",
    "flows/test_notify.py",
    "flows/ingest/sources/test_user_formats.py",
    "jobs/test_conversion_counters.py",
    "jobs/test_sql_readme.py",
    "jobs/test_documents.py",
    "flows/ingest/engine/test_spark_engine.py",
    "flows/service/test_concurrency.py",
    "flows/service/test_server.py",
    "chaos/test_chaos.py",
    "flows/delivery/test_survival.py",
    "analysis/calibration/test_replay.py",
    "analysis/calibration/test_judges.py",
    "analysis/power/test_detection.py",
    "flows/cli/test_plan_command.py",
    "fuzz/test_corpus.py",
)


def pytest_xdist_auto_num_workers() -> int:
    """One more for every two processors, if each has 2 GB: many tests wait for others."""
    processors = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(processors, min(processors + (processors + 1) // 2, memory >> 31))


def pytest_collection_finish() -> None:
    """From here on there is garbage."""
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Needs --no-loadscope-reorder (make test), or else xdist begins with files of many tests."""
    place = {Path(__file__).parent / name: i for i, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests() -> Iterator[None]:
    """What one test's password hides must not be missing in the next one's messages."""
    yield
    safe_text._known.clear()


@pytest.fixture(autouse=True, scope="session")
def _creation_by_copy() -> Iterator[None]:
    with made_once():
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_wait_for_the_disk() -> Iterator[None]:
    """What a test leaves need not outlive a power cut. Other processes write as users do."""
    connect: Any = duckdb.connect

    def unsynced(*file: Any, config: Mapping[str, str] = {}, **how: Any) -> Any:
        return connect(*file, config={"fsync_mode": "NONE", **config}, **how)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(duckdb, "connect", unsynced)
        yield


@pytest.fixture(autouse=True, scope="session")
def _equal_charts_are_drawn_once() -> Iterator[None]:
    """By Vega: the demo's are the same in every test that publishes it."""
    draw, known = vl_convert.vega_to_svg, dict[str, str]()

    def drawn(chart: dict[str, Any], **how: Any) -> str:
        key = json.dumps((chart, how))
        if key not in known:
            known[key] = draw(chart, **how)
        return known[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(vl_convert, "vega_to_svg", drawn)
        yield
