"""Text as a YAML scalar that every reader takes for text."""

from __future__ import annotations

import re

import yaml

# What begins like this is no number, date or sign in any version of YAML, and means the same
# inside of braces.
_PLAIN = re.compile(r"(?:\.{0,2}/)*[A-Za-z_][A-Za-z0-9._/-]*")
_LINE_ENDS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])


def yaml_scalar(text: str) -> str:
    """The text, in double quotes where a reader could take it for a number, a flag or nothing."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return yaml_quoted(text)


def yaml_quoted(text: str) -> str:
    """The text in double quotes, on one line."""
    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf"))
    return quoted.removesuffix("\n")


def yaml_comment(text: str) -> str:
    """A comment on one line, whatever names the text has."""
    return f"# {_LINE_ENDS.sub(' ', text)}"
