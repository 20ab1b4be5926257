"""What `verdict analyze` answers, as JSON."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from flows.further_document import Further, OverVariants, SegmentsDiffer
from flows.json_numbers import NullableNumbers
from flows.scorecard_document import ScorecardRow


class AnalyzedRow(ScorecardRow):
    """A row of the scorecard, with what only sums from elsewhere are asked for."""

    further: Further


class ScorecardDocument(BaseModel):
    """All rows, and what they were computed with."""

    model_config = ConfigDict(ser_json_inf_nan="null")

    alpha: float
    tightest_at_users: float
    limits: tuple[str, ...] = Field(
        (), description="What was not computed for all rows, as it takes long."
    )
    rows: tuple[AnalyzedRow, ...]
    over_variants: tuple[OverVariants, ...]
    segments: tuple[SegmentsDiffer, ...] = Field(
        description="Where rows name segments: whether the effect differs between them."
    )

    def to_json(self) -> str:
        """The JSON text."""
        return self.model_dump_json(indent=2) + "\n"


def scorecard_schema() -> str:
    """JSON Schema (draft 2020-12) of the answer."""
    schema: dict[str, Any] = ScorecardDocument.model_json_schema(
        mode="serialization", schema_generator=NullableNumbers
    )
    header = {"$schema": NullableNumbers.schema_dialect}
    return json.dumps({**header, **schema}, indent=2) + "\n"
