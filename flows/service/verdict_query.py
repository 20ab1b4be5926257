"""The query of /verdict."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flows.formats.time import as_plausible_utc
from flows.service.http import Refused, shown


class VerdictQuery(BaseModel):
    """What may stand behind the question mark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: datetime | None = Field(
        None, description="Look at this time of the past; without it, now or the latest look"
    )

    @field_validator("at", mode="before")
    @classmethod
    def _instant(cls, text: str) -> datetime:
        # A NUL at the end is nothing to fromisoformat.
        if not text.isprintable():
            raise ValueError(text)
        try:
            return as_plausible_utc(datetime.fromisoformat(text))
        except OverflowError as error:
            raise ValueError(text) from error


def parse_query(sent: Mapping[str, str]) -> VerdictQuery:
    """Raises Refused (400), also for what is misspelt."""
    unknown = sorted(set(sent) - set(VerdictQuery.model_fields))
    if unknown:
        raise Refused(400, f"there is no parameter {shown(unknown[0])}; there is at=TIME")
    try:
        return VerdictQuery.model_validate(dict(sent))
    except ValidationError as error:
        told = f"at={shown(sent['at'])} is not a time; write it like 2026-01-31T12:00:00Z"
        raise Refused(400, told) from error
