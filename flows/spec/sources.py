"""The spec's `sources` section: where requests, exposures and outcomes come from."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    field_serializer,
    model_validator,
)

from flows.formats.urls import without_password
from flows.spec.fields import URL_PATTERN, Duration, Strict

_TOKEN: Any = Field(None, description="Environment variable with a bearer token.")
_USER: Any = Field(None, description="Environment variable with the user of basic authentication.")
_PASSWORD: Any = Field(None, description="Environment variable with that user's password.")


class PrometheusSource(Strict):
    """A Prometheus (or compatible) server."""

    url: str = Field(pattern=URL_PATTERN)
    scrape_interval: Duration = timedelta(seconds=15)
    token_env: str | None = _TOKEN
    user_env: str | None = _USER
    password_env: str | None = _PASSWORD
    ca_file: str | None = None

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> Self:
        if (self.user_env is None) != (self.password_env is None):
            raise ValueError("user_env and password_env are needed together")
        if self.token_env is not None and self.user_env is not None:
            raise ValueError("must have token_env, or user_env and password_env, not both")
        return self

    @field_serializer("url")
    def _kept_without_password(self, url: str) -> str:
        """What is kept of a spec (warehouse, marts, hashes) holds no password."""
        return without_password(url)


class PrometheusUrl(Strict):
    """The short form of a Prometheus server."""

    prometheus: str = Field(pattern=URL_PATTERN)
    scrape_interval: Duration = timedelta(seconds=15)
    token_env: str | None = _TOKEN
    user_env: str | None = _USER
    password_env: str | None = _PASSWORD
    ca_file: str | None = None


class RecordingSource(Strict):
    """A recording of raw samples (Parquet, one row per series)."""

    recording: str
    scrape_interval: Duration = timedelta(seconds=15)


_SEGMENTS: Any = Field(
    default_factory=list, description="Exposures: columns to split users by, such as country."
)


class FileSource(Strict):
    """Parquet, CSV or JSON lines files; a glob, relative to the spec."""

    files: str
    columns: dict[Literal["user", "variant", "outcome", "value", "at", "experiment"], str] = Field(
        default_factory=dict, description="Column names, where they differ from the defaults."
    )
    segments: list[str] = _SEGMENTS


class PostgresSource(Strict):
    """A query on a PostgreSQL server."""

    dsn_env: str = Field(description="Environment variable with the connection URI.")
    query: str
    columns: dict[Literal["user", "variant", "outcome", "value", "at", "experiment"], str] = Field(
        default_factory=dict
    )
    segments: list[str] = _SEGMENTS


def _server(value: object) -> object:
    """The short form `prometheus: URL` stands for a server with this URL."""
    return {"url": value} if isinstance(value, str) else value


ServerField = Annotated[
    PrometheusSource,
    BeforeValidator(
        _server,
        json_schema_input_type=PrometheusSource | Annotated[str, Field(pattern=URL_PATTERN)],
    ),
]


class CounterSource(Strict):
    """Counters with the labels experiment, variant and outcome."""

    prometheus: ServerField
    metric: str
    exposed: str = Field("exposed", description="Value of `outcome` that counts exposures.")


def _requests_source(value: object) -> object:
    """The short form `prometheus: URL` stands for a server with this URL."""
    if isinstance(value, dict) and isinstance(value.get("prometheus"), str):
        rest = {key: item for key, item in value.items() if key != "prometheus"}
        return {"url": value["prometheus"], **rest}
    return value


def _kind_of_requests(value: Any) -> str:
    return "recording" if _has(value, "recording") else "prometheus"


def _kind_of_rows(value: Any) -> str:
    return "postgres" if _has(value, "query") or _has(value, "dsn_env") else "files"


def _has(value: Any, field: str) -> bool:
    return field in value if isinstance(value, dict) else hasattr(value, field)


RequestsField = Annotated[
    Annotated[PrometheusSource, Tag("prometheus")] | Annotated[RecordingSource, Tag("recording")],
    Discriminator(_kind_of_requests),
    BeforeValidator(
        _requests_source,
        json_schema_input_type=PrometheusSource | PrometheusUrl | RecordingSource,
    ),
]
RowsField = Annotated[
    Annotated[FileSource, Tag("files")] | Annotated[PostgresSource, Tag("postgres")],
    Discriminator(_kind_of_rows),
]


class Sources(Strict):
    """Where requests, exposures and outcomes come from."""

    requests: RequestsField | None = None
    exposures: RowsField | None = None
    outcomes: RowsField | None = None
    conversions: CounterSource | None = None
