"""A push of metrics' text to a Pushgateway."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote as quote_url

import requests
import urllib3

from flows.formats.bounded_http import bound
from flows.formats.network_words import network_words

# Bytes of an answer that a message quotes.
_MOST_SAID = 2048


class PushFailed(Exception):
    """The Pushgateway did not take the metrics."""


class _Direct(requests.Session):
    """Follows no redirect, and reads none: requests reads all of its text otherwise."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: the redirect is the answer."""


def push_text(
    text: str,
    url: str,
    *,
    job: str = "split-verdict",
    experiment: str = "",
    timeout_s: float = 5.0,
    login: tuple[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
) -> None:
    """Replaces a group on the Pushgateway at the URL: the job's, or one of its experiments'.

    login: user and password. parameters: of every request, such as a token.

    Scrape the gateway with honor_labels. Raises PushFailed if it can't be reached or refuses.
    """
    target = f"{url.rstrip('/')}/metrics/job/{job}"
    if experiment:
        target += f"/experiment/{quote_url(experiment, safe='')}"
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    try:
        with _Direct() as session:
            bound(session, 2 * timeout_s)
            with session.put(
                target,
                data=text.encode(),
                headers=headers,
                timeout=timeout_s,
                auth=login,
                params=parameters,
                stream=True,
            ) as answer:
                if 200 <= answer.status_code < 300:
                    return
                raw = answer.raw
                said = b"" if answer.is_redirect else raw.read1(_MOST_SAID, decode_content=True)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        # ValueError: the length of a chunk is negative.
        raise PushFailed(f"Pushgateway {url} can't be reached: {network_words(error)}") from error
    if answer.is_redirect:
        raise PushFailed(f"Pushgateway {url} redirects to another address: name that one")
    words = " ".join(said.decode(errors="replace").split())
    raise PushFailed(
        f"Pushgateway {url} refused the metrics of {experiment or job} with status "
        f"{answer.status_code}: {words or answer.reason}"
    )
