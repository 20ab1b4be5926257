"""How a Prometheus server is logged in to: by the spec's variables, and by nothing else."""

from __future__ import annotations

import os
import time
from typing import Any
from urllib.parse import urljoin

import requests

from flows.formats.bounded_http import bound
from flows.formats.safe_text import read_secret
from flows.ingest.sources.samples import SourceRefused
from flows.spec.sources import PrometheusSource


class OtherHost(requests.RequestException):
    """The server sends its callers to another one, which was never named."""


class SpecSession(requests.Session):
    """Logs in as the spec says: neither a redirect nor ~/.netrc puts another login in its place.

    A redirect to another host is refused; of one on the same host the text isn't read.
    whole_s: how long an exchange may take, and after which no redirect is followed.
    """

    def __init__(self, whole_s: float) -> None:
        super().__init__()
        bound(self, whole_s)
        self._whole_s = self._until = whole_s

    def request(self, *arguments: Any, **more: Any) -> requests.Response:
        """As requests' own."""
        self._until = time.monotonic() + self._whole_s
        return super().request(*arguments, **more)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Before a redirect is followed. Raises OtherHost."""
        target: str | None = super().get_redirect_target(resp)
        if target is None:
            return None
        asked = resp.request.url or ""
        try:
            is_other = self.should_strip_auth(  # type: ignore[no-untyped-call]
                asked, urljoin(asked, target)
            )
        except ValueError:
            resp.close()
            raise OtherHost("it redirects to what is no URL") from None
        if is_other:
            resp.close()
            raise OtherHost("it redirects to another host: name that one")
        if time.monotonic() > self._until:
            resp.close()
            raise requests.ReadTimeout(f"it redirects, and {self._whole_s:g} s are over")
        # requests reads all of it, however much that is; the connection still has it to give.
        resp.raw.close()
        resp._content, resp._content_consumed = b"", True  # type: ignore[attr-defined]
        return target

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Before a redirect is followed."""
        if self.auth is None:
            super().rebuild_auth(  # type: ignore[no-untyped-call]
                prepared_request, response
            )


class Bearer(requests.auth.AuthBase):
    """A token. Set as the session's login, so that requests doesn't look one up in ~/.netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def login_of(
    source: PrometheusSource, credentials: tuple[str, str] | None
) -> requests.auth.AuthBase | None:
    """The token or the user that the spec names; else the URL's."""
    if source.token_env is not None:
        return Bearer(_from_environment("token_env", source.token_env))
    if source.user_env is not None and source.password_env is not None:
        credentials = (
            _from_environment("user_env", source.user_env),
            _from_environment("password_env", source.password_env),
        )
    if credentials is None:
        return None
    user, password = (part.encode() for part in credentials)
    return requests.auth.HTTPBasicAuth(user, password)


def login_hint(source: PrometheusSource, credentials: tuple[str, str] | None) -> str:
    """What to look at where a server refuses the login that it was sent, or asks for one."""
    if source.token_env is not None:
        return f"; is the token in {source.token_env} (token_env) right?"
    if source.user_env is not None:
        return f"; are user and password in {source.user_env} and {source.password_env} right?"
    if credentials is not None:
        return "; are the URL's user and password right?"
    return "; where it needs a login, set token_env, or user_env and password_env"


def _from_environment(field: str, name: str) -> str:
    try:
        return read_secret(os.environ, name, is_token=field == "token_env")
    except ValueError as error:
        raise SourceRefused(f"{field}: {error}") from None
