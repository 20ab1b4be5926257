"""The Prefect flows: thin wrappers that add retries, time-outs, limits, run names and artifacts.

What they run are the plain functions that the command line runs too, so a gate never pays for
Prefect's start. prefect.yaml has their deployments and schedules.

Annotations are evaluated here (no `from __future__ import annotations`): Prefect loads a scheduled
flow outside of any module, where it could not look their names up.
"""

import json
from asyncio import CancelledError
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from prefect import State, flow, get_run_logger, task
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ExternalSignal, ObjectAlreadyExists, PrefectException
from prefect.states import Completed

from flows.delivery.approve import decide as decide_on
from flows.delivery.deliver import STOPS, deliver
from flows.formats.problems import UserError
from flows.formats.safe_text import make_logs_safe, safe_text, safe_traceback
from flows.ingest.pull import pull_experiment
from flows.ingest.sources.samples import SourceUnavailable
from flows.look.look import look_at_experiment
from flows.look.look_time import look_time
from flows.look.plan_is_over import as_of_now
from flows.look.side_by_side import look_apart
from flows.notify import note_failure, send_notifications, warn_of_wrong_urls
from flows.prefect_artifacts import show_dashboard, show_published, show_table, show_verdict
from flows.publish.publish_all import publish_all
from flows.publish.run_metrics import measured_run
from flows.warehouse.connection import WRITERS_TURN, WarehouseBusy
from flows.workspace.experiments import find_spec, select
from flows.workspace.paths import Workspace

make_logs_safe()
WRITER_LIMIT = "warehouse-writer"
_RETRIES = 3
_TIMEOUT_S = 600
# A run that is killed keeps its slot for so long; Prefect's default is five minutes.
_LEASE_S = 60
# From so many experiments on they are scored in processes of their own, one a core.
_MANY = 8
_STOPS = (*STOPS, ExternalSignal, CancelledError)  # how Prefect stops a run
_Decision = Literal["approve", "abort"]


class RunFailed(Exception):
    """A mistake of ours; the log has its traceback."""


class ExperimentsFailed(Exception):
    """Some experiments could not be judged; the others were."""


@contextmanager
def _writer_slot() -> Iterator[None]:
    """One writer at a time over all flow runs of a server; the warehouse's own lock is the guard.

    Waiting for a slot here leaves the lock's bounded wait to trouble that nobody planned.
    """
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        # Another task may make the limit at this very moment: then it is there, as wanted.
        client.upsert_global_concurrency_limit_by_name(WRITER_LIMIT, 1)
    with concurrency(
        WRITER_LIMIT,
        occupy=1,
        timeout_seconds=_TIMEOUT_S,
        lease_duration=_LEASE_S,
        strict=True,
    ):
        yield


@contextmanager
def _in_turns() -> Iterator[None]:
    """Within, each write waits for its slot; what is read and worked out needs none."""
    token = WRITERS_TURN.set(_writer_slot)
    try:
        yield
    finally:
        WRITERS_TURN.reset(token)


@contextmanager
def _told_safely() -> Iterator[None]:
    """What nobody thought of becomes the state's message, which Prefect keeps: without secrets."""
    try:
        yield
    except (UserError, PrefectException, TimeoutError):
        # Safe already, or what Prefect itself goes by.
        raise
    except Exception as error:  # noqa: BLE001 - its traceback is in the log
        get_run_logger().error("%s", safe_traceback(error))
        raise RunFailed(safe_text(f"{type(error).__name__}: {error}")) from None


def _is_worth_a_retry(_task: Any, _run: Any, state: Any) -> bool:
    """A server that was down may be up again; a wrong spec stays wrong."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, SourceUnavailable | WarehouseBusy)


@task(
    task_run_name="pull-{experiment}",
    retries=_RETRIES,
    retry_delay_seconds=[5, 20, 60],
    retry_condition_fn=_is_worth_a_retry,
    timeout_seconds=_TIMEOUT_S,
    persist_result=False,  # the flow's is
)
def pull_one(experiment: str, root: str, until: datetime | None = None) -> list[str]:
    """Brings the warehouse up to date for one experiment; returns what was pulled."""
    workspace = Workspace(Path(root))
    pull_until = look_time(until)
    path, spec = find_spec(workspace.experiments, experiment)
    with _told_safely(), _in_turns():
        pulled = pull_experiment(spec, workspace.warehouse, spec_dir=path.parent, until=pull_until)
    for warning in pulled.warnings:
        get_run_logger().warning(warning)
    return list(pulled.summary)


@task(
    task_run_name="score-{experiment}",
    retries=_RETRIES,
    retry_delay_seconds=[5, 20, 60],
    retry_condition_fn=_is_worth_a_retry,
    timeout_seconds=_TIMEOUT_S,
    persist_result=False,  # the flow's is
)
def score_one(
    experiment: str, root: str, at: datetime | None = None, apart: bool = False
) -> dict[str, Any]:
    """The verdict of one look at one experiment, as its JSON document.

    apart: in a process of its own, beside others'.
    """
    look_time(at)  # before it waits for its turn
    workspace = Workspace(Path(root))
    with _told_safely(), _in_turns():
        if apart:
            looked = look_apart(workspace.root, experiment, at)
            document = looked.document
            for warning in looked.warnings:
                get_run_logger().warning(warning)
        else:
            warn = get_run_logger().warning
            document = look_at_experiment(workspace, experiment, at=at, warn=warn)
        send_notifications(workspace.warehouse, get_run_logger().warning)
    show_verdict(workspace, document)
    show_dashboard(workspace, find_spec(workspace.experiments, experiment)[1])
    answer: dict[str, Any] = json.loads(document.to_json())
    return answer


# Flows of one task have no time-out of their own: within theirs, the task's could not interrupt a
# read that hangs (Prefect sets one alarm a process).
# What a flow returns is its run's state with a message, so that a caller over Prefect's API learns
# it from the run itself, and its result is kept (as JSON, in the result storage) where it is asked
# for on demand.


@flow(
    name="pull",
    flow_run_name="pull-{experiment}",
    persist_result=True,
    result_serializer="json",
)
def pull(experiment: str, root: str = ".", until: datetime | None = None) -> State[list[str]]:
    """Brings the warehouse up to date for one experiment."""
    summary = pull_one(experiment, root, until)
    return Completed(message="; ".join(summary), data=summary)


@flow(
    name="score",
    flow_run_name="score-{experiment}",
    persist_result=True,
    result_serializer="json",
)
def score(experiment: str, at: datetime | None = None, root: str = ".") -> State[dict[str, Any]]:
    """The verdict of one look (now, if no time is said): what a gate calls over Prefect's API.

    The run's state is named after the decision (Promote, Hold, Rollback, Invalid) and its message
    has the reasons; its type is COMPLETED, whatever was decided. The result is the verdict's JSON
    document.
    """
    spec = find_spec(Workspace(Path(root)).experiments, experiment)[1]
    document = dict(as_of_now(spec, score_one(experiment, root, at), look_time(at)))
    return Completed(
        name=document["decision"].capitalize(),
        message="; ".join(document["reasons"]),
        data=document,
    )


@flow(name="publish", timeout_seconds=_TIMEOUT_S)
def publish(root: str = ".") -> State[list[str]]:
    """Publishes marts and dashboards; returns the paths.

    Raises ExperimentsFailed at the end if a spec can't be read; the others' are there then.
    """
    workspace = Workspace(Path(root))
    chosen = select(workspace)
    with _told_safely():
        paths = publish_all(workspace, chosen) if chosen.specs else []
    show_published(paths)
    for spec in chosen.experiments:
        show_dashboard(workspace, spec)
    if chosen.broken:
        raise ExperimentsFailed("; ".join(chosen.problems))
    written = [str(path) for path in paths]
    return Completed(message=f"{len(written)} files written", data=written)


@flow(name="run-experiments", timeout_seconds=3600)
def run_experiments(root: str = ".", at: datetime | None = None) -> State[list[dict[str, Any]]]:
    """Scores every experiment and publishes; one that fails doesn't stop the others.

    Raises ExperimentsFailed at the end if any failed, so that the run shows red.
    """
    workspace = Workspace(Path(root))
    chosen = select(workspace)
    names = [spec.experiment for spec in chosen.experiments]
    warn_of_wrong_urls(workspace.warehouse, get_run_logger().warning)
    with measured_run(workspace, get_run_logger().warning) as notes:
        notes.experiments = len(names) + len(chosen.broken)
        documents, failed = _run_named(names, chosen.broken, root, at)
        notes.failed += failed
    for name, why in failed.items():
        note_failure(workspace.warehouse, name, why)
    if failed:
        send_notifications(workspace.warehouse, get_run_logger().warning)
        raise ExperimentsFailed("; ".join(f"{name}: {why}" for name, why in failed.items()))
    said = "; ".join(f"{one['experiment']}: {one['decision']}" for one in documents)
    return Completed(message=said, data=documents)


def _run_named(
    names: list[str], broken: Mapping[str, Exception], root: str, at: datetime | None
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Scores and publishes; the verdicts, and why others failed."""
    # In a worker thread Prefect can't keep a time-out, and warns of each; the sources have theirs.
    unbounded = score_one.with_options(timeout_seconds=0)
    # To start processes takes seconds, which a few looks don't.
    apart = len(names) >= _MANY
    futures = {name: unbounded.submit(name, root, at, apart) for name in names}
    documents: list[dict[str, Any]] = []
    failed = {name: str(error) for name, error in broken.items()}
    for name, future in futures.items():
        found = future.result(raise_on_failure=False)
        if isinstance(found, dict):
            documents.append(found)
        else:
            failed[name] = safe_text(str(future.state.message))
    show_table(documents, failed)
    if documents:
        # A broken spec is among the failed ones already.
        with suppress(ExperimentsFailed):
            publish(root)
    return documents, failed


@flow(
    name="deliver",
    flow_run_name="deliver-{experiment}",
    persist_result=True,
    result_serializer="json",
)
def deliver_traffic(
    experiment: str, root: str = ".", once: bool = False, again: bool = False
) -> State[str]:
    """Shifts an experiment's traffic stage by stage; returns how it ended, or the stage it is in.

    With once it takes one step: on a schedule, a delivery whose worker died goes on with the next.
    """
    said, workspace = "", Workspace(Path(root))
    with _told_safely():
        for step in deliver(workspace, experiment, once=once, again=again, stops=_STOPS):
            now = step.state
            said = f"stage {now.stage} of {now.stages}" if now.outcome is None else now.outcome
            get_run_logger().info("%s: %s", said, step.said)
            if step.document is not None:
                show_verdict(workspace, step.document)
    return Completed(message=said, data=str(said))


@flow(name="decide", flow_run_name="{decision}-{experiment}")
def decide(
    experiment: str, decision: _Decision, reason: str, root: str = ".", stage: int | None = None
) -> None:
    """What a person decides (as `verdict approve`, `abort`); a controller acts on it in seconds."""
    decide_on(Workspace(Path(root)), experiment, decision, reason, stage)
