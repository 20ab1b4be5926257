"""What an engine answered at a pull, kept for looks: they ask it nothing."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from flows.ingest.engine.remote_rows import RemoteAnswer, RemoteRows
from flows.ingest.engine.views import RemoteView, dumped, loaded, read, written
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run

if TYPE_CHECKING:
    from flows.ingest.engine.spark_cluster import SparkCluster

_VIEWS, _READ_AS = "views", "read as"


def keep_answers(
    con: Connection,
    spec: Experiment,
    views: Mapping[str, RemoteView],
    answers: Mapping[str, RemoteAnswer],
    *,
    read_as: str,
) -> None:
    """Replaces what is kept of an experiment: its tables of rows, and what was asked of them.

    read_as: identity of the files and of all else that the answers rest on; '' if not known.
    """
    run(con, "load/forget_engine_answers", experiment=spec.experiment)
    texts = {key: written([each.columns, each.rows]) for key, each in answers.items()}
    texts |= {_VIEWS: dumped(views), _READ_AS: read_as}
    run(
        con,
        "load/engine_answers",
        experiment=spec.experiment,
        questions=list(texts),
        answers=list(texts.values()),
    )


def is_read_as(con: Connection, spec: Experiment, read_as: str) -> bool:
    """Whether the last pull read the same."""
    return bool(read_as) and _kept(con, spec, _READ_AS) == read_as


def rows_of(con: Connection, spec: Experiment) -> Connection:
    """The connection, with the tables of users' rows where they are.

    What wasn't asked at the last pull (a look at an earlier time) is asked of the engine now.
    """
    if spec.engine is None or isinstance(con, RemoteRows):
        return con
    kept = _kept(con, spec, _VIEWS)
    if kept is None:
        return con

    clusters: list[SparkCluster] = []

    def ask(view: RemoteView) -> RemoteAnswer:
        known = _kept(con, spec, view.key)
        if known is not None:
            return answer_of(known)
        if not clusters:
            clusters.append(_cluster(spec))
        return clusters[0].ask(view)

    remote = RemoteRows(con, loaded(kept), ask)
    weakref.finalize(remote, _close_all, clusters)
    return cast("Connection", remote)


def answer_of(text: str) -> RemoteAnswer:
    """An answer as it was kept."""
    columns, rows = read(text)
    return RemoteAnswer(columns, [tuple(row) for row in rows])


def _close_all(clusters: list[SparkCluster]) -> None:
    for each in clusters:
        each.close()


def _cluster(spec: Experiment) -> SparkCluster:
    from flows.ingest.engine.spark_cluster import SparkCluster  # noqa: PLC0415

    if spec.engine is None:
        raise ValueError(f"{spec.experiment} has no engine")
    return SparkCluster(spec.engine)


def _kept(con: Connection, spec: Experiment, question: str) -> str | None:
    row = run(
        con, "aggregate/engine_answer", experiment=spec.experiment, question=question
    ).fetchone()
    return None if row is None else str(row[0])
