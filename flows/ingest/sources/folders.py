"""Columns that folders name (`country=PH/variant=a/part-0.parquet`, as Hive and Spark write)."""

from __future__ import annotations

from pathlib import PurePath
from urllib.parse import unquote

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def folder_columns(part: str) -> dict[str, str | None]:
    """The value of each column that the folders of a file's path name; None stands for no value.

    part: the path relative to the spec, so that a folder around the workspace names nothing.
    """
    named = (folder.partition("=") for folder in PurePath(part).parts[:-1])
    return {
        unquote(column): None if value == _NO_VALUE else unquote(value)
        for column, equals, value in named
        if equals and column
    }
