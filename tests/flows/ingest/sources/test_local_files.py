"""Which files a glob names: each once, and an end of it, whatever links there are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.ingest.sources.local_files import find_files
from flows.ingest.sources.user_rows import UserDataRefused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """experiments, with data/{top.csv, a/one.csv, a/b/two.csv, .hidden/no.csv} beside it."""
    for name in ("data/top.csv", "data/a/one.csv", "data/a/b/two.csv", "data/.hidden/no.csv"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("user_id\n")
    (tmp_path / "experiments").mkdir()
    return tmp_path / "experiments"


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("../data/*.csv", ["top"]),
        ("../data/**/*.csv", ["a/b/two", "a/one", "top"]),
        ("../data/**", ["a/b/two", "a/one", "top"]),
        ("../data/**/b/**/*.csv", ["a/b/two"]),
        ("../*/**/one.csv", ["a/one"]),
        ("../data/**/b/../one.csv", ["a/b/../one"]),
        ("../data/a**/*.csv", ["a/one"]),
    ],
)
def test_glob_names_files_in_folders(folder: Path, pattern: str, named: list[str]) -> None:
    assert list(find_files(pattern, folder)) == [f"../data/{name}.csv" for name in named]
    absolute = f"{folder.parent}/{pattern.removeprefix('../')}"
    assert list(find_files(absolute, folder)) == [
        f"{folder.parent}/data/{name}.csv" for name in named
    ]


@pytest.mark.parametrize(
    "links",
    [
        {"data/x": ".", "data/y": "."},
        {"data/a/x": "../..", "data/a/b/y": "../../..", "data/z": "../data"},
        {"data/x": "y", "data/y": "x"},
        {"data/x": "a", "data/y": "nowhere", "data/z.csv": "z.csv"},
    ],
    ids=["back, twice", "up, thrice", "to each other", "beside, broken"],
)
def test_links_that_lead_back_end_and_double_nothing(folder: Path, links: dict[str, str]) -> None:
    for name, to in links.items():
        (folder.parent / name).symlink_to(to)
    found = find_files("../data/**/*.csv", folder)
    assert list(found) == [f"../data/{name}.csv" for name in ("a/b/two", "a/one", "top")]


def test_folder_that_only_a_link_leads_to_is_read(folder: Path) -> None:
    (folder.parent / "data").rename(folder.parent / "elsewhere")
    (folder.parent / "data").mkdir()
    (folder.parent / "data" / "link").symlink_to("../elsewhere/a")
    found = find_files("../data/**/*.csv", folder)
    assert list(found) == ["../data/link/b/two.csv", "../data/link/one.csv"]


def test_pipe_is_no_file(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    with pytest.raises(UserDataRefused, match="no such file"):
        find_files("*.csv", folder)


def test_folder_in_the_place_of_files_is_called_one(folder: Path) -> None:
    with pytest.raises(UserDataRefused, match=r"\.\./data: is a folder; name its files, such as"):
        find_files("../data", folder)
