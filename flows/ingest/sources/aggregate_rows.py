"""Sufficient statistics that another warehouse has aggregated, a row per group of users."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from analysis.users.sums import Sums
from flows.formats.problems import (
    FileProblem,
    InputError,
    RowFault,
    did_you_mean,
    each_once,
    file_error,
)
from flows.ingest.sources.aggregate_checks import Summed, contradictions
from flows.ingest.sources.user_files import read_records
from flows.ingest.sources.user_rows import UserDataRefused

SCHEMA_ID = "https://split-verdict.invalid/aggregates.schema.json"
_MOST_PROBLEMS = 20
# How far a count that was shifted may be off a whole number, relatively.
_ROUNDING = 1e-6
# Where a row's quantities stand in its sums.
VALUE, DENOMINATOR, COVARIATE = range(3)
_NUMBER = re.compile(r"-?\d[\d.e+-]*")


def _text(value: object) -> object:
    """As text: other warehouses write variants as 1 and 2, or true and false."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | Decimal) and value % 1 == 0:
        return str(int(value))
    return value if value is None or isinstance(value, str) else str(value)


def _name(value: object) -> object:
    """As text without the blanks around it, which make no other name."""
    text = _text(value)
    return text.strip() if isinstance(text, str) else text


Text = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | float | bool)]
Name = Annotated[str, BeforeValidator(_name, json_schema_input_type=str | float | bool)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class AggregateRow(BaseModel):
    """One variant of one metric: users and sums over them.

    Rows of one variant and metric (days, partitions) are added. Sums may be about a constant
    (`*_shift`: sum of y - shift, of its square, of its products), which keeps large means exact.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, title="Aggregate")

    experiment: Name = "experiment"
    metric: Name
    variant: Name
    segment: Text = Field("", description="A part of the users; '' for all of them.")
    stratum: Text = Field(
        "", description="What is compared within (post-stratification): the strata are all users."
    )
    type: Literal["proportion", "mean", "count", "ratio"] = Field(
        description="Of users: a share, a mean per user (count: of events), a ratio of two sums."
    )
    n: NotNegative = Field(description="Users.")
    sum: Finite = Field(description="Of the values; proportion: users with the outcome.")
    sum_squares: NotNegative | None = Field(None, description="Not needed for a proportion.")
    shift: Finite = 0.0
    denominator_sum: Finite | None = Field(None, description="ratio: sum of what is divided by.")
    denominator_sum_squares: NotNegative | None = None
    denominator_shift: Finite = 0.0
    denominator_product: Finite | None = Field(None, description="Sum of value x denominator.")
    covariate_sum: Finite | None = Field(None, description="What was known before the exposure.")
    covariate_sum_squares: NotNegative | None = None
    covariate_shift: Finite = 0.0
    covariate_product: Finite | None = Field(None, description="Sum of value x covariate.")
    covariate_denominator_product: Finite | None = Field(
        None, description="ratio with a covariate: sum of denominator x covariate."
    )
    day: date | None = Field(
        None,
        description="The day (UTC) of these users' first exposure; a gate judges them over time.",
    )
    as_of: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        None,
        description="Days since the start up to which the sums run. With several of them each is a "
        "look at all users so far: looks aren't added, and hold together.",
    )
    planned_users: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="Of all variants of the metric and segment, at the plan's end."
    )
    share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="Configured share of the users; tested against the users seen."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for field in self._missing():
            raise ValueError(f"{field} is missing: type {self.type} needs it")
        if self.type == "proportion" and not 0 <= self.sum + self.n * self.shift <= self.n:
            raise ValueError(f"sum is {self.sum:g}, a proportion's must lie between 0 and n")
        ones = self.sum + self.n * self.shift
        if self.type == "proportion" and abs(ones - round(ones)) > _ROUNDING * max(1.0, ones):
            raise ValueError(
                f"sum is {self.sum:g}, a proportion's must be a whole number: the users with the "
                "outcome, not their share"
            )
        squares = self._squares_of_ones()
        if self.type == "proportion" and abs(self._squares() - squares) > 1e-9 * abs(squares):
            raise ValueError(
                f"sum_squares is {self.sum_squares:g}, a proportion's is {squares:g}: "
                "of zeros and ones; leave it out"
            )
        wrong = next(contradictions(self.n, self.summed, self._products()), None)
        if wrong is not None:
            raise ValueError(wrong)
        return self

    @property
    def has_covariate(self) -> bool:
        """Whether there is anything known from before."""
        return self.covariate_sum is not None

    @property
    def sums(self) -> Sums:
        """Sums of value, denominator and covariate; 0 where there is none."""
        products = np.zeros((3, 3))
        for prefix, i in (("", VALUE), ("denominator", DENOMINATOR), ("covariate", COVARIATE)):
            products[i, i] = self.summed[prefix].squares if prefix in self.summed else 0.0
        for i, j, value in (
            (VALUE, DENOMINATOR, self.denominator_product),
            (VALUE, COVARIATE, self.covariate_product),
            (DENOMINATOR, COVARIATE, self.covariate_denominator_product),
        ):
            products[i, j] = products[j, i] = value or 0.0
        return Sums(
            np.array(float(self.n)),
            np.array([self.shift, self.denominator_shift, self.covariate_shift]),
            np.array([self.sum, self.denominator_sum or 0.0, self.covariate_sum or 0.0]),
            products,
        )

    @property
    def summed(self) -> dict[str, Summed]:
        """The quantities by the prefix of their fields; the value's is empty."""
        found = {"": Summed(self.shift, self.sum, self._squares())}
        if self.type == "ratio":
            found["denominator"] = Summed(
                self.denominator_shift,
                self.denominator_sum or 0.0,
                self.denominator_sum_squares or 0.0,
            )
        if self.has_covariate:
            found["covariate"] = Summed(
                self.covariate_shift, self.covariate_sum or 0.0, self.covariate_sum_squares or 0.0
            )
        return found

    def _squares(self) -> float:
        return self._squares_of_ones() if self.sum_squares is None else self.sum_squares

    def _squares_of_ones(self) -> float:
        """Of zeros and ones about the shift; products, as a power raises where it overflows."""
        ones, rest = self.sum + self.n * self.shift, 1 - self.shift
        return ones * rest * rest + (self.n - ones) * self.shift * self.shift

    def _products(self) -> dict[tuple[str, str], tuple[str, float]]:
        pairs = {
            ("", "denominator"): "denominator_product",
            ("", "covariate"): "covariate_product",
            ("denominator", "covariate"): "covariate_denominator_product",
        }
        known = self.summed
        return {
            pair: (field, getattr(self, field) or 0.0)
            for pair, field in pairs.items()
            if all(name in known for name in pair)
        }

    def _missing(self) -> Iterator[str]:
        needed = [] if self.type == "proportion" else ["sum_squares"]
        if self.type == "ratio":
            needed += ["denominator_sum", "denominator_sum_squares", "denominator_product"]
        if self.has_covariate:
            needed += ["covariate_sum_squares", "covariate_product"]
            needed += ["covariate_denominator_product"] if self.type == "ratio" else []
        yield from (field for field in needed if getattr(self, field) is None)


def read_aggregates(path: Path) -> tuple[AggregateRow, ...]:
    """All rows of a file. Raises InputError with every problem: row, field, value, remedy."""
    if not path.is_file():
        raise file_error(path, 0, "is a folder: name a file" if path.is_dir() else "no such file")
    try:
        records = read_records(path)
    except UserDataRefused as error:
        said = str(error).removeprefix(f"{path}: ")
        raise file_error(path, 0, f"can't be read: {said}") from error
    found: list[AggregateRow] = []
    faults: list[tuple[int, RowFault]] = []
    for number, record in enumerate(records, start=1):
        row = row_of(record)
        if isinstance(row, AggregateRow):
            found.append(row)
        else:
            faults += [(number, fault) for fault in row]
    problems = [
        FileProblem(str(path), number, fields, said, is_row=True)
        for number, fields, said in each_once(faults, f"of {len(records):,} rows")
    ]
    if problems:
        rest = len(problems) - _MOST_PROBLEMS
        more = [FileProblem(str(path), problems[-1].line, "", f"{rest} more problems", is_row=True)]
        raise InputError(problems[:_MOST_PROBLEMS] + (more if rest > 0 else []))
    if not found:
        raise file_error(path, 0, "has no rows; it needs one per variant")
    return tuple(found)


def row_of(record: Mapping[str, Any]) -> AggregateRow | list[RowFault]:
    """The row, or what is wrong with it: fields, and what would be right."""
    try:
        return AggregateRow.model_validate(dict(record))
    except ValidationError as error:
        return [_fault(detail) for detail in error.errors()]


def _fault(detail: Any) -> RowFault:
    field, kind = ".".join(str(part) for part in detail["loc"]), str(detail["type"])
    said = str(detail["msg"]).removeprefix("Value error, ")
    if kind == "missing":
        said = "missing"
    elif kind == "extra_forbidden":
        known = list(AggregateRow.model_fields)
        near = did_you_mean(field, known)
        said = f"unknown field{near}" if near else f"unknown field; there are {', '.join(known)}"
    elif kind != "value_error":
        # "a valid number, unable to parse string as a number" says nothing more.
        right = said.replace("Input should be", "must be").replace("valid ", "")
        right = right.partition(", unable")[0]
        said = f"is {detail['input']!r}, {right}"
    # Ours have the row's numbers in their text.
    return RowFault(field, said, _NUMBER.sub("", said) if kind == "value_error" else kind)


def aggregates_schema() -> str:
    """JSON Schema (draft 2020-12) of a file of aggregates, as JSON: a list of rows."""
    schema = AggregateRow.model_json_schema()
    definition = {"type": "array", "items": schema, "minItems": 1}
    header = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID}
    return json.dumps({**header, **definition}, indent=2) + "\n"


def sums_by_day(rows: Iterable[AggregateRow]) -> dict[date, Sums]:
    """Of rows that have a day, in time's order; those of one day (strata, partitions) added."""
    found: dict[date, Sums] = {}
    for row in rows:
        if row.day is not None:
            sums = row.sums.at(np.zeros(3))
            found[row.day] = found[row.day] + sums if row.day in found else sums
    return dict(sorted(found.items()))
