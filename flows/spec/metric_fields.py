"""What every metric of a spec may have, and how its margin is written."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from analysis.plan import Role
from flows.spec.fields import PERCENT_PATTERN, Number, Percent, Share, Strict


def _parse_margin(value: object) -> object:
    """A number is absolute; a text like 5% is relative to the baseline."""
    if isinstance(value, str) and re.fullmatch(PERCENT_PATTERN, value):
        return {"relative": float(value[:-1]) / 100}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"absolute": value}
    if not isinstance(value, dict | MarginSpec):
        raise ValueError("must be a number (absolute, such as 0.005) or a percentage (5%)")
    return value


_MARGIN = "The largest acceptable harm, absolute or relative to the baseline's value."


class MarginSpec(Strict):
    """The largest harm that is acceptable: absolute, or relative to the baseline."""

    absolute: Annotated[Number, Field(ge=0)] | None = Field(
        None, description="In the metric's unit; of a share 0.02 is 2 points."
    )
    relative: Annotated[Share, Field(ge=0, lt=1)] | None = Field(
        None, description="As a share of the baseline's value."
    )

    @field_validator("absolute", mode="before")
    @classmethod
    def _no_percentage(cls, value: object) -> object:
        """Points of a share, or a part of the baseline's value: which is meant, isn't said."""
        if isinstance(value, str) and re.fullmatch(PERCENT_PATTERN, one := value.replace(" ", "")):
            share = f"{float(one[:-1]) / 100:g}"
            raise ValueError(f"must be a number: {share} of a share, else {{relative: {one}}}")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.absolute is None) == (self.relative is None):
            raise ValueError("must be a number (absolute, such as 0.005) or a percentage (5%)")
        return self


MarginField = Annotated[
    MarginSpec,
    BeforeValidator(_parse_margin, json_schema_input_type=MarginSpec | float | Percent),
    Field(description=_MARGIN),
]


class ShareMargin(MarginSpec):
    """The largest acceptable harm of a share; below 1, as 5 would allow any harm."""

    absolute: Annotated[Number, Field(ge=0, lt=1)] | None = Field(
        None, description="As a share: 0.005 is half a point."
    )


def too_large_for_a_share(margin: MarginSpec) -> str | None:
    """What is wrong with a margin in points that was written as a number; None if nothing is."""
    written = margin.absolute
    if written is None or written < 1:
        return None
    points = written if written < 100 else 5
    unit = "point" if points == 1 else "points"
    return (
        f"that is {100 * written:g} points; say {points / 100:g} for {points:g} {unit}, or "
        f"{points:g}% of the baseline"
    )


def _no_larger_than_a_share(margin: MarginSpec) -> MarginSpec:
    problem = too_large_for_a_share(margin)
    if problem is not None:
        raise ValueError(problem)
    return margin


ShareMarginField = Annotated[
    MarginSpec,
    BeforeValidator(
        _parse_margin,
        json_schema_input_type=ShareMargin | Annotated[float, Field(ge=0, lt=1)] | Percent,
    ),
    AfterValidator(_no_larger_than_a_share),
    Field(description=_MARGIN),
]


class MetricFields(Strict):
    """What every metric may have."""

    role: Role = Field(Role.GUARDRAIL, description="What follows from the metric.")
    weight: Annotated[Number, Field(ge=0.001, le=1000)] = Field(
        1.0, description="Weight in the score."
    )
    critical: bool = Field(False, description="If it fails, the score is 0.")
    group: str = Field(
        "all", description="A name for metrics that belong together; it changes no score."
    )
