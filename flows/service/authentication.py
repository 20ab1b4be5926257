"""Who may call: holders of the token; without a token, programs of this machine only."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from flows.service.grants import Grant, TokenRefused, digest_of, read_token
from flows.service.http import Refused

__all__ = ["Authentication", "TokenRefused", "is_loopback", "token_for"]


def token_for(
    host: str,
    token_env: str | None,
    environment: Mapping[str, str],
    grants: Sequence[Grant] = (),
) -> str | None:
    """The token that allows all; None if there is none, and none is needed beside the grants.

    Raises TokenRefused when the named variable holds no good token, and when a host that others
    reach has none.
    """
    if token_env is None:
        if grants or is_loopback(host):
            return None
        raise TokenRefused(
            f"--host {host} is reachable by others, so callers need a token: put one into an "
            "environment variable and name it with --token-env, or listen on 127.0.0.1"
        )
    return read_token(token_env, environment)


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Authentication:
    """Compares what a request brings with each token, in constant time.

    token: allows all. Without it and without grants, programs of this machine may do all.
    """

    def __init__(self, token: str | None, grants: Sequence[Grant] = ()) -> None:
        whole = [] if token is None else [Grant(digest_of(token))]
        self._grants: list[Grant] = [*whole, *grants]

    def check(self, headers: Headers) -> Grant:
        """What the caller may. Raises Refused (401, or 403 for another site's page)."""
        if not self._grants:
            _check_local(headers)
            return Grant(b"")
        sent = headers.getlist("authorization")
        offered = digest_of(_token_in(sent[0]) if len(sent) == 1 else "")
        known: list[Grant] = [g for g in self._grants if hmac.compare_digest(offered, g.digest)]
        if not known:
            raise Refused(
                401,
                "send the service's token: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )
        return known[0]

    def allows_all(self, headers: Headers) -> bool:
        """Whether the caller may know of every experiment."""
        try:
            return self.check(headers).experiments is None
        except Refused:
            return False


def _check_local(headers: Headers) -> None:
    """Without a token the host must be named as this machine: a DNS name can be pointed here."""
    try:
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        host = ""
    if not is_loopback(host):
        raise Refused(403, "without a token the service answers calls to localhost only")


def _token_in(header: str) -> str:
    """The token of `Bearer TOKEN`, or the password of `Basic`: Flagger has only the URL's."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return decoded.partition(":")[2]
