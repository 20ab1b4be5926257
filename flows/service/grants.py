"""What a token allows: to read verdicts or to have new ones decided, of which experiments."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flows.formats.safe_text import read_secret, shown_variable
from flows.service.http import Refused
from flows.spec.fields import NAME_PATTERN

_SHORTEST = 16
_WRITTEN = re.compile(r"(?P<name>[^=:]+)=(?P<right>read|decide):(?P<experiments>.+)")


class TokenRefused(Exception):
    """The service must not start so; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one token allows.

    digest: of the token. may_decide: new looks, which are recorded and which Flagger and Argo act
    on; else the latest verdict. experiments: by name; None for all.
    """

    digest: bytes
    may_decide: bool = True
    experiments: frozenset[str] | None = None

    def is_for(self, experiment: str) -> bool:
        """Whether it allows anything with the experiment."""
        return self.experiments is None or experiment in self.experiments

    def check(self, experiment: str, *, deciding: bool) -> None:
        """Raises Refused (403), whether there is such an experiment or not."""
        if not self.is_for(experiment):
            raise Refused(403, "this token is for other experiments")
        if deciding and not self.may_decide:
            raise Refused(403, "this token reads the latest verdict (GET /verdict/NAME) only")


def read_token(name: str, environment: Mapping[str, str]) -> str:
    """The token that the variable holds. Raises TokenRefused, which never quotes it."""
    try:
        token = read_secret(environment, name, is_token=True)
    except ValueError:
        token = ""
    if len(token) < _SHORTEST:
        raise TokenRefused(
            f"{shown_variable(name)} must hold a token of at least {_SHORTEST} printable ASCII "
            "characters, for example from `openssl rand -hex 32`"
        )
    return token


def read_grants(written: Sequence[str], environment: Mapping[str, str]) -> tuple[Grant, ...]:
    """The grants that are written NAME=RIGHT:EXPERIMENT,... Raises TokenRefused."""
    found: dict[bytes, Grant] = {}
    for text in written:
        match = _WRITTEN.fullmatch(text)
        names = match["experiments"].split(",") if match else []
        if match is None or not all(re.fullmatch(NAME_PATTERN, n) or n == "*" for n in names):
            raise TokenRefused(
                "--grant must be NAME=read:EXPERIMENT or NAME=decide:EXPERIMENT, with the variable "
                "that holds the token, and names with commas between, or * for all"
            )
        digest = digest_of(read_token(match["name"], environment))
        if digest in found:
            raise TokenRefused(f"--grant {text!r}: its token has a grant already")
        experiments = None if "*" in names else frozenset(names)
        found[digest] = Grant(digest, match["right"] == "decide", experiments)
    return tuple(found.values())


def digest_of(token: str) -> bytes:
    """Of one length for all: comparing two tells nothing of the token's."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
