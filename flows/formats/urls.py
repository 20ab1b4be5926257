"""URLs of servers: taken apart into what is asked, how to log in, and what may be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from flows.formats.safe_text import hide, is_secret_name, safe_url

_WITH_USER = re.compile(r"(?P<scheme>https?://)(?P<user>[^/?#]*)@(?P<rest>.*)", re.DOTALL)

# What stands in a query without a name may be a token; a shorter one is rather a switch.
_LONG = 8


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server.

    url: without user, password and query. parameters: of the query, which goes with every request.
    credentials: user and password, if the URL has them. shown: the URL as it may be shown.
    """

    url: str
    parameters: dict[str, str]
    credentials: tuple[str, str] | None
    shown: str


def endpoint_of(url: str) -> Endpoint:
    """The parts of a server's URL; its secrets are hidden from then on."""
    plain, credentials = credentials_of(url)
    try:
        parts = urlsplit(plain)
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
        base = parts._replace(query="", fragment="").geturl()
    except ValueError:
        # Whoever asks it says that it is no URL.
        parameters, base = {}, plain
    for name, value in parameters.items():
        if is_secret_name(name):
            hide(value)
        elif not value and len(name) >= _LONG:
            hide(name)
    if credentials:
        # Without a password the user is a token, which is one.
        hide(credentials[1] or credentials[0])
    return Endpoint(base.rstrip("/"), parameters, credentials, safe_url(plain).rstrip("/"))


def credentials_of(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without user and password, and both of them if it has them."""
    match = _WITH_USER.fullmatch(url)
    if match is None:
        return url, None
    user, _, password = match["user"].partition(":")
    return match["scheme"] + match["rest"], (unquote(user), unquote(password))
