"""A Spark Connect server: what rows a view has, and what is in files that only it sees."""

from __future__ import annotations

import os
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from flows.formats.apart import begin
from flows.formats.safe_text import hide, read_secret, safe_url
from flows.ingest.engine.remote_rows import RemoteAnswer
from flows.ingest.engine.views import RemoteView
from flows.ingest.sources.samples import SourceRefused, SourceUnavailable
from flows.ingest.sources.user_rows import UserDataRefused
from flows.spec.engine import Engine

_PORT = 15002
_CONNECT_S = 5.0
# How long a server may take to hear that nobody waits for its answer any more.
_LEAVE_S = 10.0
_OLDEST = (4, 0)
# A server that vanishes without a word is given up after half a minute.
_CHANNEL = [
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]
_RETRIES: dict[str, Any] = {
    "max_retries": 3,
    "initial_backoff": 200,
    "max_backoff": 2_000,
    "jitter": 100,
}
_MISSING = ("PATH_NOT_FOUND", "No files found", "No such file", "does not exist", "not found in")
# Rows that are made once, of which much is asked.
_READ_OFTEN = ("copy", "create or replace temporary table")
_T = TypeVar("_T")


class SparkCluster:
    """A session on a server, begun with the first question."""

    def __init__(self, engine: Engine) -> None:
        self.where = f"Spark at {safe_url(engine.spark)}"
        self._engine = engine
        self._until: float | None = None
        self._open: Any = None
        self._made: dict[str, Any] = {}

    def ask(self, view: RemoteView) -> RemoteAnswer:
        """The rows of a view.

        Raises SourceUnavailable (no connection, or lost), SourceRefused (it can't do what it is
        asked) or UserDataRefused (it doesn't see the files).
        """
        found = self._told(lambda: self._frame(view).toArrow())
        rows = [tuple(map(_plain, row.values())) for row in found.to_pylist()]
        return RemoteAnswer(found.column_names, rows)

    def schema(self, view: RemoteView) -> Any:
        """The Arrow schema of files. Raises what ask raises."""
        found = self._told(lambda: self._frame(view).limit(0).toArrow().schema)
        if not len(found):
            raise self._unseen(", ".join(view.files))
        return found

    def state(self, files: Sequence[str]) -> str:
        """What tells that files changed, as their store has it; '' where it doesn't say."""

        def listed() -> Any:
            found = self._session.read.format("binaryFile").load(list(files))
            return found.select("path", "length", "modificationTime").toArrow()

        try:
            rows = self._told(listed).to_pylist()
        except (SourceRefused, UserDataRefused):
            return ""
        return "; ".join(sorted(f"{tuple(row.values())}" for row in rows))

    def close(self) -> None:
        """Ends the session."""
        if self._open is not None:
            with warnings.catch_warnings(), suppress(TimeoutError):
                warnings.simplefilter("ignore")
                begin(self._open.stop).result(_LEAVE_S)

    @property
    def _session(self) -> Any:
        if self._open is None:
            self._open = _connect(self._engine, self.where)
        return self._open

    def _frame(self, view: RemoteView) -> Any:
        """The view on the server, made with all that it rests on."""
        from flows.ingest.engine.spark_sql import spark_sql  # noqa: PLC0415

        for each in view.chain():
            if each.key in self._made:
                continue
            if each.files:
                frame = self._session.read.parquet(*each.files)
            else:
                tables = {name: _named(read) for name, read in each.reads.items()}
                frame = self._session.sql(
                    spark_sql(each.statement, each.parameters, tables, each.macros)
                )
            if each.statement.startswith(_READ_OFTEN):
                frame = frame.persist()
            frame.createOrReplaceTempView(_named(each))
            self._made[each.key] = frame
        return self._made[view.key]

    def _told(self, asked: Callable[[], _T]) -> _T:
        """What it answers, or what is wrong in one line."""
        try:
            from flows.ingest.engine.spark_rules import NotInSpark  # noqa: PLC0415
        except ImportError as error:
            raise _without_extra(self.where, error) from error
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return self._in_time(asked)
            except NotInSpark as error:
                raise SourceRefused(f"{self.where}: has no word for {error}") from error
            except (SourceRefused, SourceUnavailable):
                raise
            except Exception as error:
                if not _is_of_spark(error):
                    raise
                raise self._explained(error) from error

    def _in_time(self, asked: Callable[[], _T]) -> _T:
        """What is answered before all questions together have taken too long."""
        patience_s = self._engine.timeout.total_seconds()
        if self._until is None:
            self._until = time.monotonic() + patience_s
        answer = begin(asked)
        try:
            return answer.result(max(0.0, self._until - time.monotonic()))
        except TimeoutError:
            if answer.done():
                raise
        if self._open is not None:
            # What it works out is of use to nobody; it may be as deaf as it is slow.
            stopping = begin(self._open.interruptAll)
            with suppress(Exception):
                stopping.result(_LEAVE_S)
        raise SourceUnavailable(
            f"{self.where}: not all was answered within {patience_s:g} s. "
            "If it needs longer, set `engine.timeout`"
        )

    def _explained(self, error: Exception) -> Exception:
        details = getattr(error, "details", None)
        said = " ".join(str(details() if callable(details) else error).split())[:300]
        if _is_lost(error):
            if self._open is not None:
                self._open.release_session_on_close = False
            return SourceUnavailable(f"{self.where}: the connection was lost: {said}")
        if any(word in said for word in _MISSING):
            return self._unseen(said)
        return SourceRefused(f"{self.where}: {said}")

    def _unseen(self, said: str) -> UserDataRefused:
        return UserDataRefused(
            f"{self.where} doesn't see the files: {said}. They must be in object storage, or in a "
            "folder that every worker has under the same path"
        )


@contextmanager
def spark_cluster(engine: Engine) -> Iterator[SparkCluster]:
    """A server for the with block."""
    cluster = SparkCluster(engine)
    try:
        yield cluster
    finally:
        cluster.close()


def _without_extra(where: str, error: ImportError) -> SourceRefused:
    return SourceRefused(
        f"{where}: needs the extra `spark`: pip install 'split-verdict[spark]' ({error})"
    )


def _connect(engine: Engine, where: str) -> Any:
    """A session. Raises SourceUnavailable or SourceRefused."""
    address = urlsplit(engine.spark)
    try:
        peer = (address.hostname or "", address.port or _PORT)
        socket.create_connection(peer, timeout=_CONNECT_S).close()
    except (OSError, ValueError) as error:
        raise SourceUnavailable(f"{where}: can't be reached: {error}") from error
    with warnings.catch_warnings(), _main_file():
        # It says that it knows no pandas 3 yet, of which nothing is used.
        warnings.simplefilter("ignore")
        try:
            from pyspark.sql.connect.client import DefaultChannelBuilder  # noqa: PLC0415
            from pyspark.sql.connect.client.retries import DefaultPolicy  # noqa: PLC0415
            from pyspark.sql.connect.session import SparkSession  # noqa: PLC0415
        except ImportError as error:
            raise _without_extra(where, error) from error
        channel = DefaultChannelBuilder(_url(engine), _CHANNEL)
        session = SparkSession.builder.channelBuilder(channel).create()
        session.client.set_retry_policies([DefaultPolicy(**_RETRIES)])
        version = str(session.version)
        if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
            session.stop()
            raise SourceRefused(f"{where}: is Spark {version}, must be 4.0 or later")
        session.conf.set("spark.sql.session.timeZone", "UTC")
    return session


@contextmanager
def _main_file() -> Iterator[None]:
    """Gives the process a main file: pyspark takes one without (python -c) for its doctests."""
    main = sys.modules["__main__"]
    is_missing = not hasattr(main, "__file__")
    if is_missing:
        main.__file__ = ""
    try:
        yield
    finally:
        if is_missing:
            del main.__file__


def _url(engine: Engine) -> str:
    """With the token that the environment has."""
    for part in urlsplit(engine.spark).path.split(";")[1:]:
        name, _, value = part.partition("=")
        if name == "token":
            hide(value)
    if engine.token_env is None:
        return engine.spark
    try:
        token = read_secret(os.environ, engine.token_env, is_token=True)
    except ValueError as error:
        raise SourceRefused(f"engine.token_env: {error}") from error
    path = urlsplit(engine.spark).path
    return f"{engine.spark}{'' if path else '/'};token={quote(token, safe='')}"


def _named(view: RemoteView) -> str:
    return f"verdict_{view.key}"


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _is_of_spark(error: Exception) -> bool:
    return type(error).__module__.split(".")[0] in ("pyspark", "grpc")


def _is_lost(error: Exception) -> bool:
    """Whether the server went away, or the network did."""
    code = getattr(error, "code", None)
    name = getattr(code() if callable(code) else None, "name", "")
    told = f"{name} {error}"
    return any(word in told for word in ("UNAVAILABLE", "CANCELLED", "Connection", "Socket closed"))
