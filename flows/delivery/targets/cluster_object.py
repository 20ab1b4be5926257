"""An object of a Kubernetes cluster: read, applied and deleted, errors told by what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from flows.delivery.targets.kubeconfig import (
    check_kubeconfig,
    login_messages,
    login_problem,
    one_word,
)
from flows.delivery.targets.target import SplitChanged, TargetRefused, TargetUnavailable
from flows.formats import apart
from flows.formats.bounded_http import proxy_problem
from flows.formats.network_words import network_words
from flows.formats.problems import UserError
from flows.formats.safe_text import hide

FIELD_MANAGER = "split-verdict"
_GROUPS = {
    "TrafficSplit": ("split.smi-spec.io", "trafficsplits"),
    "VirtualService": ("networking.istio.io", "virtualservices"),
    "HTTPRoute": ("gateway.networking.k8s.io", "httproutes"),
    "Deployment": ("apps", "deployments"),
}
_CONNECT_S, _READ_S, _WHOLE_S, _LOGIN_S = 5.0, 15.0, 30.0, 20.0
_LARGEST = 16 << 20
# What a role is to be granted beside get, by what it may not do.
_GRANTED = {"get": "patch", "patch": "patch", "delete": "delete"}
_Json = dict[str, Any]
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ClusterObject:
    """One object of a cluster.

    kubeconfig: a file; None for the cluster that one is in, else the default file. context: of the
    file; None for its current one.
    """

    kind: str
    name: str
    namespace: str
    kubeconfig: str | None = None
    context: str | None = None

    @property
    def title(self) -> str:
        """The object in words."""
        return f"{self.kind}/{self.name} in {self.namespace}"

    def get(self) -> _Json:
        """The object as the API server has it. Raises TargetUnavailable or TargetRefused."""
        found = self.find()
        if found is None:
            raise TargetRefused(f"there is no {self.title}")
        return found

    def find(self) -> _Json | None:
        """The same; None where there is no such object."""
        with self._api() as client:
            status, content = self._ask(client, "GET", self._path(client))
        return None if status == 404 else self._object(self._good(status, content, "get"))

    def apply(self, body: _Json) -> _Json:
        """Applies the fields of the body as ours; the object as it then is.

        With a resourceVersion the API server refuses it if the object was changed meanwhile.
        Raises SplitChanged, TargetUnavailable or TargetRefused.
        """
        version = body["apiVersion"].partition("/")[2]
        # Whoever made the object owns its fields; those are ours while we deliver.
        query = f"?fieldManager={FIELD_MANAGER}&force=true"
        with self._api() as client:
            path = self._path(client, version) + query
            status, content = self._ask(client, "PATCH", path, body)
        return self._object(self._good(status, content, "patch"))

    def delete(self) -> None:
        """Deletes the object and what it made; one that is gone is no error.

        Raises TargetUnavailable or TargetRefused.
        """
        with self._api() as client:
            path = f"{self._path(client)}?propagationPolicy=Background"
            status, content = self._ask(client, "DELETE", path)
        if status != 404:
            self._good(status, content, "delete")

    def _path(self, client: Any, version: str = "") -> str:
        """Of the object; without a version by the one that the cluster prefers."""
        group, plural = _GROUPS[self.kind]
        of_name = (
            f"namespaces/{quote(self.namespace, safe='')}/{plural}/{quote(self.name, safe='')}"
        )
        return f"/apis/{group}/{version or self._version(client)}/{of_name}"

    def _version(self, client: Any) -> str:
        group, _ = _GROUPS[self.kind]
        known = self._read(_Groups, self._good(*self._ask(client, "GET", "/apis"), "get"))
        for one in known.groups:
            versions = [one.preferredVersion, *one.versions]
            if one.name == group and (named := [v.version for v in versions if v]):
                return named[0]
        raise TargetRefused(f"the cluster knows no {self.kind}: {group} isn't installed there")

    def _ask(
        self, client: Any, method: str, path: str, body: _Json | None = None
    ) -> tuple[int, bytes]:
        """Status and body of the answer, read within the time and the size that an object needs."""
        from urllib3.util import Timeout  # noqa: PLC0415

        headers = {**client.default_headers, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/apply-patch+yaml"
        client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        answer = client.rest_client.pool_manager.request(
            method,
            client.configuration.host + path,
            body=None if body is None else json.dumps(body).encode(),
            headers=headers,
            timeout=Timeout(connect=_CONNECT_S, read=_READ_S),
            # Neither to another host nor to this one: an API server redirects nobody.
            redirect=False,
            retries=False,
            preload_content=False,
        )
        content = bytearray()
        with closing(answer):
            for part in answer.stream(1 << 16):
                content += part
                if len(content) > _LARGEST:
                    raise TargetUnavailable(
                        f"{self.title}: the API server answers more than {_LARGEST >> 20} MB"
                    )
        return int(answer.status), bytes(content)

    def _good(self, status: int, content: bytes, verb: str) -> bytes:
        """The body of a success. Raises what another status says."""
        if 200 <= status < 300:
            return content
        raise self._told(status, _message(content), verb)

    def _object(self, content: bytes) -> _Json:
        self._read(_Object, content)
        found: _Json = json.loads(content)
        return found

    def _read(self, model: type[_Model], content: bytes) -> _Model:
        """The answer by its shape. Raises TargetUnavailable with the field that has another."""
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False, include_context=False)[0]
            field = ".".join(map(str, wrong["loc"])) or "the answer"
            raise TargetUnavailable(
                f"{self.title}: no API server answers so: {field}: {wrong['msg']}"
            ) from error

    @contextmanager
    def _api(self) -> Iterator[Any]:
        """The client, its errors told apart by what a person can do."""
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        from flows.formats.bounded_http import bound_pools  # noqa: PLC0415

        try:
            with self._client() as client:
                bound_pools(client.rest_client.pool_manager, _WHOLE_S)
                yield client
        except (HTTPError, ValueError) as error:
            # ValueError: the length of a chunk is negative.
            said = network_words(error)
            raise TargetUnavailable(
                f"the API server of {self.title} can't be reached: {said}"
            ) from error

    def _told(self, status: int, message: str, verb: str) -> Exception:
        group, plural = _GROUPS[self.kind]
        if status == 404:
            return TargetRefused(f"there is no {self.title}")
        if status in (401, 403):
            return TargetRefused(
                f"{self.title}: not allowed to {verb} it; grant get and {_GRANTED[verb]} on "
                f"{plural}.{group} ({message})"
            )
        if status == 409:
            return SplitChanged(f"{self.title} was changed while it was shifted ({message})")
        if status in (400, 415, 422):
            return TargetRefused(f"{self.title}: the cluster refuses the change ({message})")
        return TargetUnavailable(f"{self.title}: the API server answers {status} ({message})")

    def _client(self) -> Any:
        """A client that is logged in, which may need a program that the kubeconfig names."""
        from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415

        settings = Configuration()
        settings.retries = 0
        try:
            apart.within(_LOGIN_S, (self.kubeconfig, self.context), partial(self._log_in, settings))
        except TimeoutError as error:
            raise TargetUnavailable(
                f"logging in at the cluster of {self.title} takes over {_LOGIN_S:g} s"
            ) from error
        except Exception as error:
            # Whatever the library makes of a file or a program's answer of another shape.
            said = error if isinstance(error, UserError | OSError) else login_problem(error)
            raise TargetRefused(
                f"no cluster is known for {self.title}: {said} (delivery.target.kubeconfig)"
            ) from error
        for secret in (*settings.api_key.values(), settings.password or ""):
            # An API server may say again what it was asked with.
            hide(secret.partition(" ")[2] or secret)
        if wrong := proxy_problem(settings.host, settings.proxy):
            raise TargetRefused(f"{self.title}: {wrong}")
        return ApiClient(settings)

    def _log_in(self, settings: Any) -> None:
        from kubernetes.config import (  # noqa: PLC0415
            ConfigException,
            load_incluster_config,
            load_kube_config,
        )

        if self.kubeconfig is None and self.context is None:
            try:
                load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
            except ConfigException:
                pass  # not within a cluster: the file is next
            else:
                return
        program = check_kubeconfig(self.kubeconfig, self.context)
        with login_messages() as said:
            load_kube_config(  # type: ignore[no-untyped-call]
                config_file=self.kubeconfig, context=self.context, client_configuration=settings
            )
        if program is not None and not (settings.api_key or settings.cert_file):
            raise TargetRefused(f"{program}, which is to log in, {' and '.join(said)}")
        scheme, _, token = settings.api_key.get("BearerToken", "").strip().partition(" ")
        settings.api_key = {"BearerToken": f"{scheme} {one_word(token)}"} if token else {}


class _Metadata(BaseModel):
    resourceVersion: str  # noqa: N815 - as Kubernetes has it
    annotations: dict[str, str] | None = None


class _Object(BaseModel):
    """What every object has."""

    apiVersion: str  # noqa: N815
    metadata: _Metadata
    spec: dict[str, Any]


class _Version(BaseModel):
    version: str


class _Group(BaseModel):
    name: str
    preferredVersion: _Version | None = None  # noqa: N815
    versions: list[_Version] = []


class _Groups(BaseModel):
    groups: list[_Group]


def _message(content: bytes) -> str:
    """What the API server says in a Status object, else how its answer begins."""
    try:
        return str(json.loads(content)["message"])
    except (TypeError, ValueError, KeyError, RecursionError):
        return " ".join(content[:200].decode(errors="replace").split()) or "nothing"
