"""The SQL statements of sql/, by name."""

from functools import cache
from importlib.resources import files


def statement(name: str, **lists: str) -> str:
    """The text of sql/<name>.sql; `name` is like "load/request_buckets".

    lists: expressions for the places marked {so} in the few statements whose columns depend on
    how many metrics there are.
    """
    text = _text(name)
    for place, expressions in lists.items():
        text = text.replace(f"{{{place}}}", expressions)
    return text


@cache
def _text(name: str) -> str:
    return files("sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")
