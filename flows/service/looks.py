"""Takes looks for callers: the same look as `verdict gate` takes."""

from __future__ import annotations

import functools
import logging
from datetime import datetime

from flows.look import look_at_experiment
from flows.look_time import TimeInFuture, look_time
from flows.service.limits import Limits
from flows.service.refusal import Refused
from flows.service.service_metrics import ServiceMetrics
from flows.service.shared_calls import Overloaded, SharedCalls, TookTooLong
from flows.trouble import TROUBLE
from flows.verdict_document import VerdictDocument
from flows.workspace import Workspace

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

    async def look(self, experiment: str, at: datetime | None = None) -> VerdictDocument:
        """The verdict on an experiment that exists. Raises Refused (400 or 503)."""
        try:
            look_time(at)
            return await self._calls.call(
                experiment, at, functools.partial(self._take, experiment, at)
            )
        except TimeInFuture as error:
            raise Refused(400, f"at: {error}") from error
        except TookTooLong as error:
            waited = f"{self._limits.verdict_timeout_s:g} s"
            raise Refused(503, f"no verdict within {waited}: call again", _AGAIN) from error
        except Overloaded as error:
            raise Refused(503, "too many looks wait already: call again", _AGAIN) from error
        except TROUBLE as error:
            raise Refused(503, f"{experiment} can't be judged: {error}", _AGAIN) from error

    def close(self) -> None:
        """Waits for the looks that run."""
        self._calls.close()

    def _take(self, experiment: str, at: datetime | None) -> VerdictDocument:
        """In a worker thread."""
        with self._metrics.looking():
            try:
                document = look_at_experiment(
                    self._workspace,
                    experiment,
                    at=at,
                    warn=functools.partial(_log.warning, "%s: %s", experiment),
                )
            except TROUBLE as error:
                self._metrics.failed_look()
                _log.warning("%s can't be judged: %s", experiment, error)
                raise
        self._metrics.look(document.decision)
        _log.info("%s: %s at %s", experiment, document.decision.value, document.look_at)
        return document
