"""The spec's `engine` section: what runs the users' pass where DuckDB on one machine doesn't do."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_serializer

from flows.formats.safe_text import safe_url
from flows.spec.fields import Duration, Strict, Variable


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_one = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise ValueError("must be an address such as sc://host:15002")
    return text


SPARK_PATTERN = r"^sc://[^/\s;]+(/(;.*)?)?$"


class Engine(Strict):
    """A Spark Connect server: it reads the users' Parquet files, and sums by day."""

    spark: Annotated[str, AfterValidator(_address)] = Field(
        pattern=SPARK_PATTERN,
        description="Its address, sc://host:port, with parameters such as /;use_ssl=true.",
    )
    token_env: Variable | None = Field(
        None, description="Environment variable with a bearer token."
    )
    timeout: Duration = Field(
        timedelta(hours=1),
        description="For all queries of a pull together; after that it fails, and writes nothing.",
    )

    @field_serializer("spark")
    def _kept_without_token(self, spark: str) -> str:
        """What is kept of a spec (warehouse, marts, hashes) holds no token."""
        return safe_url(spark)
