"""The Prometheus servers that Grafana is to ask: a datasource each."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from urllib.parse import urlsplit


class FromEnvironment(str):
    """A text of a provisioning file in which Grafana is to read an environment variable."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Login:
    """How Grafana is to log in: names of environment variables, which Grafana reads itself.

    user: in clear, where it is known; user_env otherwise. Without a password_env the password is
    known to the spec alone: it isn't written, and has to be entered where Grafana runs.
    """

    user: str | None = None
    user_env: str | None = None
    password_env: str | None = None
    token_env: str | None = None

    def added_to(self, source: dict[str, object]) -> dict[str, object]:
        """The data source with where to log in; it holds no secret, only the secrets' names."""
        if self.token_env is not None:
            header = {"httpHeaderName1": "Authorization"}
            secret = {"httpHeaderValue1": FromEnvironment(f"Bearer {_read(self.token_env)}")}
            return source | {"jsonData": {**_fields(source), **header}, "secureJsonData": secret}
        found = source | {"basicAuth": True}
        if self.user_env is not None:
            found["basicAuthUser"] = _read(self.user_env)
        elif self.user is not None:
            found["basicAuthUser"] = self.user
        if self.password_env is not None:
            found["secureJsonData"] = {"basicAuthPassword": _read(self.password_env)}
        return found


def _fields(source: dict[str, object]) -> dict[str, object]:
    fields = source["jsonData"]
    return fields if isinstance(fields, dict) else {}


def _read(environment_variable: str) -> FromEnvironment:
    """How Grafana's provisioning reads an environment variable, a dollar in its value included."""
    return FromEnvironment(f"$__env{{{environment_variable}}}")


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    """A server that Grafana is to ask.

    url: without user and password, as it is written to files and shown.
    scrape_interval_s: the shortest step that makes sense; $__rate_interval is four of them.
    """

    url: str
    scrape_interval_s: float = 15.0
    login: Login | None = None

    @property
    def uid(self) -> str:
        """Stable, of the URL alone."""
        if self.url == DEFAULT_SERVER.url:
            return "split-verdict-prometheus"
        return f"split-verdict-{hashlib.sha256(self.url.encode()).hexdigest()[:12]}"

    @property
    def name(self) -> str:
        """As people see it: without the password that a URL can hold."""
        if self.url == DEFAULT_SERVER.url:
            return "Prometheus (split-verdict)"
        parts = urlsplit(self.url)
        where = f"{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        return f"Prometheus (split-verdict, {where})"

    def datasource(self) -> dict[str, object]:
        """Not the default one: a Grafana that has a default refuses to start with two."""
        interval = f"{max(1, math.ceil(self.scrape_interval_s))}s"
        source: dict[str, object] = {
            "name": self.name,
            "uid": self.uid,
            "type": "prometheus",
            "access": "proxy",
            "url": self.url,
            "isDefault": False,
            "editable": False,
            "jsonData": {"httpMethod": "POST", "timeInterval": interval},
        }
        return source if self.login is None else self.login.added_to(source)


DEFAULT_SERVER = PrometheusServer("http://localhost:9090")
