"""Passwords in URLs: taken out before a URL is shown, kept or asked."""

from __future__ import annotations

import re
from urllib.parse import unquote

_WITH_USER = re.compile(r"(?P<scheme>https?://)(?P<user>[^/?#\s]*)@(?P<rest>.*)", re.DOTALL)
# In running text and in URLs that are none: rather too much than a part of a password.
_ANY_USER = re.compile(r"(?<=://)[^\s]*@")


def without_password(text: str) -> str:
    """The URL, or the text with URLs in it, as it may be shown: without user and password."""
    return _ANY_USER.sub("", text)


def credentials_of(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without user and password, and both of them if it has them."""
    match = _WITH_USER.fullmatch(url)
    if match is None:
        return url, None
    user, _, password = match["user"].partition(":")
    return match["scheme"] + match["rest"], (unquote(user), unquote(password))
