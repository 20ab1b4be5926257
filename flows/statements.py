"""The SQL statements of sql/, by name."""

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """The text of sql/<name>.sql; `name` is like "aggregate/request_buckets"."""
    return files("sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")
