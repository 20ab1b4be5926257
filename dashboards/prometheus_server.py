"""The Prometheus servers that Grafana is to ask: a datasource each."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    """A server that Grafana is to ask.

    scrape_interval_s: the shortest step that makes sense; $__rate_interval is four of them.
    """

    url: str
    scrape_interval_s: float = 15.0

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
        return {
            "name": self.name,
            "uid": self.uid,
            "type": "prometheus",
            "access": "proxy",
            "url": self.url,
            "isDefault": False,
            "editable": False,
            "jsonData": {"httpMethod": "POST", "timeInterval": interval},
        }


DEFAULT_SERVER = PrometheusServer("http://localhost:9090")
