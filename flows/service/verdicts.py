"""Takes looks for callers: the same look as `verdict gate` takes."""

from __future__ import annotations

import functools
import json
import logging
import re
from datetime import UTC, datetime

from analysis.verdict import Decision
from flows.formats.problems import UserError
from flows.look.dependencies import waits_for
from flows.look.look import (
    TimeBeforeStart,
    check_begun,
    look_at_experiment,
)
from flows.look.look_time import TimeInFuture, look_time
from flows.look.plan_is_over import as_of_now
from flows.look.verdict_document import VerdictDocument, stored_document
from flows.notify import Sender
from flows.service.grants import Grant
from flows.service.health import ServiceMetrics
from flows.service.http import Limits, Refused, shown
from flows.service.shared_calls import Overloaded, SharedCalls, TookTooLong
from flows.spec.fields import NAME_PATTERN
from flows.warehouse.connection import open_reader
from flows.workspace.experiments import find_spec, select_readable
from flows.workspace.paths import Workspace

_log = logging.getLogger(__name__)


_AGAIN = {"Retry-After": "5"}


class Looks:
    """One look per experiment at a time; who asks the same within a second shares the answer."""

    def __init__(self, workspace: Workspace, limits: Limits, metrics: ServiceMetrics) -> None:
        self._workspace = workspace
        self._limits = limits
        self._metrics = metrics
        self._calls = SharedCalls(
            workers=limits.workers, waiting=limits.waiting, timeout_s=limits.verdict_timeout_s
        )
        self._mail = Sender(workspace.warehouse, _log.warning)

    async def look(self, experiment: str, at: datetime | None = None) -> VerdictDocument:
        """The verdict on an experiment that exists. Raises Refused (400 or 503)."""
        try:
            look_time(at)
            return await self._calls.call(
                experiment, at, functools.partial(self._take, experiment, at)
            )
        except (TimeBeforeStart, TimeInFuture) as error:
            raise Refused(400, f"at: {error}") from error
        except TookTooLong as error:
            waited = f"{self._limits.verdict_timeout_s:g} s"
            raise Refused(503, f"no verdict within {waited}: call again", _AGAIN) from error
        except Overloaded as error:
            raise Refused(503, "too many looks wait already: call again", _AGAIN) from error
        except UserError as error:
            raise Refused(503, f"{experiment} can't be judged: {error}", _AGAIN) from error

    def stuck(self) -> dict[str, float]:
        """Experiments whose look hangs, since how many seconds."""
        return self._calls.stuck()

    def close(self) -> None:
        """Waits for the looks that run, as long as the end of the process may take."""
        self._calls.close()

    def _take(self, experiment: str, at: datetime | None) -> VerdictDocument:
        """In a worker thread."""
        with self._metrics.looking():
            try:
                if at is not None:
                    check_begun(self._workspace, experiment, at)
                document = look_at_experiment(
                    self._workspace,
                    experiment,
                    at=at,
                    warn=functools.partial(_log.warning, "%s: %s", experiment),
                )
                document = self._as_of_now(experiment, document, at)
            except TimeBeforeStart:
                raise
            except UserError as error:
                self._metrics.failed_look()
                _log.warning("%s can't be judged: %s", experiment, error)
                raise
        # Who asks for a verdict doesn't wait for a mail server.
        self._mail.send()
        self._metrics.look(document.decision)
        _log.info("%s: %s at %s", experiment, document.decision.value, document.look_at)
        return document

    def _as_of_now(
        self, experiment: str, document: VerdictDocument, at: datetime | None
    ) -> VerdictDocument:
        if document.decision is not Decision.PROMOTE:
            return document
        spec = find_spec(self._workspace.experiments, experiment)[1]
        verdict = json.loads(document.to_json())
        told = as_of_now(spec, verdict, look_time(at))
        return document if told is verdict else stored_document(told)


def named(workspace: Workspace, name: str) -> str:
    """The name, if there is such a spec; nothing else is ever made part of a path.

    Raises Refused (404).
    """
    is_name = re.fullmatch(NAME_PATTERN, name) is not None
    if not is_name or not (workspace.experiments / f"{name}.yaml").is_file():
        raise Refused(404, f"there is no experiment {shown(name)}")
    return name


def others_first(workspace: Workspace, experiment: str) -> str:
    """Which experiments must be promoted before this one may have traffic; "" for none.

    Raises Refused (503).
    """
    try:
        path, spec = find_spec(workspace.experiments, experiment)
        if not spec.after:
            return ""
        with open_reader(workspace.warehouse) as con:
            return "; ".join(waits_for(con, spec, path.parent, datetime.now(UTC)))
    except UserError as error:
        raise Refused(503, f"{experiment} can't be judged: {error}", _AGAIN) from error


def of_service(workspace: Workspace, service: str, namespace: str, grant: Grant) -> str:
    """The one experiment on a service. Raises Refused: 404 none, 409 several; 403 before both,
    unless the caller may decide of all that are on it.
    """
    found = [
        spec.experiment
        for spec in select_readable(workspace).experiments
        if (spec.service, spec.namespace) == (service, namespace)
    ]
    for name in found or [""]:
        grant.check(name, deciding=True)
    where = f"on service {shown(service)} in namespace {shown(namespace)}"
    if not found:
        raise Refused(404, f"there is no experiment {where}; name one in metadata.experiment")
    if len(found) > 1:
        raise Refused(
            409, f"there are several experiments {where}: {', '.join(found)}; "
            "name one in metadata.experiment",
        )  # fmt: skip
    return found[0]
