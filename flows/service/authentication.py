"""Who may call: holders of the token; without a token, programs of this machine only."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from flows.formats.safe_text import read_secret
from flows.service.http import Refused

_SHORTEST = 16


class TokenRefused(Exception):
    """The service must not start so; the message says what to change."""


def token_for(host: str, token_env: str | None, environment: Mapping[str, str]) -> str | None:
    """The token that callers must send; None if they need none.

    Raises TokenRefused when the named variable holds no good token, and when a host that others
    reach has none.
    """
    if token_env is None:
        if is_loopback(host):
            return None
        raise TokenRefused(
            f"--host {host} is reachable by others, so callers need a token: put one into an "
            "environment variable and name it with --token-env, or listen on 127.0.0.1"
        )
    try:
        token = read_secret(environment, token_env, is_token=True)
    except ValueError:
        token = ""
    if len(token) < _SHORTEST:
        raise TokenRefused(
            f"{token_env} must hold a token of at least {_SHORTEST} printable ASCII characters, "
            "for example from `openssl rand -hex 32`"
        )
    return token


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Authentication:
    """Compares what a request brings with the token, in constant time."""

    def __init__(self, token: str | None) -> None:
        self._digest = None if token is None else _digest(token)

    def check(self, headers: Headers) -> None:
        """Raises Refused (401, or 403 for another site's page in a browser of this machine)."""
        if self._digest is None:
            _check_local(headers)
        elif not self._is_known(headers):
            raise Refused(
                401,
                "send the service's token: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )

    def allows(self, headers: Headers) -> bool:
        """Whether check would pass."""
        try:
            self.check(headers)
        except Refused:
            return False
        return True

    def _is_known(self, headers: Headers) -> bool:
        sent = headers.getlist("authorization")
        offered = _token_in(sent[0]) if len(sent) == 1 else ""
        # Digests have one length: the comparison tells nothing of the token's.
        return hmac.compare_digest(_digest(offered), self._digest or b"")


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


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
