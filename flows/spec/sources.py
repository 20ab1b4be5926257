"""The spec's `sources` section: where requests, exposures and outcomes come from."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    field_serializer,
    model_validator,
)

from flows.formats.safe_text import safe_url
from flows.spec.fields import URL_PATTERN, Duration, Strict, Variable

_TOKEN: Any = Field(None, description="Environment variable with a bearer token.")
_USER: Any = Field(None, description="Environment variable with the user of basic authentication.")
_PASSWORD: Any = Field(None, description="Environment variable with that user's password.")


class PrometheusSource(Strict):
    """A Prometheus (or compatible) server."""

    url: str = Field(pattern=URL_PATTERN, description="The server's address.")
    scrape_interval: Duration = Field(
        timedelta(seconds=15), description="How often the server scrapes the mesh."
    )
    token_env: Variable | None = _TOKEN
    user_env: Variable | None = _USER
    password_env: Variable | None = _PASSWORD
    ca_file: str | None = Field(None, description="CA certificates to verify the server with.")

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> Self:
        if (self.user_env is None) != (self.password_env is None):
            raise ValueError("user_env and password_env are needed together")
        if self.token_env is not None and self.user_env is not None:
            raise ValueError("must have token_env, or user_env and password_env, not both")
        return self

    @field_serializer("url")
    def _kept_without_password(self, url: str) -> str:
        """What is kept of a spec (warehouse, marts, hashes) holds no password and no token."""
        return safe_url(url)


class PrometheusUrl(Strict):
    """The short form of a Prometheus server."""

    prometheus: str = Field(pattern=URL_PATTERN, description="The server's address.")
    scrape_interval: Duration = Field(
        timedelta(seconds=15), description="How often the server scrapes the mesh."
    )
    token_env: Variable | None = _TOKEN
    user_env: Variable | None = _USER
    password_env: Variable | None = _PASSWORD
    ca_file: str | None = Field(None, description="CA certificates to verify the server with.")


class RecordingSource(Strict):
    """A recording of raw samples (Parquet, one row per series)."""

    recording: str = Field(description="The file, relative to the spec.")
    scrape_interval: Duration = Field(
        timedelta(seconds=15), description="How often its server scraped the mesh."
    )


_SEGMENTS: Any = Field(
    default_factory=list, description="Exposures: columns to split users by, such as country."
)


def _time_format(value: str) -> str:
    """A format of strftime, or a unit that counts the time since 1970."""
    if value in TIME_UNITS or "%" in value:
        return value
    raise ValueError(
        f"must be {', '.join(TIME_UNITS)} or a format such as '%d/%m/%Y %H:%M' (as of strftime)"
    )


TIME_UNITS = ("unix_s", "unix_ms", "unix_us", "unix_ns")
TimeFormat = Annotated[str, AfterValidator(_time_format)]
_TIME_FORMAT: Any = Field(
    None,
    description="How times are written, where they aren't ISO 8601: a format of strftime, or "
    "unix_s, unix_ms, unix_us, unix_ns. Without a zone they are UTC.",
)
Role = Literal["user", "variant", "outcome", "value", "at", "experiment"]
_COLUMNS: Any = Field(
    default_factory=dict,
    description="The column of `user`, `variant`, `outcome`, `value`, `at` or `experiment`, where "
    "it isn't called user_id, variant, outcome, value, exposed_at (outcomes: occurred_at) or "
    "experiment; `experiment: null` where a column of that name doesn't name experiments.",
)


class _RowSource(Strict):
    columns: dict[Role, str | None] = _COLUMNS
    segments: list[str] = _SEGMENTS
    time_format: TimeFormat | None = _TIME_FORMAT

    @model_validator(mode="after")
    def _only_the_experiment_can_be_none(self) -> Self:
        for role, column in self.columns.items():
            if column is None and role != "experiment":
                raise ValueError(f"columns.{role} is empty, must be a column's name")
        return self

    @property
    def names(self) -> dict[str, str | None]:
        """The columns that the spec names, by role."""
        return {str(role): column for role, column in self.columns.items()}


class FileSource(_RowSource):
    """Parquet, CSV or JSON lines files; a glob, relative to the spec."""

    files: str = Field(description="A path or a glob, relative to the spec.")


class PostgresSource(_RowSource):
    """A query on a PostgreSQL server."""

    dsn_env: Variable = Field(description="Environment variable with the connection URI.")
    query: str = Field(description="The query; its columns are those of files.")


class _UsersTable(Strict):
    """One row per user: the variant, and a column for each outcome."""

    user: str = Field("user_id", description="Column with the user's id.")
    variant: str = Field("variant", description="Column with the variant.")
    at: str | None = Field(
        None,
        description="Column with the time of the exposure. Without it the table is judged once, at "
        "the plan's end, as a fixed-horizon test, and plan.start says when users were exposed.",
    )
    experiment: str | None = Field(None, description="Column that names the experiment, if any.")
    outcomes: dict[str, str] = Field(
        min_length=1,
        description="The column of each outcome. Zero, false and empty: it did not happen.",
    )
    segments: list[str] = _SEGMENTS
    time_format: TimeFormat | None = _TIME_FORMAT

    @property
    def names(self) -> dict[str, str | None]:
        """The columns that the spec names, by role."""
        at = {} if self.at is None else {"at": self.at}
        return {"user": self.user, "variant": self.variant, "experiment": self.experiment, **at}


class UsersFile(_UsersTable):
    """A wide table in Parquet, CSV or JSON lines files; a glob, relative to the spec."""

    files: str = Field(description="A path or a glob, relative to the spec.")


class UsersQuery(_UsersTable):
    """A wide table from a query on a PostgreSQL server."""

    dsn_env: Variable = Field(description="Environment variable with the connection URI.")
    query: str = Field(description="The query; one row per user.")


class UsersSums(Strict):
    """Sums over users that another warehouse has made: a row per metric and variant."""

    aggregates: str = Field(
        description="Files of sums, as `verdict schema --aggregates` describes their rows; a glob, "
        "relative to the spec."
    )
    by_day: bool = Field(
        False,
        description="Every row has the `day` of its users' first exposure, so that they are judged "
        "over time. Without it they are judged once, at the plan's end, as a fixed-horizon test.",
    )
    segments: list[str] = Field(
        default_factory=list,
        description="Dimensions of the rows' `segment` (`country = DE`), or `stratum`.",
    )


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

    prometheus: ServerField = Field(description="The server of the counters.")
    metric: str = Field(description="The counter's name.")
    exposed: str = Field("exposed", description="Value of `outcome` that counts exposures.")


def _requests_source(value: object) -> object:
    """The short form `prometheus: URL` stands for a server with this URL."""
    if isinstance(value, dict) and "prometheus" in value and "url" not in value:
        rest = {key: item for key, item in value.items() if key != "prometheus"}
        return {"url": value["prometheus"], **rest}
    if isinstance(value, str):
        raise ValueError("must be {prometheus: URL} or {recording: FILE}")
    return value


def _kind_of_rows(value: Any) -> str:
    return "postgres" if _has(value, "query") or _has(value, "dsn_env") else "files"


def _kind_of_users(value: Any) -> str:
    return "sums" if _has(value, "aggregates") else _kind_of_rows(value)


def _has(value: Any, field: str) -> bool:
    return field in value if isinstance(value, dict) else hasattr(value, field)


RequestsField = Annotated[
    Annotated[PrometheusSource, Tag("prometheus")] | Annotated[RecordingSource, Tag("recording")],
    Discriminator(lambda value: "recording" if _has(value, "recording") else "prometheus"),
    BeforeValidator(
        _requests_source,
        json_schema_input_type=PrometheusSource | PrometheusUrl | RecordingSource,
    ),
]
RowsField = Annotated[
    Annotated[FileSource, Tag("files")] | Annotated[PostgresSource, Tag("postgres")],
    Discriminator(_kind_of_rows),
]


UsersField = Annotated[
    Annotated[UsersFile, Tag("files")]
    | Annotated[UsersQuery, Tag("postgres")]
    | Annotated[UsersSums, Tag("sums")],
    Discriminator(_kind_of_users),
]


RowSource = FileSource | PostgresSource | UsersFile | UsersQuery


class Sources(Strict):
    """Where requests, exposures and outcomes come from."""

    requests: RequestsField | None = Field(None, description="The mesh's server, or a recording.")
    exposures: RowsField | None = Field(None, description="Who met which variant, when.")
    outcomes: RowsField | None = Field(None, description="What users did, when.")
    users: UsersField | None = Field(
        None,
        description="Instead of exposures and outcomes: a table with one row per user, or sums.",
    )
    conversions: CounterSource | None = Field(
        None, description="Counters of users, instead of rows."
    )
    metrics: ServerField | None = Field(
        None,
        description="The server of the counters and queries that metrics name; by default that of "
        "requests.",
    )

    @property
    def rows(self) -> dict[str, RowSource]:
        """Where rows of users come from, by what they are: exposures and outcomes."""
        table = None if isinstance(self.users, UsersSums) else self.users
        given = {"exposures": self.exposures or table, "outcomes": self.outcomes or table}
        return {kind: source for kind, source in given.items() if source is not None}

    @property
    def is_timeless(self) -> bool:
        """Whether nothing says when users were exposed and did what they did."""
        if isinstance(self.users, UsersSums):
            return not self.users.by_day
        return self.users is not None and self.users.at is None

    @property
    def sums(self) -> UsersSums | None:
        """Where sums over users come from, in place of rows of users."""
        return self.users if isinstance(self.users, UsersSums) else None
