"""The service's endpoints."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboards.exported_metrics import render_metrics
from flows.formats.safe_text import safe_text
from flows.publish.latest_metrics import latest_metrics
from flows.service import argo, flagger
from flows.service.authentication import Authentication
from flows.service.events import Listeners
from flows.service.grants import Grant
from flows.service.guard import Guard, grant_of
from flows.service.health import Alive, ReadyAnswer, ServiceMetrics, readiness_of
from flows.service.http import Limits, Refused, json_object, json_response, read_body, shown
from flows.service.live_pages import LivePages
from flows.service.pages import PageEndpoints, refused_page
from flows.service.sessions import Sessions
from flows.service.shared_calls import Overloaded, SharedCalls, TookTooLong
from flows.service.verdict_query import parse_query
from flows.service.verdicts import Looks, named, of_service, others_first
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
        reads: SharedCalls,
    ) -> None:
        self._workspace = workspace
        self._authentication = authentication
        self._limits = limits
        self._metrics = metrics
        self._looks = Looks(workspace, limits, metrics)
        self._rounds = flagger.Rounds()
        self._reads = reads

    async def webhook(self, request: Request) -> Response:
        """One of Flagger's webhooks."""
        kind = request.path_params["kind"]
        if kind not in flagger.HOOKS:
            known = ", ".join(flagger.HOOKS)
            raise Refused(404, f"there is no webhook type {shown(kind)}; there are {known}")
        call = flagger.parse_call(json_object(await read_body(request, self._limits)))
        grant = grant_of(request)
        name = await self._experiment_of(call, grant)
        grant.check(name, deciding=True)
        self._rounds.note(kind, name)
        document = await self._looks.look(name)
        may_begin = self._rounds.is_first_step(kind, name, call) and not await self._read(
            "specs", ("after", name), functools.partial(others_first, self._workspace, name)
        )
        status, body = flagger.answer(kind, document, may_begin=may_begin)
        return json_response(body, status=status)

    async def measurement(self, request: Request) -> Response:
        """The value for Argo Rollouts' web metric provider."""
        name = self._named(request, deciding=True)
        return json_response(argo.measurement(await self._looks.look(name)))

    async def verdict(self, request: Request) -> Response:
        """The whole verdict document, as `verdict gate --json` prints it; the latest to readers."""
        await read_body(request, self._limits)
        at = parse_query(request.query_params).at
        is_reader = at is None and not grant_of(request).may_decide
        name = self._named(request, deciding=not is_reader)
        if is_reader:
            text = await self._read("verdict", name, functools.partial(self._latest, name))
        else:
            text = (await self._looks.look(name, at)).to_json()
        return Response(
            text,
            media_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def metrics(self, request: Request) -> Response:
        """The exported metrics of the caller's experiments, and the service's own."""
        grant = grant_of(request)
        read = functools.partial(self._exported, grant)
        try:
            exported = await self._reads.call("metrics", grant.experiments, read)
        except (Overloaded, TookTooLong, WarehouseBusy, WarehouseUnusable) as error:
            _log.warning("the experiments' metrics can't be read: %s", error)
            return Response(self._metrics.render(warehouse_readable=False), media_type=_TEXT)
        return Response(exported + self._metrics.render(warehouse_readable=True), media_type=_TEXT)

    async def healthz(self, _: Request) -> Response:
        """Whether the process answers."""
        return json_response(Alive().model_dump())

    async def readyz(self, request: Request) -> Response:
        """Whether specs and warehouse are readable; what is wrong, to those with the token."""
        answer, stuck = ReadyAnswer(ready=False), None
        if self._authentication.allows_all(request.headers):
            looks, reads = self._looks.stuck(), self._reads.stuck()
            stuck = {name: f"its look runs for {seconds:.0f} s" for name, seconds in looks.items()}
            stuck |= {name: f"is read for {seconds:.0f} s" for name, seconds in reads.items()}
        try:
            found = await self._reads.call(
                "readiness", None, functools.partial(readiness_of, self._workspace)
            )
        except (Overloaded, TookTooLong):
            answer = ReadyAnswer(ready=False, stuck=stuck)
        else:
            answer = ReadyAnswer(ready=found.is_ready)
            if stuck is not None:
                answer = ReadyAnswer(
                    ready=found.is_ready,
                    experiments=found.experiments,
                    warehouse=found.warehouse,
                    problems=tuple(map(safe_text, found.problems)),
                    stuck=stuck,
                )
        body = answer.model_dump(mode="json", exclude_none=True)
        return json_response(body, status=200 if answer.ready else 503)

    def close(self) -> None:
        """Waits for what runs."""
        self._looks.close()
        self._reads.close()

    def _named(self, request: Request, *, deciding: bool) -> str:
        """The experiment that the path names. Raises Refused (403 before 404)."""
        name = request.path_params["experiment"]
        grant_of(request).check(name, deciding=deciding)
        return named(self._workspace, name)

    async def _experiment_of(self, call: flagger.HookCall, grant: Grant) -> str:
        if call.experiment is not None:
            grant.check(call.experiment, deciding=True)
            return named(self._workspace, call.experiment)
        find = functools.partial(of_service, self._workspace, call.name, call.namespace, grant)
        return await self._read("specs", (call.name, call.namespace, grant), find)

    async def _read(self, what: str, key: Hashable, work: Callable[[], str]) -> str:
        """What work returns, in a worker thread. Raises Refused (503) if that takes too long."""
        try:
            return await self._reads.call(what, key, work)
        except (Overloaded, TookTooLong) as error:
            raise Refused(
                503, f"the {what} could not be read in time: call again", {"Retry-After": "5"}
            ) from error

    def _latest(self, experiment: str) -> str:
        """In a worker thread. Raises Refused (404)."""
        folder = self._workspace.verdicts / experiment
        path = max(folder.glob("*.json"), default=None, key=lambda each: each.name)
        if path is None:
            raise Refused(404, f"{experiment} has no verdict yet")
        return path.read_text(encoding="utf-8")

    def _exported(self, grant: Grant) -> str:
        """In a worker thread."""
        if not self._workspace.warehouse.exists():
            return ""
        readable = select_readable(self._workspace).experiments
        specs = [spec for spec in readable if grant.is_for(spec.experiment)]
        return render_metrics(latest_metrics(self._workspace.warehouse, specs))


def application(
    workspace: Workspace,
    *,
    authentication: Authentication,
    limits: Limits,
    is_stopping: Callable[[], bool] = lambda: False,
    is_https: bool = False,
) -> Starlette:
    """The ASGI application.

    is_stopping: whether the service was told to stop, which ends the streams. is_https: whether
    browsers reach it by TLS only.
    """
    metrics, sessions = ServiceMetrics(), Sessions()
    reads = SharedCalls(workers=_READERS, waiting=limits.waiting, timeout_s=_READ_TIMEOUT_S)
    endpoints = Endpoints(workspace, authentication, limits, metrics, reads)
    pages = PageEndpoints(
        LivePages(workspace),
        # Beside the other reads: a page that takes long must not stop a probe. Nobody need wait for
        # it at the end.
        SharedCalls(workers=_READERS, waiting=limits.waiting, timeout_s=limits.verdict_timeout_s),
        authentication,
        sessions,
        Listeners(limits, is_stopping),
        limits,
        is_https=is_https,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        endpoints.close()

    guard = Middleware(
        Guard, authentication=authentication, limits=limits, metrics=metrics, sessions=sessions
    )
    app = Starlette(
        routes=[*_api_routes(endpoints), *_page_routes(pages)],
        middleware=[guard],
        exception_handlers={Refused: _refused, HTTPException: _unrouted, Exception: _broken},
        lifespan=lifespan,
    )
    # A redirect would repeat whatever host the caller has named.
    app.router.redirect_slashes = False
    return app


def _api_routes(endpoints: Endpoints) -> list[Route]:
    return [
        Route("/flagger/{kind}", endpoints.webhook, methods=["POST"]),
        Route("/argo/{experiment}", endpoints.measurement, methods=["GET"]),
        Route("/verdict/{experiment}", endpoints.verdict, methods=["GET", "POST"]),
        Route("/metrics", endpoints.metrics, methods=["GET"]),
        Route("/healthz", endpoints.healthz, methods=["GET"]),
        Route("/readyz", endpoints.readyz, methods=["GET"]),
    ]


def _page_routes(pages: PageEndpoints) -> list[Route]:
    return [
        Route("/", pages.home, methods=["GET"]),
        Route("/report/{page}", pages.report, methods=["GET"]),
        Route("/events/{page}", pages.events, methods=["GET"]),
        Route("/login", pages.login_form, methods=["GET"]),
        Route("/login", pages.login, methods=["POST"]),
        Route("/logout", pages.logout, methods=["POST"]),
        Route("/openapi.json", pages.openapi, methods=["GET"]),
        Route("/api.html", pages.description, methods=["GET"]),
    ]


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    is_page = request.url.path.startswith(("/report/", "/login", "/logout"))
    return refused_page(error) if is_page else error.response()


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
