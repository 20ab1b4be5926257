"""The service's endpoints."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboards.exported_metrics import render_metrics
from flows.formats.time import as_utc
from flows.publish.latest_metrics import latest_metrics
from flows.service import argo, flagger
from flows.service.authentication import Authentication
from flows.service.guard import Guard
from flows.service.health import ServiceMetrics, readiness_of
from flows.service.http import Limits, Refused, json_object, json_response, read_body, shown
from flows.service.shared_calls import Overloaded, SharedCalls, TookTooLong
from flows.service.verdicts import Looks, named, of_service
from flows.warehouse.connection import WarehouseBusy, WarehouseUnusable
from flows.workspace.experiments import select_readable
from flows.workspace.paths import Workspace

_log = logging.getLogger(__name__)

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
# Files and the warehouse are read beside the looks: a slow source must not stop a probe.
_READERS = 2
_READ_TIMEOUT_S = 10.0


class Endpoints:
    """The endpoints of one workspace."""

    def __init__(
        self,
        workspace: Workspace,
        authentication: Authentication,
        limits: Limits,
        metrics: ServiceMetrics,
    ) -> None:
        self._workspace = workspace
        self._authentication = authentication
        self._limits = limits
        self._metrics = metrics
        self._looks = Looks(workspace, limits, metrics)
        self._reads = SharedCalls(
            workers=_READERS, waiting=limits.waiting, timeout_s=_READ_TIMEOUT_S
        )

    async def webhook(self, request: Request) -> Response:
        """One of Flagger's webhooks."""
        kind = request.path_params["kind"]
        if kind not in flagger.HOOKS:
            known = ", ".join(flagger.HOOKS)
            raise Refused(404, f"there is no webhook type {shown(kind)}; there are {known}")
        call = flagger.parse_call(json_object(await read_body(request, self._limits)))
        document = await self._looks.look(await self._experiment_of(call))
        status, body = flagger.answer(kind, document)
        return json_response(body, status=status)

    async def measurement(self, request: Request) -> Response:
        """The value for Argo Rollouts' web metric provider."""
        name = named(self._workspace, request.path_params["experiment"])
        return json_response(argo.measurement(await self._looks.look(name)))

    async def verdict(self, request: Request) -> Response:
        """The whole verdict document, as `verdict gate --json` prints it."""
        await read_body(request, self._limits)
        name = named(self._workspace, request.path_params["experiment"])
        document = await self._looks.look(name, _time_asked(request))
        return Response(
            document.to_json(),
            media_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def metrics(self, _: Request) -> Response:
        """The exported metrics of all experiments, and the service's own."""
        try:
            exported = await self._reads.call("metrics", None, self._exported)
        except (Overloaded, TookTooLong, WarehouseBusy, WarehouseUnusable) as error:
            _log.warning("the experiments' metrics can't be read: %s", error)
            return Response(self._metrics.render(warehouse_readable=False), media_type=_TEXT)
        return Response(exported + self._metrics.render(warehouse_readable=True), media_type=_TEXT)

    async def healthz(self, _: Request) -> Response:
        """Whether the process answers."""
        return json_response({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Whether specs and warehouse are readable; what is wrong, to those with the token."""
        try:
            found = await self._reads.call(
                "readiness", None, functools.partial(readiness_of, self._workspace)
            )
        except (Overloaded, TookTooLong):
            return json_response({"ready": False}, status=503)
        body: dict[str, object] = {"ready": found.is_ready}
        if self._authentication.allows(request.headers):
            body |= {
                "experiments": found.experiments,
                "warehouse": found.warehouse,
                "problems": found.problems,
                "stuck": {
                    name: f"its look runs for {seconds:.0f} s"
                    for name, seconds in self._looks.stuck().items()
                },
            }
        return json_response(body, status=200 if found.is_ready else 503)

    def close(self) -> None:
        """Waits for what runs."""
        self._looks.close()
        self._reads.close()

    async def _experiment_of(self, call: flagger.Call) -> str:
        if call.experiment is not None:
            return named(self._workspace, call.experiment)
        find = functools.partial(of_service, self._workspace, call.name, call.namespace)
        try:
            return await self._reads.call("specs", (call.name, call.namespace), find)
        except (Overloaded, TookTooLong) as error:
            raise Refused(
                503, "the specs could not be read in time: call again", {"Retry-After": "5"}
            ) from error

    def _exported(self) -> str:
        """In a worker thread."""
        if not self._workspace.warehouse.exists():
            return ""
        specs = select_readable(self._workspace).experiments
        return render_metrics(latest_metrics(self._workspace.warehouse, specs))


def application(workspace: Workspace, *, token: str | None, limits: Limits) -> Starlette:
    """The ASGI application; without a token it answers calls to this machine only."""
    metrics = ServiceMetrics()
    authentication = Authentication(token)
    endpoints = Endpoints(workspace, authentication, limits, metrics)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        endpoints.close()

    app = Starlette(
        routes=[
            Route("/flagger/{kind}", endpoints.webhook, methods=["POST"]),
            Route("/argo/{experiment}", endpoints.measurement, methods=["GET"]),
            Route("/verdict/{experiment}", endpoints.verdict, methods=["GET", "POST"]),
            Route("/metrics", endpoints.metrics, methods=["GET"]),
            Route("/healthz", endpoints.healthz, methods=["GET"]),
            Route("/readyz", endpoints.readyz, methods=["GET"]),
        ],
        middleware=[
            Middleware(Guard, authentication=authentication, limits=limits, metrics=metrics)
        ],
        exception_handlers={Refused: _refused, HTTPException: _unrouted, Exception: _broken},
        lifespan=lifespan,
    )
    # A redirect would repeat whatever host the caller has named.
    app.router.redirect_slashes = False
    return app


def _time_asked(request: Request) -> datetime | None:
    """The time in ?at=; None for now. Raises Refused (400), also for what is misspelt."""
    unknown = sorted(set(request.query_params) - {"at"})
    if unknown:
        raise Refused(400, f"there is no parameter {shown(unknown[0])}; there is at=TIME")
    text = request.query_params.get("at")
    if text is None:
        return None
    try:
        # A NUL at the end is nothing to fromisoformat.
        if not text.isprintable():
            raise ValueError(text)
        return as_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise Refused(
            400, f"at={shown(text)} is no time; write it like 2026-01-31T12:00:00Z"
        ) from error


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error.response()


def _unrouted(request: Request, error: Exception) -> Response:
    """404 and 405 of the router, in our form."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        message = f"{request.method} is not answered here"
    else:
        message = "there is nothing at this path"
    return Refused(error.status_code, message, error.headers or {}).response()


def _broken(_: Request, error: Exception) -> Response:
    """A mistake of ours: the log has the traceback, the caller a sentence."""
    return Refused(
        500, f"the service failed ({type(error).__name__}); its log says where"
    ).response()
