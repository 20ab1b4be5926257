"""Text that leaves the process: without passwords and tokens, and without control characters.

Every message of ours, every log record and every stored sentence goes through `safe_text`. It knows
the secrets that were read from the environment, and how others look in URLs, headers and DSNs.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from traceback import format_exception
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit

HIDDEN = "***"
# Shorter ones would be found in every word; they are hidden where their place tells.
_SHORTEST = 4
_SECRET_NAME = (
    r"(?:[a-z0-9_.-]*(?:token|secret|passw(?:or)?d|passphrase|pwd|api[_-]?key|signature|credential)"
    r"[a-z0-9_.-]*|[a-z0-9_.-]*key|(?:[a-z0-9_.-]*[_.-])?auth(?:orization)?|sig|jwt|sas|pass|pw|bearer|access|session|code)"
)
_PATTERNS = (
    # In running text and in URLs that are none: rather too much than a part of a password.
    (re.compile(r"(?<=//)[^\s]{0,4096}@"), ""),
    # Without a scheme; the digest of a container's image is none.
    (
        re.compile(r"(?<![^\s'\"/(=,$])[^\s:/@'\"\[\](){}]+:[^\s@]{1,256}@(?=[\w\[])(?!sha\d+:)"),
        f"{HIDDEN}@",
    ),
    (re.compile(rf"(?i)(?<=[?&;#])({_SECRET_NAME})=[^&#;\s\"'<>)\]}}]*"), rf"\1={HIDDEN}"),
    (re.compile(r"\b(Bearer)\s+[^\s'\",]+"), rf"\1 {HIDDEN}"),
    (re.compile(r"\b(Basic)\s+(?=[^\s'\",]*[A-Z0-9=])[A-Za-z0-9+/=_-]{6,}"), rf"\1 {HIDDEN}"),
    (
        re.compile(r"(?i)\b((?:ssl)?passw(?:or)?d|pwd)\s*=\s*(?:'(?:[^'\\]|\\.)*'|[^\s&;,*]+)"),
        rf"\1={HIDDEN}",
    ),
)
_SECRET_PARAMETER = re.compile(_SECRET_NAME, re.IGNORECASE)
# A terminal obeys them; a log takes them for lines. Tabs and line ends are ours.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_VARIABLE = re.compile("[A-Z_][A-Z0-9_]*")
_known: set[str] = set()


def safe_text(text: str) -> str:
    """The text as it may be shown, kept or logged."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return CONTROLS.sub("\ufffd", text)


def safe_url(url: str) -> str:
    """The URL as it may be kept: without user, password and tokens, and still a URL.

    What stands in a query without a name may be a token, too. A fragment goes to no server.
    """
    # All of it is the URL: a password may hold spaces.
    without_user = re.sub(r"(?s)^(\s*(?:[^\s/@:]*:)?//)?.*@", r"\1", url)
    try:
        parts = urlsplit(without_user)
        told = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return safe_text(without_user)
    kept = [(name, value) for name, value in told if value and not is_secret_name(name)]
    parts = parts._replace(fragment="")
    if len(kept) < len(told):
        parts = parts._replace(query=urlencode(kept))
    elif "#" not in without_user:
        return safe_text(without_user)
    return safe_text(parts.geturl())


def safe_traceback(error: BaseException) -> str:
    """The traceback with all that it was caused by."""
    return safe_text("".join(format_exception(error)))


def is_secret_name(name: str) -> bool:
    """Whether a parameter of this name holds a secret."""
    return _SECRET_PARAMETER.fullmatch(name) is not None


def shown_variable(name: str) -> str:
    """The name of an environment variable as it may be shown.

    What isn't written as such names are may be the secret itself, put where its name belongs.
    """
    return name if _VARIABLE.fullmatch(name) else HIDDEN


def hide(secret: str) -> None:
    """Makes safe_text find this secret, however it is written."""
    written = {secret, secret.strip()}
    written |= {form(text) for text in written for form in (quote, quote_plus)}
    written |= {quote(text, safe="") for text in written}
    written |= {
        spelled for text in written for spelled in (repr(text)[1:-1], json.dumps(text)[1:-1])
    }
    _known.update(text for text in written if len(text) >= _SHORTEST)


def read_secret(environment: Mapping[str, str], name: str, *, is_token: bool = False) -> str:
    """The secret that an environment variable holds, checked once: one line of text.

    Line ends around it are no part of it, as a file or a secret's volume adds them; around a token
    no space is either. Raises ValueError, which never quotes it.
    """
    written = environment.get(name, "")
    hide(written)
    secret = written.strip() if is_token else written.strip("\r\n")
    if not secret:
        raise ValueError(f"environment variable {shown_variable(name)} is not set")
    if not secret.isprintable() or (is_token and not secret.isascii()):
        what = "one line of printable ASCII characters" if is_token else "one line of text"
        raise ValueError(f"environment variable {shown_variable(name)} must hold {what}")
    hide(secret)
    return secret


def make_logs_safe() -> None:
    """Lets every log record of this process, whoever writes it, be safe text."""
    make = logging.getLogRecordFactory()
    if getattr(make, "is_safe", False):
        return

    def safe(*arguments: object, **more: object) -> logging.LogRecord:
        record = make(*arguments, **more)
        try:
            record.msg, record.args = safe_text(record.getMessage()), ()
        except (TypeError, ValueError):
            # The logging library says what is wrong with it.
            return record
        if record.exc_info and record.exc_info[1] is not None:
            # Formatters show this text in place of the exception.
            record.exc_text = safe_traceback(record.exc_info[1]).rstrip("\n")
        return record

    safe.is_safe = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(safe)
