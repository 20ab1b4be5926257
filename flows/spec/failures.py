"""The spec's `failures`: which responses fail, where the table of all meshes isn't wanted."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from analysis.requests.outcomes import FailureRule, grpc_number, is_grpc_status
from flows.spec.fields import Strict

_CODE = r"^([1-5][0-9][0-9]|[1-5]xx|0)$"


def _code(value: object) -> object:
    """Codes are numbers or classes: 503, "5xx"."""
    text = str(value).lower() if isinstance(value, str | int) else ""
    if isinstance(value, bool) or not re.fullmatch(_CODE, text):
        raise ValueError("must be an HTTP status such as 503, or a class of them such as 5xx")
    return text


def _grpc(value: object) -> object:
    """gRPC statuses are numbers or names: 14, UNAVAILABLE."""
    number = grpc_number(str(value)) if isinstance(value, str | int) else ""
    if isinstance(value, bool) or not is_grpc_status(number):
        raise ValueError("must be a gRPC status: 0 to 16, or a name such as UNAVAILABLE")
    return number


Code = Annotated[str, BeforeValidator(_code, json_schema_input_type=int | str)]
GrpcStatus = Annotated[str, BeforeValidator(_grpc, json_schema_input_type=int | str)]
FLAG_PATTERN = r"^[A-Za-z]+$"
Flag = Annotated[str, Field(pattern=FLAG_PATTERN)]


class Failures(Strict):
    """Which responses are failures. A given list replaces the default one; the others stay."""

    codes: list[Code] | None = Field(None, description="HTTP statuses or classes: [5xx, 429].")
    grpc: list[GrpcStatus] | None = Field(
        None, description="gRPC statuses, by number or name: [14, INTERNAL]."
    )
    flags: list[Flag] | None = Field(
        None, description="Envoy's response flags, or errors of Linkerd's proxy: [UT, UO]."
    )

    @property
    def rule(self) -> FailureRule:
        """The same for the analysis."""
        lists = (self.codes, self.grpc, self.flags)
        return FailureRule(*(None if one is None else frozenset(one) for one in lists))
