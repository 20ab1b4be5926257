"""sql/README.md: every query runs, and its answer is what the demo data gives."""

from __future__ import annotations

import difflib
import re
import shutil
from pathlib import Path

import duckdb
import pytest

from flows.cli.main_job import run_all
from flows.publish.marts import latest_marts, publish
from flows.workspace.paths import Workspace
from tests.builders.small_warehouse import small_warehouse
from tests.builders.sql_readme import README, Question, questions, render, with_answers

TEXT = README.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    return publish(small_warehouse(folder / "w.duckdb"), folder / "marts")


def test_ten_questions_are_answered() -> None:
    assert len(questions(TEXT)) == 10
    assert TEXT.count("```sql\n") == 10


@pytest.mark.parametrize("question", questions(TEXT), ids=lambda question: question.title)
def test_query_runs_on_any_published_file(marts: Path, question: Question) -> None:
    with duckdb.connect(marts, read_only=True) as con:
        assert con.execute(question.query).fetchall()


@pytest.fixture(scope="module")
def demo_marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make demo` publishes."""
    workspace = Workspace(tmp_path_factory.mktemp("demo"))
    for folder in ("experiments", "demo"):
        shutil.copytree(README.parents[1] / folder, workspace.root / folder)
    assert run_all(workspace, [], at=None, replay=True) == 0
    published = latest_marts(workspace.marts)
    assert published is not None
    return published


def test_answers_are_those_of_the_demo(demo_marts: Path) -> None:
    expected = with_answers(TEXT, demo_marts)
    difference = "".join(
        difflib.unified_diff(TEXT.splitlines(keepends=True), expected.splitlines(keepends=True))
    )
    assert not difference, (
        "run `make demo`, then `python -m tests.builders.sql_readme var/marts/$(cat "
        f"var/marts/LATEST)`:\n{difference}"
    )


def test_every_published_table_is_listed(marts: Path) -> None:
    with duckdb.connect(marts, read_only=True) as con:
        tables = {name for (name,) in con.execute("show tables").fetchall()}
    listed = set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))
    assert listed == tables


def test_answers_are_replaced_in_place(marts: Path) -> None:
    text = "### One\n\nWhy.\n\n```sql\nselect 1 as a, 'x' as b\n```\n\n```text\nold\n```\n\nend\n"
    expected = text.replace("old\n", "a  b\n-  -\n1  x\n")
    assert with_answers(text, marts) == expected
    assert with_answers(expected, marts) == expected


def test_numbers_stand_to_the_right_and_nulls_are_empty() -> None:
    assert render(["n", "name"], [(1, "a"), (100, None)]) == ("  n  name\n---  ----\n  1  a\n100\n")
