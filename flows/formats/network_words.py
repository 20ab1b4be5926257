"""What is said of a server that can't be asked."""

from __future__ import annotations

import ssl

from flows.formats.safe_text import safe_text


def network_words(error: BaseException) -> str:
    """What the system says in the end, without the layers in between; else the error's own words.

    The libraries' own words quote their pools and connections, and hide the reason among them.
    """
    said, cause = str(error), error.__cause__ or error.__context__
    seen: list[BaseException] = []
    # A library may raise an error from itself.
    while cause is not None and cause not in seen:
        if isinstance(cause, OSError) and cause.strerror:
            said = cause.strerror
        if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
            said = "the server doesn't speak TLS: its URL begins with http:// then"
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    return safe_text(said)
